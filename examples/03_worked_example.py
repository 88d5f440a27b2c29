"""Chapter III: the lecture's worked example, by hand, by jaxmlp and by automatic differentiation.

Two inputs, two hidden ReLU units, one output, no biases: x = (1, 2), y = 1.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxmlp

INK, FORWARD, BACKWARD = "#333333", "#0072B2", "#D55E00"


def by_hand() -> dict[str, np.ndarray]:
    """The lecture's numbers, one equation a line."""
    x, y = np.array([1.0, 2.0]), 1.0
    W_h, w_o = np.array([[0.5, 0.3], [0.2, 0.4]]), np.array([0.6, 0.7])
    z = W_h.T @ x
    h = np.maximum(z, 0)
    o = w_o @ h
    loss = (o - y) ** 2 / 2
    d_o = o - y
    d_w_o = d_o * h
    d_h = d_o * w_o
    d_z = d_h * (z > 0)
    d_W_h = np.outer(x, d_z)
    return {
        "z": z,
        "o": o,
        "L": loss,
        "dL/do": d_o,
        "dL/dw_o": d_w_o,
        "dL/dh": d_h,
        "dL/dW_h": d_W_h,
    }


def by_jaxmlp() -> tuple[dict[str, np.ndarray], float]:
    """The same from the library, and its distance to jax.grad."""
    config = jaxmlp.MLPConfig((2, 2, 1), "relu", dtype="float64")
    params = (
        jaxmlp.Layer(W=jnp.array([[0.5, 0.3], [0.2, 0.4]]), b=jnp.zeros(2)),
        jaxmlp.Layer(W=jnp.array([[0.6], [0.7]]), b=jnp.zeros(1)),
    )
    x, y = jnp.array([[1.0, 2.0]]), jnp.array([[1.0]])
    outputs, cache = jaxmlp.forward(config, params, x)
    loss, grads = jaxmlp.value_and_grad(config, "squared_error")(params, x, y)
    oracle = jax.grad(jaxmlp.objective(config, "squared_error"))(params, x, y)
    worst = max(
        float(jnp.abs(g - o).max())
        for g, o in zip(*map(jax.tree.leaves, (grads, oracle)), strict=True)
    )
    found = {
        "z": cache[1].inputs[0],
        "o": outputs[0, 0],
        "L": loss,
        "dL/dw_o": grads[1].W[:, 0],
        "dL/dW_h": grads[0].W,
    }
    return {name: np.asarray(value) for name, value in found.items()}, worst


def draw(numbers: dict[str, np.ndarray]) -> Figure:
    """The network with its values (blue) and gradients (orange) on the edges."""
    figure = Figure(figsize=(8.4, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.5, 3.6), ylim=(-0.72, 1.3))
    axes.axis("off")
    at = {
        "x1": (0, 1),
        "x2": (0, 0),
        "h1": (1.4, 1),
        "h2": (1.4, 0),
        "o": (2.6, 0.5),
        "L": (3.4, 0.5),
    }
    W_h, d_W_h = [[0.5, 0.3], [0.2, 0.4]], numbers["dL/dW_h"]
    for i in range(2):
        for j in range(2):
            _edge(
                axes,
                at[f"x{i + 1}"],
                at[f"h{j + 1}"],
                W_h[i][j],
                d_W_h[i, j],
                0.5 if i == j else 0.28,
            )
        _edge(axes, at[f"h{i + 1}"], at["o"], (0.6, 0.7)[i], numbers["dL/dw_o"][i], 0.42)
    _edge(axes, at["o"], at["L"], None, None, 0.5)
    values = {
        "x1": "$x_1$\n1",
        "x2": "$x_2$\n2",
        "h1": f"$h_1$\n{numbers['z'][0]:g}",
        "h2": f"$h_2$\n{numbers['z'][1]:g}",
        "o": f"$o$\n{numbers['o']:g}",
        "L": f"$L$\n{numbers['L']:.4f}",
    }
    for name, text in values.items():
        axes.text(
            *at[name],
            text,
            ha="center",
            va="center",
            color=INK,
            fontsize=10,
            linespacing=1.3,
            bbox={"boxstyle": "circle,pad=0.35", "fc": "white", "ec": INK},
        )
    axes.set_title("The lecture's worked example", loc="left", color=INK)
    axes.text(0, -0.65, "weight", color=FORWARD, fontsize=10)
    axes.text(
        0.42,
        -0.65,
        "and its gradient, equal by hand, by jaxmlp and by jax.grad",
        color=BACKWARD,
        fontsize=10,
    )
    return figure


def _edge(
    axes: Axes, a: tuple, b: tuple, weight: float | None, gradient: float | None, t: float
) -> None:
    axes.annotate(
        "", b, a, arrowprops={"arrowstyle": "->", "color": "#BBBBBB", "shrinkA": 20, "shrinkB": 20}
    )
    if weight is None:
        return
    x, y = a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])
    box = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"}
    axes.text(
        x, y + 0.075, f"{weight:g}", color=FORWARD, ha="center", va="center", fontsize=9, bbox=box
    )
    axes.text(
        x,
        y - 0.06,
        f"{gradient:.3f}",
        color=BACKWARD,
        ha="center",
        va="center",
        fontsize=9,
        bbox=box,
    )


def main() -> None:
    """Print, compare and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/output"))
    out = parser.parse_args().out
    hand = by_hand()
    with jax.enable_x64(True):
        found, worst = by_jaxmlp()
    print("quantity   by hand                        by jaxmlp")
    for name, value in hand.items():
        shown = np.array2string(found[name], precision=6).replace("\n", "") if name in found else ""
        print(
            f"{name:9}  {np.array2string(np.asarray(value), precision=6):30} {shown}".replace(
                "\n", ""
            )
        )
        if name in found:
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-15)
    print(f"largest difference between the hand-written gradient and jax.grad: {worst:.1e}")
    assert worst <= 1e-15
    out.mkdir(parents=True, exist_ok=True)
    path = out / "03_worked_example.png"
    draw(hand).savefig(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
