"""Chapter VII: the variants of gradient descent, on one loss surface and on digits.

On a long narrow valley every rule starts at the same point with a rate that suits it: gradient
descent swings from wall to wall, momentum carries on along the valley, AdaGrad and its kin give
each direction a rate of its own. On digits the same rules train one network on mini-batches.

    python examples/07_gradient_descent_variants.py [--out DIR]
"""

import argparse
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

import jaxmlp
from jaxmlp.data import load_digits

INK, FAINT = "#333333", "#DDDDDD"
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
CURVATURE = np.array([0.1, 2.0])  # the valley: L = (0.1 x^2 + 2 y^2) / 2, condition number 20
START, STEPS = np.array([-9.0, 2.5]), 60

VALLEY_RULES = {
    "gradient descent": jaxmlp.gd(0.92),
    "momentum (the lecture's)": jaxmlp.momentum(3.0, 0.8),
    "Nesterov": jaxmlp.nesterov(0.4, 0.8),
    "AdaGrad": jaxmlp.adagrad(2.0),
    "RMSProp": jaxmlp.rmsprop(0.3),
    "Adam": jaxmlp.adam(0.6),
}
# name: rule, batch size (None: all examples)
DIGITS_RULES = {
    "GD, all examples": (jaxmlp.gd(0.5), None),
    "SGD": (jaxmlp.sgd(0.1), 32),
    "momentum (the lecture's)": (jaxmlp.momentum(0.1, 0.9), 32),
    "Nesterov": (jaxmlp.nesterov(0.01, 0.9), 32),
    "AdaGrad": (jaxmlp.adagrad(0.05), 32),
    "RMSProp": (jaxmlp.rmsprop(2e-3), 32),
    "Adam": (jaxmlp.adam(2e-3), 32),
}
EPOCHS, THRESHOLD = 30, 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    print(f"1. A valley {CURVATURE[1] / CURVATURE[0]:.0f} times as steep as long, {STEPS} steps")
    paths = {name: walk(rule) for name, rule in VALLEY_RULES.items()}
    for name, path in paths.items():
        print(f"   {name:25} loss {valley(path[0]):.2f} -> {valley(path[-1]):.1e}")
        assert valley(path[-1]) < 0.05 * valley(path[0])
    swings = np.sum(np.diff(np.sign(paths["gradient descent"][:20, 1])) != 0)
    print(f"   gradient descent crosses the valley {swings} times in its first 20 steps")
    assert swings >= 15
    draw_valley(paths).savefig(out / "07_trajectories.png")

    print(
        f"\n2. Digits, 64-32-10, {EPOCHS} epochs; the last column: epochs to a loss of {THRESHOLD}"
    )
    histories = {name: train(rule, size) for name, (rule, size) in DIGITS_RULES.items()}
    for name, losses in histories.items():
        below = np.flatnonzero(losses < THRESHOLD)
        needed = str(below[0] + 1) if len(below) else "-"
        print(f"   {name:25} loss {losses[-1]:.4f}   {needed:>3}")
    assert histories["SGD"][-1] < histories["GD, all examples"][-1]
    assert histories["Adam"][-1] < histories["SGD"][-1]
    draw_digits(histories).savefig(out / "07_digits.png")
    print(f"\nwrote {out / '07_trajectories.png'} and {out / '07_digits.png'}")


def valley(point):
    """L(x, y) = (0.1 x^2 + 2 y^2) / 2."""
    return float(np.sum(CURVATURE * np.asarray(point) ** 2) / 2)


@jax.jit
def steps(optimizer):
    """The points that an update rule visits, from START; one program for each rule."""
    start, curvature = jnp.asarray(START, jnp.float32), jnp.asarray(CURVATURE, jnp.float32)

    def step(carry, _):
        point, state = carry
        updates, state = optimizer.update(curvature * point, state, point)
        point = jaxmlp.apply_updates(point, updates)
        return (point, state), point

    _, points = jax.lax.scan(step, (start, optimizer.init(start)), length=STEPS)
    return jnp.concatenate([start[None], points])


def walk(optimizer):
    return np.asarray(steps(optimizer))


def train(optimizer, batch_size):
    """The training loss after each epoch, measured on all examples."""
    digits = load_digits()
    x, y = digits.x / 16, digits.y
    config = jaxmlp.MLPConfig((64, 32, 10), "relu")
    result = jaxmlp.fit(
        config,
        jaxmlp.init(config, jax.random.key(0)),
        (x, y),
        loss="softmax_cross_entropy",
        optimizer=optimizer,
        epochs=EPOCHS,
        batch_size=batch_size,
        key=jax.random.key(1),
        validation_data=(x, y),  # the loss after the epoch, not the mean during it
    )
    return result.history["validation_loss"]


def draw_valley(paths):
    figure = Figure(figsize=(11, 6.2), dpi=150, layout="constrained")
    x, y = np.meshgrid(np.linspace(-10.5, 5.5, 200), np.linspace(-3.4, 3.4, 120))
    loss = (CURVATURE[0] * x**2 + CURVATURE[1] * y**2) / 2
    for axes, (name, path), color in zip(
        figure.subplots(2, 3, sharex=True, sharey=True).flat, paths.items(), COLORS, strict=False
    ):
        axes.contour(x, y, loss, levels=np.geomspace(0.05, 14, 9), colors=FAINT, linewidths=1)
        axes.plot(*path.T, ".-", color=color, markersize=4, linewidth=1.2)
        axes.plot(*path[0], "o", color=INK, markersize=6)
        axes.plot(0, 0, "+", color=INK, markersize=10)
        axes.set_title(f"{name}: {valley(path[-1]):.0e}", loc="left", color=INK, fontsize=11)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, colors=INK)
    figure.suptitle(
        f"{STEPS} steps down one valley, from the dot to the cross (title: the loss at the end)",
        color=INK, x=0.01, ha="left",
    )  # fmt: skip
    return figure


def draw_digits(histories):
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    epochs = np.arange(1, EPOCHS + 1)
    ends = spread([np.log10(losses[-1]) for losses in histories.values()], 0.085)
    for (name, losses), color, end in zip(histories.items(), COLORS, ends, strict=True):
        axes.plot(epochs, losses, color=color, linewidth=1.8)
        axes.text(EPOCHS + 0.4, 10**end, name, color=color, va="center", fontsize=9)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(1, EPOCHS)
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("training loss after the epoch", color=INK)
    axes.set_title("Digits, 64-32-10, batches of 32", loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    return figure


def spread(values, gap):
    """Move labels apart that would overlap, keeping their order."""
    order, placed = np.argsort(values), np.array(values, float)
    for low, high in itertools.pairwise(order):
        placed[high] = max(placed[high], placed[low] + gap)
    return placed


if __name__ == "__main__":
    main()
