"""From the cells of a table's rows to a network's inputs, with numpy alone.

These functions do what the encoders of `jaxmlp.data.tables` do without pandas. `to_numpy` writes
their source into the predictor, with that of all they call, so they use nothing else.
"""

import csv
import datetime
import io
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxmlp.data.tables.dates import iso_date
from jaxmlp.data.tables.texts import LETTERS, TEXT_BOUND
from jaxmlp.data.tables.units import without_unit
from jaxmlp.data.tables.values import (
    LARGEST,
    MISSING_WORDS,
    SMALLEST,
    as_whole,
    plain_text,
    to_word,
)

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_ISO = re.compile(
    r"(\d+)-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


def read_rows(path: str, delimiter: str, needed: Sequence[str]) -> list[list[str]]:
    """Rows of a CSV file; between cells stands the delimiter, or what shows the names needed."""
    csv.field_size_limit(2**31 - 1)
    with open(path, newline="", encoding="utf-8-sig") as file:
        text = file.read().strip("\r\n")
    if not text:
        raise SystemExit(f"{path} is empty.")
    for sign in (delimiter, ",", ";", "\t", "|", "whitespace", delimiter):
        spaced = sign == "whitespace"
        lines: Iterable[str] = io.StringIO(text, newline="")
        if spaced:
            lines = (" ".join(line.split()) for line in lines)
        reader = csv.reader(lines, delimiter=" " if spaced else sign, skipinitialspace=True)
        rows = list(reader)
        if set(needed) <= {cell.strip() for cell in rows[0]}:
            break
    alone = len(rows[0]) == 1  # a blank line is an empty cell then
    return [row or [""] for row in rows if row or alone]


def read_word(cell: object, blank: Mapping[str | float, int]) -> str | None:
    """The word of a cell; None if it is empty, or a word that means nothing."""
    if cell is None or cell != cell:
        return None
    word = to_word(cell)
    lower = word.lower()
    if lower in MISSING_WORDS or (blank and _find_place(lower, blank) is not None):
        return None
    return word


def _find_place(word: str, places: Mapping[str | float, int]) -> int | None:
    """Look a word up, as it is spelled or else as a number."""
    place = places.get(word)
    return places.get(_parse_number(plain_text(as_whole(word), "."))) if place is None else place


def _parse_number(text: str) -> float:
    """The number that a text without ornament is, or NaN."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _parse_iso(text: str | None) -> float:
    """Days from 1970-01-01 to a date and time of ISO 8601; NaN of what is none."""
    match = _ISO.fullmatch(text or "")
    if match is None:
        return math.nan
    year, month, day, hours, minutes, seconds, zone = match.groups()
    try:
        days = datetime.date(int(year), int(month), int(day)).toordinal() - 719_163
    except ValueError:
        return math.nan
    clock = int(hours or 0), int(minutes or 0), float(seconds or 0)
    shift = (int(zone[1:3]), int(zone[-2:])) if len(zone or "") > 1 else (0, 0)
    if clock[0] > 23 or clock[1] > 59 or clock[2] >= 60 or shift[0] > 23 or shift[1] > 59:
        return math.nan
    east = (shift[0] * 60 + shift[1]) * (-1 if zone and zone[0] == "-" else 1)
    return days + (clock[0] * 60 + clock[1] - east) / 1440 + clock[2] / 86400


def _read_each(cells: Iterable[object], read: Callable[[object], float]) -> np.ndarray:
    """Read every cell; equal ones once."""
    known: dict[tuple[type, object], float] = {}
    values = []
    for cell in cells:
        key = (type(cell), cell)
        if key not in known:
            known[key] = read(cell)
        values.append(known[key])
    return np.array(values)


def read_places(
    cells: Iterable[object],
    blank: Mapping[str | float, int],
    places: Mapping[str | float, int],
    folded: bool,
    other: int,
) -> np.ndarray:
    """Places of words: those known, then that of any other word, then that of no word."""

    def read(cell: object) -> int:
        word = read_word(cell, blank)
        if word is None:
            return other + 1
        place = _find_place(word.lower() if folded else word, places)
        return other if place is None else place

    return _read_each(cells, read).astype(int)


def read_numbers(
    cells: Iterable[object], blank: Mapping[str | float, int], style: str
) -> np.ndarray:
    """Numbers; NaN where a cell says nothing or is no finite number."""
    return _within_limits(cells, blank, lambda word: _parse_number(plain_text(word, style)))


def read_amounts(
    cells: Iterable[object], blank: Mapping[str | float, int], style: str, unit: str
) -> np.ndarray:
    """Numbers in a unit or in none; NaN of those in another, too."""

    def parse(word: str) -> float:
        number = _parse_number(word) if style == "." else math.nan
        if number == number:  # in 1e2, e2 is no unit
            return number
        amount = without_unit(word, unit)
        return math.nan if amount is None else _parse_number(plain_text(amount, style))

    return _within_limits(cells, blank, parse)


def _within_limits(
    cells: Iterable[object], blank: Mapping[str | float, int], parse: Callable[[str], float]
) -> np.ndarray:
    """Numbers as they are and those that words are parsed to: finite, not too large or small."""

    def read(cell: object) -> float:
        word = read_word(cell, blank)
        if word is None:
            return math.nan
        if isinstance(cell, int | float | np.number | np.bool_):
            return float(cell)
        return parse(word)

    numbers = _read_each(cells, read).astype(float)
    numbers[np.isinf(numbers)] = np.nan
    numbers[np.abs(numbers) < SMALLEST] = 0.0
    clipped: np.ndarray = np.clip(numbers, -LARGEST, LARGEST)
    return clipped


def read_days(cells: Iterable[object], blank: Mapping[str | float, int], order: str) -> np.ndarray:
    """Days from 1970-01-01 (UTC); NaN where a cell is no date."""

    def read(cell: object) -> float:
        word = read_word(cell, blank)
        return math.nan if word is None else _parse_iso(iso_date(word, order))

    return _read_each(cells, read).astype(float)


def read_texts(cells: Iterable[object], blank: Mapping[str | float, int]) -> list[str | None]:
    """Texts without the white space around them; None where a cell says nothing."""
    return [read_word(cell, blank) for cell in cells]


def _letter_groups(text: str) -> Iterable[str]:
    """Groups of 2 to 4 letters within each word, a space before and behind it counted in."""
    for word in text[:LETTERS].lower().split():
        padded = f" {word} "
        for size in (2, 3, 4):
            last = max(len(padded) - size, 0)
            yield from (padded[k : k + size] for k in range(last + 1))
            if last == 0:
                break


def _term_weights(text: str, places: Mapping[str, int], idf: np.ndarray) -> np.ndarray:
    """tf-idf: w = (1 + log count) idf of each group of letters, of length 1 together."""
    weights = np.zeros(len(idf))
    for group in _letter_groups(text):
        if group in places:
            weights[places[group]] += 1.0
    found = weights > 0
    weights[found] = (1.0 + np.log(weights[found])) * idf[found]
    length = float(np.linalg.norm(weights))
    return weights / length if length > 0 else weights


def text_numbers(
    texts: Sequence[str | None],
    terms: Sequence[str],
    idf: np.ndarray,
    components: np.ndarray,
    centers: np.ndarray,
) -> np.ndarray:
    """Each text's weights, projected and bent so that nothing exceeds 3; then 1 of no text."""
    places = {term: k for k, term in enumerate(terms)}
    rows = np.zeros((len(texts), len(centers) + 1))
    for row, text in zip(rows, texts, strict=True):
        if text is None:
            row[-1] = 1.0
            continue
        z = _term_weights(text, places, idf) @ components - centers
        row[:-1] = z / np.hypot(1.0, z / TEXT_BOUND)
    return rows


def table_row(places: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The row of a table that stands at each place."""
    rows: np.ndarray = table[places]
    return rows


def ones(places: np.ndarray, columns: Sequence[int], width: int) -> np.ndarray:
    """A row of zeros with a single 1, in the column that belongs to the place; in none for -1."""
    rows: np.ndarray = np.eye(width + 1)[np.array(columns)[places]]
    return rows[:, :width]


def scaled(values: np.ndarray, center: float, scale: float, bound: float | None) -> np.ndarray:
    """(v - center) / scale, bent so that nothing exceeds the bound; 0 of NaN."""
    z = (values - center) / scale
    z = z if bound is None else z / np.hypot(1.0, z / bound)
    return np.where(np.isnan(z), 0.0, z)[:, None]


def rank(
    values: np.ndarray, knots: np.ndarray, base: np.ndarray, start: np.ndarray, slope: np.ndarray
) -> np.ndarray:
    """The normal quantile of the rank among the training data; 0 of NaN."""

    def line(k: np.ndarray) -> np.ndarray:
        share: np.ndarray = base[k] + slope[k] * (values - start[k])
        return share

    right, left = (np.searchsorted(knots, values, side) for side in ("right", "left"))
    share = np.clip((line(right) + line(left)) / 2, 1e-7, 1 - 1e-7)
    normal = statistics.NormalDist()
    return np.array([0.0 if p != p else normal.inv_cdf(p) for p in share.tolist()])[:, None]


def cycle(values: np.ndarray, shift: float, period: float) -> np.ndarray:
    """Sine and cosine of where a day is in a period; 0 of NaN."""
    angle = 2 * math.pi * ((values + shift) / period % 1.0)
    waves: np.ndarray = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    waves[np.isnan(values)] = 0.0
    return waves


def absent(values: np.ndarray) -> np.ndarray:
    """1 where a cell says nothing that can be used, else 0."""
    column: np.ndarray = np.isnan(values).astype(float)[:, None]
    return column


def to_columns(
    data: Any, names: Sequence[str], used: Sequence[str]
) -> Mapping[str, Iterable[object]]:
    """Columns by name; those of a list of rows are in the order of the training table."""
    if hasattr(data, "keys"):
        columns = {str(name).strip(): data[name] for name in data}  # of a DataFrame too
        missing = [name for name in used if name not in columns]
        if missing:
            raise ValueError(f"the data lack the column {missing[0]!r}.")
        return columns
    rows = [list(row) for row in data]
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f"every row must have the {len(names)} cells {', '.join(names)}.")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}
