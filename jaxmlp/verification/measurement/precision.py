"""In which precision a function computes, read from its trace.

A function that is given float64 may cast down inside. What counts is every floating value that the
parameters flow through; a dropout mask drawn in float32 does not make a float64 network coarser.
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal, Var

from jaxmlp.types import PyTree


class Precision(enum.IntEnum):
    """Of floating numbers, from fine to coarse.

    >>> max(Precision.DOUBLE, Precision.HALF).roundoff
    0.001953125
    """

    DOUBLE = 0
    SINGLE = 1
    HALF = 2

    @property
    def roundoff(self) -> float:
        """The largest relative error of rounding; of HALF, that of bfloat16."""
        return (2.0**-53, 2.0**-24, 2.0**-9)[self]

    @property
    def tiny(self) -> float:
        """The smallest number with all its digits; what is smaller may be flushed to 0."""
        return (2.0**-1022, 2.0**-126, 2.0**-126)[self]


def traced_precision(call: Callable[[PyTree], Any], params: PyTree) -> Precision | None:
    """Return the coarsest precision that parameters flow through; None if `call` has no trace."""
    try:
        jaxpr = jax.make_jaxpr(call)(params).jaxpr
    except Exception:  # not written in JAX
        return None
    return max(_precisions(jaxpr, set(jaxpr.invars)), default=Precision.DOUBLE)


def _precisions(jaxpr: Jaxpr, reached: set[Var]) -> Iterator[Precision]:
    """Yield the precision of every value that depends on the variables in `reached`."""
    for equation in jaxpr.eqns:
        flags = [not isinstance(v, Literal) and v in reached for v in equation.invars]
        if not any(flags):
            continue
        for inner in _inner_jaxprs(equation.params):
            same = len(inner.invars) == len(flags)  # loops and branches have inputs of their own
            inside = [v for i, v in enumerate(inner.invars) if not same or flags[i]]
            yield from _precisions(inner, set(inside))
        for variable in equation.outvars:
            dtype = getattr(variable.aval, "dtype", None)
            if dtype is not None and jnp.issubdtype(dtype, jnp.floating):
                reached.add(variable)
                size = jnp.dtype(dtype).itemsize
                yield {8: Precision.DOUBLE, 4: Precision.SINGLE}.get(size, Precision.HALF)


def _inner_jaxprs(parameters: Mapping[str, Any]) -> Iterator[Jaxpr]:
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)
            if isinstance(inner, Jaxpr):
                yield inner
