"""What a run shows: a progress bar, a compact table of epochs, a summary of confusions."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from jaxmlp import training
from jaxmlp.diagnostics.finding import Finding

SHOWN_EPOCHS = 12
HEADINGS = ("epoch", "train loss", "val. loss", "train acc.", "val. acc.", "seconds")
COLUMNS = ("epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


class EpochTable:
    """Rows printed while training, above a progress bar where there is a terminal.

    Args:
        console: where to print.
        epochs: number of the last epoch; about `SHOWN_EPOCHS` of them get a row.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        """Print nothing yet."""
        self.console, self.stride = console, max(1, ceil(epochs / SHOWN_EPOCHS))
        self.last_shown = 0
        self.progress = Progress(
            TextColumn("epoch {task.completed}/{task.total}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("epochs", total=epochs)

    def __enter__(self) -> "EpochTable":
        """Print the heading."""
        self.progress.start()
        self.console.print(Text(_line(HEADINGS), style="bold"))
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self.progress.stop()

    def __call__(self, progress: training.Progress) -> None:
        """Take in an epoch; a callback for `fit`."""
        self.progress.update(self.task, completed=progress.epoch)
        if progress.epoch == 1 or progress.epoch % self.stride == 0:
            self.show(progress.row)

    def show(self, row: Mapping[str, float]) -> None:
        """Print one epoch, unless it was the last one printed."""
        if row["epoch"] == self.last_shown:
            return
        self.last_shown = int(row["epoch"])
        cells = [f"{self.last_shown}"]
        for column in COLUMNS[1:]:
            cells.append(f"{row[column]:.4f}" if "loss" in column else f"{row[column]:.1%}")
        cells.append(f"{row['seconds']:.3f}")
        self.console.print(Text(_line(cells)))


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "  ".join(cell.rjust(len(name)) for cell, name in zip(cells, HEADINGS, strict=True))


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print what the doctor found, alarms before remarks."""
    for finding in findings:
        style = {"CRITICAL": "bold red", "WARNING": "yellow", "INFO": "cyan"}[finding.severity.name]
        where = "" if finding.layer is None else f", layer {finding.layer}"
        title = finding.kind.value.replace("_", " ")
        console.print(f"[{style}]{finding.severity.name.lower()}: {title}{where}[/{style}]")
        console.print(Text(f"  {finding.evidence} {finding.remedy}"))


def confusion_counts(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count counts[i, j] examples of class i that were predicted as class j.

    >>> confusion_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    pairs = np.bincount(y * n_classes + predicted, minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)


def show_confusions(console: Console, counts: np.ndarray, names: tuple[str, ...]) -> None:
    """Print recall and precision of each class, and the most frequent confusions in words."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="test set by class", title_justify="left")
    for heading in ("class", "examples", "recall", "precision", "most often taken for"):
        table.add_column(
            heading, justify="left" if heading in ("class", "most often taken for") else "right"
        )
    wrong = counts - np.diag(np.diag(counts))
    for k, name in enumerate(names):
        total, claimed = counts[k].sum(), counts[:, k].sum()
        j = int(wrong[k].argmax())
        table.add_row(
            name,
            str(total),
            f"{counts[k, k] / total:.1%}" if total else "-",
            f"{counts[k, k] / claimed:.1%}" if claimed else "-",
            f"{names[j]} ({wrong[k, j]})" if wrong[k, j] else "",
        )
    console.print(table)
