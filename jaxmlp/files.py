"""Writing files so that readers see the old content or the new one, and reading safetensors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from jaxmlp.optional import import_optional

DTYPES: dict[str, Any] = {
    "F16": np.dtype("float16"),
    "F32": np.dtype("float32"),
    "F64": np.dtype("float64"),
    "BF16": jnp.dtype("bfloat16"),
    "BOOL": np.dtype("bool"),
    **{f"I{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
}
"""What safetensors calls the types of arrays."""


@contextmanager
def atomic_writer(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file to write under a temporary name; it gets its own when the block ends well.

    Args:
        path: the file; an existing one is replaced.

    Yields:
        The open file, for bytes.

    Raises:
        OSError: if the folder does not exist or cannot be written to; the file is as before then.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with atomic_writer(folder.name + "/a.txt") as file:
        ...     _ = file.write(b"one ")
        ...     _ = file.write(b"two")
        >>> Path(folder.name, "a.txt").read_text()
        'one two'
        >>> folder.cleanup()
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a crash may leave the new name with old or no bytes
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file at once: `atomic_writer` for contents that are in memory.

    Args:
        path: the file; an existing one is replaced.
        content: all of its bytes.

    Raises:
        OSError: if the folder does not exist or cannot be written to; the file is as before then.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> write_atomically(folder.name + "/a.txt", b"all of it")
        >>> os.listdir(folder.name)
        ['a.txt']
        >>> folder.cleanup()
    """
    with atomic_writer(path) as file:
        file.write(content)


def safetensors_module() -> ModuleType:
    """Import safetensors, or say how to install it."""
    import_optional("safetensors.numpy", "model files need safetensors", "jaxmlp[cli]")
    return import_module("safetensors")


def read_tensors(path: str | Path, content: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file.

    Args:
        path: its name, for messages.
        content: its bytes.

    Returns:
        The arrays by name, sorted by name; they share the memory of `content`.

    Raises:
        ImportError: if safetensors is not installed.
        ValueError: if it is no such file, damaged, or holds a type that numpy has not.
    """
    safetensors = safetensors_module()
    try:
        views: dict[str, Any] = dict(safetensors.deserialize(content))
        return {
            name: np.frombuffer(view["data"], DTYPES[view["dtype"]]).reshape(view["shape"])
            for name, view in sorted(views.items())
        }
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is truncated or damaged: the arrays that its header lists are not all there."
        ) from error
