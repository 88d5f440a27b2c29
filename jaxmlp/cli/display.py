"""What a run shows: a progress bar, a compact table of epochs, a summary of confusions."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import jaxmlp
from jaxmlp import training
from jaxmlp.cli.units import Units
from jaxmlp.diagnostics.finding import Finding
from jaxmlp.formatting import count_from_one, format_number, format_share
from jaxmlp.report.scores import SCORE_NAMES, Score

_SHOWN_EPOCHS = 12
_WIDTH = 9  # of a column: errors to 9,999,999
_PARTS = ("train", "validation")
_METRICS = {"accuracy": "acc.", "rmse": "RMSE"}


class EpochTable:
    """Rows printed while training, above a progress bar where there is a terminal.

    Args:
        console: where to print.
        epochs: number of the last epoch; about `_SHOWN_EPOCHS` of them get a row.
        metric: "accuracy" or "rmse".
        units: how losses and errors are shown.
    """

    def __init__(
        self, console: Console, epochs: int, metric: str = "accuracy", units: Units | None = None
    ) -> None:
        """Print nothing yet."""
        self.metric, self.units = metric, units or Units()
        names = (self.units.loss, _METRICS[metric])
        columns = [f"{part} {name}" for name in names for part in ("train", "val.")]
        self.headings = ("epoch", *(column.rjust(_WIDTH) for column in columns), "seconds")
        self.console, self.stride = console, max(1, math.ceil(epochs / _SHOWN_EPOCHS))
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
        self.console.print(Text(self._line(self.headings), style="bold"))
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
        shown = dict(self.units.shown(name, value) for name, value in row.items())
        cells = [
            format_share(shown[f"{part}_{name}"])
            if name == "accuracy"
            else format_number(shown[f"{part}_{name}"], zeros=True)
            for name in (self.units.loss, self.metric)
            for part in _PARTS
        ]
        line = self._line([f"{self.last_shown}", *cells, f"{row['seconds']:.3f}"])
        self.console.print(Text(line))

    def _line(self, cells: Sequence[str]) -> str:
        pairs = zip(cells, self.headings, strict=True)
        return "  ".join(cell.rjust(len(name)) for cell, name in pairs)


def show_findings(console: Console, findings: Sequence[Finding], language: str = "en") -> None:
    """Print what the doctor found, alarms before remarks, in a language."""
    for finding in findings:
        style = {"CRITICAL": "bold red", "WARNING": "yellow", "INFO": "cyan"}[finding.severity.name]
        said = finding.in_language(language)
        console.print(Text(count_from_one(said.title), style=style))
        console.print(Text(f"  {count_from_one(f'{said.evidence} {said.remedy}')}"))


def show_scores(console: Console, scores: Mapping[str, Score]) -> None:
    """Print scores with their intervals, and what a guess without features gets."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="test set", title_justify="left")
    for heading in ("score", "value", "95% interval", "a constant guess"):
        table.add_column(heading, justify="left" if heading == "score" else "right")
    for name, score in scores.items():
        percent = name.endswith("accuracy")
        value, low, high, guess = (
            "" if math.isnan(v) else format_share(v) if percent else format_number(v) for v in score
        )
        table.add_row(SCORE_NAMES.get(name, name), value, f"{low} to {high}", guess)
    console.print(table)


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
            format_share(counts[k, k] / total) if total else "-",
            format_share(counts[k, k] / claimed) if claimed else "-",
            f"{names[j]} ({wrong[k, j]})" if wrong[k, j] else "",
        )
    console.print(table)


def describe_front(config: jaxmlp.TabularConfig) -> str:
    """Say what stands before the layers.

    >>> front = jaxmlp.FrontConfig(2, numbers=(0, 1), embedding="piecewise", members=8)
    >>> describe_front(jaxmlp.TabularConfig(front, jaxmlp.MLPConfig((16, 1))))
    '8 members, 2 numbers embedded piecewise, '
    """
    front, parts = config.front, []
    if front.members > 1:
        parts.append(f"{front.members} members")
    if front.embedding is not None and front.numbers:
        how = {"piecewise": "piecewise", "periodic": "periodically"}[front.embedding]
        parts.append(f"{_count(len(front.numbers), 'number')} embedded {how}")
    if front.categories:
        parts.append(f"{_count(len(front.categories), 'category')} looked up")
    return "".join(f"{part}, " for part in parts)


def _count(n: int, thing: str) -> str:
    many = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{n:,} {thing if n == 1 else many}"
