"""Which encoder a column gets, and encoders out of files."""

from collections.abc import Callable
from typing import Any

from jaxmlp.data.tables.categories import CategoryEncoder, LevelEncoder
from jaxmlp.data.tables.encoders import (
    BooleanEncoder,
    DateEncoder,
    Encoder,
    NumberEncoder,
    PresenceEncoder,
)
from jaxmlp.data.tables.features import FeaturesEncoder
from jaxmlp.data.tables.schema import Column
from jaxmlp.data.tables.texts import TextEncoder
from jaxmlp.data.tables.values import Series

_PRESENCE = "presence"
_ENCODERS: dict[str, Callable[..., Encoder]] = {
    cls.kind: cls
    for cls in (
        NumberEncoder,
        CategoryEncoder,
        LevelEncoder,
        BooleanEncoder,
        DateEncoder,
        TextEncoder,
        FeaturesEncoder,
    )
} | {_PRESENCE: PresenceEncoder}


def fit_encoder(
    column: Column,
    series: Series,
    *,
    scaling: str,
    max_levels: int,
    min_count: int,
    max_one_hot: int | None = None,
) -> Encoder:
    """Make the record of one column from its training data.

    A category of more than `max_one_hot` levels becomes the number of its level.
    """
    if column.kind == "number":
        return NumberEncoder.fit(column, series, scaling)
    if column.kind == "category":
        encoder = CategoryEncoder.fit(column, series, max_levels, min_count)
        many = max_one_hot is not None and len(encoder.levels) > max_one_hot
        return LevelEncoder(encoder.name, encoder.levels) if many else encoder
    if column.kind == "text":
        return TextEncoder.fit(column, series)
    if column.kind == "features":
        return FeaturesEncoder.fit(column, series, scaling)
    if column.kind == "boolean":
        return BooleanEncoder.fit(column, series)
    return DateEncoder.fit(column, series)


def read_encoder(fields: dict[str, Any]) -> Encoder:
    """Rebuild a record from `to_dict`'s result.

    Raises:
        ValueError: if the fields are those of no encoder.
    """
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    kind = fields.pop("kind", None)
    if kind == "text" and "terms" not in fields:
        kind = _PRESENCE  # a text of which only the presence is kept
    if kind not in _ENCODERS:
        raise ValueError(f"an encoder is of kind {kind!r}, but known are {', '.join(_ENCODERS)}.")
    try:
        return _ENCODERS[kind](**fields)
    except TypeError as error:
        raise ValueError(f"the fields of a {kind} encoder are incomplete: {error}.") from error
