"""Writing files so that readers see the old content or the new one, never a part."""

import os
from pathlib import Path


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name beside its own, then rename it.

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
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a crash may leave the new name with old or no bytes
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
