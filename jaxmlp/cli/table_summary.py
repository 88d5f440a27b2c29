"""What was understood of a table, for the terminal: its columns, target, and what is doubtful."""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxmlp.cli.prepared_table import PreparedTable
from jaxmlp.data.tables import Column
from jaxmlp.data.tables.pitfalls import Doubt
from jaxmlp.data.tables.values import shorten
from jaxmlp.formatting import format_share

_SHOWN, _ALIKE = 40, 3  # columns of a wide table, and those of them that hold the same
_NAME, _REASON = 40, 60  # characters
_SHOWN_CLASSES = 10


def show_table(console: Console, prepared: PreparedTable) -> None:
    """Print what was understood: the columns that differ, the target, and the doubts."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="columns", title_justify="left")
    for heading in ("column", "taken as", "what it holds", "inputs"):
        table.add_column(heading, justify="right" if heading == "inputs" else "left")
    widths = {e.name: len(e.feature_names) for e in prepared.preprocessing.encoders}
    columns = list(prepared.columns.values())
    shown = _telling_columns(columns, widths)
    for column in shown:
        style = "dim" if column.kind == "drop" else ""
        inputs = str(widths.get(column.name, ""))
        name, reason = shorten(column.name, _NAME), shorten(column.reason, _REASON)
        table.add_row(
            Text(name), _kind(column, widths.get(column.name, 0)), Text(reason), inputs, style=style
        )
    console.print(table)
    if len(columns) > len(shown):
        rest = Counter(map(_kind, columns))
        rest.subtract(map(_kind, shown))
        counts = ", ".join(f"{kind} {count:,}" for kind, count in rest.items() if count)
        console.print(Text(f"and more, taken as {counts}; all are in the run's schema.json"))
    _show_target(console, prepared)
    console.print(Text(f"split {prepared.split.reason}"))
    show_doubts(console, prepared.doubts)
    console.print()


def show_doubts(console: Console, doubts: Iterable[Doubt]) -> None:
    """Print what may mislead."""
    for doubt in doubts:
        console.print(Text.assemble((f"warning: {doubt.title}", "yellow")))
        console.print(Text(f"  {doubt.evidence} {doubt.remedy}".rstrip()))


def _kind(column: Column, width: int = 0) -> str:
    if column.kind == "text" and width > 1:  # the last input says whether there is one
        return f"text, {width - 1} number{'s' * (width > 2)}"
    return "left out" if column.kind == "drop" else column.kind


def _telling_columns(columns: list[Column], widths: dict[str, int]) -> list[Column]:
    """Choose the columns to show of a wide table: the first ones that hold the same."""
    if len(columns) <= _SHOWN:
        return columns
    seen: Counter[tuple[object, ...]] = Counter()
    shown = []
    for column in columns:
        inputs = widths.get(column.name, 0) if column.kind == "number" else 0
        sort = (column.kind, inputs, re.sub(r"-?\d[\d.,e+-]*", "", column.reason))
        seen[sort] += 1
        if seen[sort] <= _ALIKE:
            shown.append(column)
    return shown[:_SHOWN]


def _show_target(console: Console, prepared: PreparedTable) -> None:
    target = prepared.target
    console.print(Text.assemble("\ntarget ", (target.name, "bold"), f": {target.reason}"))
    if target.class_names is None:
        return
    counts = np.bincount(target.y, minlength=len(target.class_names))
    shares = [
        f"{shorten(name)} {format_share(count / len(target.y))}"
        for name, count in zip(target.class_names, counts, strict=True)
    ]
    more = ", ..." if len(shares) > _SHOWN_CLASSES else ""
    console.print(Text(f"  {', '.join(shares[:_SHOWN_CLASSES])}{more}"))
