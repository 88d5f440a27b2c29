"""The folder of a run: whole or absent, and what its run.json says."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import jaxmlp


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to write into; it takes its name when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        _move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_run(folder: Path) -> dict[str, Any]:
    """Read what a run folder says about its run.

    Raises:
        FileNotFoundError: if it is no such folder.
        ValueError: if its run.json is damaged.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no run.json; is it a folder that train wrote?")
    return read_json(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error
    return found


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON that people can read."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def _move(source: Path, target: Path) -> None:
    """Put a folder in the place of another, which is deleted only after that."""
    if not target.exists():
        os.replace(source, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    os.replace(target, old)
    os.replace(source, target)
    shutil.rmtree(old)


def environment() -> dict[str, object]:
    """Say what a run was made with."""
    device = jax.devices()[0]
    versions = {name: metadata.version(name) for name in ("jax", "jaxlib", "numpy")}
    versions["jaxmlp"] = jaxmlp.__version__
    return {
        "python": platform.python_version(),
        "versions": versions,
        "device": f"{device.platform}: {device.device_kind}",
    }
