"""flax.linen and optax: one compiled scan over all steps, or a jitted step in a Python loop."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen

from .problem import REGRESSION, Fit, Problem, Weights, batch_tables, initial_weights


def compiled_scan(problem: Problem, scanned: bool = True) -> Fit:
    """All steps in one program; the index tables are made on the host."""

    class Network(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            for size in problem.layer_sizes[1:-1]:
                x = linen.relu(linen.Dense(size)(x))
            return linen.Dense(problem.layer_sizes[-1])(x)

    network, rule = Network(), optax.adam(problem.learning_rate)
    x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)

    def loss(params: Any, rows: Any, weight: Any) -> Any:
        outputs = network.apply(params, x[rows])
        if problem.loss == REGRESSION:
            values = optax.l2_loss(outputs, y[rows]).sum(axis=1)
        else:
            values = optax.softmax_cross_entropy_with_integer_labels(outputs, y[rows])
        return jnp.sum(values * weight) / jnp.sum(weight)

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        grads = jax.grad(loss)(params, *batch)
        updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    @partial(jax.jit, donate_argnums=0)
    def run(carry: Any, tables: Any) -> Any:
        return jax.lax.scan(step, carry, tables)[0]

    @partial(jax.jit, donate_argnums=0)
    def one(carry: Any, batch: Any) -> Any:
        return step(carry, batch)[0]

    start = jax.jit(lambda params: (params, rule.init(params)))

    def fit(seed: int) -> Weights:
        layers = initial_weights(problem, seed)
        named = {f"Dense_{l}": {"kernel": W, "bias": b} for l, (W, b) in enumerate(layers)}
        carry, tables = start({"params": named}), batch_tables(problem, seed)
        if scanned:
            carry = run(carry, tables)
        else:
            for batch in zip(*tables, strict=True):
                carry = one(carry, batch)
        trained = carry[0]["params"]
        return [
            (np.asarray(trained[name]["kernel"]), np.asarray(trained[name]["bias"]))
            for name in named
        ]

    return fit


def jitted_step(problem: Problem) -> Fit:
    """A compiled step, called from Python."""
    return compiled_scan(problem, scanned=False)
