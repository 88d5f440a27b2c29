"""Rows as tables: one for each case, contenders down, metrics across."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness.peers import OWN
from benchmarks.harness.results import Row

PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))
LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
Cells = tuple[str, ...]


class Sheet(NamedTuple):
    """A table before it is drawn."""

    title: str
    heading: Cells
    rows: tuple[Cells, ...]
    void: frozenset[int] = frozenset()


def quantity(value: float, unit: str) -> str:
    """Write a value with its unit.

    >>> quantity(3.2e-5, "s"), quantity(0.15, "s"), quantity(2.05e11, "FLOP/s"), quantity(7e5, "B")
    ('32 us', '150 ms', '205 GFLOP/s', '700 kB')
    """
    name = unit.replace("bytes", "B")
    table = PREFIXES if unit == "s" else LARGE
    scale, prefix = next((p for p in table if abs(value) >= p[0]), table[-1])
    number = f"{value / scale:.3g}"
    if "e" in number:
        number = f"{value / scale:,.0f}"
    return f"{number} {prefix}{name}".strip()


def sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Arrange rows into tables."""
    cases = dict.fromkeys((row.workload, row.case) for row in rows)
    return [
        _scaling_sheet(case, [r for r in rows if (r.workload, r.case) == (workload, case)])
        if workload == "scaling"
        else _sheet(
            f"{workload}: {case}", [r for r in rows if (r.workload, r.case) == (workload, case)]
        )
        for workload, case in cases
    ]


def _sheet(title: str, rows: list[Row]) -> Sheet:
    """Contenders down, metrics across, and how many times the library's own first figure."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    names = list(dict.fromkeys(row.contender for row in rows))
    table = {(row.contender, row.metric): row for row in rows}
    own = next((name for name in names if name == OWN), names[0])
    main = next((m for m in metrics if all((n, m) in table for n in names)), metrics[0])
    remarks = [table.get((name, main)) for name in names]
    any_void = any(row is not None and row.void for row in remarks)
    processor = any(row is not None and row.processor for row in remarks)
    heading = ("", *metrics, *(("processor",) if processor else ()), f"x {own}")
    lines = []
    for name, row in zip(names, remarks, strict=True):
        cells = [name]
        for metric in metrics:
            found = table.get((name, metric))
            cells.append("" if found is None else quantity(found.value, found.unit))
        if processor:
            seconds = row.processor if row is not None else None
            cells.append("" if seconds is None else quantity(seconds, "s"))
        cells.append(_times(row, table.get((own, main))))
        lines.append((*cells, *((row.void if row is not None else "",) if any_void else ())))
    void = frozenset(i for i, row in enumerate(remarks) if row is not None and row.void)
    return Sheet(title, (*heading, *(("void",) if any_void else ())), tuple(lines), void)


def _times(row: Row | None, own: Row | None) -> str:
    if row is None or own is None or own.value <= 0:
        return ""
    return f"{row.value / own.value:.2f}"


def _scaling_sheet(title: str, rows: list[Row]) -> Sheet:
    """Sizes down, contenders across."""
    names = list(dict.fromkeys(row.contender for row in rows))
    lines = []
    for size in sorted({row.details["size"] for row in rows}):
        found = {row.contender: row for row in rows if row.details["size"] == size}
        cells = (quantity(found[n].value, found[n].unit) if n in found else "" for n in names)
        lines.append((f"{size:g}", *cells))
    return Sheet(title, ("size", *names), tuple(lines))


def target_sheet(found: Sequence[dict[str, Any]]) -> Sheet:
    """Lay out targets: work, target, measured, reached."""
    words = {True: "yes", False: "NO", None: "-"}
    lines = tuple(
        (
            one["work"],
            one["target"],
            one["remark"] if one["measured"] is None else f"{one['measured']:.3g}x",
            words[one["reached"]],
        )
        for one in found
    )
    void = frozenset(i for i, one in enumerate(found) if one["reached"] is False)
    return Sheet("targets", ("work", "target", "measured", "reached"), lines, void)


def show(console: Console, sheet: Sheet) -> None:
    """Print a table: drawn on a terminal, markdown into a file or a pipe."""
    if not console.is_terminal:
        print(f"\n**{sheet.title}**\n\n{markdown(sheet)}", file=console.file, flush=True)
        return
    table = Table(title=f"\n{sheet.title}", box=None, padding=(0, 2, 0, 0), title_justify="left")
    for column, name in enumerate(sheet.heading):
        justify = "left" if column == 0 or name == "void" else "right"
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for number, row in enumerate(sheet.rows):
        style = "yellow" if number in sheet.void else ""
        table.add_row(*(Text(cell, style=style) for cell in row))
    console.print(table)


def markdown(sheet: Sheet) -> str:
    """Return the table in markdown.

    >>> print(markdown(Sheet("t", ("", "time"), (("a", "1 s"),))))
    |  | time |
    | --- | --- |
    | a | 1 s |
    """
    lines = [sheet.heading, tuple("---" for _ in sheet.heading), *sheet.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
