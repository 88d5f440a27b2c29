"""Barriers that keep the compiler from rearranging what is fast as it is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import jax

_Tree = TypeVar("_Tree")
_OFF: ContextVar[bool] = ContextVar("off", default=False)


def barrier(tree: _Tree) -> _Tree:
    """Have arrays computed before anything that follows, unless `without_barriers` is in force.

    >>> float(barrier(jax.numpy.float32(2)))
    2.0
    """
    if _OFF.get():
        return tree
    written: _Tree = jax.lax.optimization_barrier(tree)
    return written


@contextmanager
def without_barriers() -> Iterator[None]:
    """Leave barriers out of what is traced within: the compiler of kernels knows none.

    >>> with without_barriers():
    ...     jax.make_jaxpr(barrier)(1.0)
    { lambda ; a:f32[]. let  in (a,) }
    """
    token = _OFF.set(True)
    try:
        yield
    finally:
        _OFF.reset(token)
