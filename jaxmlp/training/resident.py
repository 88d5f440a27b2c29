"""The steps of an epoch in one kernel, in which parameters and moments stay."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Int

from jaxmlp.kernels.resident import resident_loop
from jaxmlp.optimizers import Optimizer
from jaxmlp.training.data import Batch, TrainData
from jaxmlp.training.program import Carry, Settings
from jaxmlp.types import ScalarLike, wide_dtype

_Advance = Callable[[Optimizer, Settings, Carry, Batch, Array], Carry]
"""(optimizer, settings, carry, batch, step) -> carry."""


def resident_steps(
    advance: _Advance,
    batch_size: int,
    optimizer: Optimizer,
    carry: Carry,
    train: TrainData,
    settings: Settings,
    order: Int[Array, " length"],
    begin: Array,
    end: Array,
) -> Carry:
    """Take the steps begin .. end - 1 of an epoch.

    Args:
        advance: what a step does with its batch.
        batch_size: rows a step.
        optimizer: the update rule.
        carry: where the run stands.
        train: the training examples.
        settings: the numbers of the run.
        order: the rows in the order of the epoch, padded to a multiple of the batch.
        begin: the first step, counted from the start of the epoch.
        end: the step after the last.

    Returns:
        The carry.
    """
    # What no step touches stays outside the kernel, as do random keys, which it cannot hold.
    still: Any = dict.fromkeys(("best", "status", "stopped_at", "epochs", "waited"))
    moving = carry._replace(**still)
    numbers = optimizer, settings._replace(key=None), train.n_rows
    tables = train._replace(n_rows=None, spread=None), order

    def step(position: Array, carry: Carry, numbers: Any, tables: Any) -> Carry:
        optimizer, settings, n_rows = numbers
        data, order = tables
        batch = _read_batch(data, n_rows, order, position * batch_size, batch_size)
        return advance(optimizer, settings, carry, batch, position)

    moved: Carry = resident_loop(step, moving, numbers, tables, begin, end)
    changed = {name: part for name, part in moved._asdict().items() if part is not None}
    return carry._replace(**changed)


def _read_batch(data: TrainData, n_rows: Array, order: Any, start: ScalarLike, size: int) -> Batch:
    """Do what `take_batch` does where data and order are refs, which are read by their index."""
    start = jnp.asarray(start, jnp.int32)
    rows = order[pl.ds(start, size)]
    if data.rows is not None:
        rows = data.rows[rows]
    real = start + jnp.arange(size, dtype=jnp.int32) < jnp.asarray(n_rows, jnp.int32)
    weight = real.astype(wide_dtype(data.x.dtype))
    if data.weight is not None:
        weight *= data.weight[rows]
    return Batch(data.x[rows], data.y[rows], weight)
