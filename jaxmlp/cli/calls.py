"""What a command was asked for: kept with a run, so that it can be resumed."""

import hashlib
import re
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import typer

from jaxmlp.cli.claims import CHECKPOINTS, read_started
from jaxmlp.optional import import_optional
from jaxmlp.training import Checkpoints

_HOW = (
    "resume", "quiet", "as_json", "force", "out", "checkpoint_every", "keep_checkpoints",
    "distributed", "coordinator", "processes", "process_id", "language",
)  # fmt: skip
_PATHS = ("data_dir", "schema")
_LARGE = 1 << 30  # bytes
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Call(NamedTuple):
    """A command's parameters.

    Attributes:
        parameters: all of them, by name.
        said: names of those that the user gave.
    """

    parameters: dict[str, Any]
    said: frozenset[str]

    def to_dict(self) -> dict[str, Any]:
        """Return what `resumed_call` needs, JSON-ready."""
        parameters = {name: _plain(v) for name, v in self.parameters.items() if name not in _HOW}
        return {
            "command": "train",
            "parameters": parameters,
            "said": sorted(self.said - set(_HOW)),
            "file": _digest_of_file(self.parameters["data"]),
        }


def call_of(context: typer.Context) -> Call:
    """Return what the user asked for."""
    said = (
        name
        for name in context.params
        if getattr(context.get_parameter_source(name), "name", "") != "DEFAULT"
    )
    return Call(dict(context.params), frozenset(said))


def resumed_call(call: Call, folder: Path) -> Call:
    """Return what an unfinished run was asked for, with the present wishes about how to show it.

    Raises:
        FileNotFoundError: if the folder holds no such run.
        ValueError: for an option that differs, by its name; for data that have changed.
    """
    started = read_started(folder)
    if started["command"] != "train":
        raise ValueError(f"{folder} was started by {started['command']}, which cannot be resumed.")
    kept: dict[str, Any] = started["parameters"]
    for name in sorted(call.said - set(_HOW)):
        given = _plain(call.parameters[name])
        if given != kept.get(name):
            option = "the data" if name == "data" else f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{option} is {given!r}, but {folder} was started with {kept.get(name)!r}. Leave "
                "it out to go on, or start a new run."
            )
    if started["file"] != _digest_of_file(kept["data"]):
        raise ValueError(f"{kept['data']} has changed since {folder} was started; start a new run.")
    how = {name: call.parameters[name] for name in _HOW}
    paths = {name: Path(kept[name]) for name in _PATHS if kept.get(name) is not None}
    return Call({**kept, **paths, **how}, frozenset(started["said"]))


def checkpoints_of(every: str | None, folder: Path, resumed: bool) -> Checkpoints | None:
    """Return how a run is saved: as was said, or every minute where orbax is installed.

    Args:
        every: what the user said, or None.
        folder: of the run.
        resumed: whether the run goes on from its checkpoint, if it came to one.
    """
    if every is None and not (find_spec("orbax") and find_spec("orbax.checkpoint")):
        return None
    interval = parse_interval(every or "1m")
    if interval is None:
        return None
    if every is not None:
        import_optional("orbax.checkpoint", "a checkpoint needs orbax-checkpoint", "jaxmlp[scale]")
    resume = "auto" if resumed else "never"
    return Checkpoints(folder / CHECKPOINTS, every=interval, resume=resume)


def parse_interval(text: str) -> int | timedelta | None:
    """Read a number of epochs, a time, or never.

    >>> parse_interval("5"), parse_interval("10m"), parse_interval("never")
    (5, datetime.timedelta(seconds=600), None)
    """
    if text == "never":
        return None
    found = re.fullmatch(r"([1-9]\d*)([smh]?)", text)
    if found is None:
        raise ValueError(
            f"--checkpoint-every is {text!r}; give a number of epochs such as 5, a time such as "
            "30s, 10m or 2h, or never."
        )
    number = int(found[1])
    return timedelta(seconds=number * _UNITS[found[2]]) if found[2] else number


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):  # as an option that can be given again has its values
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _digest_of_file(data: str) -> str | None:
    """Hash a file's content, of a large one its size and time; None where data are no file."""
    path = Path(data)
    if not path.is_file():
        return None
    if path.stat().st_size > _LARGE:
        return f"{path.stat().st_size} {path.stat().st_mtime_ns}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
