"""How far a sweep has come, in members x epochs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxmlp.training.runner import Runner


class SweepProgress(NamedTuple):
    """How far a sweep has come.

    Attributes:
        members_done: members that have ended.
        members_training: members that train now.
        members: all of them.
        epoch: epochs that those in training have ended.
        epochs: epochs of each member.
    """

    members_done: int
    members_training: int
    members: int
    epoch: int
    epochs: int

    @property
    def fraction(self) -> float:
        """Share of the member-epochs that are done.

        >>> SweepProgress(10, 10, 40, 5, 10).fraction
        0.375
        """
        done = self.members_done * self.epochs + self.members_training * self.epoch
        return done / (self.members * self.epochs)


OnProgress = Callable[[SweepProgress], Any]


@contextmanager
def reporter(progress: bool | OnProgress, members: int, epochs: int) -> Iterator[OnProgress]:
    """Return what to call with each `SweepProgress`: nothing, a bar of rich's, or the function.

    Raises:
        ImportError: if a bar is wanted, but rich is not installed.
    """
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda _: None
        return
    try:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError as error:
        raise ImportError(
            "the progress bar needs rich: pip install 'jaxmlp[cli]', or pass a function."
        ) from error
    text = "{task.fields[done]:,}/{task.fields[members]:,} members, epoch {task.fields[epoch]}"
    bar = Progress(TextColumn(text), BarColumn(), TimeRemainingColumn(), transient=True)
    with bar:
        task = bar.add_task("sweep", total=1.0, done=0, members=members, epoch=0)
        yield lambda at: bar.update(
            task, completed=at.fraction, done=at.members_done, epoch=f"{at.epoch}/{at.epochs}"
        )


@dataclass(frozen=True)
class Counting:
    """Listens to members in training, and reports how far the whole sweep is."""

    report: OnProgress
    members_done: int
    members_training: int
    members: int
    epochs: int

    def before_chunk(self, run: Runner) -> None:
        """Nothing to note."""

    def after_chunk(self, run: Runner) -> bool:
        """Report the epochs that have ended; whether the answer asks for an end."""
        at = SweepProgress(
            self.members_done, self.members_training, self.members, run.n_epochs, self.epochs
        )
        return self.report(at) is True
