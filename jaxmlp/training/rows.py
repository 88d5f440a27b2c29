"""Rows of a table by their numbers, where the compiler would spread a small copy over threads.

XLA judges a gather on a CPU by the size of the whole table: above 512 KiB it uses two threads,
which takes longer than to copy a small batch, and the steps around it then wait for threads as
well: a step of 64-128-10 at batch 128 took 104 us with 2,048 rows, and 76 with 1,900. Slices are
judged by what they copy, and now it is 78.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_THREADED = 2**19  # bytes from which XLA spreads an operation that is bound by memory
_SMALL = 2**16  # bytes of a batch; with 3 KiB a row, two threads that wait for memory are faster
_TOGETHER = 8  # slices a turn of the loop; 16 and more are joined by a kernel twice as slow


def take_rows(
    table: Float[Array, "rows width"], rows: Int[Array, " batch"]
) -> Float[Array, "batch width"]:
    """Copy rows of a table: out_i = table[rows_i].

    Args:
        table: the rows, (rows, width).
        rows: their numbers, (batch,); one past the ends stands for the first or last row.

    Returns:
        The copies, (batch, width).

    Example:
        >>> take_rows(jnp.array([[1.0], [2.0], [3.0]]), jnp.array([2, 0])).tolist()
        [[3.0], [1.0]]
    """
    batch_bytes = table.nbytes // max(len(table), 1) * len(rows)
    if table.nbytes + batch_bytes < _THREADED or batch_bytes > _SMALL:
        return _gather(table, rows)
    return jax.lax.platform_dependent(table, rows, cpu=_by_slices, default=_gather)


def _gather(table: Array, rows: Array) -> Array:
    return jnp.take(table, rows, axis=0, mode="clip")


@jax.custom_batching.custom_vmap
def _by_slices(table: Array, rows: Array) -> Array:
    n_turns = -(-len(rows) // _TOGETHER)
    padded = jnp.resize(rows, (n_turns * _TOGETHER,)).astype(jnp.uint32)  # no negative ones to mind

    def copy_some(turn: Array, out: Array) -> Array:
        begin = turn * _TOGETHER
        numbers = [padded[begin + k] for k in range(_TOGETHER)]
        parts = [jax.lax.dynamic_slice_in_dim(table, number, 1) for number in numbers]
        return jax.lax.dynamic_update_slice_in_dim(out, jnp.concatenate(parts), begin, axis=0)

    out = jnp.zeros((n_turns * _TOGETHER, *table.shape[1:]), table.dtype)
    return jax.lax.fori_loop(jnp.int32(0), jnp.int32(n_turns), copy_some, out)[: len(rows)]


@_by_slices.def_vmap
def _for_many(
    axis_size: int, in_batched: list[bool], table: Array, rows: Array
) -> tuple[Array, bool]:
    """Many members' batches are work enough for threads."""
    axes = [0 if batched else None for batched in in_batched]
    return jax.vmap(_gather, axes)(table, rows), True
