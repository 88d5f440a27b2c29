"""What kind of column it is, from what it holds, and the reason in words."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.data.tables.dates import COMPACT, DATE_ORDERS, parse_days
from jaxmlp.data.tables.schema import KINDS, Column
from jaxmlp.data.tables.units import find_units, main_unit, mixed_units, split_unit
from jaxmlp.data.tables.values import (
    DataFrame,
    Series,
    Words,
    are_codes,
    parse_numbers,
    plain_numbers,
    shorten,
    to_numbers,
    to_truths,
    to_words,
)
from jaxmlp.formatting import format_number

_NUMBER_SHARE = 0.9  # of the filled cells that must be numbers (or dates) for the column to be one
BOOLEANS = (
    ("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"), ("0", "1"),
)  # fmt: skip
TRUTHS = {word: k == 1 for pair in BOOLEANS for k, word in enumerate(pair)}
_TEXT_LEVELS, _TEXT_SHARE = 30, 0.3  # more levels than both: sentences, names, codes of single rows
_WORDY_SHARE = 0.5  # of the texts that are of several words, for texts that never repeat
_SAMPLE = 1000  # cells that tell whether it is worth looking at all of them
_DECIMAL_SAMPLE = 200  # cells of a column that tell its decimal sign
NUMBERING, _NUMBERED = "numbers the rows", "a different number in every row"
ROW_NUMBERS = (NUMBERING, _NUMBERED)
SHOWN_NAMES = 20  # of columns, in a message
_NUMBERED_ROWS = 20  # so many rows must count 1, 2, 3, ... to be called a row number
_COMPACT_DATES = 5  # different ones, at least
_IDENTIFIER = re.compile(r"(^|[^a-z])(id|uuid|guid|key|index)$|[a-z]I[dD]$", re.IGNORECASE)


def infer_columns(
    frame: DataFrame, chosen: Mapping[str, Column] | None = None, decimal: str | None = None
) -> dict[str, Column]:
    """Say what each column of a table is.

    Args:
        frame: a pandas DataFrame of features, with unique names; text or typed columns.
        chosen: columns that are already known, by name; they are kept as they are.
        decimal: sign of the table's numbers, for those that could be read in two ways; None finds
            it in these columns.

    Returns:
        name -> column, in the order of the table.

    Raises:
        ValueError: if a known column is not in the table.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"age": ["31", "42", "?"], "town": ["A", "B", "A"]})
        >>> [column.kind for column in infer_columns(table).values()]
        ['number', 'category']
    """
    chosen = dict(chosen or {})
    for name in chosen:
        if name not in frame.columns:
            raise unknown_column(name, frame)
        if chosen[name].kind not in KINDS:
            raise unknown_name(f"kind of column {name!r}", chosen[name].kind, KINDS)
    features = [name for name, column in chosen.items() if column.kind == "features"]
    decimal = decimal or decimal_sign(frame.drop(columns=features))
    return {name: infer_column(frame[name], chosen.get(name), decimal) for name in frame.columns}


def decimal_sign(frame: DataFrame) -> str:
    """Return "," if some column must be read so, else "."; it decides where both would do.

    >>> import pandas as pd
    >>> decimal_sign(pd.DataFrame({"a": ["1,5", "2,25"], "b": ["1.500", "900"]}))
    ','
    """
    for _, column in frame.items():
        if column.dtype.kind not in "biufMm" and len(column):
            words = to_words(column.iloc[_spread(len(column), _DECIMAL_SAMPLE)]).levels
            words = tuple(split_unit(word)[0] or word for word in words)
            if any("," in word for word in words):
                point, comma = (~np.isnan(parse_numbers(words, style)) for style in (".", ","))
                if comma.mean() >= _NUMBER_SHARE and comma.sum() > point.sum():
                    return ","
    return "."


def _spread(n: int, size: int) -> np.ndarray:
    """Places of a sample of n rows, evenly spread."""
    return np.unique(np.linspace(0, n - 1, size).astype(int))


def unknown_column(name: str, frame: DataFrame) -> ValueError:
    """The error for a column that a table lacks; of a wide table only the likely ones are named.

    >>> import pandas as pd
    >>> str(unknown_column("sice", pd.DataFrame({"size": [1], "town": [2]})))
    "unknown column 'sice'. Did you mean 'size'? Known: size, town."
    """
    known = [shorten(column, 40) for column in frame.columns]
    if len(known) > SHOWN_NAMES:
        known = get_close_matches(name, known, n=SHOWN_NAMES) or known[:SHOWN_NAMES]
    return unknown_name("column", shorten(name, 40), known)


def infer_column(series: Series, chosen: Column | None = None, decimal: str = ".") -> Column:
    """Say what one column is; of a chosen one only the style is inferred, if it has none.

    Args:
        series: a pandas Series.
        chosen: what is known of it.
        decimal: sign of the table's numbers, for those that could be read in two ways.
    """
    name = str(series.name)
    if chosen is not None and (chosen.style or chosen.kind not in ("number", "date")):
        return chosen
    typed = series.dtype.kind in "uifMm"
    if chosen is not None:
        return _with_style(chosen, None if typed else to_words(series), decimal)
    if series.dtype.kind == "M":
        return _date(name, "ymd", int(series.nunique()), "dates")
    if typed:
        return _numeric(name, to_numbers(series), ".", bad=0)
    if series.dtype.name == "category" and series.nunique() > 1:  # whatever the levels look like
        return Column(name, "category", reason=f"{series.nunique()} levels of a categorical column")
    plain = series.dtype.kind != "b" and decimal == "."
    led = plain and series.astype(str).str.startswith("0").any()  # perhaps codes such as 007
    if plain and not led and _mostly_plain(series[:_SAMPLE]) and _mostly_plain(series):
        numbers = to_numbers(series)  # no need to look at every different word
        rest = to_words(series[np.isnan(numbers)])
        if not any("," in word for word in rest.levels):  # else a decimal comma may lose less
            return _numeric(name, numbers, ".", bad=int((rest.codes >= 0).sum()))
    return _infer_from_words(name, to_words(series), decimal)


def _mostly_plain(series: Series) -> bool:
    return bool(np.mean(~np.isnan(plain_numbers(series))) >= _NUMBER_SHARE)


def _infer_from_words(name: str, words: Words, decimal: str) -> Column:
    n_levels, filled = len(words.levels), words.codes >= 0
    if not n_levels:
        return Column(name, "drop", reason="empty")
    if n_levels == 1 and filled.all():
        return Column(name, "drop", reason=f"always {shorten(words.levels[0])}")
    if boolean_levels(words.levels) is not None:
        return Column(name, "boolean", reason=" or ".join(sorted(words.levels)))
    counts = np.bincount(words.codes[filled], minlength=n_levels)
    if are_codes(words):
        return _codes(name, n_levels, filled)
    units = find_units(words.levels, counts)
    unit = main_unit(units, int(filled.sum()))
    style, share = _number_style(words.levels, counts, decimal, unit)
    if share >= _NUMBER_SHARE:
        numbers = np.append(parse_numbers(words.levels, style, unit), np.nan)[words.codes]
        bad = int(round((1 - share) * filled.sum()))
        return _numeric(name, numbers, style, bad, unit)
    order, bad = _date_order(words.levels, counts)
    if bad <= (1 - _NUMBER_SHARE) * counts.sum():
        said = "dates" if order == "ymd" else f"dates, read as {'/'.join(order)}"
        return _date(name, order, n_levels, said + _unread(bad, "date"))
    mixed = mixed_units(units, int(filled.sum()))
    if n_levels > max(_TEXT_LEVELS, _TEXT_SHARE * filled.sum()):
        said = mixed or f"{n_levels:,} different texts in {int(filled.sum()):,} rows"
        if filled.all() and n_levels == len(filled) and not _are_texts(name, words.levels):
            return Column(name, "drop", reason=said)
        return Column(name, "text", reason=said)
    if n_levels == 1:
        return Column(name, "text", reason=f"{shorten(words.levels[0])} or nothing")
    return Column(name, "category", reason=mixed or f"{n_levels} levels")


def _are_texts(name: str, levels: tuple[str, ...]) -> bool:
    return say_something(levels) and not _IDENTIFIER.search(name)


def say_something(levels: tuple[str, ...]) -> bool:
    """Whether texts that never repeat are more than identifiers: of several words, not all alike.

    >>> say_something(("a cup of tea", "no tea today")), say_something(("item 1", "item 2"))
    (True, False)
    """
    if not levels:
        return False
    several = [len(level.split()) > 1 for level in levels]
    unlike = {re.sub(r"\d+", "", level) for level in levels}
    return float(np.mean(several)) >= _WORDY_SHARE and len(unlike) > max(
        1, _TEXT_SHARE * len(levels)
    )


def _codes(name: str, n_levels: int, filled: np.ndarray) -> Column:
    """Digits behind a 0 name something, and count nothing; so many names are identifiers."""
    said = f"{n_levels:,} codes, written with leading zeros"
    if n_levels == filled.sum() and n_levels > _TEXT_LEVELS:
        return Column(name, "drop", reason=f"{said}, a different one in every row")
    return Column(name, "category", reason=said)


def boolean_levels(levels: tuple[str, ...]) -> tuple[str, str] | None:
    """Return (false, true) in lower case if the words are truths, such a pair among them.

    >>> boolean_levels(("Yes", "no")), boolean_levels(("0", "1", "1.0", "true"))
    (('no', 'yes'), ('0', '1'))
    """
    said = set(to_truths(levels))
    if not said <= TRUTHS.keys():
        return None
    return next((pair for pair in BOOLEANS if said >= set(pair)), None)


def _numeric(name: str, numbers: np.ndarray, style: str, bad: int, unit: str = "") -> Column:
    filled = numbers[~np.isnan(numbers)]
    distinct = np.unique(filled)
    if not len(distinct):
        return Column(name, "drop", reason="empty")
    if len(distinct) == 1 and len(filled) == len(numbers):
        return Column(
            name, "drop", reason=_measured(f"always {format_number(distinct[0], 6)}", unit)
        )
    if np.array_equal(distinct, [0, 1]) and not unit:
        return Column(name, "boolean", reason="0 or 1")
    whole = bool(np.all(filled == np.round(filled)))
    if whole and _are_compact_dates(distinct):
        return _date(name, "ymd", len(distinct), "dates" + _unread(bad, "date"))
    if whole and len(distinct) == len(numbers):
        if len(numbers) >= _NUMBERED_ROWS and np.ptp(filled) == len(numbers) - 1:
            return Column(name, "drop", style, NUMBERING)
        if len(numbers) >= _NUMBERED_ROWS and _IDENTIFIER.search(name):
            return Column(name, "drop", reason=_NUMBERED)
    said = f"{format_number(distinct[0], 6)} to {format_number(distinct[-1], 6)}"
    said = _measured(said, unit)
    said += f", {len(distinct)} whole numbers" if whole and len(distinct) <= 30 else ""
    said += _unread(bad, f"number in {unit}" if unit else "number")
    return Column(name, "number", style, said, unit)


def _measured(said: str, unit: str) -> str:
    """Write the unit behind; a percent sign stands close."""
    return f"{said}{'' if unit == '%' else ' '}{unit}" if unit else said


def _are_compact_dates(numbers: np.ndarray) -> bool:
    """Whether whole numbers are dates such as 20240131; chance makes one in 30 such."""
    low, high = COMPACT
    if len(numbers) < _COMPACT_DATES or not low <= numbers[0] <= numbers[-1] <= high:
        return False
    return not np.isnan(parse_days(tuple(f"{n:.0f}" for n in numbers), "ymd")).any()


def _unread(bad: int, what: str) -> str:
    """Say how many cells a reading loses; none is chosen silently."""
    if not bad:
        return ""
    noun, _, rest = what.partition(" ")
    several = f"{noun}s {rest}".rstrip()
    return f"; {bad} cells are no {several}" if bad > 1 else f"; 1 cell is no {what}"


def _date(name: str, order: str, n_levels: int, said: str) -> Column:
    if n_levels < 2:
        return Column(name, "drop", reason="a single date")
    return Column(name, "date", order, said)


def _date_order(levels: tuple[str, ...], counts: np.ndarray) -> tuple[str, int]:
    """Return the order in which most cells are dates, and how many are none then.

    A spread sample rules out what is no date at all; the rest is judged by all values, for time
    stamps in a file are sorted, and its first days are ambiguous.
    """
    if not levels:
        return "ymd", 0
    spread = _spread(len(levels), _SAMPLE)
    sample = tuple(levels[k] for k in spread)
    likely = [o for o in DATE_ORDERS if _share(parse_days(sample, o), counts[spread]) >= 0.5]
    bad = {o: int(counts[np.isnan(parse_days(levels, o))].sum()) for o in likely}
    order = min(likely, key=lambda o: bad[o], default="ymd")
    return order, bad.get(order, int(counts.sum()))


def _number_style(
    levels: tuple[str, ...], counts: np.ndarray, decimal: str, unit: str
) -> tuple[str, float]:
    """Return the decimal sign that reads the most cells, and their share."""
    signs = (decimal, "," if decimal == "." else ".")
    shares = [_share(parse_numbers(levels, sign, unit), counts) for sign in signs]
    return signs[int(np.argmax(shares))], max(shares)


def _with_style(chosen: Column, words: Words | None, decimal: str) -> Column:
    """Complete what the user said of a column; cells that it cannot be are told."""
    if words is None:
        return chosen._replace(style="." if chosen.kind == "number" else "ymd")
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.levels))
    if chosen.kind == "date":
        style, bad = _date_order(words.levels, counts)
        said = "" if style == "ymd" else f", read as {'/'.join(style)}"
    else:
        unit = chosen.unit or main_unit(find_units(words.levels, counts), int(counts.sum()))
        style, share = _number_style(words.levels, counts, decimal, unit)
        bad, said = round((1 - share) * counts.sum()), f", in {unit}" if unit else ""
        chosen = chosen._replace(unit=unit)
    said = f"{chosen.reason or 'as you said'}{said}{_unread(bad, chosen.kind)}"
    return chosen._replace(style=style, reason=said)


def _share(values: np.ndarray, counts: np.ndarray) -> float:
    """Share of the filled cells that could be read."""
    return float(counts[~np.isnan(values)].sum() / max(counts.sum(), 1))
