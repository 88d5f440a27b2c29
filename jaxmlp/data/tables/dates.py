"""Dates in a column: text in the ways that people write them, or typed."""

import re

import numpy as np
from jaxtyping import Float64

from jaxmlp.data.tables.values import Series, import_pandas, to_words

DATE_ORDERS = ("ymd", "dmy", "mdy")
_CLOCK = (
    r"(?P<clock>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
_LATER = rf"(?:(?:[ T]|, ){_CLOCK})?"
_NUMBERS = re.compile(rf"(?P<a>\d{{1,4}})([-/.])(?P<b>\d{{1,2}})\2(?P<c>\d{{1,4}}){_LATER}")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,? )?"
# What means the same whatever the order of numbers is.
_ORDERLESS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}{_MONTH} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{4}}){_LATER}",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[- /]?{_MONTH}[- /,]+"
        rf"(?P<year>\d{{4}}|\d{{2}}){_LATER}",
        rf"{_MONTH}[- /]+(?P<year>\d{{4}})",
        r"(?P<year>\d{4})[-/](?P<month>\d{2})",
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}}){_LATER}",
        _CLOCK,
    )
)
_CENTURY = 69  # 69 is 1969, 68 is 2068, as in POSIX
_LONGEST = 64  # characters of a date
COMPACT = (19000101, 21001231)  # dates written as numbers


def to_days(column: Series, order: str = "ymd") -> Float64[np.ndarray, " rows"]:
    """Read a column as dates: days since 1970-01-01 (UTC), NaN where there is none.

    Args:
        column: a pandas Series of dates or text.
        order: of day, month and year in numbers: "ymd" (ISO 8601), "dmy" or "mdy".

    Returns:
        (rows,), float64, with the time of day as a fraction; a time alone is that fraction.

    Example:
        >>> import pandas as pd
        >>> to_days(pd.Series(["1970-01-02 06:00", "?", "1971-02-30", "Jan 3, 1970"])).tolist()
        [1.25, nan, nan, 2.0]
        >>> to_days(pd.Series(["02.01.1970", "03.01.1970 6:00 PM"]), "dmy").tolist()
        [1.0, 2.75]
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
    texts = [iso_date(word, order) for word in levels]
    stamps = import_pandas().to_datetime(
        np.array(texts, object), utc=True, format="ISO8601", errors="coerce"
    )
    return _days(stamps.to_numpy("datetime64[us]"))


def iso_date(word: str, order: str) -> str | None:
    """Write a date as ISO 8601 does, whatever it is; None for what is none.

    >>> iso_date("5 Jan 2020", "ymd"), iso_date("5/1/2020 6:30 PM", "dmy"), iso_date("soon", "ymd")
    ('2020-01-05', '2020-01-05T18:30', None)
    """
    if len(word) > _LONGEST:
        return None
    match = _NUMBERS.fullmatch(word)
    if match:
        parts = dict(zip(order, match.group("a", "b", "c"), strict=True))
        if len(parts["y"]) == 2 and order != "ymd" and match[2] == "/":  # 1/31/20
            parts["y"] = _with_century(parts["y"])
        if len(parts["y"]) != 4:
            return None
        return _iso(parts["y"], parts["m"], parts["d"], match)
    if not any(char.isdigit() for char in word):
        return None
    match = next(filter(None, (form.fullmatch(word) for form in _ORDERLESS)), None)
    if match is None:
        return None
    found = match.groupdict()
    month = (found.get("month") or "1").lower()
    if not month.isdigit():
        month = str(_MONTHS.index(month[:3]) + 1)
    year = found.get("year") or "1970"
    if len(year) == 2:
        year = _with_century(year)
    return _iso(year, month, found.get("day") or "1", match)


def _with_century(year: str) -> str:
    return f"{19 if int(year) >= _CENTURY else 20}{year}"


def _iso(year: str, month: str, day: str, match: re.Match[str]) -> str | None:
    """Write a date as ISO 8601, with the time of the match, if it has one."""
    date, found = f"{year}-{month:0>2}-{day:0>2}", match.groupdict()
    if found.get("clock") is None:
        return date
    hours, _, rest = found["clock"].partition(":")
    if found["half"]:
        if not 1 <= int(hours) <= 12:
            return None
        hours = str(int(hours) % 12 + 12 * (found["half"].lower() == "p"))
    return f"{date}T{hours:0>2}:{rest}{found['zone'] or ''}"


def _days(stamps: np.ndarray) -> Float64[np.ndarray, " rows"]:
    microseconds = stamps.astype(np.int64)
    return np.where(np.isnat(stamps), np.nan, microseconds / 86_400e6)
