"""For the tests of those who build on this library: right gradients, and no program compiled twice.

Both raise AssertionError, so that they need no test framework.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from jaxmlp.verification.testing import assert_gradients as assert_gradients

__all__ = ["assert_compiles", "assert_gradients", "record_compilations"]

_COMPILED = "/jax/core/compile/backend_compile_duration"
"""The event that `jax.monitoring` gets for every program, with its name as `fun_name`."""


@contextmanager
def record_compilations() -> Iterator[list[str]]:
    """Collect the names of the XLA programs that are compiled in the block, in order.

    A program is named after its jitted function. JAX's own operations outside `jax.jit` are
    programs too. One that is loaded from JAX's compilation cache on disk counts, and so does one
    that another thread compiles meanwhile.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.ones(3)
        >>> @jax.jit
        ... def double(x):
        ...     return 2 * x
        >>> with record_compilations() as programs:
        ...     _ = double(x), double(x + 0)
        >>> programs.count("double")
        1

    Source:
        `jax.monitoring`; the events are those of JAX's own compile times.
    """
    programs: list[str] = []

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event == _COMPILED:
            name = str(details.get("fun_name", "?"))
            programs.append(name.removeprefix("jit(").removesuffix(")"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield programs
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@contextmanager
def assert_compiles(n: int, program: str | None = None) -> Iterator[list[str]]:
    """Assert, in a test, that exactly `n` XLA programs are compiled in the block.

    A learning rate, a seed or other rows of the same number need no new program. One that is
    compiled nevertheless takes longer than the work of many small networks.

    Args:
        n: how many; 0 after a first call says that the second one compiles nothing.
        program: count programs of this name only, the name of the jitted function. Without it,
            JAX's own operations outside `jax.jit` count too (see `record_compilations`).

    Yields:
        The names of all programs compiled so far.

    Raises:
        AssertionError: if there are more or fewer; it names what was compiled.

    Example:
        >>> import jax.numpy as jnp
        >>> @jax.jit
        ... def step(w, learning_rate):
        ...     return w - learning_rate * jnp.cos(w)
        >>> w = jnp.ones(3)
        >>> with assert_compiles(1, "step"):
        ...     w = step(w, 0.1)
        >>> with assert_compiles(0):  # the rate is an argument, not a constant of the program
        ...     w = step(w, 0.2)
    """
    __tracebackhide__ = True  # pytest then points at the test
    with record_compilations() as programs:
        yield programs
    counted = [name for name in programs if program in (None, name)]
    if len(counted) != n:
        raise AssertionError(
            f"the block compiled {len(counted)} programs{f' {program!r}' if program else ''}, "
            f"expected {n}; all that it compiled: {', '.join(programs) or 'nothing'}. An argument "
            "of another shape, dtype or static value needs another program."
        )
