"""Units behind, or currencies before, the numbers of a column."""

import re
from collections import Counter

import numpy as np

_AMOUNT = r"[+-]?[\d.,'’ \xa0\u2009\u202f]*\d[.,]?(?:[eE][+-]?\d+)?"
_BEHIND = re.compile(
    rf"(?P<amount>{_AMOUNT}(?: ?[kKM](?=[ $€£¥₹%]|$))?)[ \xa0\u2009\u202f]*"
    r"(?P<unit>(?:[%‰$€£¥₹]|[^\W\d_]|[°µ])(?:[^\W\d_]|[°µ²³/·^.*-])*[23]?)"
)
_BEFORE = re.compile(
    rf"(?P<sign>[+-]?)(?P<unit>US\$|[$€£¥₹]|(?:USD|EUR|GBP|CHF|INR|JPY|Rs\.?)(?=[ \d]))\s*"
    rf"(?P<amount>{_AMOUNT}(?: ?[kKM])?)"
)
_NO_UNITS = frozenset("kKM")
_MAX_LENGTH, _MAX_CELL = 12, 64  # of a unit, and of a cell that has one, in characters
_MAX_UNITS = 6  # of a column that mixes some; more are words
_OWN_SHARE = 0.5  # of the cells with a number that have a unit, for a column to have one


def split_unit(word: str) -> tuple[str, str]:
    """Return the number of a cell as it is written, and its unit; ("", "") where it has none.

    >>> split_unit("1,234 km"), split_unit("-$5k"), split_unit("12%"), split_unit("5k")
    (('1,234', 'km'), ('-5k', '$'), ('12', '%'), ('', ''))
    """
    if len(word) > _MAX_CELL:
        return "", ""
    match = _BEFORE.fullmatch(word)
    if match:
        return match["sign"] + match["amount"], match["unit"]
    match = _BEHIND.fullmatch(word)
    if not match or match["unit"] in _NO_UNITS or len(match["unit"]) > _MAX_LENGTH:
        return "", ""
    return match["amount"], match["unit"]


def without_unit(word: str, unit: str) -> str | None:
    """Return a cell without this unit: as it is where it has none, None where it has another.

    >>> without_unit("5 Kms", "km"), without_unit("5", "km"), without_unit("5 miles", "km")
    ('5', '5', None)
    """
    amount, found = split_unit(word)
    if not found:
        return word
    return amount if _folded(found) == _folded(unit) else None


def find_units(levels: tuple[str, ...], counts: np.ndarray) -> dict[str, int]:
    """Count the cells of each unit, most frequent first; a unit is spelled as it is mostly.

    Args:
        levels: the different cells of a column.
        counts: how often each occurs.

    >>> find_units(("5 km", "7 Km", "3 mi", "9"), np.array([4, 1, 2, 1]))
    {'km': 5, 'mi': 2}
    """
    spelled: dict[str, Counter[str]] = {}
    for level, count in zip(levels, counts.tolist(), strict=True):
        unit = split_unit(level)[1]
        if unit:
            spelled.setdefault(_folded(unit), Counter())[unit] += count
    units = {names.most_common(1)[0][0]: names.total() for names in spelled.values()}
    return dict(sorted(units.items(), key=lambda item: -item[1]))


def main_unit(units: dict[str, int], n_filled: int) -> str:
    """Return the unit of a column: that of most cells, or none where most cells have none.

    >>> main_unit({"km": 5, "mi": 2}, 8), main_unit({"km": 1}, 8)
    ('km', '')
    """
    enough = sum(units.values()) >= _OWN_SHARE * n_filled
    return next(iter(units), "") if enough else ""


def mixed_units(units: dict[str, int], n_filled: int) -> str:
    """Say so where a column is made of several units; "" where these are rather words.

    >>> mixed_units({"kg": 5, "g": 4}, 9)
    'mixed units: kg, g; write all in one'
    """
    if not 2 <= len(units) <= _MAX_UNITS or not main_unit(units, n_filled):
        return ""
    return f"mixed units: {', '.join(units)}; write all in one"


def _folded(unit: str) -> str:
    """A unit without what does not tell it from another: case, plural, a point at its end.

    A first letter m keeps its case: mW and MW are far apart.
    """
    unit = unit.rstrip(".")
    short = unit[:1] + unit[1:].lower() if len(unit) < 4 and unit[:1] in "mM" else unit.lower()
    plural = short in ("lbs", "hrs", "yrs", "kms") or (len(short) > 3 and short.isalpha())
    return short.removesuffix("s") if plural else short
