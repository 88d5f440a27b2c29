"""Chapter V: the backward pass written out, equation by equation; a wrong one found and mended.

First the lecture's worked example, with every equation's shapes and numbers. Then a student's
backward pass in plain numpy, with three slips: the check finds each, says what it is, and passes
once it is mended.

    python examples/05_backprop_by_hand.py [--out DIR]
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from jaxmlp.verification import check_gradients, explain_backward


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
    weights, x, y = student_problem()
    with jax.enable_x64(True):
        ours = jax.device_get(network_gradient(weights, x, y))
        oracle = jax.device_get(jax.grad(student_loss)(weights, x, y))
    by_hand = student_backward(weights, x, y)
    for name in weights:
        errors = [np.abs(by_hand[name] - other[name]).max() for other in (ours, oracle)]
        print(
            f"   {name:4} largest difference to jaxmlp {errors[0]:.0e}, to jax.grad {errors[1]:.0e}"
        )
        assert max(errors) < 1e-14

    print("\n3. Three slips, found and named")
    for slip in ("no mean over the batch", "derivative at the output", "no penalty"):
        report = check_gradients(
            lambda *a, slip=slip: student_backward(*a, slip=slip), student_loss, weights, x, y
        )
        print(f"   {slip}:")
        for leaf in report.failures:
            print(f"      {leaf.name} {leaf.cause}")
        assert not report.passed
    report = check_gradients(student_backward, student_loss, weights, x, y)
    print(f"   mended: {str(report).splitlines()[0]}")
    assert report.passed
    print(f"\nwrote {path}")


L2 = 0.1


def student_problem():
    """Weights of a 3-4-2 network with tanh units, and six examples."""
    rng = np.random.default_rng(0)
    weights = {
        "W_h": rng.normal(size=(3, 4)), "b_h": rng.normal(size=4),
        "W_o": rng.normal(size=(4, 2)), "b_o": rng.normal(size=2),
    }  # fmt: skip
    return weights, rng.normal(size=(6, 3)), rng.normal(size=(6, 2))


def student_loss(weights, x, y):
    """J = mean over examples of |o - y|^2 / 2, plus (l2 / 2) (|W_h|^2 + |W_o|^2)."""
    h = jnp.tanh(x @ weights["W_h"] + weights["b_h"][None, :])
    o = h @ weights["W_o"] + weights["b_o"][None, :]
    penalty = L2 / 2 * (jnp.sum(weights["W_h"] ** 2) + jnp.sum(weights["W_o"] ** 2))
    return jnp.mean(jnp.sum((o - y) ** 2, axis=1)) / 2 + penalty


def student_backward(weights, x, y, slip=""):
    """The seven equations in numpy, each as it should be unless it is to slip."""
    z = x @ weights["W_h"] + weights["b_h"]
    h = np.tanh(z)
    o = h @ weights["W_o"] + weights["b_o"]
    d_o = (o - y) / (1 if slip == "no mean over the batch" else len(x))
    d_h = d_o @ weights["W_o"].T
    d_z = d_h * (1 - np.tanh(h if slip == "derivative at the output" else z) ** 2)
    l2 = 0.0 if slip == "no penalty" else L2
    return {
        "W_h": x.T @ d_z + l2 * weights["W_h"],
        "b_h": d_z.sum(axis=0),
        "W_o": h.T @ d_o + l2 * weights["W_o"],
        "b_o": d_o.sum(axis=0),
    }


def network_gradient(weights, x, y):
    """The same network and objective by jaxmlp."""
    config = jaxmlp.MLPConfig((3, 4, 2), "tanh", dtype="float64")
    params = (
        jaxmlp.Layer(jnp.asarray(weights["W_h"]), jnp.asarray(weights["b_h"])),
        jaxmlp.Layer(jnp.asarray(weights["W_o"]), jnp.asarray(weights["b_o"])),
    )
    _, grads = jaxmlp.value_and_grad(config, "squared_error")(params, x, y, l2=L2)
    return {"W_h": grads[0].W, "b_h": grads[0].b, "W_o": grads[1].W, "b_o": grads[1].b}


if __name__ == "__main__":
    main()
