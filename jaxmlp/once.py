"""Programs that run once: what counts is how soon they are compiled."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import jax

_Result = TypeVar("_Result")


def jit_once(function: Callable[..., _Result], **options: Any) -> Callable[..., _Result]:
    """Compile a function of few rows that runs once or twice: on a CPU in half the time, slow code.

    It rounds as such code does (products and sums are not fused), so it is for what is looked at.
    It cannot be a part of another compiled function.

    Args:
        function: what to compile.
        options: of `jax.jit`.

    Returns:
        The compiled function.

    Example:
        >>> jit_once(lambda x: x + 1)(1.0).item()
        2.0
    """
    well = jax.jit(function, **options)
    soon = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **options)

    @wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> _Result:
        found: _Result = (soon if jax.default_backend() == "cpu" else well)(*args, **kwargs)
        return found

    return compiled
