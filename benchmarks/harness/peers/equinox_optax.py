"""equinox and optax: a module of linear layers, one compiled scan over all steps."""

import itertools
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .problem import REGRESSION, Fit, Problem, Weights, batch_tables, initial_weights


class Network(eqx.Module):
    """ReLU between linear layers; one example at a time, as equinox has it."""

    layers: list[eqx.nn.Linear]

    def __call__(self, x: Any) -> Any:
        """Return the outputs, (n_out,), of one example, (n_in,)."""
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)


def compiled_scan(problem: Problem) -> Fit:
    """All steps in one program; the index tables are made on the host."""
    rule = optax.adam(problem.learning_rate)
    x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)
    keys = jax.random.split(jax.random.key(0), len(problem.layer_sizes) - 1)
    template = Network([
        eqx.nn.Linear(n_in, n_out, key=key)
        for (n_in, n_out), key in zip(itertools.pairwise(problem.layer_sizes), keys, strict=True)
    ])  # fmt: skip
    static = eqx.partition(template, eqx.is_array)[1]

    def loss(params: Any, rows: Any, weight: Any) -> Any:
        outputs = jax.vmap(eqx.combine(params, static))(x[rows])
        if problem.loss == REGRESSION:
            values = optax.l2_loss(outputs, y[rows]).sum(axis=1)
        else:
            values = optax.softmax_cross_entropy_with_integer_labels(outputs, y[rows])
        return jnp.sum(values * weight) / jnp.sum(weight)

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        grads = jax.grad(loss)(params, *batch)
        updates, state = rule.update(grads, state, params)
        return (eqx.apply_updates(params, updates), state), None

    @partial(jax.jit, donate_argnums=0)
    def run(carry: Any, tables: Any) -> Any:
        return jax.lax.scan(step, carry, tables)[0]

    start = jax.jit(lambda params: (params, rule.init(params)))

    def fit(seed: int) -> Weights:
        leaves = [
            array
            for W, b in initial_weights(problem, seed)
            for array in (np.ascontiguousarray(W.T), b)
        ]
        params = jax.tree.unflatten(jax.tree.structure(eqx.filter(template, eqx.is_array)), leaves)
        trained = run(start(params), batch_tables(problem, seed))[0]
        return [(np.asarray(layer.weight).T, np.asarray(layer.bias)) for layer in trained.layers]

    return fit
