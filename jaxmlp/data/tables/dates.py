"""Dates in a column: text in the orders that people write, or typed."""

import re

import numpy as np
from jaxtyping import Float64

from jaxmlp.data.tables.values import Series, import_pandas, to_words

_DATE = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})"
    r"(?:[ T](\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s*(Z|[+-]\d{2}:?\d{2})?)?"
)
DATE_ORDERS = ("ymd", "dmy", "mdy")


def to_days(column: Series, order: str = "ymd") -> Float64[np.ndarray, " rows"]:
    """Read a column as dates: days since 1970-01-01 (UTC), NaN where there is none.

    Args:
        column: a pandas Series of dates or text.
        order: of day, month and year: "ymd" (ISO 8601), "dmy" or "mdy".

    Returns:
        (rows,), float64, with the time of day as a fraction.

    Example:
        >>> import pandas as pd
        >>> to_days(pd.Series(["1970-01-02 06:00", "?", "1971-02-30"])).tolist()
        [1.25, nan, nan]
        >>> to_days(pd.Series(["02.01.1970"]), "dmy").tolist()
        [1.0]
    """
    pd = import_pandas()
    if column.dtype.kind == "M":
        stamps = pd.to_datetime(column, utc=True, errors="coerce")
        return _days(stamps.to_numpy("datetime64[us]"))
    codes, levels = to_words(column)
    return np.take(np.append(parse_days(levels, order), np.nan), codes)


def parse_days(levels: tuple[str, ...], order: str) -> Float64[np.ndarray, " levels"]:
    """Read words as dates; NaN for those that are none."""
    if not levels:
        return np.empty(0)
    texts = [_iso_date(word, order) for word in levels]
    stamps = import_pandas().to_datetime(
        np.array(texts, object), utc=True, format="ISO8601", errors="coerce"
    )
    return _days(stamps.to_numpy("datetime64[us]"))


def _iso_date(word: str, order: str) -> str | None:
    match = _DATE.fullmatch(word)
    if match is None:
        return None
    first, _, second, third, clock, zone = match.groups()
    year, month, day = (
        dict(zip(order, (first, second, third), strict=True))[part] for part in "ymd"
    )
    if len(year) != 4:
        return None
    if clock is None:
        return f"{year}-{month:0>2}-{day:0>2}"
    hours, _, rest = clock.partition(":")
    return f"{year}-{month:0>2}-{day:0>2}T{hours:0>2}:{rest}{zone or ''}"


def _days(stamps: np.ndarray) -> Float64[np.ndarray, " rows"]:
    microseconds = stamps.astype(np.int64)
    return np.where(np.isnat(stamps), np.nan, microseconds / 86_400e6)
