"""Short trial runs at several learning rates, in one compiled program: would another be better?"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.losses import Loss
from jaxmlp.losses.deviance import exact_losses
from jaxmlp.networks import (
    NetworkConfig,
    NetworkParams,
    functions_of,
    layers_of,
    merge,
    trainable,
)
from jaxmlp.optimizers import Optimizer, apply_updates
from jaxmlp.training.data import TrainData
from jaxmlp.types import Key, ScalarLike, State

_SCALES = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)  # 0: the same batches, nothing learnt
_SETTLED = 20  # steps at the end over which the loss is averaged


class Trial(NamedTuple):
    """What a few steps at multiples of the learning rate came to.

    Attributes:
        steps: number of steps.
        progress: {scale: by how much the loss of the last batches fell, against a scale of 0, that
            is the same batches without any training}; -inf for a run that did not stay finite.
        untrained: that loss at a scale of 0, above the loss of exact predictions.
        update_ratio: median over the steps of ||update of W|| / ||W|| at the rate itself,
            (layers that train,).
    """

    steps: int
    progress: dict[float, float]
    untrained: float
    update_ratio: Float[np.ndarray, " layers"]


def try_rates(
    config: NetworkConfig,
    loss: Loss,
    optimizer: Optimizer,
    params: NetworkParams,
    data: TrainData,
    *,
    steps: int,
    batch_size: int,
    key: Key,
    l2: ScalarLike = 0.0,
    loss_options: Mapping[str, ScalarLike] | None = None,
    state: State = (),
    frozen: tuple[int, ...] = (),
) -> Trial:
    """Train copies of a network for a few steps at 0.01 to 10,000 times the learning rate.

    Updates are multiplied by the scale, which is what a multiple of the rate does in every rule
    of this library. Nothing of the trial is kept but its losses.

    Args:
        config: the network; dropout is left out.
        loss: the loss.
        optimizer: the update rule at its learning rate, from fresh moments.
        params: where to start.
        data: the examples, with their weights if they have any.
        steps: number of steps, at least 1.
        batch_size: rows a step, drawn with replacement.
        key: random key of the batches.
        l2: weight of the penalty.
        loss_options: of the loss.
        state: running statistics, which *frozen* layers normalize with.
        frozen: layers that do not train.

    Returns:
        The `Trial`.
    """
    n_rows = len(data.x)
    rows = jax.random.randint(key, (steps, min(batch_size, n_rows)), 0, n_rows, "int32")
    options = {"l2": l2, "loss_options": dict(loss_options or {})}
    arrays = data.x, data.y, data.weight
    losses, ratios = jax.device_get(
        _run(config, loss, optimizer, params, arrays, rows, state, options, frozen)
    )
    tails = losses[:, -min(_SETTLED, steps) :]
    final = np.asarray(np.mean(tails, axis=1, dtype=np.float64))
    progress = np.where(np.isfinite(final), final[0] - final, -np.inf)
    seen = np.asarray(rows)[-min(_SETTLED, steps) :]
    exact = exact_losses(loss, np.asarray(data.y))[seen].mean()
    return Trial(
        steps,
        dict(zip(_SCALES, progress.tolist(), strict=True)),
        float(final[0] - exact),
        np.median(ratios[_SCALES.index(1.0)], axis=0),
    )


@partial(jax.jit, static_argnames=("loss", "frozen"))
def _run(
    config: NetworkConfig,
    loss: Loss,
    optimizer: Optimizer,
    params: NetworkParams,
    data: tuple[Array, Array, Array | None],
    rows: Array,
    state: State,
    options: dict[str, Any],
    frozen: tuple[int, ...],
) -> tuple[Array, Array]:
    """Loss (scales, steps) and update ratio (scales, steps, layers that train)."""
    gradient = functions_of(config).value_and_grad(config, loss, frozen=frozen)

    def step(scale: Array, carry: Any, rows: Array) -> tuple[Any, tuple[Array, Array]]:
        params, moments = carry
        x, y, weight = jax.tree.map(lambda part: jnp.take(part, rows, axis=0), data)
        value, grads = gradient(params, x, y, sample_weight=weight, state=state, **options)
        layers = trainable(params, frozen)
        updates, moments = optimizer.update(trainable(grads, frozen), moments, layers)
        updates = jax.tree.map(lambda u: scale.astype(u.dtype) * u, updates)
        pairs = zip(layers_of(updates), layers_of(layers), strict=True)
        norms = [(_norm(u.W), _norm(layer.W)) for u, layer in pairs]
        ratios = [change / jnp.where(size > 0, size, jnp.ones_like(size)) for change, size in norms]
        params = merge(params, apply_updates(layers, updates), frozen)
        return (params, moments), (value, jnp.stack(ratios))

    def run(scale: Array) -> tuple[Array, Array]:
        moments = optimizer.init(trainable(params, frozen))
        return jax.lax.scan(partial(step, scale), (params, moments), rows)[1]

    return jax.lax.map(run, jnp.asarray(_SCALES, jnp.float32))


def _norm(array: Array) -> Array:
    return jnp.linalg.norm(array.astype(jnp.float32))
