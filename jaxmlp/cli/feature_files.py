"""Features from files, one block at a time: no file has to fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.cli.prepared_data import DATA_SETS, find_data_dir
from jaxmlp.data import load_digits, load_idx
from jaxmlp.data.tables import ReadingOptions, is_table_file, read_table_blocks
from jaxmlp.data.tables.reading import BLOCK_ROWS


class FileRows(NamedTuple):
    """Consecutive rows of a file.

    Attributes:
        table: a DataFrame with the file's column names, or an array, (rows, features).
        first_row: number of the first one in the file, from 0.
        done: share of the file that has been read up to here, in [0, 1].
        notes: what was doubtful about the file, in sentences.
        names: of the files that the rows are of, where each has its own.
        rows: their numbers in the file, where some are left out.
        inputs: the table with features in place of texts or paths, where a backbone made some.
    """

    table: Any
    first_row: int
    done: float
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    rows: np.ndarray | None = None
    inputs: Any = None


def read_blocks(
    data: str,
    data_dir: Path | None,
    *,
    of_words: bool = False,
    options: ReadingOptions | None = None,
) -> Iterator[FileRows]:
    """Read a file or a data set by name.

    Args:
        data: a table's file (.csv, .csv.gz, .parquet), a .npy or .npz file, or the name of a data
            set (its test part).
        data_dir: for MNIST and Fashion-MNIST.
        of_words: whether the columns are of all kinds, so that cells stay the text they are.
        options: what is known of how a CSV is written.

    Yields:
        Blocks of at most `BLOCK_ROWS` rows.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read.
    """
    if data in DATA_SETS:
        x = (
            load_digits().x
            if data == "digits"
            else load_idx(find_data_dir(data, data_dir), data)[1].x
        )
        yield from _array_blocks(x)
        return
    path = Path(data)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} (nor a data set of that name).")
    name = path.name.lower()
    if is_table_file(name):
        row = 0
        for table in read_table_blocks(path, BLOCK_ROWS, numbers=not of_words, options=options):
            by_place = not (of_words or table.attrs["headed"])
            rows = table.to_numpy() if by_place else table
            yield FileRows(rows, row, table.attrs["done"], table.attrs["notes"])
            row += len(table)
    elif name.endswith((".npy", ".npz")):
        yield from _array_blocks(_read_numpy(path))
    else:
        raise ValueError(
            f"{path} is no .csv, .xlsx, .jsonl, .parquet, .npy or .npz file; convert it to one of "
            "these."
        )


def _array_blocks(x: np.ndarray) -> Iterator[FileRows]:
    if x.ndim != 2 or len(x) == 0:
        yield FileRows(x, 0, 1.0)  # whose shape is refused where the model's is known
    for start in range(0, len(x) if x.ndim == 2 else 0, BLOCK_ROWS):
        yield FileRows(
            x[start : start + BLOCK_ROWS], start, min(1.0, (start + BLOCK_ROWS) / len(x))
        )


def _read_numpy(path: Path) -> np.ndarray:
    """Map a .npy file into memory; read the x of a .npz file, or its only array."""
    try:
        if path.suffix.lower() == ".npy":
            x: np.ndarray = np.load(path, allow_pickle=False, mmap_mode="r")
            return x
        with np.load(path, allow_pickle=False) as arrays:
            if "x" not in arrays and len(arrays.files) != 1:
                raise ValueError(f"it holds {', '.join(arrays.files)}; name the features x")
            x = arrays["x" if "x" in arrays else arrays.files[0]]
            return x
    except Exception as error:  # zip files fail in many ways
        raise ValueError(f"{path} cannot be read as a numpy file: {error}.") from error
