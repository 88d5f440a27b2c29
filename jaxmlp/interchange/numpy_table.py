"""The encoding of a table in the predictor of numpy: functions of cells.py, and what was fitted."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxmlp.interchange import cells
from jaxmlp.interchange.own_source import array_expression, source_of
from jaxmlp.interchange.table_plan import (
    LIMIT,
    Absent,
    Amounts,
    Cycle,
    Days,
    Numbers,
    Part,
    Places,
    PlannedColumn,
    Projection,
    Rank,
    Reading,
    Scaled,
    TablePlan,
    TableRow,
    Texts,
)

_SHOWN = 32  # numbers that are written as such

_INPUTS = '''\
def encode(data):
    """Inputs of the network, (rows, {n_in}): for columns by name, or rows in the order of NAMES."""
    columns = to_columns(data, NAMES, [name for name, *_ in COLUMNS])
    blocks = []
    for name, read, reading, parts in COLUMNS:
        values = read(columns[name], BLANK, **reading)
        blocks += [part(values, **fitted) for part, fitted in parts]
    x = np.concatenate(blocks, axis=1)
    return np.clip(x, -{limit}, {limit}).astype(np.float32)


'''
_READ_CSV = '''\
def read_csv(path):
    """Columns of a CSV file by name; without a heading, as they stood in training."""
    needed = [name for name, *_ in COLUMNS]
    rows = read_rows(path, {delimiter!r}, needed)
    heading = [cell.strip() for cell in rows[0]]
    missing = [name for name in needed if name not in heading]
    if len(missing) == len(needed) and len(heading) == len(NAMES):
        heading = NAMES
    elif missing:
        raise SystemExit(f"{{path}} lacks the column {{missing[0]!r}}.")
    else:
        rows.pop(0)
    places = {{name: heading.index(name) for name in needed}}
    return {{
        name: [row[k] if k < len(row) else "" for row in rows] for name, k in places.items()
    }}
'''


def table_code(table: TablePlan, delimiter: str) -> dict[str, Any]:
    """What a predictor holds of a table.

    Args:
        table: the plan of its encoding.
        delimiter: between the cells of its CSV files.

    Returns:
        functions: source of the readings and parts that occur; modules: those they use; inputs,
        read_csv: the functions of these tasks; columns: what was fitted.
    """
    used: list[Callable[..., Any]] = [cells.to_columns, cells.read_rows]
    lines = []
    for column in table.columns:
        used += [_READINGS[type(column.reading)][0], *(_part(part)[0] for part in column.parts)]
        lines.append(_column(column))
    functions, modules = source_of(used)
    width = sum(column.width for column in table.columns)
    return {
        "functions": functions,
        "modules": modules,
        "inputs": _INPUTS.format(n_in=width, limit=LIMIT),
        "read_csv": _READ_CSV.format(
            delimiter={"tab": "\t", "\\t": "\t", "space": "whitespace"}.get(delimiter, delimiter)
        ),
        "columns": f"NAMES = {list(table.names)!r}\nBLANK = {_places(table.missing)!r}\n"
        f"COLUMNS = [\n{''.join(lines)}]\n",
    }


def _column(column: PlannedColumn) -> str:
    read, fitted = _READINGS[type(column.reading)]
    made = ((function.__name__, _arguments(kept)) for function, kept in map(_part, column.parts))
    parts = "".join(f"        ({name}, {numbers}),\n" for name, numbers in made)
    arguments = _arguments(fitted(column.reading))
    return f"    ({column.name!r}, {read.__name__}, {arguments}, [\n{parts}    ]),\n"


def _part(part: Part) -> tuple[Callable[..., np.ndarray], dict[str, Any]]:
    """The function that makes a part, and what it needs to know."""
    if isinstance(part, TableRow) and part.columns_of_ones is not None:
        return cells.ones, {"columns": part.columns_of_ones, "width": part.width}
    kept = {name: value for name, value in part._asdict().items() if name != "width"}
    return _PARTS[type(part)], kept


def _arguments(fields: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {_as_text(value)}" for name, value in fields.items()) + "}"


def _as_text(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    small = value.size <= _SHOWN
    return f"np.array({value.tolist()!r})" if small else array_expression(value)


def _places(reading: Places) -> dict[str | float, int]:
    places: dict[str | float, int] = {word: k for k, word in enumerate(reading.words)}
    return places | dict(reading.by_number.items())


_READINGS: dict[type[Reading], tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    Places: (
        cells.read_places,
        lambda r: {"places": _places(r), "folded": r.folded, "other": len(r.words)},
    ),
    Numbers: (cells.read_numbers, Numbers._asdict),
    Amounts: (cells.read_amounts, Amounts._asdict),
    Days: (cells.read_days, Days._asdict),
    Texts: (cells.read_texts, Texts._asdict),
}
"""How each reading is called, and with what of it."""

_PARTS: dict[type[Part], Callable[..., np.ndarray]] = {
    TableRow: cells.table_row,
    Scaled: cells.scaled,
    Rank: cells.rank,
    Cycle: cells.cycle,
    Absent: cells.absent,
    Projection: cells.text_numbers,
}
