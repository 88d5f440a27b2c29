"""Data from the standard input, which has no name and can be read only once."""

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STANDARD_INPUT = "-"
_MAGIC = {
    b"PAR1": ".parquet", b"ARROW1": ".feather", b"PK\x03\x04": ".zip", b"{": ".jsonl",
    b"\x1f\x8b": ".csv.gz", b"BZh": ".csv.bz2", b"\xfd7zXZ": ".csv.xz",
}  # fmt: skip


@contextmanager
def as_file(data: str) -> Iterator[str]:
    """Give the name of a file with the data: of the standard input, for "-", a copy of it.

    Args:
        data: "-", or any name, which stays what it is.
    """
    if data != STANDARD_INPUT:
        yield data
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        with path.open("rb") as file:
            start = file.read(8)
        suffix = next((s for mark, s in _MAGIC.items() if start.startswith(mark)), ".csv")
        if suffix == ".zip" and _is_workbook(path):
            suffix = ".xlsx"
        yield str(path.rename(path.with_suffix(suffix)))


def _is_workbook(path: Path) -> bool:
    return zipfile.is_zipfile(path) and "xl/workbook.xml" in zipfile.ZipFile(path).namelist()
