"""Metrics over data of any size, in blocks of one shape."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.network import predict
from jaxmlp.training.batches import TrainData, capacity, take_batch
from jaxmlp.training.metrics import (
    METRICS,
    MetricSums,
    add_sums,
    finish,
    metric_sums,
    total,
    zero_sums,
)
from jaxmlp.training.preparation import prepare_data
from jaxmlp.types import Params, ScalarLike, State, wide_dtype

BLOCK_ROWS = 4096  # large enough for products at full speed, small enough for any memory


def evaluate(
    config: MLPConfig,
    params: Params,
    data: tuple[Any, Any],
    loss: str | Loss,
    *,
    state: State = (),
    sample_weight: Any = None,
    loss_options: Mapping[str, ScalarLike] | None = None,
) -> dict[str, float]:
    """Measure the loss (without the penalty) and the usual metrics.

    Args:
        config: the network.
        params: its parameters.
        data: (x, y): features (n, n_in), and targets as the loss takes them, (n,) or (n, n_out).
        loss: name of a loss, or a `Loss`.
        state: running statistics; needed with batch normalization only.
        sample_weight: non-negative weights, (n,).
        loss_options: of the loss, such as {"label_smoothing": 0.1}.

    Returns:
        "loss" and "accuracy" (argmax; share of right labels where there are several questions),
        or "loss", "rmse" (root of the mean squared error over rows and outputs) and "r2" (mean
        over outputs).

    Raises:
        ValueError: if the data do not fit the network or the loss.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((2, 3, 2))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> data = np.ones((4, 2)), np.array([0, 0, 0, 1])
        >>> evaluate(config, params, data, "softmax_cross_entropy")
        {'loss': 0.693..., 'accuracy': 0.75}
    """
    loss = get_loss(loss)
    ready = prepare_data(config, loss, data, sample_weight)
    n_rows = len(ready.x)
    size = min(BLOCK_ROWS, 1 << (n_rows - 1).bit_length())  # few shapes, few compilations
    options = {**dict(loss.options), **(loss_options or {})}
    sums: Any = None
    for start in range(0, n_rows, size):
        block = jax.tree.map(lambda a, s=start: _pad(a[s : s + size], size), (ready.x, ready.y))
        weight = None if ready.weight is None else _pad(ready.weight[start : start + size], size)
        n_real = np.int32(min(size, n_rows - start))
        part = TrainData(block[0], block[1], weight, None, n_real, ready.spread)
        found = jax.device_get(_block_sums(config, loss, params, state, part, options))
        found = jax.tree.map(np.float64, found)
        sums = found if sums is None else jax.tree.map(np.add, sums, found)
    values = finish(loss, sums, ready.spread)
    return {name: float(value) for name, value in zip(METRICS[loss.task], values, strict=True)}


def data_sums(
    config: MLPConfig,
    loss: Loss,
    params: Params,
    state: State,
    data: TrainData,
    loss_options: Mapping[str, ScalarLike],
) -> MetricSums:
    """Add up the metrics over all rows of `data`, under jit, block by block.

    Args:
        config: the network.
        loss: the loss.
        params: its parameters.
        state: running statistics, or ().
        data: the examples.
        loss_options: of the loss.

    Returns:
        The sums, added up over the rows.
    """
    length = capacity(data)
    size = min(length, BLOCK_ROWS)
    order = jnp.arange(length, dtype=jnp.int32)
    n_out = config.layer_sizes[-1]

    def add_block(sums: MetricSums, start: Any) -> tuple[MetricSums, None]:
        batch = take_batch(data, order, start, size)
        outputs = predict(config, params, batch.x, state=state)
        found = metric_sums(loss, outputs, batch.y, batch.weight, loss_options)
        return add_sums(sums, found), None

    zero = zero_sums(loss, size, n_out, wide_dtype(data.x.dtype))
    if size == length:
        return total(add_block(zero, 0)[0])
    return total(jax.lax.scan(add_block, zero, jnp.arange(0, length, size, dtype=jnp.int32))[0])


_block_sums = jax.jit(data_sums, static_argnums=1)


def _pad(rows: Any, size: int) -> Any:
    """Repeat the first row until there are `size`."""
    rows = np.asarray(rows)
    return np.concatenate([rows, np.repeat(rows[:1], size - len(rows), axis=0)])
