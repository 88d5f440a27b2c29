"""Metrics over data of any size, in blocks of one shape."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.blocks import BLOCK_ROWS, block_size, row_blocks
from jaxmlp.losses import Loss, check_loss_options, get_loss
from jaxmlp.networks import NetworkConfig, NetworkParams, functions_of
from jaxmlp.training.data import TrainData, capacity, prepare_data, take_batch
from jaxmlp.training.metrics import (
    METRICS,
    MetricSums,
    add_sums,
    finish,
    metric_sums,
    total,
    zero_sums,
)
from jaxmlp.types import ScalarLike, State, wide_dtype


def evaluate(
    config: NetworkConfig,
    params: NetworkParams,
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
        >>> from jaxmlp import MLPConfig, init
        >>> config = MLPConfig((2, 3, 2))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> data = np.ones((4, 2)), np.array([0, 0, 0, 1])
        >>> evaluate(config, params, data, "softmax_cross_entropy")
        {'loss': 0.693..., 'accuracy': 0.75}
    """
    loss = get_loss(loss)
    ready = prepare_data(config, loss, data, sample_weight)
    options = check_loss_options(loss, loss_options)
    arrays = (ready.x, ready.y, ready.weight)
    sums: Any = None
    for (x, y, weight), n_real in row_blocks(arrays, size=block_size(len(ready.x))):
        part = TrainData(x, y, weight, None, np.int32(n_real), ready.spread)
        found = jax.device_get(_block_sums(config, loss, params, state, part, options))
        found = jax.tree.map(np.float64, found)
        sums = found if sums is None else jax.tree.map(np.add, sums, found)
    values = finish(loss, sums, ready.spread)
    return {name: float(value) for name, value in zip(METRICS[loss.task], values, strict=True)}


def data_sums(
    config: NetworkConfig,
    loss: Loss,
    params: NetworkParams,
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
    n_out, predict = config.layer_sizes[-1], functions_of(config).predict

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
