"""A start from the data: weights and biases of every layer are laid where the training rows are.

It goes up layer by layer, so that each layer is fitted to what those below it make of the rows.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.config import MLPConfig
from jaxmlp.networks import NetworkConfig, NetworkParams, layers_inputs, layers_of, mlp_of
from jaxmlp.parametric import activation_forward
from jaxmlp.tabular_config import TabularParams
from jaxmlp.types import Key, Params, wide_dtype

__all__ = ["init_from_data"]

_MOST_ROWS = 1 << 15  # of the table; variances of more do not differ
_CORNERS = 5  # rows that a kink lies between
_CONSTANT = 1e-5  # a deviation below this share of the root mean square is rounding


def init_from_data(
    config: NetworkConfig, params: NetworkParams, key: Key, x: Float[ArrayLike, "rows n_in"]
) -> NetworkParams:
    """Draw weights and biases anew, for the rows at hand.

    Layer after layer, with h the rows as the layers below turn them out:
        W ~ N(0, 1), then W_j <- W_j / deviation over the rows of (h W)_j   ('std': variance 1)
        b_j = -sum_i p_i (h_i W)_j                                          ('he+5')
    with five random rows i and random weights p_i of each unit, which sum to 1: z = 0, where the
    activation bends, lies among the rows.

    Args:
        config: the network, without batch normalization.
        params: its parameters; those of an input side, and alpha, stay as they are.
        key: a random key. Layer l draws with `fold_in(key, l)`, the rows with
            `fold_in(key, n_layers)`.
        x: training rows, as the network takes them, (rows, n_in); a random 32,768 of more.

    Returns:
        The parameters.

    Raises:
        TypeError: if `key` is not a random key.
        ValueError: for batch normalization, which takes deviations out by itself; for params or
            rows that do not fit the config.

    Example:
        >>> import numpy as np
        >>> from jaxmlp import init, predict
        >>> config = MLPConfig((2, 3))
        >>> x = np.random.default_rng(0).normal(5, 2, (100, 2)).astype(np.float32)
        >>> params = init_from_data(config, init(config, jax.random.key(0)), jax.random.key(1), x)
        >>> bool(np.allclose(np.std(predict(config, params, x), axis=0), 1))
        True

    Reference: Holzmüller et al., RealMLP, 2024, arXiv 2407.04491; Steinwart, 2019, arXiv
    1903.11482 ('he+5').
    """
    checks.check_key(key)
    if any(config.normalized):
        raise ValueError(
            "batch normalization takes deviations out by itself, so a start from the data has no "
            "meaning for it. Use a config without batch_norm."
        )
    x = checks.check_features(config.layer_sizes, x).astype(config.dtype)
    if len(x) > _MOST_ROWS:
        rows_key = jax.random.fold_in(key, config.n_layers)
        x = x[jax.random.choice(rows_key, len(x), (_MOST_ROWS,), replace=False)]
    h = layers_inputs(config, params, x)
    layers = _fit_layers(mlp_of(config), layers_of(params), key, h)
    return params._replace(layers=layers) if isinstance(params, TabularParams) else layers


@partial(jax.jit, static_argnums=0)
def _fit_layers(config: MLPConfig, params: Params, key: Key, h: Float[Array, "rows n"]) -> Params:
    wide, layers = wide_dtype(config.dtype), []
    for l, (layer, phi) in enumerate(zip(params, config.activations, strict=True)):
        W_key, row_key, share_key = jax.random.split(jax.random.fold_in(key, l), 3)
        W = jax.random.normal(W_key, layer.W.shape, wide)
        z = jnp.matmul(h.astype(wide), W, precision="highest")
        deviation, size = jnp.std(z, axis=0), jnp.sqrt(jnp.mean(z**2, axis=0))
        varies = deviation > _CONSTANT * size
        scale = 1 / jnp.where(varies, deviation, jnp.ones_like(deviation))[None, :]
        W, z = W * scale, z * scale
        b = -_between_rows(row_key, share_key, z)
        layers.append(layer._replace(W=W.astype(config.dtype), b=b.astype(config.dtype)))
        h, _ = activation_forward(phi, layer.alpha, (z + b[None, :]).astype(config.dtype))
    return tuple(layers)


def _between_rows(row_key: Key, share_key: Key, z: Float[Array, "rows n"]) -> Float[Array, " n"]:
    """A random convex combination of five values of each unit."""
    n = z.shape[1]
    rows = jax.random.randint(row_key, (_CORNERS, n), 0, len(z))
    shares = jax.random.dirichlet(share_key, jnp.ones(_CORNERS, z.dtype), (n,), z.dtype).T
    return jnp.sum(shares * jnp.take_along_axis(z, rows, axis=0), axis=0)
