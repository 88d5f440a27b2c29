"""Shared by the tests: targets for every loss, and the distance between two gradients."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from jaxmlp import TabularConfig
from jaxmlp.diagnostics import NonFinite
from jaxmlp.networks import functions_of


def make_targets(rng, loss, batch, n_out):
    """Draw targets that suit a loss."""
    if loss == "softmax_cross_entropy":
        return rng.integers(0, n_out, batch)
    if loss == "sigmoid_binary_cross_entropy":
        return rng.integers(0, 2, (batch, n_out)).astype(float)
    if loss == "poisson":
        return rng.poisson(2.0, (batch, n_out)).astype(float)
    return rng.normal(size=(batch, n_out))


def make_inputs(rng, batch, n_in):
    """Draw inputs with |x| <= 3, some of them exactly zero."""
    x = rng.uniform(-3, 3, (batch, n_in))
    return np.where(rng.random(x.shape) < 0.2, 0.0, x)


def gradient_errors(config, loss, params, x, y, **options):
    """For every leaf, |g - g'| over max(|g'|, mean norm of the examples' gradients).

    g is the hand-written gradient, g' is jax.grad's. Where the mean gradient cancels, the second
    term is what its rounding errors are proportional to. Leaves that are zero for every example
    are compared absolutely; under batch normalization some are zero but for rounding (a shift
    that the next layer's mean takes away again).
    """
    functions = functions_of(config)
    J = functions.objective(config, loss)
    _, ours = functions.value_and_grad(config, loss)(params, x, y, **options)
    theirs = jax.grad(J)(params, x, y, **options)
    forward_options = {k: v for k, v in options.items() if k not in ("l2", "loss_options")}

    members = config.front.members if isinstance(config, TabularConfig) else 1

    def example_losses(params):
        outputs, _ = functions.forward(config, params, x, **forward_options)
        return jaxmlp.LOSSES[loss].value_and_grad(outputs, jnp.concatenate([y] * members))[0]

    def scale(g, *each):
        return max(np.linalg.norm(g), np.mean([np.linalg.norm(one) for one in each]))

    # One row after another, not jax.jacrev: its operations are those of jax.grad, compiled already.
    _, pull_back = jax.vjp(example_losses, params)
    each = [pull_back(jnp.asarray(row, x.dtype))[0] for row in np.eye(members * len(x))]
    scales = jax.tree.map(scale, theirs, *each)
    rounding = 1e3 * float(jnp.finfo(x.dtype).eps) * max(jax.tree.leaves(scales))
    zero = rounding if any(config.normalized) else 0.0

    def error(g, reference, scale):
        return np.linalg.norm(np.subtract(g, reference)) / (scale if scale > zero else 1.0)

    return jax.tree.map(error, ours, theirs, scales)


def worst(errors):
    """The largest error of any leaf."""
    return max(jax.tree.leaves(errors))


def by_a_loop(config, params, x, y, rate):
    """Gradient descent with jax.grad on a linear network; (step, layer, tensor) of an overflow."""
    J = jaxmlp.objective(config, "squared_error")

    def finite(*arrays):
        return all(bool(jnp.isfinite(a).all()) for a in arrays)

    for step in range(100):
        h = x
        for l, layer in enumerate(params):
            for name, array in (("W", layer.W), ("b", layer.b)):
                if not finite(array):
                    return NonFinite(step, l, name)
            h = h @ layer.W + layer.b[None]
            if not finite(h):
                return NonFinite(step, l, "outputs")
        if not finite(J(params, x, y)):
            return NonFinite(step, 1, "loss")
        grads = jax.grad(J)(params, x, y)
        for l in (1, 0):
            for name in ("W", "b"):
                if not finite(getattr(grads[l], name)):
                    return NonFinite(step, l, f"gradient of {name}")
        for l in (0, 1):
            for name in ("W", "b"):
                if not finite(rate * getattr(grads[l], name)):
                    return NonFinite(step, l, f"update of {name}")
        params = jax.tree.map(lambda p, g: p - rate * g, params, grads)
    return None
