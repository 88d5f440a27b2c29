"""Folders of runs, claimed before a run starts, so that no two runs write the same one.

A folder that is claimed holds `started.json`: what was asked for, from which `jaxmlp train
--resume` goes on. It is gone when the run has ended.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jaxmlp.cli.run_folder import read_json

_STARTED, CHECKPOINTS = "started.json", "checkpoints"


@contextmanager
def claimed_folder(
    out: Path | None, name: str, force: bool, started: Mapping[str, Any]
) -> Iterator[Path]:
    """Claim where a run goes for a block: `out`, or the next free runs/<name>-<number>.

    What the block does not fill is removed at its end, but for checkpoints to go on from.

    Args:
        out: the folder, or None.
        name: of the data.
        force: whether what stands in `out` may be replaced.
        started: what was asked for, JSON-ready.

    Raises:
        FileExistsError: if `out` holds anything and is not to be replaced.
    """
    above = Path("runs", name) if out is None else out
    missing = [path for path in above.parents if not path.exists()]
    folder = _next_free(name) if out is None else _given(out, force)
    _write(folder, started)
    try:
        with _released(folder):
            yield folder
    finally:
        for path in missing:
            with suppress(OSError):  # it is not empty
                path.rmdir()


@contextmanager
def reclaimed_folder(folder: Path) -> Iterator[Path]:
    """Hold the folder of a run that was started earlier for a block."""
    with _released(folder):
        yield folder


def read_started(folder: Path) -> dict[str, Any]:
    """Read what an unfinished run was asked for.

    Raises:
        FileNotFoundError: if there is no such run in the folder.
        ValueError: if what stands there is damaged.
    """
    path = folder / _STARTED
    if not path.is_file():
        ended = (folder / "run.json").is_file()
        what = "the run has ended" if ended else "no run was started there"
        raise FileNotFoundError(f"nothing is to be resumed in {folder}: {what}.")
    return read_json(path)


def _next_free(name: str) -> Path:
    """Make the first of runs/<name>-1, -2, ... that is not there; only one process can."""
    number = 1
    while True:
        folder = Path("runs", f"{name}-{number}")
        try:
            folder.parent.mkdir(exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            number += 1
        except FileNotFoundError:  # a run that failed has just removed what it had made
            continue
        else:
            return folder


def _given(out: Path, force: bool) -> Path:
    if not force and (out / _STARTED).is_file():
        resumable = read_started(out)["command"] == "train"
        go_on = f"go on with jaxmlp train --resume {out} or " if resumable else ""
        raise FileExistsError(
            f"{out} holds a run that has not ended. If nobody works on it, {go_on}pass --force "
            "to replace it; else choose another --out."
        )
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not force):
        raise FileExistsError(
            f"{out} exists already. Choose another --out, or pass --force to replace a folder."
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / _STARTED).unlink(missing_ok=True)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    return out


def _write(folder: Path, started: Mapping[str, Any]) -> None:
    text = json.dumps(started, indent=2, ensure_ascii=False) + "\n"
    try:
        with (folder / _STARTED).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise FileExistsError(
            f"another run has just started in {folder}. Choose another --out."
        ) from None


@contextmanager
def _released(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        checkpoints = folder / CHECKPOINTS
        if not (checkpoints.is_dir() and any(checkpoints.iterdir())):
            (folder / _STARTED).unlink(missing_ok=True)
            for empty in (checkpoints, folder):
                if empty.is_dir() and not any(empty.iterdir()):
                    empty.rmdir()
