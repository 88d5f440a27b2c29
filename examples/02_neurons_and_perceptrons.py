"""Chapter II: the McCulloch-Pitts neuron, and Rosenblatt's perceptron that learns its weights.

Threshold units with weights set by hand are AND, OR and NOT, and three of them XOR. The perceptron
rule learns the first three from examples; on XOR it goes round in a circle for ever.

    python examples/02_neurons_and_perceptrons.py [--out DIR]
"""

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxmlp.lecture.perceptron import fit_perceptron, threshold_unit

INK, FAINT, BLUE, ORANGE = "#333333", "#DDDDDD", "#0072B2", "#D55E00"
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], np.float32)
BOTH = np.array([[0.0], [1.0]], np.float32)
TASKS = {
    "AND": (CORNERS, [0, 0, 0, 1]),
    "OR": (CORNERS, [0, 1, 1, 1]),
    "NOT": (BOTH, [1, 0]),
    "XOR": (CORNERS, [0, 1, 1, 0]),
}
BY_HAND = {"AND": ([1.0, 1.0], -1.5), "OR": ([1.0, 1.0], -0.5), "NOT": ([-1.0], 0.5)}
EPOCHS = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    print("1. Threshold units: 1 if w x + b > 0, else 0, weights by hand")
    for name, (w, b) in BY_HAND.items():
        x, table = TASKS[name]
        answers = threshold_unit(jnp.array(w), b, x)
        print(f"   {name:4} w = {w}, threshold {-b}: {as_table(x, answers)}")
        assert answers.tolist() == table
    answers = xor_of_three_units(CORNERS)
    print(f"   XOR  = (x1 OR x2) AND NOT (x1 AND x2), three units: {as_table(CORNERS, answers)}")
    assert answers.tolist() == TASKS["XOR"][1]

    print("\n2. The perceptron rule: at each mistake w <- w + (2y - 1) x, b <- b + (2y - 1)")
    results = {}
    for name, (x, table) in TASKS.items():
        result = results[name] = fit_perceptron(x, jnp.array(table), epochs=EPOCHS)
        print(f"   {name:4} mistakes in each epoch: {' '.join(map(str, result.mistakes.tolist()))}")
        if name != "XOR":
            assert result.converged
            assert threshold_unit(result.w, result.b, x).tolist() == table
            print(f"        w = {result.w.tolist()}, b = {float(result.b)}: separates")
            margin_bound(name, result)

    xor, back = results["XOR"], "one epoch later"
    if xor.period > 1:
        back = f"{int(xor.period)} epochs later"
    print(
        f"        w = {xor.w.tolist()}, b = {float(xor.b)}, and the same {back}: the rule can only"
    )
    print("        repeat itself and never ends. A separating line would have ended it (Novikoff's")
    print("        theorem), so there is none.")
    assert not xor.converged
    assert xor.period > 0

    draw(results).savefig(out / "02_neurons_and_perceptrons.png")
    print(f"\nPicture: {out / '02_neurons_and_perceptrons.png'}")


def as_table(x, answers):
    return ", ".join(
        f"{''.join(f'{v:.0f}' for v in row)} -> {answer:.0f}"
        for row, answer in zip(x, answers, strict=True)
    )


def xor_of_three_units(x):
    either = threshold_unit(jnp.array([1.0, 1.0]), -0.5, x)
    both = threshold_unit(jnp.array([1.0, 1.0]), -1.5, x)
    return threshold_unit(jnp.array([1.0, -1.0]), -0.5, jnp.stack([either, both], axis=1))


def margin_bound(name, result):
    """Print Novikoff's bound, with the margin of the line set by hand above."""
    x, _ = TASKS[name]
    extended = np.column_stack([x, np.ones(len(x))])
    teacher = np.append(*BY_HAND[name])
    gamma = np.abs(extended @ teacher).min() / np.linalg.norm(teacher)
    bound = (np.linalg.norm(extended, axis=1).max() / gamma) ** 2
    total = int(result.mistakes.sum())
    print(f"        {total} mistakes in all; Novikoff's bound (R / gamma)^2 is {bound:.0f}")
    assert total <= bound


def draw(results):
    figure = Figure(figsize=(11, 5.6), dpi=150, layout="constrained")
    panels = figure.subplots(2, 4, height_ratios=(2, 1), sharey="row")
    for column, (name, result) in enumerate(results.items()):
        draw_lines(panels[0, column], name, np.asarray(result.path))
        bars = panels[1, column]
        bars.bar(range(1, EPOCHS + 1), result.mistakes, color=INK, width=0.7)
        bars.set_xlabel("epoch", color=INK)
        bars.xaxis.set_major_locator(MaxNLocator(integer=True))
        bars.yaxis.set_major_locator(MaxNLocator(integer=True))
        bars.spines[["top", "right"]].set_visible(False)
        bars.grid(axis="y", color=FAINT, linewidth=0.6)
        bars.set_axisbelow(True)
    panels[0, 0].set_ylabel("x₂", color=INK)
    panels[1, 0].set_ylabel("mistakes", color=INK)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    return figure


def draw_lines(axes, name, path):
    """The examples, and the line w x + b = 0 after each epoch, the last one darkest."""
    x, table = TASKS[name]
    points = np.column_stack([x, np.zeros(len(x))]) if x.shape[1] == 1 else x
    for label, color, marker in ((0, ORANGE, "o"), (1, BLUE, "s")):
        chosen = points[np.array(table) == label].T
        axes.scatter(*chosen, s=70, c=color, marker=marker, zorder=3, label=f"y = {label}")
    for epoch, (*w, b) in enumerate(path, start=1):
        w1, w2 = (*w, 0.0)[:2]
        last = epoch == len(path)
        style = {"color": INK, "linewidth": 2 if last else 1, "alpha": 1 if last else 0.25}
        if w1 == w2 == 0:  # no line: the unit answers the same everywhere
            if last:
                axes.text(0.5, 0.5, "w = 0 after\nevery epoch", color=INK, ha="center", va="center")
            continue
        foot = -b * np.array([w1, w2]) / (w1**2 + w2**2)
        axes.axline(foot, foot + np.array([-w2, w1]), **style, label="last line" if last else None)
    status = "never ends" if name == "XOR" else "learnt"
    axes.set_title(f"{name}: {status}", color=INK, fontsize=11)
    axes.set(xlim=(-0.6, 1.6), ylim=(-0.6, 1.6), aspect="equal", xticks=[0, 1], yticks=[0, 1])
    axes.set_xlabel("x₁", color=INK)
    axes.spines[:].set_color(FAINT)
    axes.tick_params(colors=INK, length=0)


if __name__ == "__main__":
    main()
