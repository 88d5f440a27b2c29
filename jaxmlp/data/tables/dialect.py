"""How a text file writes its table: encoding, delimiter, quotes, and the names of the columns."""

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, product
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.tables.headings import (
    all_numbers,
    is_number_or_missing,
    looks_like_data,
    no_heading,
    of_numbers,
)
from jaxmlp.data.tables.values import shorten, unique_names

_DELIMITERS = (",", ";", "\t", "|")
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "space": "whitespace", " ": "whitespace"}
_SAMPLE_LINES = 100
_EXCEL_HINT = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_BLANK = ",;\t| \r\n"  # what a line without cells is made of
_COMMENTS, _MAX_TITLES = "#%", 5  # what begins a comment; lines above a heading
_SHORT, _SINGLE = 0.8, 0.3  # how well a line fits that is shorter than the heading; of one cell
_WIDENED = 0.9  # how well a heading fits that leaves a column out
_ROW_NAMES = "row names"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


class ReadingOptions(NamedTuple):
    """What a user says about how a text file writes its table; the rest is found out.

    Attributes:
        header: whether a line may name the columns; without one they are x0, x1, ...
        delimiter: between cells: a character, "tab" or "whitespace"; "" finds it out.
        skip: lines above the table.
        sheet: of a workbook; "" takes the only or the largest one.
    """

    header: bool = True
    delimiter: str = ""
    skip: int = 0
    sheet: str = ""


class Dialect(NamedTuple):
    """How a text file writes its table.

    Attributes:
        encoding: of its characters.
        delimiter: between cells; "whitespace" is one space or tab, or more.
        names: of the columns.
        headed: whether a line names them.
        skip: lines above the table.
        named_above: whether the line that names them is a comment, among those above.
        quote: around cells that hold delimiters.
        escape: before a quote inside quotes, or None where it is doubled.
        notes: what a user should know, in sentences.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    headed: bool
    skip: int
    quote: str
    escape: str | None
    notes: tuple[str, ...]
    named_above: bool = False


class _Split(NamedTuple):
    """A sample cut into cells in one way, and how well that fits."""

    rows: list[list[str]]
    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    score: float = -1.0


def find_dialect(name: str, sample: bytes, cut: bool, options: ReadingOptions) -> Dialect:
    """Find out how a text file writes its table, from its beginning.

    Args:
        name: of the file, for messages.
        sample: its first bytes.
        cut: whether there are more.
        options: of the user.

    Raises:
        ValueError: if it is empty, or no text; for a delimiter that is none.
    """
    delimiter = _known_delimiter(options.delimiter)
    encoding = _encoding(name, sample, cut)
    text = sample.decode(encoding, "replace")
    if cut:
        text = text[: text.rfind("\n") + 1] or text  # the last line may be half a one
    lines = list(io.StringIO(text, newline=""))
    skip = options.skip
    hint = _EXCEL_HINT.fullmatch(lines[skip]) if len(lines) > skip else None
    if hint:
        delimiter, skip = delimiter or hint[1], skip + 1
    above, heading = _lines_above(lines[skip:], delimiter)
    notes: tuple[str, ...] = ()
    if above:
        notes = (_skipped(name, lines[skip : skip + above], heading),)
    skip += above
    text = "".join(lines[skip:])
    if not text.strip():
        raise ValueError(f"{name} is empty{' below the lines skipped' if options.skip else ''}.")
    split = _split(text, delimiter)
    first, *rows = [heading, *split.rows] if heading else split.rows
    first = _widened([cell.strip() for cell in first], rows, _may_name_rows(text, split.delimiter))
    headed = options.header and not all_numbers(first, rows)
    names = unique_names(first) if headed else [f"x{k}" for k in range(len(first))]
    if len(names) == 1:  # blank lines are empty cells then, but not those above the heading
        skip += next(k for k, line in enumerate(lines[skip:]) if line.strip())
    if headed and looks_like_data(first, rows):
        notes += (no_heading(name, first),)
    if len(first) > len(heading or split.rows[0]) and first[0] == _ROW_NAMES:
        notes += (
            f"The lines of {name} have one cell more than the heading; the first is taken for the "
            "name of the row, as R writes it.",
        )
    return Dialect(
        encoding, split.delimiter, tuple(names), headed, skip, split.quote, split.escape, notes,
        bool(heading),
    )  # fmt: skip


def _lines_above(lines: list[str], delimiter: str) -> tuple[int, list[str]]:
    """Count the comments and titles above the table; the last comment may be its heading."""
    n = _comments(lines)
    if n == len(lines):
        return 0, []
    if n:
        split = _split("".join(lines[n:]), delimiter)
        last = next(line for line in reversed(lines[:n]) if line.strip()).strip().strip('"')
        cells = _cells(last.lstrip(_COMMENTS), split.delimiter, split.quote, split.escape)
        heading = [cell.strip() for cell in cells[0]] if cells else []
        if len(heading) == len(split.rows[0]) and all(heading):
            first, *rows = split.rows
            if all_numbers(first, rows) or looks_like_data(first, rows):
                return n, heading
            if not last.lstrip(_COMMENTS)[:1].isspace() and len(heading) > 1:
                return n, heading  # "#name,town" is no remark
    return n + _titles(lines[n:], delimiter), []


def _comments(lines: list[str]) -> int:
    """Count the lines up to the last comment before anything else."""
    n = 0
    for k, line in enumerate(lines):
        text = line.strip().lstrip('"')
        if text and text[0] not in _COMMENTS:
            break
        n = k + 1 if text else n
    return n


def _titles(lines: list[str], delimiter: str) -> int:
    """Count the lines of one cell above a table of many, whose heading stands above numbers."""
    n = 0
    for _ in range(_MAX_TITLES):
        title = n + next((k for k, line in enumerate(lines[n:]) if line.strip()), len(lines))
        below = title + 1
        while below < len(lines) and not lines[below].strip(_BLANK):
            below += 1
        if below >= len(lines):
            return 0
        first = _split("".join(lines[title:]), delimiter)
        if first.delimiter == "whitespace" or (first.score >= 2 and _n_filled(first.rows[0]) > 1):
            return 0
        split = _split("".join(lines[below:]), delimiter)
        cells = _cells(lines[title], split.delimiter, split.quote, split.escape)
        if split.delimiter == "whitespace" or not cells or _n_filled(cells[0]) != 1:
            return 0
        if _is_headed(split.rows):
            return below
        n = below
    return 0


def _n_filled(cells: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _is_headed(rows: list[list[str]]) -> bool:
    """Whether lines are a table for sure: all as long, under names, of which one is of numbers."""
    first, *rest = rows
    if len(first) < 2 or not rest or any(len(row) != len(first) for row in rest):
        return False
    return all(cell.strip() for cell in first) and any(
        of_numbers(rest, k) and not is_number_or_missing(first[k].strip())
        for k in range(len(first))
    )


def _skipped(name: str, above: list[str], heading: list[str]) -> str:
    first = shorten(next(line for line in above if line.strip()), 40)
    n = len(above)
    said = f"The first {n} lines of {name}" if n > 1 else f"The first line of {name}"
    if heading:
        return f"{said} ({first}): a comment names the columns, {', '.join(heading[:5])}."
    return f"{said} ({first}) {'are' if n > 1 else 'is'} above the table, and skipped."


def _known_delimiter(said: str) -> str:
    delimiter = _NAMED_DELIMITERS.get(said, said)
    if len(delimiter) > 1 and delimiter != "whitespace":
        raise ValueError(
            f"the delimiter is {said!r}; give one character such as ';', or tab or whitespace."
        )
    return delimiter


def _encoding(name: str, sample: bytes, cut: bool) -> str:
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if b"\0" in sample:
        raise ValueError(f"{name} holds binary data, not text; export it as CSV.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=not cut)
    except UnicodeDecodeError:
        return "cp1252" if is_western([sample]) else "utf-8"
    return "utf-8"


def is_western(parts: Any) -> bool:
    """Whether bytes that are not all UTF-8 are rather Windows-1252, what spreadsheets write.

    >>> is_western([b"J\\xf6rg"]), is_western(["Jörg, Zoë".encode() + b"\\xff"])
    (True, False)
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = right = 0
    for part in parts:
        text = decoder.decode(part)
        broken += text.count("\ufffd")
        right += sum(not char.isascii() for char in text) if not text.isascii() else 0
    return broken > right - broken


def _split(text: str, delimiter: str) -> _Split:
    """Cut the text into cells in the way that makes the most lines as long as the first."""
    quotes: list[tuple[str, str | None]] = [('"', None)]
    if '"' not in text and re.search(r"(^|[,;\t|])'[^'\n]*'([,;\t|]|$)", text, re.MULTILINE):
        quotes.append(("'", None))
    if '\\"' in text:
        quotes.append(('"', "\\"))
    lines = text.strip().splitlines()[:_SAMPLE_LINES]
    best = _Split([[line] for line in lines])
    for sign, (quote, escape) in product((delimiter,) if delimiter else _DELIMITERS, quotes):
        rows = _cells(text, sign, quote, escape)
        if not rows:
            continue
        score = _score(rows, _may_name_rows(text, sign)) + (
            1e-2 if quote == "'" and not _hold(rows, "'") else 0.0
        )
        if score > best.score:
            best = _Split(rows, sign, quote, escape, score)
    if not delimiter and (best.score < 2 or _hold_rows(best.rows)):  # not all lines agree
        rows = _cells(text, "whitespace", best.quote, None)
        if _is_spaced(rows):
            return best._replace(rows=rows, delimiter="whitespace")
    return best


def _cells(text: str, delimiter: str, quote: str, escape: str | None) -> list[list[str]]:
    """Cut the first lines into cells; none if they cannot be cut so."""
    if delimiter == "whitespace":
        lines: Any = (" ".join(line.split()) for line in text.splitlines())
        delimiter = " "
    else:
        lines = io.StringIO(text, newline="")
    reader = csv.reader(
        lines, delimiter=delimiter, quotechar=quote, escapechar=escape, skipinitialspace=True
    )
    try:
        with _long_cells():
            return [row for row in islice(reader, _SAMPLE_LINES) if row]
    except csv.Error:
        return []


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let Python's csv read cells of any length."""
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _hold(rows: list[list[str]], quote: str) -> bool:
    """Whether cells begin and end with a quote sign, as those cut with another one do."""
    return any(cell.startswith(quote) and cell.endswith(quote) for row in rows for cell in row)


def _may_name_rows(text: str, delimiter: str) -> bool:
    """Whether R may have written it, which quotes the heading or separates by spaces."""
    return delimiter == "whitespace" or text.lstrip().startswith('"')


def _widened(first: list[str], rows: list[list[str]], may_name_rows: bool) -> list[str]:
    """Name a column that the heading leaves out: behind a last delimiter, or R's row names."""
    if not rows or any(len(row) != len(first) + 1 for row in rows):
        return first
    if not any(row[-1].strip() for row in rows):
        return [*first, ""]
    distinct = len({row[0] for row in rows}) == len(rows)
    return [_ROW_NAMES, *first] if may_name_rows and distinct else first


def _score(rows: list[list[str]], may_name_rows: bool) -> float:
    """How well lines agree with the first; longer ones cannot be, shorter ones end early."""
    width = len(_widened(rows[0], rows[1:], may_name_rows))
    lengths = np.array([width, *map(len, rows[1:])])
    fits = np.where(lengths == width, 1.0, np.where(lengths > width, 0.0, _SHORT))
    fits[(lengths == 1) & (width > 1)] = _SINGLE if (lengths[1:] == width).any() else 0.0
    fits[0] = _WIDENED if width > len(rows[0]) else 1.0
    return float(fits.mean()) * min(width, 2) + 1e-3 * min(width, 100)


def _is_spaced(rows: list[list[str]]) -> bool:
    """Whether spaces separate: all lines are as long, and a column holds numbers."""
    if len(rows) < 2:
        return False
    width = len(_widened(rows[0], rows[1:], True))
    even = all(len(row) == width for row in rows[1:])
    return even and width > 1 and any(of_numbers(rows[1:], k) for k in range(width))


def _hold_rows(rows: list[list[str]]) -> bool:
    """Whether the cells of a column are rows of numbers themselves, as of a tab before a name."""
    width = min(map(len, rows[1:]), default=0)
    columns = ([row[place].split() for row in rows[1:]] for place in range(width))
    return any(
        all(len(parts) > 2 and all(map(is_number_or_missing, parts)) for parts in column)
        for column in columns
        if column
    )
