"""Equal closures as one function, so that they share a compiled program.

JAX compiles once for each function object. Who writes `adam(lambda step: 1e-3)` or
`optax.adam(1e-3)` in a loop makes a new object each time, of the same code over the same values:
here the first of them stands for all.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Lock
from types import CodeType, FunctionType, MethodType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_KEPT = 32  # different closures remembered: more than a sweep uses at a time
_LARGEST = 1 << 12  # entries of an array that is compared by value
_known: OrderedDict[Any, Callable[..., Any]] = OrderedDict()
_forgotten = 0
_lock = Lock()


def shared_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the first function that was seen with the same code over the same values.

    Args:
        function: any callable.

    Returns:
        That function, or the one given.

    Example:
        >>> def make(rate):
        ...     return lambda step: rate
        >>> first = shared_function(make(0.5))
        >>> shared_function(make(0.5)) is first, shared_function(make(0.25)) is first
        (True, False)
    """
    global _forgotten
    key = _key(function, ())
    with _lock:
        known = _known.setdefault(key, function)
        _known.move_to_end(key)
        if len(_known) > _KEPT:
            _known.popitem(last=False)
            _forgotten += 1
    return known


def n_forgotten() -> int:
    """Return how many closures are remembered no more; their programs are of no further use."""
    return _forgotten


class _Same:
    """An object that is equal to itself alone; it lives as long as this does."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _key(value: Any, above: tuple[int, ...]) -> Any:
    """Return what is equal for values that a program cannot tell apart; else for none but one."""
    if id(value) in above:  # a function that knows itself
        return above.index(id(value))
    above = (*above, id(value))
    below = functools.partial(_key, above=above)
    if isinstance(value, FunctionType):
        return _function_key(value, below)
    if isinstance(value, MethodType):
        return MethodType, below(value.__func__), _Same(value.__self__)
    if isinstance(value, functools.partial):
        keywords = tuple((name, below(entry)) for name, entry in value.keywords.items())
        return functools.partial, below(value.func), below(value.args), keywords
    if isinstance(value, tuple | list):
        return type(value), *map(below, value)
    if isinstance(value, bool | int | str | bytes | None):
        return type(value), value
    if isinstance(value, float):
        return float, value.hex()  # tells 0 from -0
    return _array_key(value)


def _function_key(function: FunctionType, below: Callable[[Any], Any]) -> Any:
    cells = [cell.cell_contents for cell in function.__closure__ or () if not _is_empty(cell)]
    known = function.__globals__
    used = sorted({name for name in _names(function.__code__) if name in known})
    return (
        FunctionType,
        function.__code__,
        tuple(map(below, cells)),
        tuple(map(below, function.__defaults__ or ())),
        tuple((name, below(v)) for name, v in (function.__kwdefaults__ or {}).items()),
        # What may change between two looks: numbers and arrays by value, all else by identity.
        tuple((name, _global_key(known[name], below)) for name in used),
    )


def _global_key(value: Any, below: Callable[[Any], Any]) -> Any:
    return _Same(value) if callable(value) or isinstance(value, tuple) else below(value)


def _is_empty(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names of globals and attributes that code uses, that inside it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _array_key(value: Any) -> Any:
    is_array = isinstance(value, np.ndarray | np.generic | jax.Array)
    if not is_array or isinstance(value, jax.core.Tracer) or value.size > _LARGEST:
        return _Same(value)
    if value.dtype == object or jnp.issubdtype(value.dtype, jax.dtypes.extended):
        return _Same(value)
    array = np.asarray(value)
    weak = isinstance(value, jax.Array) and value.weak_type
    return type(value), str(array.dtype), array.shape, weak, array.tobytes()
