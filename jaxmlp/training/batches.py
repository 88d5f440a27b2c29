"""Data on the device, and batches of it by index."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxmlp.types import ScalarLike, wide_dtype


class TrainData(NamedTuple):
    """Examples as the compiled loop reads them.

    Attributes:
        x: features, (n, n_in).
        y: targets, (n,) or (n, n_out).
        weight: sample weights, (n,), or None for equal ones.
        rows: index table that selects rows of x, (capacity,), or None for all; a fold of a
            cross-validation is one table over the shared x.
        n_rows: how many entries of the table (or rows of x) are real; int or traced.
        spread: variance of each target, for R2; from `metrics.target_spread`.
    """

    x: Float[Array, "n n_in"]
    y: Shaped[Array, " n *n_out"]
    weight: Float[Array, " n"] | None
    rows: Int[Array, " capacity"] | None
    n_rows: ScalarLike
    spread: Float[Array, " n_out"]


class Batch(NamedTuple):
    """One step's examples; a row of weight 0 is padding."""

    x: Float[Array, "batch n_in"]
    y: Shaped[Array, " batch *n_out"]
    weight: Float[Array, " batch"]


def capacity(data: TrainData) -> int:
    """Return how many rows the data have at most; fixed at trace time."""
    return len(data.x if data.rows is None else data.rows)


def take_batch(
    data: TrainData, order: Int[Array, " length"], start: ScalarLike, size: int
) -> Batch:
    """Gather the rows order[start : start + size]; what lies past the last row gets weight 0.

    Args:
        data: the examples.
        order: a permutation of the rows, padded to a multiple of `size`.
        start: position of the first one.
        size: of the batch.

    Returns:
        The batch, of fixed shape.
    """
    position = jnp.asarray(start, jnp.int32) + jnp.arange(size, dtype=jnp.int32)
    rows = jnp.take(order, position, mode="clip")
    if data.rows is not None:
        rows = jnp.take(data.rows, rows, mode="clip")
    real = position < jnp.asarray(data.n_rows, jnp.int32)
    weight = real.astype(wide_dtype(data.x.dtype))
    if data.weight is not None:
        weight *= jnp.take(data.weight, rows, mode="clip")
    x = jnp.take(data.x, rows, axis=0, mode="clip")
    return Batch(x, jnp.take(data.y, rows, axis=0, mode="clip"), weight)
