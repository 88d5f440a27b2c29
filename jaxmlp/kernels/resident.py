"""A loop whose values stay on one multiprocessor from its first turn to its last.

Under `vmap` it is a program for each member: an ensemble trains with one network a multiprocessor,
and a step moves neither parameters nor moments through memory, only the rows that it reads.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Int

from jaxmlp.kernels.support import run_kernel, whole
from jaxmlp.types import PyTree

_Step = Callable[[Array, PyTree, PyTree, PyTree], PyTree]
"""(position, carry, numbers, tables) -> carry, where tables are refs, read by their index."""


def resident_loop(
    step: _Step,
    carry: PyTree,
    numbers: PyTree,
    tables: PyTree,
    begin: Int[Array, ""],
    end: Int[Array, ""],
) -> PyTree:
    """Compute what `fori_loop` over `step` does, in one kernel.

    Args:
        step: one turn, a pure function without arrays of its own.
        carry: what a turn hands to the next; small arrays.
        numbers: what all turns read whole; small arrays.
        tables: what a turn reads some rows of; these stay in memory.
        begin: the first position.
        end: the position after the last.

    Returns:
        The carry after the last turn.

    Example:
        >>> import jax.numpy as jnp
        >>> add = lambda i, total, factor, table: total + factor * table[i]
        >>> resident_loop(add, jnp.float32(0), jnp.float32(2), jnp.arange(5.0), 1, 4).tolist()
        12.0
    """
    bounds = jax.numpy.asarray(begin), jax.numpy.asarray(end)
    inputs = jax.tree.map(jax.numpy.asarray, (bounds, carry, numbers, tables))

    def kernel(
        bound_refs: Any, carry_refs: Any, number_refs: Any, table_refs: Any, out_refs: Any
    ) -> None:
        first, last = _read(bound_refs)
        numbers = _read(number_refs)
        found = jax.lax.fori_loop(
            first,
            last,
            lambda position, carry: step(position, carry, numbers, table_refs),
            _read(carry_refs),
        )
        for ref, value in zip(jax.tree.leaves(out_refs), jax.tree.leaves(found), strict=True):
            ref[...] = value

    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), inputs[1])
    (found,) = run_kernel(
        kernel,
        inputs,
        grid=(1,),
        in_specs=jax.tree.map(whole, inputs),
        out_specs=(jax.tree.map(whole, shapes),),
        out_shape=(shapes,),
    )
    return found


def _read(refs: PyTree) -> PyTree:
    return jax.tree.map(lambda ref: ref[...], refs)
