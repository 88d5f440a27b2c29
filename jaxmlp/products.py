"""Products of matrices in the orientation that is fast; what they compute does not change.

The lecture writes an example as a column, z = W^T h + b, and the code as a row, z = h W + b. On a
processor, the products of narrow layers are faster where memory holds columns. So a compiled loop
may say `in_columns()`: every array keeps its shape, (batch, n), and its values, but what is written
to memory is its transpose, (n, batch). The barriers keep the compiler from turning it back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.barriers import barrier

_SKINNY = 32  # outputs up to which `rows_product` turns its product round

BORDER: ContextVar[Callable[[int, Array], Array] | None] = ContextVar("border", default=None)
"""(l, h^(l)) -> h^(l), lying where a plan of shardings has it; None where there is no plan."""

_COLUMNS: ContextVar[bool] = ContextVar("columns", default=False)


@contextmanager
def in_columns(wanted: bool = True) -> Iterator[None]:
    """Have what is traced within the block hold examples in columns; parameters lie turned, too."""
    token = _COLUMNS.set(wanted)
    try:
        yield
    finally:
        _COLUMNS.reset(token)


def turn(tree: Any) -> Any:
    """Transpose every matrix of a tree; twice is nothing.

    >>> turn((jnp.ones((2, 3)), jnp.ones(4)))[0].shape
    (3, 2)
    """
    return jax.tree.map(lambda leaf: leaf.T if jnp.ndim(leaf) == 2 else leaf, tree)


def at_border(l: int, h: Float[Array, "batch n_out"]) -> Float[Array, "batch n_out"]:
    """Hand on what layer l computed, unchanged: a plan in force says on which devices it lies."""
    border = BORDER.get()
    return written(h) if border is None else border(l, h)


def written(h: Float[Array, "batch n"]) -> Float[Array, "batch n"]:
    """Hand on rows, unchanged; where examples are columns, memory holds them as such."""
    return _turned_back(h.T) if _COLUMNS.get() else h


def _turned_back(columns: Float[Array, "n batch"]) -> Float[Array, "batch n"]:
    return barrier(columns).T


def affine(
    h: Float[Array, "batch n_in"], W: Float[Array, "n_in n_out"], b: Float[Array, " n_out"] | None
) -> Float[Array, "batch n_out"]:
    """h W + b, one row an example; (W^T h^T)^T + b where examples are columns."""
    if not _COLUMNS.get():
        z = h @ W
        return z if b is None else z + b[None, :]
    z = barrier(W.T @ h.T)
    return (z if b is None else z + b[:, None]).T


def each_entry(
    function: Callable[..., Array], *arrays: Float[Array, "batch n"]
) -> Float[Array, "batch n"]:
    """f(a, b, ...), entry by entry; of the columns where examples are such, as they lie in memory.

    The transposes cancel. Without them jax 0.11 writes what f returns as rows, and then turns it.
    """
    if not _COLUMNS.get():
        return function(*arrays)
    return function(*(array.T for array in arrays)).T


def back_product(
    d_z: Float[Array, "batch n_out"], W: Float[Array, "n_in n_out"]
) -> Float[Array, "batch n_in"]:
    """d_z W^T, one row an example; (W d_z^T)^T where examples are columns."""
    return _turned_back(W @ d_z.T) if _COLUMNS.get() else d_z @ W.T


def rows_product(
    h: Float[Array, "batch n_in"], d_z: Float[Array, "batch n_out"], dtype: Any
) -> Float[Array, "n_in n_out"]:
    """h^T d_z, the sum of the outer products of the rows, in the orientation that is fast.

    With few outputs, (d_z^T h)^T has long rows to work on where h^T d_z has short ones: 6 against
    20 us for 128 x 128 x 10 on a CPU, and 4 times in an ensemble. The barrier keeps the compiler
    from turning it back. With many outputs, writing the transpose costs more than that,
    unless the parameters lie turned as well.
    """
    if not _COLUMNS.get() and d_z.shape[1] > min(h.shape[1], _SKINNY):
        return jnp.matmul(h.T, d_z, preferred_element_type=dtype)
    return _turned_back(jnp.matmul(d_z.T, h, preferred_element_type=dtype))
