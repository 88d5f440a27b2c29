"""The encoding of a table in an ONNX graph: one input a column, and ordinary operations.

ONNX has no reading of text: a number (in its column's unit) or a date comes in as a number, and a
word is looked up as it is, among all the ways in which upper and lower case, or 1.0 for 1, may
spell it.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxmlp.data.tables.values import MISSING_WORDS
from jaxmlp.interchange import cells
from jaxmlp.interchange.table_plan import (
    AS241,
    LIMIT,
    Absent,
    Amounts,
    Cycle,
    Days,
    Numbers,
    Part,
    Places,
    Rank,
    Reading,
    Scaled,
    TablePlan,
    TableRow,
    refuse_texts,
)

if TYPE_CHECKING:
    from jaxmlp.interchange.example_rows import Cells
    from jaxmlp.interchange.export_plan import Plan
    from jaxmlp.interchange.onnx_graph import Graph

ML_OPSET = ("ai.onnx.ml", 3)  # of 2022, as the other opset
_OUTPUTS = ("logits", "predictions", "label")
_ALL_CASES = 8  # letters of a word of which every spelling in upper and lower case is listed
_HUGE = 1e9  # squares of what is beyond would overflow, and the smooth clip has long saturated


class _Read(NamedTuple):
    """What was read, (batch,): places, int64; or float64 with a filler where `gone` is true."""

    value: str
    gone: str


def add_table(g: "Graph", table: TablePlan) -> tuple[str, list[tuple[str, int]], dict[str, str]]:
    """Add the encoding of a table to a graph.

    Args:
        g: the graph.
        table: the plan of the encoding.

    Returns:
        The name of the encoded rows, (batch, features), float32; the inputs' names with their
        types; and what each input is, in words.

    Raises:
        ValueError: for a column of texts.
    """
    refuse_texts(table, "ONNX")
    inputs, meanings, blocks = list[tuple[str, int]](), dict[str, str](), list[str]()
    for name, column in zip(input_names(table), table.columns, strict=True):
        read, kind, meaning = _READINGS[type(column.reading)](g, table, column.reading, name)
        inputs.append((name, kind))
        meanings[name] = meaning
        blocks += [_PARTS[type(part)](g, part, read) for part in column.parts]
    x = g("Concat", *blocks, axis=1)
    return x, inputs, meanings


def input_names(table: TablePlan) -> list[str]:
    """Name of each column's input: its own, or with _ behind it if an output is called so.

    >>> from jaxmlp.interchange.table_plan import PlannedColumn
    >>> columns = (PlannedColumn(name, Numbers("."), ()) for name in ("age", "label", "label_"))
    >>> input_names(TablePlan((), tuple(columns), Places((), (), False)))
    ['age', 'label__', 'label_']
    """
    names = [column.name for column in table.columns]
    for k, name in enumerate(names):
        while name in _OUTPUTS or (name != names[k] and name in names):
            name += "_"
        names[k] = name
    return names


def onnx_inputs(plan: "Plan", x: "np.ndarray | Cells") -> dict[str, np.ndarray]:
    """What a graph is fed with for raw features, or for the cells of a table.

    Args:
        plan: of the model.
        x: features, (rows, n_in); or name -> cells, each text, a number or None.

    Returns:
        An array for each input: numbers and dates are read, words have no white space around them.
    """
    if plan.table is None or not isinstance(x, dict):
        return {"x": np.asarray(x)}
    named = zip(input_names(plan.table), plan.table.columns, strict=True)
    return {name: _fed(column.reading, x[column.name]) for name, column in named}


def _fed(reading: Reading, column: list[str | float | None]) -> np.ndarray:
    if isinstance(reading, Numbers):
        return cells.read_numbers(column, {}, reading.style)
    if isinstance(reading, Amounts):
        return cells.read_amounts(column, {}, reading.style, reading.unit)
    if isinstance(reading, Days):
        return cells.read_days(column, {}, reading.order)
    return np.array([cells.read_word(cell, {}) or "" for cell in column], object)


def _wide(g: "Graph", value: float | np.ndarray) -> str:
    """A constant in float64."""
    array = np.asarray(value, np.float64)
    shown = repr(value) if array.ndim == 0 else f"{len(g.constants)}"
    return g.constant(f"double_{shown}", array)


def _axis(g: "Graph") -> str:
    return g.constant("axis_1", np.array([1], np.int64))


def _column_of(g: "Graph", value: str) -> str:
    """(batch,) float64 -> (batch, 1) float32, within +-LIMIT."""
    limited = g("Min", g("Max", value, _wide(g, -LIMIT)), _wide(g, LIMIT))
    return g("Unsqueeze", g("Cast", limited, to=g.types.FLOAT), _axis(g))


def _read_place(g: "Graph", table: TablePlan, reading: Places, name: str) -> tuple[_Read, int, str]:
    n = len(reading.words)
    spelled = _spellings(reading)
    gone = [*_spellings(table.missing), *(s for word in MISSING_WORDS for s in _cases(word))]
    spelled |= dict.fromkeys(gone, n + 1)
    places = g(
        "LabelEncoder",
        name,
        domain=ML_OPSET[0],
        keys_strings=list(spelled),
        values_int64s=list(spelled.values()),
        default_int64=n,
    )
    return _Read(places, ""), g.types.STRING, 'text, "" if missing'


def _read_number(
    g: "Graph", table: TablePlan, reading: Numbers | Amounts, name: str
) -> tuple[_Read, int, str]:
    gone = g("IsNaN", g("Sub", name, name))  # of infinity too
    for number in table.missing.by_number:
        gone = g("Or", gone, g("Equal", name, _wide(g, number)))
    unit = f" in {reading.unit}" if isinstance(reading, Amounts) else ""
    return _filled(g, name, gone), g.types.DOUBLE, f"number{unit}, NaN if missing"


def _read_days(g: "Graph", table: TablePlan, reading: Days, name: str) -> tuple[_Read, int, str]:
    gone = g("IsNaN", g("Sub", name, name))
    meaning = "date: days since 1970-01-01 (UTC), the time of day as a fraction; NaN if missing"
    return _filled(g, name, gone), g.types.DOUBLE, meaning


def _filled(g: "Graph", name: str, gone: str) -> _Read:
    return _Read(g("Where", gone, _wide(g, 0.0), name), gone)


_READINGS: dict[type[Reading], Callable[..., tuple[_Read, int, str]]] = {
    Places: _read_place,
    Numbers: _read_number,
    Amounts: _read_number,
    Days: _read_days,
}
"""(graph, plan, reading, input) -> what was read, the input's type, and what it is in words."""


def _spellings(reading: Places) -> dict[str, int]:
    """The ways to spell each word, with its place.

    >>> _spellings(Places(("1", "b"), (1.0, math.nan), folded=False))
    {'1': 0, 'b': 1, '+1': 0, '1.0': 0, '+1.0': 0, '1.00': 0, '+1.00': 0, '1,0': 0, '+1,0': 0}
    """
    places = {word: k for k, word in enumerate(reading.words)}
    for k, (word, number) in enumerate(zip(reading.words, reading.numbers, strict=True)):
        for other in (*_as_number(number), *(_cases(word) if reading.folded else ())):
            places.setdefault(other, k)
    return places


def _as_number(number: float) -> Iterable[str]:
    if math.isnan(number):
        return
    whole = number.is_integer()
    plain = str(int(number)) if whole else repr(number)
    for text in (plain, *((f"{plain}.0", f"{plain}.00", f"{plain},0") if whole else [plain + "0"])):
        yield text
        if number >= 0:
            yield f"+{text}"


def _cases(word: str) -> Iterable[str]:
    """A word in upper and lower case, letter by letter if it is not long.

    >>> sorted(_cases("No")), len(set(_cases("incredibly")))
    (['NO', 'No', 'nO', 'no'], 3)
    """
    letters = sum(letter.lower() != letter.upper() for letter in word)
    if letters > _ALL_CASES:
        return [word.lower(), word.upper(), word.capitalize(), word.title()]
    pairs = (dict.fromkeys((letter.lower(), letter.upper())) for letter in word)
    return ["".join(letters) for letters in itertools.product(*pairs)]


def _table_row(g: "Graph", part: TableRow, read: _Read) -> str:
    table = g.constant(f"table_{len(g.constants)}", part.table.astype(np.float32))
    return g("Gather", table, read.value, axis=0)


def _scaled(g: "Graph", part: Scaled, read: _Read) -> str:
    z = g("Div", g("Sub", read.value, _wide(g, part.center)), _wide(g, part.scale))
    if part.bound is not None:
        z = g("Min", g("Max", z, _wide(g, -_HUGE)), _wide(g, _HUGE))
        share = g("Div", z, _wide(g, part.bound))
        root = g("Sqrt", g("Add", g("Mul", share, share), _wide(g, 1.0)))
        z = g("Div", z, root)
    return _column_of(g, _known(g, z, read))


def _known(g: "Graph", value: str, read: _Read) -> str:
    """The value, or 0 where nothing was said."""
    return g("Where", read.gone, _wide(g, 0.0), value)


def _rank(g: "Graph", part: Rank, read: _Read) -> str:
    if not len(part.knots):
        return _column_of(g, g("Sub", read.value, read.value))
    column = g("Unsqueeze", read.value, _axis(g))
    knots = _wide(g, part.knots[None])
    shares = []
    for compare in ("LessOrEqual", "Less"):
        below = g("Cast", g(compare, knots, column), to=g.types.INT64)
        k = g("ReduceSum", below, _axis(g), keepdims=0)
        base, start, slope = (
            g("Gather", _wide(g, table), k) for table in (part.base, part.start, part.slope)
        )
        shares.append(g("Add", base, g("Mul", slope, g("Sub", read.value, start))))
    share = g("Div", g("Add", *shares), _wide(g, 2.0))
    share = g("Min", g("Max", share, _wide(g, 1e-7)), _wide(g, 1 - 1e-7))
    return _column_of(g, _known(g, _normal_quantile(g, share), read))


def _normal_quantile(g: "Graph", p: str) -> str:
    """AS 241 (Wichura, 1988); both branches are computed, and the right one is taken."""
    q = g("Sub", p, _wide(g, 0.5))
    r = g("Sub", _wide(g, 0.180625), g("Mul", q, q))
    middle = g("Mul", q, g("Div", _polynomial(g, "A", r), _polynomial(g, "B", r)))
    tail = g("Min", p, g("Sub", _wide(g, 1.0), p))
    r = g("Sub", g("Sqrt", g("Neg", g("Log", tail))), _wide(g, 1.6))
    outer = g("Mul", g("Sign", q), g("Div", _polynomial(g, "C", r), _polynomial(g, "D", r)))
    return g("Where", g("LessOrEqual", g("Abs", q), _wide(g, 0.425)), middle, outer)


def _polynomial(g: "Graph", coefficients: str, r: str) -> str:
    *lower, value = (_wide(g, number) for number in AS241[coefficients])
    for number in reversed(lower):
        value = g("Add", g("Mul", value, r), number)
    return value


def _cycle(g: "Graph", part: Cycle, read: _Read) -> str:
    turns = g("Div", g("Add", read.value, _wide(g, part.shift)), _wide(g, part.period))
    angle = g("Mul", g("Sub", turns, g("Floor", turns)), _wide(g, 2 * math.pi))
    angle = g("Cast", angle, to=g.types.FLOAT)  # below one turn: precise enough
    zero = g.constant("float_0", np.array(0, np.float32))
    waves = (g("Where", read.gone, zero, g(wave, angle)) for wave in ("Sin", "Cos"))
    return g("Concat", *(g("Unsqueeze", wave, _axis(g)) for wave in waves), axis=1)


def _absent(g: "Graph", part: Absent, read: _Read) -> str:
    return g("Unsqueeze", g("Cast", read.gone, to=g.types.FLOAT), _axis(g))


_PARTS: dict[type[Part], Callable[["Graph", Any, _Read], str]] = {
    TableRow: _table_row,
    Scaled: _scaled,
    Rank: _rank,
    Cycle: _cycle,
    Absent: _absent,
}
"""(graph, part, what was read) -> its numbers, (batch, width), float32."""
