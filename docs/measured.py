"""The benchmarks' committed results as tables of a page, each with how it was measured."""

import json
from pathlib import Path
from typing import Any

from IPython.display import Markdown

from benchmarks.harness.results import markdown_table

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
