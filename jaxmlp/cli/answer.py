"""The answer of a training, on the screen before what takes longer: proof, diagnosis, report."""

from pathlib import Path

import numpy as np
from rich.console import Console

from jaxmlp.cli.display import show_confusions, show_scores
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.formatting import format_number, format_share
from jaxmlp.report.outcome import Outcome


def show_outcome(console: Console, outcome: Outcome, data: PreparedData) -> None:
    """Print what the test showed."""
    show_scores(console, outcome.scores)
    console.print()
    if outcome.counts is not None:
        show_confusions(console, outcome.counts, data.train.class_names or ())
    if outcome.importance:
        shown = [
            f"{e.name} ({format_number(e.loss, 3)})" for e in outcome.importance[:5] if e.loss > 0
        ]
        console.print(f"relies most on ({outcome.measure} when shuffled): {', '.join(shown)}")


def show_answer(folder: Path, outcome: Outcome) -> None:
    """Print the score and the folder, which --quiet leaves too."""
    console = Console(highlight=False, soft_wrap=True)
    if outcome.counts is not None:
        hits, n = np.trace(outcome.counts), int(outcome.counts.sum())
        said = f"test accuracy [bold]{format_share(hits / n, 2)}[/bold] ({hits} of {n})"
    else:
        rmse, r2 = outcome.scores["rmse"].value, outcome.scores.get("r2")
        said = f"test RMSE [bold]{format_number(rmse, 5)}[/bold]"
        said += f", R2 {r2.value:.4f}" if r2 else ""
    console.print(f"{said}; the run goes to {folder}")


def show_written(folder: Path) -> None:
    """Say that the run is in its folder now."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"wrote {folder}: model, history, pictures, report, settings")
