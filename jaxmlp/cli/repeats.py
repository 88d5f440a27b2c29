"""`jaxmlp train --seeds N` and `--folds N`: how much of a result is luck of split and start."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jaxmlp.cli.options import Options
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.training_run import fit_network, make_plan, measure_model
from jaxmlp.formatting import format_number, format_share
from jaxmlp.report.scores import SCORE_NAMES


class Repetition(NamedTuple):
    """A further training: its options, and what loads its data."""

    options: Options
    load: Callable[[], PreparedData]


def repeat_training(console: Console, repetitions: Sequence[Repetition]) -> list[dict[str, float]]:
    """Load, train and test anew, and nothing more.

    Args:
        console: for the progress.
        repetitions: what to train.

    Returns:
        What each reached on its test part, {name: value}.
    """
    found = []
    quiet = console.quiet or not console.is_terminal
    for options, load in track(
        repetitions, "further trainings", console=console, transient=True, disable=quiet
    ):
        data = load()
        result = fit_network(options, data, make_plan(options, data), observed=False)
        model, _ = measure_model(data, result, importance=False)
        found.append(dict(model.metrics))
    return found


def summarize(metrics: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean, deviation and extremes of each metric.

    >>> summarize([{"loss": 1.0}, {"loss": 2.0}])["loss"]["mean"]
    1.5
    """
    summary = {}
    for name in metrics[0]:
        values = np.array([found[name] for found in metrics if name in found])
        summary[name] = {
            "mean": float(values.mean()),
            "deviation": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "least": float(values.min()),
            "most": float(values.max()),
        }
    return summary


def show_summary(
    console: Console, summary: Mapping[str, Mapping[str, float]], heading: str
) -> None:
    """Print how the scores vary."""
    console.print(heading)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("score", "mean", "deviation", "least", "most"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for name, found in summary.items():
        write = format_share if name.endswith("accuracy") else format_number
        short = name.removeprefix("test_").replace("_", " ")
        table.add_row(SCORE_NAMES.get(short, short), *(write(value) for value in found.values()))
    console.print(table)
