"""Compiled programs, kept for the next command: a first start compiles for seconds.

Every process has a folder of its own, with links to the programs that are kept. What it compiles is
moved to these at its end, so that a process that is killed leaves no half-written program there.
"""

import atexit
import hashlib
import os
import platform
import shutil
import stat
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Annotated

import jax
import platformdirs
import typer

from jaxmlp.formatting import format_number

NO_CACHE = "--no-compilation-cache"
_MOST_BYTES = 1 << 30  # of all programs; the oldest go first
_OWN = "process-"  # and the number of the process


def keep_programs() -> None:
    """Load programs from the user's cache, and keep there what is compiled, from now on.

    Where a user has chosen a folder for JAX's own cache, that is used instead.
    """
    if _chosen_by_user():
        return
    try:
        kept = _folder()
        _check_owner(kept.parent)
        _remove_those_of_the_dead(kept)
        own = Path(tempfile.mkdtemp(prefix=f"{_OWN}{os.getpid()}-", dir=kept))
        for program in _programs(kept):
            os.link(program, own / program.name)
    except OSError as error:
        print(f"note: compiled programs are not kept: {error}", file=sys.stderr)
        return
    jax.config.update("jax_compilation_cache_dir", str(own))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    # Else the folder's name, which is another one in each process, would be a part of every key.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    atexit.register(_hand_over, own, kept)


def _chosen_by_user() -> bool:
    return bool(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]


def _folder() -> Path:
    """Make the folder of programs that this processor and these versions understand."""
    named = f"{platform.machine()} {_processor_features()} {sys.version_info[:2]}"
    digest = hashlib.sha256(named.encode()).hexdigest()[:12]
    folder = _place() / f"jax-{jax.__version__}-jaxlib-{metadata.version('jaxlib')}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def _place() -> Path:
    return platformdirs.user_cache_path("jaxmlp") / "programs"


def _processor_features() -> str:
    """What tells processors apart whose programs differ."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(errors="replace").splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return platform.processor()


def _check_owner(folder: Path) -> None:
    """Refuse a folder that others may write to: a program is code."""
    found = folder.stat()
    if not hasattr(os, "getuid"):
        return
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder} belongs to another user, or others may write to it")


def _programs(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


def _remove_those_of_the_dead(kept: Path) -> None:
    """Remove the folders of processes that did not come to their end."""
    for folder in kept.glob(f"{_OWN}*"):
        number = folder.name.removeprefix(_OWN).partition("-")[0]
        if number.isdecimal() and not _lives(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _hand_over(own: Path, kept: Path) -> None:
    """Move what this process compiled to what is kept; of too much, the oldest go."""
    try:
        there = {path.name for path in _programs(kept)}
        for program in _programs(own):
            if program.name not in there:
                program.replace(kept / program.name)
        _limit(kept)
    except OSError:  # a full disk, a folder that was cleared: the next command compiles anew
        pass
    shutil.rmtree(own, ignore_errors=True)


def _limit(kept: Path, most: int = _MOST_BYTES) -> None:
    programs = sorted(_programs(kept), key=lambda path: path.stat().st_mtime)
    size = sum(path.stat().st_size for path in programs)
    for path in programs:
        if size <= most:
            return
        size -= path.stat().st_size
        path.unlink(missing_ok=True)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of them.")] = False,
) -> None:
    """Show what compiled programs are kept, or delete them.

    Commands keep them for the next one, which then starts in half the time; pass
    --no-compilation-cache to any command to do without.
    """
    place = _place()
    folders = [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
    programs = [path for folder in folders for path in _programs(folder)]
    size = format_number(sum(path.stat().st_size for path in programs) / 1e6, 3)
    what = f"{len(programs):,} compiled programs, {size} MB, in {place}"
    if clear:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        what = f"deleted {what}"
    typer.echo(what)
