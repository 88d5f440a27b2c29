"""JSON that may hold arrays: the arrays go aside under a name, and the JSON keeps the name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxmlp.files import DTYPES

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"

_MARK = "$tensor"


def pack(value: object, prefix: str, arrays: dict[str, np.ndarray]) -> JSON:
    """Turn a tree of values and arrays into JSON-ready values.

    Args:
        value: dicts with string keys, lists, tuples, strings, finite numbers, None and arrays.
        prefix: the arrays are called `<prefix>.0`, `<prefix>.1`, ...
        arrays: where they are put.

    Returns:
        The tree with `{"$tensor": name}` in the place of each array.

    Raises:
        ValueError: for a value that JSON does not have.

    Example:
        >>> arrays = {}
        >>> pack({"mean": np.ones(2), "levels": ("a", "b")}, "x", arrays)
        {'mean': {'$tensor': 'x.0'}, 'levels': ['a', 'b']}
        >>> unpack({"mean": {"$tensor": "x.0"}, "levels": ["a", "b"]}, arrays)
        {'mean': array([1., 1.]), 'levels': ['a', 'b']}
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _MARK:
                raise ValueError(f"{prefix} has the key {key!r}; a file keeps plain text as keys.")
        return {key: pack(item, prefix, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [pack(item, prefix, arrays) for item in value]
    if isinstance(value, np.ndarray | jax.Array):
        if value.dtype not in DTYPES.values():
            raise ValueError(
                f"{prefix} holds an array of {value.dtype}; a file keeps arrays of numbers or "
                "booleans, and text as a list."
            )
        name = f"{prefix}.{sum(key.startswith(prefix + '.') for key in arrays)}"
        arrays[name] = np.ascontiguousarray(value).reshape(value.shape)
        return {_MARK: name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{prefix} holds the number {value}, which JSON has not; use an array.")
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError(
            f"{prefix} holds a {type(value).__name__}; a file keeps numbers, text, lists, dicts "
            "and arrays."
        )
    return value


def unpack(value: JSON, arrays: Mapping[str, np.ndarray]) -> Any:
    """Put the arrays back into the tree that `pack` returned.

    Raises:
        KeyError: if one is missing.
    """
    if isinstance(value, list):
        return [unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {_MARK}:
        return arrays[str(value[_MARK])]
    return {key: unpack(item, arrays) for key, item in value.items()}
