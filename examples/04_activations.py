"""Chapter IV: activation functions, and why a network needs them.

Draws every activation with its derivative; collapses a stack of affine layers into one; shows that
five layers without an activation cannot learn XOR, and that two with ReLU can.

    python examples/04_activations.py [--out DIR]
"""

import argparse
from functools import partial, reduce
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jaxmlp

INK, FAINT, BLUE, ORANGE = "#333333", "#DDDDDD", "#0072B2", "#D55E00"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    print("1. Each activation and its derivative at z = -2, 0, 2")
    points = ("-2", "0", "2")
    columns = [f"phi({z})" for z in points] + [f"phi'({z})" for z in points]
    print(f"   {'':12}" + "".join(f"{column:>10}" for column in columns))
    for activation in jaxmlp.ACTIVATIONS.values():
        z = jnp.array([-2.0, 0.0, 2.0])
        row = [*activation.fn(z).tolist(), *slope(activation, z).tolist()]
        print(f"   {activation.name:12}" + "".join(f"{number:10.4f}" for number in row))
    draw_activations().savefig(out / "04_activations.png")

    print("\n2. Five affine layers without an activation are one affine layer")
    difference = collapse_difference()
    print(f"   O = X (W1 W2 W3 W4 W5) + b: largest relative difference {difference:.1e} (float64)")
    assert difference < 1e-12

    print("\n3. XOR: depth alone does not help")
    networks = {
        "5 layers, no activation": jaxmlp.MLPConfig((2, 8, 8, 8, 8, 1), activation="identity"),
        "2 layers, ReLU": jaxmlp.MLPConfig((2, 8, 1), activation="relu"),
    }
    curves = {}
    for name, config in networks.items():
        curves[name], correct = learn_xor(config)
        print(f"   {name:24} loss {curves[name][-1]:.4f}, {correct} of 4 right")
    linear, relu = curves.values()
    print(f"   ln 2 = {np.log(2):.4f} is a linear model's best: to answer 1/2 to everything")
    assert abs(linear[-1] - np.log(2)) < 1e-4
    assert relu[-1] < 0.01
    assert correct == 4
    draw_losses(curves).savefig(out / "04_linear_layers_on_xor.png")
    print(f"\nPictures: {out / '04_activations.png'}, {out / '04_linear_layers_on_xor.png'}")


def slope(activation, z):
    """phi'(z): the derivative takes z itself or phi(z), whichever it needs."""
    return activation.derivative(activation.fn(z) if activation.residual == "output" else z)


def collapse_difference():
    """Compare a deep network of identity activations with the product of its matrices."""
    with jax.enable_x64(True):
        config = jaxmlp.MLPConfig((6, 40, 30, 20, 10, 3), activation="identity", dtype="float64")
        keys = jax.random.split(jax.random.key(0), config.n_layers + 1)
        params = tuple(
            layer._replace(b=jax.random.normal(key, layer.b.shape))
            for layer, key in zip(jaxmlp.init(config, keys[0]), keys[1:], strict=True)
        )
        x = jax.random.normal(keys[0], (100, 6))

        # (x W1 + b1) W2 + b2 = x (W1 W2) + (b1 W2 + b2), and so on
        W, b = reduce(
            lambda left, right: (left[0] @ right.W, left[1] @ right.W + right.b),
            params[1:],
            params[0][:2],
        )
        deep, single = jaxmlp.predict(config, params, x), x @ W + b
        return float(jnp.max(jnp.abs(deep - single)) / jnp.max(jnp.abs(deep)))


def learn_xor(config, learning_rate=0.2, steps=2000):
    """Plain gradient descent on the four points; the loss at every step, and how many are right."""
    x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = jnp.array([0, 1, 1, 0])
    value_and_grad = jaxmlp.value_and_grad(config, "sigmoid_binary_cross_entropy")

    def step(params, _):
        value, grads = value_and_grad(params, x, y)
        return jax.tree.map(lambda p, g: p - learning_rate * g, params, grads), value

    descend = jax.jit(partial(jax.lax.scan, step, length=steps))
    params, losses = descend(jaxmlp.init(config, jax.random.key(0)))
    correct = int(jnp.sum((jaxmlp.predict(config, params, x)[:, 0] > 0) == y))
    return np.asarray(losses), correct


def draw_activations():
    """One panel an activation, all on the same scale."""
    left, right = np.linspace(-4, 0, 201), np.linspace(1e-6, 4, 201)
    figure = Figure(figsize=(10, 8), dpi=150, layout="constrained")
    panels = figure.subplots(3, 4, sharex=True, sharey=True)
    for axes, activation in zip(panels.flat, jaxmlp.ACTIVATIONS.values(), strict=True):
        plain(axes)
        for z in (left, right):  # apart, so that no line is drawn across a jump
            z = jnp.asarray(z)
            axes.plot(z, activation.fn(z), color=BLUE, linewidth=2, label="φ(z)")
            derivative = slope(activation, z)
            axes.plot(z, derivative, color=ORANGE, linewidth=2, dashes=(3, 1.2), label="φ′(z)")
        at_zero = slope(activation, jnp.zeros(1))
        axes.plot(0, at_zero, "o", color=ORANGE, markersize=4)
        axes.set_title(activation.name, color=INK, fontsize=11)
    panels[0, 0].set(xlim=(-4, 4), ylim=(-2, 3), xticks=range(-4, 5, 2))
    for axes in panels[-1]:
        axes.set_xlabel("z", color=INK)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper right", ncols=2, frameon=False)
    figure.suptitle(
        "Activation functions and their derivatives (dot: φ′ at 0)", x=0.01, ha="left", color=INK
    )
    return figure


def draw_losses(curves):
    figure = Figure(figsize=(6, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    plain(axes)
    for (name, losses), color in zip(curves.items(), (ORANGE, BLUE), strict=True):
        axes.plot(np.arange(1, len(losses) + 1), losses, color=color, linewidth=2, label=name)
    axes.axhline(np.log(2), color=INK, linewidth=0.9, dashes=(4, 3), label="ln 2: answering 1/2")
    axes.set(xscale="log", ylim=(0, None))
    axes.set_xlabel("gradient step", color=INK)
    axes.set_ylabel("cross-entropy", color=INK)
    axes.set_title("XOR needs a nonlinearity, not depth", color=INK, fontsize=11, loc="left")
    axes.legend(frameon=False, labelcolor=INK)
    return figure


def plain(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


if __name__ == "__main__":
    main()
