"""What the encoding of a table computes, so that each export writes it without knowing encoders.

Every column is read in one way (as the place of a word, as a number, with a unit or without, as
days, as a text), and what was read becomes numbers in a few ways. A new encoder is one function
here; a new way of reading, or of making numbers, is one entry in each of numpy_table.py, c_table.py
and onnx_table.py; numpy alone reads texts.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables.categories import truth_places
from jaxmlp.data.tables.encoders import BOUND, CYCLES
from jaxmlp.data.tables.inference import BOOLEANS, TRUTHS
from jaxmlp.data.tables.texts import TextEncoder
from jaxmlp.data.tables.values import as_whole, import_pandas, parse_numbers

LIMIT = 1e6
"""No input of the network is beyond +-LIMIT."""

AS241 = {
    "A": (3.3871327179, 50.434271938, 159.29113202, 59.109374720),
    "B": (1.0, 17.895169469, 78.757757664, 67.187563600),
    "C": (1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103),
    "D": (1.0, 0.73700164250, 0.12021132975),
}
"""Coefficients of the normal quantile to 7 digits, those of the lowest power first: A/B of
0.425^2 - q^2 times q = p - 1/2 up to |q| = 0.425; then C/D of sqrt(-log(min(p, 1 - p))) - 1.6.

Reference: Wichura, 1988, Algorithm AS 241, Applied Statistics 37 (3), PPND7.
"""

_NO_LEVEL = "\0"  # a word that no table has


class Places(NamedTuple):
    """A word's place: k of words[k]; len(words) of another word, and one more of no word.

    Attributes:
        words: as they are spelled; in lower case if `folded`.
        numbers: of each word, by which "1.0" is found as "1"; NaN where spelling alone counts.
        folded: whether upper and lower case are the same.
    """

    words: tuple[str, ...]
    numbers: tuple[float, ...]
    folded: bool

    @property
    def by_number(self) -> dict[float, int]:
        """Place of each number."""
        return {number: k for k, number in enumerate(self.numbers) if number == number}


class Numbers(NamedTuple):
    """A number whose decimal sign is `style`; NaN of a cell that is none."""

    style: str


class Amounts(NamedTuple):
    """A number in `unit` or in none, whose decimal sign is `style`; NaN of another unit."""

    style: str
    unit: str


class Days(NamedTuple):
    """Days since 1970-01-01 of a date in this order of day, month and year; NaN of none."""

    order: str


class Texts(NamedTuple):
    """A text as it stands; None of a cell that says nothing."""


class TableRow(NamedTuple):
    """A place -> table[place], of shape (places, features)."""

    table: np.ndarray

    @property
    def width(self) -> int:
        """Numbers that it makes."""
        return int(self.table.shape[1])

    @property
    def columns_of_ones(self) -> list[int] | None:
        """Where each row has its only 1 (-1: nowhere), or None if the table is no one-hot."""
        if self.width == 1 or not np.array_equal(self.table, self.table != 0):
            return None
        if (self.table.sum(axis=1) > 1).any():
            return None
        return [int(row.argmax()) if row.any() else -1 for row in self.table]


class Scaled(NamedTuple):
    """z = (v - center) / scale, then z / sqrt(1 + (z/bound)^2) if there is a bound; 0 of NaN."""

    center: float
    scale: float
    bound: float | None
    width: int = 1


class Rank(NamedTuple):
    """The normal quantile of v's rank among the training data; 0 of NaN.

    rank = (line[n(knots <= v)](v) + line[n(knots < v)](v)) / 2,  line[k](v) = base[k] + slope[k] (v
    - start[k]), within 1e-7 of 0 and 1.
    """

    knots: np.ndarray
    base: np.ndarray
    start: np.ndarray
    slope: np.ndarray
    width: int = 1


class Cycle(NamedTuple):
    """sin and cos of 2 pi (v + shift) / period; 0 of NaN."""

    shift: float
    period: float
    width: int = 2


class Absent(NamedTuple):
    """1 of NaN, else 0."""

    width: int = 1


class Projection(NamedTuple):
    """A text -> z = w V - center, smoothly clipped, then 1 if there is no text.

    w are the weights of its groups of letters, as `TextEncoder` has them.
    """

    terms: tuple[str, ...]
    idf: np.ndarray
    components: np.ndarray
    centers: np.ndarray

    @property
    def width(self) -> int:
        """Numbers that it makes."""
        return len(self.centers) + 1


Reading: TypeAlias = Places | Numbers | Amounts | Days | Texts
Part: TypeAlias = TableRow | Scaled | Rank | Cycle | Absent | Projection


class PlannedColumn(NamedTuple):
    """How a column is read, and the numbers that are made of it, side by side."""

    name: str
    reading: Reading
    parts: tuple[Part, ...]

    @property
    def width(self) -> int:
        """Numbers that it makes."""
        return sum(part.width for part in self.parts)


class TablePlan(NamedTuple):
    """From the cells of a row to the network's inputs: the columns' numbers, within +-LIMIT.

    Attributes:
        names: columns of the training table, those that are not used included.
        columns: those that are used, in the order of the inputs.
        missing: words that say nothing in this table, besides the usual ones.
    """

    names: tuple[str, ...]
    columns: tuple[PlannedColumn, ...]
    missing: Places


def table_plan(preprocessing: TablePreprocessor) -> TablePlan:
    """Describe a fitted preprocessing by what it computes.

    Args:
        preprocessing: of a table.

    Returns:
        The plan.

    Raises:
        ValueError: for an encoder that no export knows, with its column.

    Example:
        >>> fitted = TablePreprocessor.fit({"age": [31, 42, None, 23], "town": list("ABAC")})
        >>> for column in table_plan(fitted).columns:
        ...     print(column.name, type(column.reading).__name__, column.width)
        age Numbers 2
        town Places 3
    """
    columns = tuple(map(_column, preprocessing.encoders))
    missing = tuple(word.lower() for word in preprocessing.missing)
    return TablePlan(preprocessing.names, columns, _levels(missing, folded=True))


def refuse_texts(table: TablePlan, export: str) -> None:
    """Raise where a column holds texts, for an export that cannot take these apart.

    >>> table = TablePlan((), (PlannedColumn("note", Texts(), ()),), Places((), (), False))
    >>> refuse_texts(table, "C")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: column 'note' holds texts, which the export to C cannot read; export to numpy, ...
    """
    for column in table.columns:
        if isinstance(column.reading, Texts):
            raise ValueError(
                f"column {column.name!r} holds texts, which the export to {export} cannot read; "
                "export to numpy, pass --network-only, or train without it (--drop)."
            )


def _column(encoder: Any) -> PlannedColumn:
    """Describe an encoder, unless it does more than is known here."""
    if encoder.kind == "features":
        raise ValueError(
            f"column {encoder.name!r} goes through a backbone, which no export can write; pass "
            "--network-only, or train without it (--drop)."
        )
    known = _DESCRIBED.get(encoder.kind)
    column = None if known is None else PlannedColumn(encoder.name, *known(encoder))
    if column is None or column.width != len(encoder.feature_names):
        raise ValueError(
            f"column {encoder.name!r} is encoded as {encoder.kind}, in a way that no export can "
            "write yet; pass --network-only, or train without it (--drop)."
        )
    return column


def _levels(words: tuple[str, ...], folded: bool = False) -> Places:
    """Words that are found by their spelling, else as the same number if only one has it."""
    numbers = parse_numbers(tuple(as_whole(word) for word in words), ".").tolist()
    return Places(words, tuple(v if numbers.count(v) == 1 else np.nan for v in numbers), folded)


def _table_of(encoder: Any, words: tuple[str, ...]) -> TableRow:
    """Ask the encoder for its numbers of each word, of another and of none."""
    cells = import_pandas().Series([*words, _NO_LEVEL, None], dtype=object)
    return TableRow(np.asarray(encoder.encode(cells), np.float64))


def _category(encoder: Any) -> tuple[Reading, tuple[Part, ...]]:
    words = (*encoder.levels, *truth_places(encoder.levels))
    return _levels(words), (_table_of(encoder, words),)


def _boolean(encoder: Any) -> tuple[Reading, tuple[Part, ...]]:
    words = tuple(TRUTHS) if encoder.levels in BOOLEANS else encoder.levels
    return _levels(words, folded=True), (_table_of(encoder, words),)


def _text(encoder: Any) -> tuple[Reading, tuple[Part, ...]]:
    if not isinstance(encoder, TextEncoder):  # only whether there is a text
        return Places((), (), folded=False), (_table_of(encoder, ()),)
    components = np.reshape(encoder.components, (len(encoder.terms), -1))
    kept = (np.asarray(a) for a in (encoder.idf, components, encoder.centers))
    return Texts(), (Projection(encoder.terms, *kept),)


def _number(encoder: Any) -> tuple[Reading, tuple[Part, ...]]:
    part: Part
    if encoder.scaling == "quantile":
        part = _rank(np.asarray(encoder.quantiles))
    else:
        bound = BOUND if encoder.scaling == "robust" else None
        part = Scaled(encoder.center, encoder.scale, bound)
    reading = Amounts(encoder.style, encoder.unit) if encoder.unit else Numbers(encoder.style)
    return reading, (part, *[Absent()] * encoder.may_miss)


def _rank(quantiles: np.ndarray) -> Rank:
    """Lines between the different quantiles; equal ones are a step."""
    if len(quantiles) < 2:  # no rank: the middle
        return Rank(np.empty(0), np.array([0.5]), np.zeros(1), np.zeros(1))
    knots, first, counts = np.unique(quantiles, return_index=True, return_counts=True)
    grid = np.linspace(0, 1, len(quantiles))
    low, high = grid[first], grid[first + counts - 1]
    slope = np.concatenate([[0.0], (low[1:] - high[:-1]) / np.diff(knots), [0.0]])
    start = np.concatenate([knots[:1], knots])
    return Rank(knots, np.concatenate([[0.0], high[:-1], [1.0]]), start, slope)


def _date(encoder: Any) -> tuple[Reading, tuple[Part, ...]]:
    cycles = (Cycle(*CYCLES[name]) for name in encoder.cycles)
    scaled = Scaled(encoder.center, encoder.scale, BOUND)
    return Days(encoder.style), (scaled, *cycles, *[Absent()] * encoder.may_miss)


_DESCRIBED: dict[str, Callable[[Any], tuple[Reading, tuple[Part, ...]]]] = {
    "number": _number,
    "category": _category,
    "level": _category,
    "boolean": _boolean,
    "date": _date,
    "text": _text,
}
"""kind of an encoder -> its reading and parts."""
