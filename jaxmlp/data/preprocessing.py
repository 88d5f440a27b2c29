"""What a model does with raw data before the network, and with its outputs after: a registry."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np

from jaxmlp.checks import unknown_name


class Preprocessing(Protocol):
    """A fitted map from raw data to the network's inputs, which a model file can keep.

    To have yours saved and loaded with a model, give it these methods, and decorate the class with
    `register_preprocessing(kind)`; nothing else needs to know of it. What `to_dict` returns may be
    nested dicts with string keys, lists, strings, finite numbers, booleans, None *and numpy arrays*
    (of numbers or booleans, NaN and infinity allowed): `jaxmlp.models.save` keeps the arrays as
    tensors of the file, bit by bit, and all else as JSON; `from_dict` gets the same values back.

    Example:
        >>> @register_preprocessing("halved")
        ... class Halved:
        ...     def transform(self, data):
        ...         return np.asarray(data) / 2
        ...     def to_dict(self):
        ...         return {}
        ...     @classmethod
        ...     def from_dict(cls, fields):
        ...         return cls()
        >>> preprocessing_from_dict(preprocessing_to_dict(Halved())).transform([4.0]).tolist()
        [2.0]
        >>> del PREPROCESSING["halved"]
    """

    def transform(self, data: Any) -> np.ndarray:
        """Turn raw data into the network's inputs, (rows, n_in)."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything that was fitted."""

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        """Rebuild the record; a ValueError says what is wrong with the fields."""


class TargetTransform(Preprocessing, Protocol):
    """A fitted map of targets (standardized prices, say), with the way back; registered as well."""

    def inverse_transform(self, outputs: np.ndarray) -> np.ndarray:
        """Lead from the network's outputs, (rows, n_out), back to the units of the targets."""


PREPROCESSING: dict[str, type] = {}
"""The registered records by kind."""

_Class = TypeVar("_Class", bound=type)


def register_preprocessing(kind: str) -> Callable[[_Class], _Class]:
    """Make a class known to model files; use it as a decorator.

    Args:
        kind: what files call the class; never change it, since files hold it.

    Returns:
        The decorator, which returns the class.

    Raises:
        TypeError: if the class lacks a method of `Preprocessing`.
        ValueError: if another class has this kind.
    """

    def register(record: _Class) -> _Class:
        for name in ("transform", "to_dict", "from_dict"):
            if not hasattr(record, name):
                raise TypeError(f"{record.__name__} lacks {name!r}; see jaxmlp.data.Preprocessing.")
        if PREPROCESSING.get(kind, record) is not record:
            raise ValueError(f"preprocessing of kind {kind!r} is registered already; rename yours.")
        PREPROCESSING[kind] = record
        return record

    return register


def preprocessing_to_dict(record: Preprocessing | None) -> dict[str, Any] | None:
    """Describe a record by its kind and fields.

    Raises:
        ValueError: if its class is not registered, so that no file could be read again.
    """
    if record is None:
        return None
    for kind, known in PREPROCESSING.items():
        if known is type(record):
            return {"kind": kind, **record.to_dict()}
    raise ValueError(
        f"a {type(record).__name__} cannot be kept in a file, since its class is not registered; "
        "decorate it with jaxmlp.data.register_preprocessing."
    )


def preprocessing_from_dict(fields: Mapping[str, Any] | None) -> Any:
    """Rebuild the record that `preprocessing_to_dict` described.

    Raises:
        ValueError: if its kind is unknown, or its fields are wrong.
    """
    if fields is None:
        return None
    kind = fields.get("kind")
    if kind not in PREPROCESSING:
        raise unknown_name("kind of preprocessing", kind, PREPROCESSING)
    from_dict: Callable[..., Any] = PREPROCESSING[kind].from_dict  # type: ignore[attr-defined]
    return from_dict({name: value for name, value in fields.items() if name != "kind"})
