"""What a model does with raw data before the network, and with its outputs after: a registry."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from jaxmlp.checks import unknown_name


class Preprocessing(Protocol):
    """A fitted map from raw data to the network's inputs, which a model file can keep.

    To have yours saved and loaded with a model, give it a `kind`, these methods, and decorate it
    with `register_preprocessing`; nothing else needs to know of it. What `to_dict` returns may be
    nested dicts with string keys, lists, strings, finite numbers, booleans, None *and numpy arrays*
    (of numbers or booleans, NaN and infinity allowed): `jaxmlp.transfer.save` keeps the arrays as
    tensors of the file, bit by bit, and all else as JSON; `from_dict` gets the same values back.

    Attributes:
        kind: name under which it is registered; never change it, since files hold it.

    Example:
        >>> @register_preprocessing
        ... class Halved:
        ...     kind = "halved"
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

    A transform of *targets* (standardized prices, say) is such a record too, with the method
    `inverse_transform(outputs)`, which leads from the network's outputs back to their units.
    """

    kind: ClassVar[str]

    def transform(self, data: Any) -> np.ndarray:
        """Turn raw data into the network's inputs, (rows, n_in)."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything that was fitted, but for `kind`."""

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        """Rebuild the record; a ValueError says what is wrong with the fields."""


PREPROCESSING: dict[str, type] = {}
"""The registered records by kind."""

Record = TypeVar("Record", bound=type)


def register_preprocessing(record: Record) -> Record:
    """Make a class known to model files; use it as a decorator.

    Args:
        record: a class with the attributes of `Preprocessing`.

    Returns:
        The class.

    Raises:
        TypeError: if it lacks one of them.
        ValueError: if another class has its kind.
    """
    for name in ("kind", "transform", "to_dict", "from_dict"):
        if not hasattr(record, name):
            raise TypeError(f"{record.__name__} has no {name!r}; see jaxmlp.data.Preprocessing.")
    kind: str = record.kind  # type: ignore[attr-defined]
    if PREPROCESSING.get(kind, record) is not record:
        raise ValueError(f"preprocessing of kind {kind!r} is registered already; rename yours.")
    PREPROCESSING[kind] = record
    return record


def preprocessing_to_dict(record: Preprocessing | None) -> dict[str, Any] | None:
    """Describe a record by its kind and fields.

    Raises:
        ValueError: if its class is not registered, so that no file could be read again.
    """
    if record is None:
        return None
    if PREPROCESSING.get(getattr(record, "kind", None) or "") is not type(record):
        raise ValueError(
            f"a {type(record).__name__} cannot be kept in a file, since its class is not "
            "registered; decorate it with jaxmlp.data.register_preprocessing."
        )
    return {"kind": record.kind, **record.to_dict()}


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
