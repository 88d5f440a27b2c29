"""`--distributed`: several processes run one command; the first one prints and writes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import typer

from jaxmlp import distributed
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.data import Dataset

_BY_HAND = ("coordinator", "processes", "process_id")
_ALONE = ("budget", "trees", "folds")


def join(options: SimpleNamespace) -> None:
    """Meet the other processes, if there are any; refuse what one process alone can do.

    Args:
        options: of the command.

    Raises:
        ValueError: for options that do not go together.
        RuntimeError: if the others cannot be found.
    """
    given = [name for name in _BY_HAND if getattr(options, name) is not None]
    if not options.distributed:
        if given:
            raise ValueError(f"{_spelled(given[0])} goes with --distributed.")
        return
    alone = [name for name in _ALONE if getattr(options, name)]
    if options.seeds > 1:
        alone.append("seeds")
    if alone:
        raise ValueError(f"{_spelled(alone[0])} is for one process; leave --distributed out.")
    distributed.initialize(*(getattr(options, name) for name in _BY_HAND))


def _spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@contextmanager
def shared_folder(claim: AbstractContextManager[Path], together: bool) -> Iterator[Path]:
    """Hold a run's folder for a block: the first process claims it, and tells the others.

    Args:
        claim: what gives the folder.
        together: whether there are others.
    """
    with ExitStack() as stack:
        if not together:
            yield stack.enter_context(claim)
            return
        said = ""
        if distributed.is_first():
            try:
                said = str(stack.enter_context(claim))
            finally:  # or the others would wait for it
                distributed.told_by_first(said)
        else:
            said = distributed.told_by_first("")
        if not said:
            raise typer.Exit(2)  # the first one says why
        yield Path(said)


def own_rows(data: PreparedData) -> tuple[Any, Dataset]:
    """Return this process's share of the training rows, as `fit` takes them, and of the others."""
    own = slice(jax.process_index(), None, jax.process_count())
    train = data.train.take(own)
    return (train.x, train.y), data.validation.take(own)


def end_followers() -> None:
    """End all processes but the first one, which tests and writes what they have learnt."""
    if not distributed.is_first():
        raise typer.Exit(0)
