"""`jaxmlp train --seeds N` and `--folds N`: how much of a result is luck of split and start."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jaxmlp.cli.measuring import measure_model
from jaxmlp.cli.options import Options
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.training_run import fit_network, make_plan
from jaxmlp.formatting import format_number, format_share
from jaxmlp.report.scores import SCORE_NAMES
from jaxmlp.training import FitStatus


class Repetition(NamedTuple):
    """A further training: its options, and what loads its data."""

    options: Options
    load: Callable[[], PreparedData]


class _Repeated(NamedTuple):
    """What further trainings reached.

    Attributes:
        metrics: of each on its test part, {name: value}.
        n_diverged: how many diverged; of those the best epoch counts.
        n_lost: how many diverged before an epoch ended; they have no metrics.
    """

    metrics: list[dict[str, float]]
    n_diverged: int = 0
    n_lost: int = 0


def repeat_training(console: Console, repetitions: Sequence[Repetition]) -> _Repeated:
    """Load, train and test anew, and nothing more.

    Args:
        console: for the progress.
        repetitions: what to train.

    Returns:
        What each reached.
    """
    found, n_diverged, n_lost = [], 0, 0
    quiet = console.quiet or not console.is_terminal
    for options, load in track(
        repetitions, "further trainings", console=console, transient=True, disable=quiet
    ):
        data = load()
        result = fit_network(options, data, make_plan(options, data), observed=False)
        diverged = result.status is FitStatus.DIVERGED
        n_diverged += diverged
        if diverged and result.best_epoch == 0:
            n_lost += 1
            continue
        model, _ = measure_model(data, result, importance=False)
        found.append(dict(model.metrics))
    return _Repeated(found, n_diverged, n_lost)


def say_divergences(console: Console, repeated: _Repeated, n_trainings: int) -> None:
    """Print a warning where trainings diverged."""
    if not repeated.n_diverged:
        return
    lost = f"; {repeated.n_lost} before an epoch ended, which count as none" * bool(repeated.n_lost)
    console.print(
        f"[yellow]warning[/yellow]: {repeated.n_diverged} of {n_trainings} further trainings "
        f"diverged, whose best epochs count{lost}; try a smaller --learning-rate, or --clip 1"
    )


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
