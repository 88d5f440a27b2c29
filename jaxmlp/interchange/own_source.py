"""The source of functions with all that they use, so that a file can hold them alone."""

import base64
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np


def source_of(functions: list[Callable[..., Any]]) -> tuple[str, set[str]]:
    """Write functions down, each behind the functions and constants that it uses.

    Args:
        functions: of modules in plain Python; their constants are numbers, text, patterns, and
            tuples, sets and dicts of such.

    Returns:
        The source, and the names of the modules that it uses, as they are called there.

    Raises:
        ValueError: if two modules give one name to different things: the file has one of each name.

    Example:
        >>> from jaxmlp.data.tables.values import to_word
        >>> source, modules = source_of([to_word])
        >>> source.splitlines()[0], modules
        ('def to_word(value: object) -> str:', {'np'})
    """
    found: dict[str, Any] = {}
    modules: set[str] = set()
    for function in functions:
        _collect(function.__name__, function, found, modules)
    blocks, previous = [], ""
    for name, value in found.items():
        block = inspect.getsource(value) if callable(value) else f"{name} = {_literal(value)}\n"
        constants = not previous.startswith("def ") and not block.startswith("def ")
        blocks += ["" if constants else "\n\n", block] if previous else [block]
        previous = block
    return "".join(blocks), modules


def _collect(name: str, value: Any, found: dict[str, Any], modules: set[str]) -> None:
    """Find what a function uses before the function, for it is written in this order."""
    if isinstance(value, ModuleType):
        modules.add(name)
    elif name in found:
        if found[name] is not value and found[name] != value:
            raise ValueError(
                f"two modules call different things {name}; a file of their functions can hold "
                "only one. Give one of them another name."
            )
    elif isinstance(value, FunctionType):
        for used in _names(value.__code__):
            if used != name and used in value.__globals__:
                _collect(used, value.__globals__[used], found, modules)
        found[name] = value
    else:
        if "re.compile" in _literal(value):
            modules.add("re")
        found[name] = value


def _names(code: CodeType) -> Iterator[str]:
    """Names that a function uses, those of functions in it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _literal(value: Any) -> str:
    """The expression of a constant.

    >>> _literal({"a": (1.5, re.compile("x", re.ASCII))})
    "{'a': (1.5, re.compile('x', re.ASCII),)}"
    """
    if isinstance(value, re.Pattern):
        names = ("IGNORECASE", "ASCII")
        flags = [f"re.{name}" for name in names if value.flags & re.RegexFlag[name]]
        return (
            f"re.compile({', '.join([repr(value.pattern), ' | '.join(flags)][: 1 + bool(flags)])})"
        )
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_literal(part)}" for key, part in value.items()) + "}"
    if isinstance(value, frozenset):
        return f"frozenset({sorted(value)!r})"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_literal(part)}, " for part in value).rstrip() + ")"
    return repr(value)


def array_expression(values: np.ndarray) -> str:
    """The expression that decodes an array, with the function `array` of a predictor."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    text = base64.b64encode(little.tobytes()).decode()
    wrapped = "\n".join(textwrap.wrap(text, 96))
    return f'array("""\n{wrapped}\n""", {values.shape}, "{little.dtype.str}")'
