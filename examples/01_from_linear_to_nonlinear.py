"""Chapter I: AND, OR and NOT are linear, XOR is not; a hidden layer makes it so.

One line separates the ones of AND and OR from the zeros. No line does for XOR: linear programming
says so, and so does a proof of two lines. A 2-2-1 network learns XOR; the picture shows how its
hidden layer moves the four points so that a line suffices.

    python examples/01_from_linear_to_nonlinear.py [--out DIR]
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import linprog

import jaxmlp

INK, BLUE, ORANGE = "#333333", "#0072B2", "#D55E00"
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], np.float32)
TABLES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
CONFIG = jaxmlp.MLPConfig(layer_sizes=(2, 2, 1), activation="tanh")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    print("1. Is there a line w1 x1 + w2 x2 + b = 0 between the ones and the zeros?")
    lines = {name: separating_line(CORNERS, table) for name, table in TABLES.items()}
    lines["NOT"] = separating_line(np.array([[0.0], [1.0]]), [1, 0])
    for name, line in lines.items():
        print(
            f"   {name:4}", "no: the linear program is infeasible" if line is None else show(line)
        )
    assert lines.pop("XOR") is None
    assert all(line is not None for line in lines.values())
    print("   Why not XOR: the ones ask for w1 + b > 0 and w2 + b > 0, the zeros for b < 0 and")
    print("   w1 + w2 + b < 0. The first two add up to w1 + w2 + 2b > 0, the others to < 0.")

    print("\n2. A network with two hidden units learns it by gradient descent")
    params, loss, n_right, n_starts = learn_xor()
    print(
        f"   after 2000 steps {n_right} of {n_starts} random starts are right everywhere; the best:"
    )
    logits = jaxmlp.predict(CONFIG, params, CORNERS)[:, 0]
    hidden = jnp.tanh(CORNERS @ params[0].W + params[0].b)
    print("   x1 x2   y   P(y = 1)   hidden layer")
    for x, y, p, h in zip(CORNERS, TABLES["XOR"], jax.nn.sigmoid(logits), hidden, strict=True):
        print(f"   {x[0]:2.0f} {x[1]:2.0f}  {y:2}    {p:.4f}    ({h[0]:+.2f}, {h[1]:+.2f})")
    print(f"   cross-entropy {loss:.4f}")
    assert np.array_equal(logits > 0, np.array(TABLES["XOR"]) == 1)
    in_hidden_space = separating_line(np.asarray(hidden, np.float64), TABLES["XOR"])
    print("   In the hidden layer's coordinates there is a line:", show(in_hidden_space, "h"))
    assert in_hidden_space is not None

    draw(params, lines, np.asarray(hidden)).savefig(out / "01_from_linear_to_nonlinear.png")
    print(f"\nPicture: {out / '01_from_linear_to_nonlinear.png'}")


def separating_line(x, y):
    """(w, b) with s (w x + b) >= 1, s = +-1, and small |w|, by linear programming; None if none."""
    sign = 2 * np.array(y) - 1.0
    n = x.shape[1]
    # w = w_plus - w_minus, so that the sum of both is |w1| + |w2|
    rows = -sign[:, None] * np.column_stack([x, -x, np.ones(len(x))])
    bounds = [(0, None)] * (2 * n) + [(None, None)]
    result = linprog([1.0] * (2 * n) + [0.0], rows, -np.ones(len(x)), bounds=bounds)
    assert result.status in (0, 2), result.message  # solved, or proven infeasible
    if result.status == 2:
        return None
    return result.x[:n] - result.x[n : 2 * n], result.x[-1]


def show(line, name="x"):
    w, b = line
    terms = " ".join(f"{weight:+.3g} {name}{i}" for i, weight in enumerate(w, start=1))
    return f"{terms} {b:+.3g} = 0"


def learn_xor(n_starts=50, learning_rate=1.0, steps=2000):
    """Descend from many random weights at once; the best end, and how many got all four right."""
    y = jnp.array(TABLES["XOR"])
    value_and_grad = jaxmlp.value_and_grad(CONFIG, "sigmoid_binary_cross_entropy")

    def step(params, _):
        value, grads = value_and_grad(params, CORNERS, y)
        return jax.tree.map(lambda p, g: p - learning_rate * g, params, grads), value

    def descend(key):
        params, losses = jax.lax.scan(step, jaxmlp.init(CONFIG, key), length=steps)
        right = (jaxmlp.predict(CONFIG, params, CORNERS)[:, 0] > 0) == y
        return params, losses[-1], jnp.all(right)

    keys = jax.random.split(jax.random.key(0), n_starts)
    params, losses, right = jax.jit(jax.vmap(descend))(keys)
    best = jnp.argmin(losses)
    return jax.tree.map(lambda p: p[best], params), losses[best], int(right.sum()), n_starts


def draw(params, lines, hidden):
    figure = Figure(figsize=(12.5, 3.5), dpi=150, layout="constrained")
    panels = figure.subplots(1, 4)
    for axes, name in zip(panels, ("AND", "OR"), strict=False):
        w, b = lines[name]
        shade(axes, lambda x, w=w, b=b: x @ w + b, (-0.5, 1.5))
        scatter(axes, CORNERS, TABLES[name], "x")
        axes.set_title(f"{name}: one line", color=INK, fontsize=11)
    shade(panels[2], lambda x: jaxmlp.predict(CONFIG, params, x)[:, 0], (-0.5, 1.5))
    scatter(panels[2], CORNERS, TABLES["XOR"], "x")
    panels[2].set_title("XOR: a 2-2-1 network", color=INK, fontsize=11)
    output = params[1]
    shade(panels[3], lambda h: (h @ output.W + output.b)[:, 0], (-1.25, 1.25))
    scatter(panels[3], hidden, TABLES["XOR"], "h")
    panels[3].set_title("XOR in the hidden layer", color=INK, fontsize=11)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right", frameon=False)
    return figure


def shade(axes, logit, limits):
    """Colour the plane by the sign of the logit, with the line between."""
    ticks = np.linspace(*limits, 201, dtype=np.float32)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    values = np.asarray(logit(grid.reshape(-1, 2))).reshape(grid.shape[:2])
    axes.contourf(
        ticks, ticks, values > 0, levels=[-0.5, 0.5, 1.5], colors=[ORANGE, BLUE], alpha=0.15
    )
    axes.contour(ticks, ticks, values, levels=[0], colors=INK, linewidths=1.5)
    axes.set_aspect("equal")


def scatter(axes, points, labels, name):
    for label, color, marker in ((0, ORANGE, "o"), (1, BLUE, "s")):
        chosen = points[np.array(labels) == label].T
        axes.scatter(
            *chosen,
            s=70,
            c=color,
            marker=marker,
            edgecolors="white",
            zorder=3,
            label=f"y = {label}",
        )
    axes.set_xlabel(f"{name}₁", color=INK)
    axes.set_ylabel(f"{name}₂", color=INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=INK, length=0)


if __name__ == "__main__":
    main()
