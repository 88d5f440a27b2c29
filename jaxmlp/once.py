"""Programs that run once: what counts is how soon they are compiled."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import jax
from jax.errors import JaxRuntimeError

_Result = TypeVar("_Result")
CompilerOptions = dict[str, str | bool | int | float]


def jit_once(function: Callable[..., _Result], **options: Any) -> Callable[..., _Result]:
    """Compile a function of few rows that runs once or twice: on a CPU soon, but to slow code.

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

    @cache
    def program(on_cpu: bool) -> Callable[..., _Result]:
        if not on_cpu:
            return jax.jit(function, **options)
        return jax.jit(function, compiler_options=quick_compilation(), **options)

    @wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> _Result:
        return program(jax.default_backend() == "cpu")(*args, **kwargs)

    return compiled


@cache
def quick_compilation() -> CompilerOptions:
    """Return XLA's options that compile fast on a CPU.

    Small problems are all compilation, which takes a fifth of the time without optimizations, and
    without the emitter that sets up a compiler of its own for each kernel.
    """
    return accepted_options(xla_backend_optimization_level=0) | accepted_options(
        xla_cpu_use_fusion_emitters=False
    )


def accepted_options(**options: str | bool | float) -> CompilerOptions:
    """Return compiler options, or none where this version of XLA has none such: they come and go.

    Example:
        >>> accepted_options(xla_backend_optimization_level=0), accepted_options(xla_of_1980=True)
        ({'xla_backend_optimization_level': 0}, {})
    """
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except JaxRuntimeError:
        return {}
    return dict(options)
