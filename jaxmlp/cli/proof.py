"""The proof of a training: the gradient by hand against jax.grad, on the run's network."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.networks import NetworkConfig, NetworkParams, functions_of, mlp_of
from jaxmlp.once import jit_once
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.types import Key

_ROWS = 16


def gradient_error(
    config: NetworkConfig,
    loss: str,
    x: Any,
    y: Any,
    params: NetworkParams | None = None,
    *,
    seed: int = 0,
    **options: Any,
) -> float:
    """Compare the hand-written gradient with automatic differentiation in float64.

    For every leaf |g - g'| / max(|g'|, mean over examples of |g'_i|), g' being jax.grad's: where
    the examples' gradients cancel in their mean, they say how large its rounding errors may be.

    Args:
        config: the network of the run.
        loss: name of the loss.
        x: features; the first rows are used.
        y: targets.
        params: where to compare; drawn if there are none.
        seed: of the parameters and the dropout masks.
        options: of the objective, such as l2.

    Returns:
        The largest error of any leaf; about 1e-15 where the gradient is right.
    """
    with jax.enable_x64(True):
        config, network = _in_float64(config), functions_of(config)
        key = jax.random.key(seed)
        if params is None:
            params = network.init(config, key)
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
        x, y = np.asarray(x[:_ROWS], np.float64), np.asarray(y[:_ROWS])
        J = network.objective(config, loss)

        @jit_once
        def errors(params: NetworkParams, x: Any, y: Any, key: Key) -> jax.Array:
            _, ours = network.value_and_grad(config, loss)(params, x, y, key=key, **options)
            theirs = jax.grad(J)(params, x, y, key=key, **options)
            scales = jax.tree.map(jnp.linalg.norm, theirs)
            if not any(config.normalized):  # batch normalization has no gradient of one example
                one = jax.grad(lambda p, xi, yi: J(p, xi[None], yi[None], key=key))
                each = jax.vmap(one, (None, 0, 0))(params, x, y)
                scales = jax.tree.map(lambda s, g: jnp.maximum(s, _mean_norm(g)), scales, each)
            return jnp.stack(jax.tree.leaves(jax.tree.map(_error, ours, theirs, scales)))

        return float(np.max(np.asarray(errors(params, x, y, key))))


def _in_float64(config: NetworkConfig) -> NetworkConfig:
    layers = mlp_of(config).replace(dtype="float64", compute_dtype=None)
    return replace(config, mlp=layers) if isinstance(config, TabularConfig) else layers


def _mean_norm(per_example: jax.Array) -> jax.Array:
    return jnp.mean(jnp.linalg.norm(per_example.reshape(len(per_example), -1), axis=1))


def _error(ours: jax.Array, theirs: jax.Array, scale: jax.Array) -> jax.Array:
    error: jax.Array = jnp.linalg.norm(ours - theirs) / jnp.where(scale > 0, scale, 1.0)
    return error
