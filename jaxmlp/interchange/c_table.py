"""The encoding of a table in the C header: a struct of cells, and a function that encodes it."""

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.tables.values import MISSING_WORDS, shorten
from jaxmlp.interchange import c_cells, c_dates, c_numbers
from jaxmlp.interchange.c_text import c_double, c_string, c_table, identifiers, in_comment
from jaxmlp.interchange.cells import read_amounts
from jaxmlp.interchange.example_rows import Cells
from jaxmlp.interchange.table_plan import (
    AS241,
    Absent,
    Amounts,
    Cycle,
    Days,
    Numbers,
    Part,
    Places,
    PlannedColumn,
    Rank,
    Reading,
    Scaled,
    TablePlan,
    TableRow,
    refuse_texts,
)

_FUNCTIONS = {
    "same": ((), c_cells.SAME),
    "space": ((), c_cells.SPACE),
    "trim": (("space",), c_cells.TRIM),
    "parse": ((), c_numbers.PARSE),
    "numbered": (("parse",), c_numbers.NUMBERED),
    "filled": (("trim", "same"), c_cells.FILLED),
    "place": (("filled",), c_cells.PLACE),
    "tidy": ((), c_numbers.TIDY),
    "given": (("tidy",), c_numbers.GIVEN),
    "number": (("filled", "parse", "tidy"), c_numbers.NUMBER),
    "days": (("filled",), c_dates.DAYS),
    "scaled": ((), c_numbers.SCALED),
    "rank": ((), c_numbers.RANK),
    "cycle": ((), c_numbers.CYCLE),
}
"""Each function with those it calls, in the order in which they are written."""

_ROW = """
/* A row of the table, each cell as it is. A text is UTF-8; a null pointer, or one of the words for
 * it, such as "", says that the cell is missing; of a number, NAN does. */
typedef struct {{
{fields}
}} {name}_row;

/* The inputs of the network for a row, in x[{NAME}_INPUTS]. */
static inline void {name}_encode(const {name}_row *row, float *x)
{{
{declared}{code}}}

/* What the network says of a row: {what}, in y[{NAME}_OUTPUTS]. */
static inline void {name}_predict_row(const {name}_row *row, float *y)
{{
    float x[{NAME}_INPUTS];
    {name}_encode(row, x);
    {name}_predict(x, y);
}}
"""
_LABEL_ROW = """
/* The index of the most probable class of a row. */
static inline int {name}_label_row(const {name}_row *row)
{{
    float x[{NAME}_INPUTS];
    {name}_encode(row, x);
    return {name}_label(x);
}}
"""
_ORDERS = {"y": "year", "m": "month", "d": "day"}


class RowsCode(NamedTuple):
    """What a header says of the rows that it takes.

    Attributes:
        usage: lines of the heading.
        code: constants, functions and the struct of a table's rows.
        check: the rows of the header's own check.
        check_call: computes the logits of one of them.
        n_bytes: of the constants.
    """

    usage: str
    code: str
    check: str
    check_call: str
    n_bytes: int


class _Writer:
    """The code of one table while it grows; what stands in `needed` is written out."""

    def __init__(self, table: TablePlan, name: str) -> None:
        """Start empty."""
        self.table, self.name = table, name
        self.constants, self.lines, self.n_bytes = "", list[str](), 0
        self.needed: set[str] = set()

    def call(self, function: str, *arguments: str) -> str:
        """Write a call of a function."""
        self.needed.add(function)
        return f"{self.name}_{function}({', '.join(arguments)})"

    def array(self, part: str, values: np.ndarray, kind: str = "double") -> str:
        """Add a constant; return its name."""
        if not values.size:
            return "0"
        name = f"{self.name}_{part}"
        self.constants += c_table(name, values, kind)
        self.n_bytes += values.size * {"double": 8, "float": 4, "short": 2}[kind]
        return name

    def words(self, part: str, words: Sequence[str]) -> str:
        """Add an array of texts; return its name."""
        if not words:
            return "0"
        name = f"{self.name}_{part}"
        texts = ",\n".join(f"    {c_string(word)}" for word in words)
        self.constants += f"static const char *const {name}[{len(words)}] = {{\n{texts}\n}};\n"
        self.n_bytes += sum(len(word.encode()) + 1 for word in words)
        return name

    def functions(self) -> str:
        """Source of all that is needed, and of what that needs."""
        numbered = bool(self.table.missing.by_number) and "filled" in self._all_needed()
        self.needed |= {"numbered"} if numbered or self._by_number() else set()
        needed = self._all_needed()
        source = "".join(text for key, (_, text) in _FUNCTIONS.items() if key in needed)
        for key, text in self._replaced().items():
            source = source.replace(key, text)
        return source.replace("PREFIX", self.name)

    def _all_needed(self) -> set[str]:
        needed = set(self.needed)
        while True:
            more = {called for key in needed for called in _FUNCTIONS[key][0]} - needed
            if not more:
                return needed
            needed |= more

    def _by_number(self) -> bool:
        readings = (column.reading for column in self.table.columns)
        return any(isinstance(r, Places) and r.by_number for r in readings)

    def _replaced(self) -> dict[str, str]:
        """What the functions say of this table."""
        missing = self.table.missing
        words = sorted(MISSING_WORDS | set(missing.words))
        numbers = sorted(missing.by_number)
        listed = ", ".join(c_double(number) for number in numbers)
        also_texts = (
            f"    {{\n        static const double numbers[{len(numbers)}] = {{{listed}}};\n"
            f"        if (PREFIX_numbered(cell, *n, numbers, {len(numbers)}) < {len(numbers)}) {{\n"
            "            return 0;\n        }\n    }\n"
        )
        also_numbers = " || ".join(f"v == {c_double(number)}" for number in numbers)
        by_number = (
            "    if (k == n_words && numbers) {\n"
            "        k = PREFIX_numbered(s, n, numbers, n_words);\n    }\n"
        )
        folds = self._folds()
        replaced = {
            "FOLDS": c_cells.FOLDS if folds else "",
            "N_FOLDS": str(len(folds)),
            "N_MISSING": str(len(words)),
            "MISSING": ", ".join(c_string(word) for word in words),
            "ALSO_TEXTS": also_texts if numbers else "",
            "ALSO_NUMBERS": f"    if ({also_numbers}) {{\n        return NAN;\n    }}\n"
            if numbers
            else "",
            "BY_NUMBER": by_number if self._by_number() else "    (void)numbers;\n",
        }
        coefficients = {f"{k}{i}": c_double(v) for k, vs in AS241.items() for i, v in enumerate(vs)}
        return {f"@{key}@": text for key, text in {**replaced, **coefficients}.items()}

    def _folds(self) -> list[tuple[str, str]]:
        """Letters beyond ASCII in words that are compared without case: as they are, and lower."""
        readings = [self.table.missing, *(column.reading for column in self.table.columns)]
        words = "".join(
            word for r in readings if isinstance(r, Places) and r.folded for word in r.words
        )
        letters = {letter for letter in words if not letter.isascii()}
        if not letters:
            return []
        return [
            (letter, letter.lower())
            for letter in map(chr, range(0x80, sys.maxunicode + 1))
            if letter.lower() in letters and letter.lower() != letter
        ]

    def fold_constants(self) -> str:
        """The array of these letters."""
        folds = self._folds()
        if not folds:
            return ""
        pairs = ",\n".join(f"    {{{c_string(a)}, {c_string(b)}}}" for a, b in folds)
        head = f"static const char *const {self.name}_folds[{len(folds)}][2]"
        return f"{head} = {{\n{pairs}\n}};\n"


def table_code(table: TablePlan, name: str, what: str, cells: Cells, labels: bool) -> RowsCode:
    """Write the encoding of a table in C.

    Args:
        table: the plan of its encoding.
        name: prefix of everything.
        what: what the network says, in words.
        cells: of the rows of the header's own check.
        labels: whether there is a function that names classes.

    Returns:
        Its code.

    Raises:
        ValueError: for a column of texts.
    """
    refuse_texts(table, "C")
    writer, offset = _Writer(table, name), 0
    names = identifiers([column.name for column in table.columns])
    fields = []
    for k, (column, field) in enumerate(zip(table.columns, names, strict=True)):
        variable, kind, value, says = _READINGS[type(column.reading)](
            writer, column.reading, k, f"row->{field}"
        )
        fields.append(f"    {kind}{field};  /* {in_comment(f'{column.name}: {says}')} */")
        writer.lines.append(f"{variable} = {value};  /* {in_comment(column.name)} */")
        for p, part in enumerate(column.parts):
            writer.lines += _PARTS[type(part)](writer, part, f"{k}_{p}" if p else f"{k}", offset)
            offset += part.width
    if any(isinstance(column.reading, Numbers | Amounts) for column in table.columns):
        writer.needed.add("number")  # for cells that are text
    body = "".join(f"    {line}\n" for line in writer.lines)
    code = _ROW + (_LABEL_ROW if labels else "")
    variables = (("int k;", r"\bk = "), ("double v;", r"\bv = "))
    said = {"name": name, "NAME": name.upper(), "what": what}
    written = code.format(
        **said,
        fields="\n".join(fields),
        declared="".join(f"    {line}\n" for line, use in variables if re.search(use, body)),
        code=body,
    )
    functions = writer.functions()
    return RowsCode(
        _usage(table, names, name, what, labels),
        writer.fold_constants() + functions + "\n" + writer.constants + written,
        _rows(table, cells, name),
        f"        float x[{name.upper()}_INPUTS];\n"
        f"        {name}_encode(&{name}_check_rows[row], x);\n        {name}_logits(x, y);\n",
        writer.n_bytes,
    )


def _usage(table: TablePlan, names: list[str], name: str, what: str, labels: bool) -> str:
    first = "NAN" if _is_double(table.columns[0]) else '"..."'
    lines = [
        f"{name}_row row;",
        f"row.{names[0]} = {first};  // and so on: every field",
        f"float y[{name.upper()}_OUTPUTS];",
        f"{name}_predict_row(&row, y);  // y: {what}",
        *[f"puts({name}_class({name}_label_row(&row)));"] * labels,
    ]
    if any(map(_is_double, table.columns)):
        lines.append(f"// a number that is text: {name}_number(\"1,200\", '.')")
    return "".join(f" *     {line}\n" for line in lines)


def _is_double(column: PlannedColumn) -> bool:
    reading = column.reading
    return isinstance(reading, Amounts) or (isinstance(reading, Numbers) and reading.style == ".")


def _rows(table: TablePlan, cells: Cells, name: str) -> str:
    """The rows of the check as values of the struct."""
    given = (_given(column, cells[column.name]) for column in table.columns)
    rows = zip(*given, strict=True)
    texts = [", ".join(map(_cell, row, map(_is_double, table.columns))) for row in rows]
    body = ",\n".join(f"    {{{text}}}" for text in texts)
    return f"static const {name}_row {name}_check_rows[{len(texts)}] = {{\n{body}\n}};\n"


def _given(column: PlannedColumn, cells: list[str | float | None]) -> Sequence[str | float | None]:
    """What the fields of a column take: where it has a unit, numbers in that."""
    if not isinstance(column.reading, Amounts):
        return cells
    numbers: list[float] = read_amounts(cells, {}, *column.reading).tolist()
    return numbers


def _cell(cell: str | float | None, double: bool) -> str:
    if double:
        return c_double(math.nan if cell is None else float(cell))
    return "0" if cell is None else c_string(str(cell))


_Read = tuple[str, str, str, str]  # variable, type of the field, expression, what the field says


def _read_place(writer: _Writer, reading: Places, k: int, cell: str) -> _Read:
    words = writer.words(f"words_{k}", reading.words)
    numbers = writer.array(f"numbers_{k}", np.array(reading.numbers)) if reading.by_number else "0"
    folded = str(int(reading.folded))
    value = writer.call("place", cell, words, str(len(reading.words)), numbers, folded)
    words = f", such as {shorten(', '.join(reading.words), 50)}" if reading.words else ""
    return "k", "const char *", value, f"text{words}"


def _read_number(writer: _Writer, reading: Numbers, k: int, cell: str) -> _Read:
    if reading.style == ".":
        return "v", "double ", writer.call("given", cell), "number"
    number = writer.call("number", cell, f"'{reading.style}'")
    return "v", "const char *", number, "number as text, such as 1.234,5"


def _read_amount(writer: _Writer, reading: Amounts, k: int, cell: str) -> _Read:
    return "v", "double ", writer.call("given", cell), f"number in {reading.unit}"


def _read_days(writer: _Writer, reading: Days, k: int, cell: str) -> _Read:
    order = ", ".join(_ORDERS[part] for part in reading.order)
    value = writer.call("days", cell, f'"{reading.order}"')
    return "v", "const char *", value, f"date as {order}, such as {_EXAMPLES[reading.order]}"


_EXAMPLES = {"ymd": "2020-01-31 18:30", "dmy": "31.01.2020 18:30", "mdy": "01/31/2020 6:30 PM"}

_READINGS: dict[type[Reading], Callable[[_Writer, Any, int, str], _Read]] = {
    Places: _read_place,
    Numbers: _read_number,
    Amounts: _read_amount,
    Days: _read_days,
}


def _write_row(writer: _Writer, part: TableRow, k: str, offset: int) -> list[str]:
    ones = part.columns_of_ones
    if ones is not None:
        table = writer.array(f"ones_{k}", np.array(ones), "short")
        value = f"{table}[k] == j ? 1.0f : 0.0f"
    else:
        table = writer.array(f"table_{k}", part.table, "float")
        value = f"{table}[k * {part.width} + j]"
    return [
        f"for (int j = 0; j < {part.width}; ++j) {{", f"    x[{offset} + j] = {value};", "}",
    ]  # fmt: skip


def _write_scaled(writer: _Writer, part: Scaled, k: str, offset: int) -> list[str]:
    numbers = [c_double(number) for number in (part.center, part.scale, part.bound or 0.0)]
    return [f"x[{offset}] = {writer.call('scaled', 'v', *numbers)};"]


def _write_rank(writer: _Writer, part: Rank, k: str, offset: int) -> list[str]:
    fields = ("knots", "base", "start", "slope")
    arrays = [writer.array(f"{field}_{k}", getattr(part, field)) for field in fields]
    return [f"x[{offset}] = {writer.call('rank', 'v', *arrays, str(len(part.knots)))};"]


def _write_cycle(writer: _Writer, part: Cycle, k: str, offset: int) -> list[str]:
    numbers = (c_double(part.shift), c_double(part.period))
    return [writer.call("cycle", "v", *numbers, f"x + {offset}") + ";"]


def _write_absent(writer: _Writer, part: Absent, k: str, offset: int) -> list[str]:
    return [f"x[{offset}] = v != v ? 1.0f : 0.0f;"]


_PARTS: dict[type[Part], Callable[[_Writer, Any, str, int], list[str]]] = {
    TableRow: _write_row,
    Scaled: _write_scaled,
    Rank: _write_rank,
    Cycle: _write_cycle,
    Absent: _write_absent,
}
