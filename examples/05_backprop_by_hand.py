"""Chapter V: the backward pass written out, equation by equation; a wrong one found and mended.

First the lecture's worked example, with every equation's shapes and numbers. Then a student's
backward pass in plain numpy, with three slips: the check finds each, says what it is, and passes
once it is mended.

    python examples/05_backprop_by_hand.py [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from jaxmlp.lecture import explain_backward
from jaxmlp.verification import check_gradients


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    print("1. The lecture's network, equation by equation\n")
    config = jaxmlp.MLPConfig((2, 2, 1), "relu")
    params = (
        jaxmlp.Layer(jnp.array([[0.5, 0.3], [0.2, 0.4]]), jnp.zeros(2)),
        jaxmlp.Layer(jnp.array([[0.6], [0.7]]), jnp.zeros(1)),
    )
    x, y = jnp.array([[1.0, 2.0]]), jnp.array([[1.0]])
    walk = explain_backward(config, params, x, y, "squared_error")
    path = walk.graph.save(out / "05_computational_graph.png")

    print("\n2. A batch on a larger network: by hand, by jaxmlp and by jax.grad")
    layers, x, y = student_problem()
    with jax.enable_x64(True):
        value_and_grad = jaxmlp.value_and_grad(CONFIG.replace(dtype="float64"), "squared_error")
        _, ours = jax.device_get(value_and_grad(jax.tree.map(jnp.asarray, layers), x, y, l2=L2))
        oracle = jax.device_get(jax.grad(student_loss)(layers, x, y, l2=L2))
    by_hand = student_backward(layers, x, y, l2=L2)
    for l, layer in enumerate(by_hand):
        for name in ("W", "b"):
            errors = [
                np.abs(getattr(layer, name) - getattr(other[l], name)).max()
                for other in (ours, oracle)
            ]
            print(
                f"   layers[{l}].{name}  largest difference to jaxmlp {errors[0]:.0e}, "
                f"to jax.grad {errors[1]:.0e}"
            )
            assert max(errors) < 1e-14

    print("\n3. Three slips, found and named")
    options = {"kwargs": {"l2": L2}, "config": CONFIG}
    for slip in ("no mean over the batch", "derivative at the output", "no penalty"):
        report = check_gradients(
            partial(student_backward, slip=slip), student_loss, layers, x, y, **options
        )
        print(f"   {slip}:")
        for leaf in report.failures:
            print(f"      {leaf.name} {leaf.cause}")
        assert not report.passed
    report = check_gradients(student_backward, student_loss, layers, x, y, **options)
    print(f"   mended: {str(report).splitlines()[0]}")
    assert report.passed
    print(f"\nwrote {path}")


L2 = 0.1
CONFIG = jaxmlp.MLPConfig((3, 4, 2), "tanh")


def student_problem():
    """Weights of a 3-4-2 network with tanh units, and six examples."""
    rng = np.random.default_rng(0)
    layers = (
        jaxmlp.Layer(rng.normal(size=(3, 4)), rng.normal(size=4)),
        jaxmlp.Layer(rng.normal(size=(4, 2)), rng.normal(size=2)),
    )
    return layers, rng.normal(size=(6, 3)), rng.normal(size=(6, 2))


def student_loss(layers, x, y, l2):
    """J = mean over examples of |o - y|^2 / 2, plus (l2 / 2) (|W_h|^2 + |W_o|^2)."""
    hidden, output = layers
    h = jnp.tanh(x @ hidden.W + hidden.b[None, :])
    o = h @ output.W + output.b[None, :]
    penalty = l2 / 2 * (jnp.sum(hidden.W**2) + jnp.sum(output.W**2))
    return jnp.mean(jnp.sum((o - y) ** 2, axis=1)) / 2 + penalty


def student_backward(layers, x, y, l2, slip=""):
    """The seven equations in numpy, each as it should be unless it is to slip."""
    hidden, output = layers
    z = x @ hidden.W + hidden.b
    h = np.tanh(z)
    o = h @ output.W + output.b
    d_o = (o - y) / (1 if slip == "no mean over the batch" else len(x))
    d_h = d_o @ output.W.T
    d_z = d_h * (1 - np.tanh(h if slip == "derivative at the output" else z) ** 2)
    l2 = 0.0 if slip == "no penalty" else l2
    return (
        jaxmlp.Layer(x.T @ d_z + l2 * hidden.W, d_z.sum(axis=0)),
        jaxmlp.Layer(h.T @ d_o + l2 * output.W, d_o.sum(axis=0)),
    )


if __name__ == "__main__":
    main()
