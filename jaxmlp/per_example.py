"""Gradients of every single example, from one backward pass.

The gradient of one example is an outer product in every layer: dl/dW^(l) = a^T delta with a its
input to the layer and delta its dl/dz^(l), and dl/db^(l) = delta. So its norm needs no outer
product, and a sum of rescaled gradients is one product of matrices, as the plain gradient is.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.network import forward, layer_deltas, layer_gradient
from jaxmlp.optimizers import Optimizer, apply_updates
from jaxmlp.types import Cache, Key, LayerDelta, Params, PyTree, Scalar, ScalarLike

__all__ = [
    "ClippedInfo",
    "NoiseScale",
    "clipped_grad_sum",
    "clipped_step",
    "gradient_noise_scale",
    "per_example_grad_norms",
]


class ClippedInfo(NamedTuple):
    """What a clipped step saw.

    Attributes:
        loss: mean loss of the batch, ().
        norms: of each example's gradient before clipping, (batch,).
        clipped: share of the examples that were clipped, ().
    """

    loss: Scalar
    norms: Float[Array, " batch"]
    clipped: Scalar


@lru_cache(maxsize=256)
def per_example_grad_norms(config: MLPConfig, loss: str | Loss) -> Callable[..., Any]:
    """Make the function that measures each example's gradient.

    ||g_i||^2 = sum_l (||a_i^(l)||^2 + 1) ||delta_i^(l)||^2, with the layer's input a and
    delta = dl/dz: the norm of an outer product is the product of the norms, and 1 is the bias.

    Args:
        config: the network, without batch normalization.
        loss: name of a loss, or a `Loss`.

    Returns:
        norms(params, x, y, *, key=None, dropout_rate=0.5, loss_options=None) -> (batch,), each of
        the gradient of one example's own loss: no 1/batch, no weight, no penalty.

    Raises:
        ValueError: for batch normalization, where an example's gradient depends on its batch.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((2, 3, 1))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> norms = per_example_grad_norms(config, "squared_error")
        >>> norms(params, jnp.ones((2, 2)), jnp.array([[3.0], [-1.0]])).tolist()
        [3.0, 1.0]

    Reference: Goodfellow, "Efficient per-example gradient computations", 2015, arXiv 1510.01799.
    """
    loss = _check(config, loss)

    def norms(params: Params, x: Any, y: Any, **options: Any) -> Float[Array, " batch"]:
        _, cache, deltas = _deltas(config, loss, params, x, y, **options)
        return _norms(cache, deltas)

    return norms


@lru_cache(maxsize=256)
def clipped_grad_sum(config: MLPConfig, loss: str | Loss) -> Callable[..., Any]:
    """Make the function that sums the examples' gradients, each clipped to a norm.

    sum_i c_i g_i with c_i = min(1, max_norm / ||g_i||); in each layer a^T diag(c) delta.

    Args:
        config: the network, without batch normalization.
        loss: name of a loss, or a `Loss`.

    Returns:
        fn(params, x, y, *, max_norm, key=None, dropout_rate=0.5, loss_options=None) ->
        (gradient sums shaped like `params`, norms before clipping (batch,)).

    Raises:
        ValueError: for batch normalization.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((2, 3, 1))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> grads, norms = clipped_grad_sum(config, "squared_error")(
        ...     params, jnp.ones((2, 2)), jnp.array([[3.0], [-1.0]]), max_norm=1.5)
        >>> grads[1].b.tolist()
        [-0.5]

    Reference: Abadi et al., 2016, arXiv 1607.00133 (the clipping of differential privacy; without
    its noise nothing here is private).
    """
    loss = _check(config, loss)

    def clipped(
        params: Params, x: Any, y: Any, *, max_norm: ScalarLike, **options: Any
    ) -> tuple[Params, Float[Array, " batch"]]:
        _, cache, deltas = _deltas(config, loss, params, x, y, **options)
        norms = _norms(cache, deltas)
        return _weighted_sum(params, cache, deltas, _clip_factors(norms, max_norm)), norms

    return clipped


def clipped_step(config: MLPConfig, loss: str | Loss, optimizer: Optimizer) -> Callable[..., Any]:
    """Make a training step on the mean of the clipped gradients of the examples.

    Args:
        config: the network, without batch normalization.
        loss: name of a loss, or a `Loss`.
        optimizer: the update rule.

    Returns:
        step(params, optimizer_state, x, y, *, max_norm, key=None, ...) -> (params,
        optimizer_state, `ClippedInfo`); jit it.

    Raises:
        ValueError: for batch normalization.

    Example:
        >>> from jaxmlp import init, sgd
        >>> config, optimizer = MLPConfig((2, 3, 1)), sgd(0.1)
        >>> params = init(config, jax.random.key(0))
        >>> step = jax.jit(clipped_step(config, "squared_error", optimizer))
        >>> x, y = jnp.ones((4, 2)), jnp.full((4, 1), 1e6)
        >>> params, state, info = step(params, optimizer.init(params), x, y, max_norm=1.0)
        >>> float(info.clipped)
        1.0

    Reference: Abadi et al., 2016, arXiv 1607.00133.
    """
    loss = _check(config, loss)

    def step(
        params: Params,
        optimizer_state: PyTree,
        x: Any,
        y: Any,
        *,
        max_norm: ScalarLike,
        **options: Any,
    ) -> tuple[Params, PyTree, ClippedInfo]:
        values, cache, deltas = _deltas(config, loss, params, x, y, **options)
        norms = _norms(cache, deltas)
        factors = _clip_factors(norms, max_norm)
        grads = _weighted_sum(params, cache, deltas, factors / len(norms))
        updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
        info = ClippedInfo(jnp.mean(values), norms, jnp.mean((factors < 1).astype(norms.dtype)))
        return apply_updates(params, updates), optimizer_state, info

    return step


class NoiseScale(NamedTuple):
    """How noisy gradients are.

    Attributes:
        scale: tr(S) / |G|^2, in examples: about the batch size from which larger batches stop
            saving steps, ().
        variance: tr(S), the summed variance of the examples' gradients over all parameters, ().
        squared_norm: |G|^2, of the true gradient, estimated without bias; may be below 0, ().
    """

    scale: Scalar
    variance: Scalar
    squared_norm: Scalar


@lru_cache(maxsize=256)
def gradient_noise_scale(config: MLPConfig, loss: str | Loss) -> Callable[..., NoiseScale]:
    """Make the function that estimates the noise scale of the gradient from one batch.

    With g_i the examples' gradients and g their mean: tr(S) = (mean ||g_i||^2 - ||g||^2) B/(B-1),
    |G|^2 = ||g||^2 - tr(S)/B, scale = tr(S) / |G|^2.

    Args:
        config: the network, without batch normalization.
        loss: name of a loss, or a `Loss`.

    Returns:
        fn(params, x, y, *, key=None, dropout_rate=0.5, loss_options=None) -> `NoiseScale`; at
        least two rows are needed, thousands for a steady answer.

    Raises:
        ValueError: for batch normalization, or a single row.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((2, 3, 1))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> noise = gradient_noise_scale(config, "squared_error")
        >>> found = noise(params, jnp.ones((2, 2)), jnp.array([[3.0], [1.0]]))
        >>> float(found.variance), float(found.squared_norm)
        (2.0, 3.0)

    Reference: McCandlish et al., "An empirical model of large-batch training", 2018,
    arXiv 1812.06162, appendix A.
    """
    loss = _check(config, loss)

    def noise(params: Params, x: Any, y: Any, **options: Any) -> NoiseScale:
        values, cache, deltas = _deltas(config, loss, params, x, y, **options)
        squares, batch = jnp.square(_norms(cache, deltas)), len(values)
        if batch < 2:
            raise ValueError("a noise scale needs at least 2 rows, but x has 1; pass a batch.")
        mean = _weighted_sum(params, cache, deltas, jnp.full(batch, 1 / batch, squares.dtype))
        of_mean = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(mean))
        variance = (jnp.mean(squares) - of_mean) * (batch / (batch - 1))
        squared_norm = of_mean - variance / batch
        return NoiseScale(variance / squared_norm, variance, squared_norm)

    return noise


def _check(config: MLPConfig, loss: str | Loss) -> Loss:
    if any(config.normalized):
        raise ValueError(
            "with batch normalization an example's gradient depends on the other rows of its "
            "batch, so it has none of its own. Use a config without batch_norm."
        )
    return get_loss(loss)


def _deltas(
    config: MLPConfig,
    loss: Loss,
    params: Params,
    x: Any,
    y: Any,
    *,
    key: Key | None = None,
    dropout_rate: ScalarLike = 0.5,
    loss_options: Mapping[str, ScalarLike] | None = None,
) -> tuple[Array, Cache, tuple[LayerDelta, ...]]:
    """The losses, the cache, and dl_i/dz_i^(l) of every layer, one row an example."""
    outputs, cache = forward(config, params, x, key=key, dropout_rate=dropout_rate)
    values, d_outputs = loss.value_and_grad(outputs, y, **(loss_options or {}))
    return values, cache, layer_deltas(config, params, cache, d_outputs)


def _norms(cache: Cache, deltas: tuple[LayerDelta, ...]) -> Float[Array, " batch"]:
    squares = [
        (_row_squares(kept.inputs) + 1) * _row_squares(delta.d_z)
        for kept, delta in zip(cache, deltas, strict=True)
    ]
    return jnp.sqrt(sum(squares[1:], squares[0]))


def _row_squares(rows: Float[Array, "batch n"]) -> Float[Array, " batch"]:
    wide = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    return jnp.sum(jnp.square(wide), axis=1)


def _clip_factors(norms: Float[Array, " batch"], max_norm: ScalarLike) -> Float[Array, " batch"]:
    limit = jnp.asarray(max_norm, norms.dtype)
    return jnp.where(norms > limit, limit / norms, jnp.ones_like(norms))


def _weighted_sum(
    params: Params, cache: Cache, deltas: tuple[LayerDelta, ...], factors: Float[Array, " batch"]
) -> Params:
    """sum_i c_i g_i: in each layer a^T diag(c) delta."""
    sums = []
    for layer, kept, delta in zip(params, cache, deltas, strict=True):
        scaled = delta.d_z * factors.astype(delta.d_z.dtype)[:, None]
        sums.append(layer_gradient(layer, kept, delta._replace(d_z=scaled)))
    return tuple(sums)
