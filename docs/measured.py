"""The benchmarks' committed results as tables of a page, each with how it was measured."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from IPython.display import Image, Markdown
from matplotlib.figure import Figure

from benchmarks.harness.plots import bars, lines
from benchmarks.harness.results import Results, markdown_table
from benchmarks.harness.tables import quantity

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
SHOWN = ("jax", "scikit-learn", "torch")


def load(name: str) -> dict[str, Any]:
    """Read `benchmarks/results/NAME.json`."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def show(rows: list[dict[str, Any]], result: dict[str, Any]) -> Markdown:
    """Show rows as a table, and what they were measured with below."""
    return Markdown(f"{markdown_table(rows)}\n\n{measured_with(result)}")


def measured_with(result: dict[str, Any]) -> str:
    """Say the command, the machine and the versions."""
    made = result.get("environment", result)
    machine = f"{made['cpus']} CPU cores ({made.get('processor') or made['machine']})"
    versions = ", ".join(f"{name} {made['versions'][name]}" for name in SHOWN)
    return f"*Measured by `{made['command']}` on {machine}; {versions}.*"


def times(results: Results, workload: str, metric: str, contenders: Sequence[str]) -> Markdown:
    """Show a workload's cases down and contenders across; a row that is void in parentheses."""
    rows = [row for row in results.rows if row.workload == workload and row.metric == metric]
    table = []
    for case in dict.fromkeys(row.case for row in rows):
        found = {row.contender: row for row in rows if row.case == case}
        cells = {name: _time(found[name]) if name in found else "" for name in contenders}
        table.append({"": case, **cells})
    return Markdown(markdown_table(table))


def _time(row: Any) -> str:
    said = quantity(row.value, row.unit)
    return f"({said}: {row.void})" if row.void else said


def picture(results: Results, workload: str, metrics: Sequence[str] = ()) -> Image:
    """Draw a workload: lines where a size was swept, else bars; some metrics, or all."""
    rows = [row for row in results.rows if row.workload == workload]
    rows = [row for row in rows if not metrics or row.metric in metrics]
    figure: Figure = lines(rows) if workload == "scaling" else bars(rows)
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return Image(drawn.getvalue())
