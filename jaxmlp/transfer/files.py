"""Writing files so that readers see the old content or the new one, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
