"""Gradients of every single example, from one backward pass.

The gradient of one example is an outer product in every layer: dl/dW^(l) = a^T delta with a its
input to the layer and delta its dl/dz^(l), and dl/db^(l) = delta. So its norm needs no outer
product, and a sum of rescaled gradients is one product of matrices, as the plain gradient is.

In a network for tables the loss of an example is the mean over the k members that share the layers,
so its gradient is the sum of k outer products.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.front import front_backward
from jaxmlp.front_squares import front_squares
from jaxmlp.losses import Loss, get_loss
from jaxmlp.network import layer_deltas, layer_gradient
from jaxmlp.networks import (
    NetworkConfig,
    NetworkParams,
    functions_of,
    layers_of,
    merge,
    mlp_of,
    trainable,
)
from jaxmlp.optimizers import Optimizer, apply_updates
from jaxmlp.tabular_config import TabularConfig, TabularParams
from jaxmlp.tabular_network import for_members
from jaxmlp.types import Key, LayerDelta, PyTree, Scalar, ScalarLike, wide_dtype

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
def per_example_grad_norms(config: NetworkConfig, loss: str | Loss) -> Callable[..., Any]:
    """Make the function that measures each example's gradient.

    ||g_i||^2 = sum_l (||a_i^(l)||^2 + 1) ||delta_i^(l)||^2, with the layer's input a and
    delta = dl/dz: the norm of an outer product is the product of the norms, and 1 is the bias.
    Units of a parametric activation add the squares of dl/dalpha.
    Of members k and m that share a layer: sum_km (a_ik . a_im + 1) (delta_ik . delta_im).

    Args:
        config: the network, without batch normalization.
        loss: name of a loss, or a `Loss`.

    Returns:
        norms(params, x, y, *, key=None, dropout_rate=0.5, loss_options=None) -> (batch,), each of
        the gradient of one example's own loss: no 1/batch, no weight, no penalty.

    Raises:
        ValueError: for batch normalization, where an example's gradient depends on its batch.

    Example:
        >>> from jaxmlp import MLPConfig, init
        >>> config = MLPConfig((2, 3, 1))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> norms = per_example_grad_norms(config, "squared_error")
        >>> norms(params, jnp.ones((2, 2)), jnp.array([[3.0], [-1.0]])).tolist()
        [3.0, 1.0]

    Reference: Goodfellow, "Efficient per-example gradient computations", 2015, arXiv 1510.01799.
    """
    loss = _check(config, loss)

    def norms(params: NetworkParams, x: Any, y: Any, **options: Any) -> Float[Array, " batch"]:
        _, cache, deltas = _deltas(config, loss, params, x, y, **options)
        return _norms(config, params, cache, deltas)

    return norms


@lru_cache(maxsize=256)
def clipped_grad_sum(config: NetworkConfig, loss: str | Loss) -> Callable[..., Any]:
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
        >>> from jaxmlp import MLPConfig, init
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
        params: NetworkParams, x: Any, y: Any, *, max_norm: ScalarLike, **options: Any
    ) -> tuple[NetworkParams, Float[Array, " batch"]]:
        _, cache, deltas = _deltas(config, loss, params, x, y, **options)
        norms = _norms(config, params, cache, deltas)
        return _weighted_sum(config, params, cache, deltas, _clip_factors(norms, max_norm)), norms

    return clipped


def clipped_step(
    config: NetworkConfig, loss: str | Loss, optimizer: Optimizer
) -> Callable[..., Any]:
    """Make a training step on the mean of the clipped gradients of the examples.

    Args:
        config: the network, without batch normalization.
        loss: name of a loss, or a `Loss`.
        optimizer: the update rule.

    Returns:
        step(params, optimizer_state, x, y, *, max_norm, key=None, ...) -> (params,
        optimizer_state, `ClippedInfo`); jit it. Of a network for tables the state is that of
        `jaxmlp.networks.trainable(params, ())`: bins do not train.

    Raises:
        ValueError: for batch normalization.

    Example:
        >>> from jaxmlp import MLPConfig, init, sgd
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
        params: NetworkParams,
        optimizer_state: PyTree,
        x: Any,
        y: Any,
        *,
        max_norm: ScalarLike,
        **options: Any,
    ) -> tuple[NetworkParams, PyTree, ClippedInfo]:
        values, cache, deltas = _deltas(config, loss, params, x, y, **options)
        norms = _norms(config, params, cache, deltas)
        factors = _clip_factors(norms, max_norm)
        grads = _weighted_sum(config, params, cache, deltas, factors / len(norms))
        moving = trainable(params, ())
        updates, optimizer_state = optimizer.update(trainable(grads, ()), optimizer_state, moving)
        info = ClippedInfo(jnp.mean(values), norms, jnp.mean((factors < 1).astype(norms.dtype)))
        return merge(params, apply_updates(moving, updates), ()), optimizer_state, info

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
def gradient_noise_scale(config: NetworkConfig, loss: str | Loss) -> Callable[..., NoiseScale]:
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
        >>> from jaxmlp import MLPConfig, init
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

    def noise(params: NetworkParams, x: Any, y: Any, **options: Any) -> NoiseScale:
        values, cache, deltas = _deltas(config, loss, params, x, y, **options)
        squares, batch = jnp.square(_norms(config, params, cache, deltas)), len(values)
        if batch < 2:
            raise ValueError("a noise scale needs at least 2 rows, but x has 1; pass a batch.")
        mean = _weighted_sum(
            config, params, cache, deltas, jnp.full(batch, 1 / batch, squares.dtype)
        )
        of_mean = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(mean))
        variance = (jnp.mean(squares) - of_mean) * (batch / (batch - 1))
        squared_norm = of_mean - variance / batch
        return NoiseScale(variance / squared_norm, variance, squared_norm)

    return noise


def _check(config: NetworkConfig, loss: str | Loss) -> Loss:
    if any(config.normalized):
        raise ValueError(
            "with batch normalization an example's gradient depends on the other rows of its "
            "batch, so it has none of its own. Use a config without batch_norm."
        )
    return get_loss(loss)


def _deltas(
    config: NetworkConfig,
    loss: Loss,
    params: NetworkParams,
    x: Any,
    y: Any,
    *,
    key: Key | None = None,
    dropout_rate: ScalarLike = 0.5,
    loss_options: Mapping[str, ScalarLike] | None = None,
) -> tuple[Array, Any, tuple[LayerDelta, ...]]:
    """The losses, the cache, and dl_i/dz_i^(l) of every layer, one row an example and member."""
    functions, members = functions_of(config), 1
    outputs, cache = functions.forward(config, params, x, key=key, dropout_rate=dropout_rate)
    if isinstance(config, TabularConfig):
        y, members = for_members(config, y), config.front.members
    values, d_outputs = loss.value_and_grad(outputs, y, **(loss_options or {}))
    values = jnp.mean(values.reshape(members, -1), axis=0)
    layers = layers_of(params), layers_of(cache)
    return values, cache, layer_deltas(mlp_of(config), *layers, d_outputs / members)


def _norms(
    config: NetworkConfig, params: NetworkParams, cache: Any, deltas: tuple[LayerDelta, ...]
) -> Float[Array, " batch"]:
    members = config.front.members if isinstance(config, TabularConfig) else 1
    squares = [
        jnp.sum((_gram(kept.inputs, members) + 1) * _gram(delta.d_z, members), axis=(1, 2))
        for kept, delta in zip(layers_of(cache), deltas, strict=True)
    ]
    alphas = [delta.d_alpha for delta in deltas if delta.d_alpha is not None]
    squares += [jnp.sum(_gram(rows, members), axis=(1, 2)) for rows in alphas]
    if isinstance(config, TabularConfig) and isinstance(params, TabularParams):
        squares.append(front_squares(config.front, params.front, cache.front, deltas[0].d_inputs))
    return jnp.sqrt(sum(squares[1:], squares[0]))


def _gram(rows: Float[Array, "k_batch n"], members: int) -> Float[Array, "batch k k"]:
    """Products of the members' rows of each example; of one member, the square of its length."""
    if members == 1:
        return _row_squares(rows)[:, None, None]
    rows = _wide(rows).reshape(members, -1, rows.shape[1])
    return jnp.einsum("kbn,mbn->bkm", rows, rows, precision="highest")


def _row_squares(rows: Float[Array, "batch n"]) -> Float[Array, " batch"]:
    return jnp.sum(jnp.square(_wide(rows)), axis=1)


def _wide(rows: Float[Array, "batch n"]) -> Float[Array, "batch n"]:
    return rows.astype(wide_dtype(rows.dtype))


def _clip_factors(norms: Float[Array, " batch"], max_norm: ScalarLike) -> Float[Array, " batch"]:
    limit = jnp.asarray(max_norm, norms.dtype)
    return jnp.where(norms > limit, limit / norms, jnp.ones_like(norms))


def _weighted_sum(
    config: NetworkConfig,
    params: NetworkParams,
    cache: Any,
    deltas: tuple[LayerDelta, ...],
    factors: Float[Array, " batch"],
) -> NetworkParams:
    """sum_i c_i g_i: in each layer a^T diag(c) delta; the input side is linear in its gradient."""
    if isinstance(config, TabularConfig):
        factors = for_members(config, factors)

    def scale(rows: Any) -> Any:
        return None if rows is None else rows * factors.astype(rows.dtype)[:, None]

    layers = tuple(
        layer_gradient(
            layer, kept, delta._replace(d_z=scale(delta.d_z), d_alpha=scale(delta.d_alpha))
        )
        for layer, kept, delta in zip(layers_of(params), layers_of(cache), deltas, strict=True)
    )
    if not (isinstance(config, TabularConfig) and isinstance(params, TabularParams)):
        return layers
    G = scale(deltas[0].d_inputs).astype(config.dtype)
    front, _ = front_backward(config.front, params.front, cache.front, G)
    return TabularParams(front, layers)
