"""Reading tables from files: CSV in its dialects, gzip-compressed or not, and Parquet.

The cells of a CSV stay text, unless numbers are asked for: what text means, its column decides, and
so it means the same in every block of a file that is read piece by piece.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import warnings
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from jaxmlp.data.tables.values import DataFrame, import_pandas, unique_names

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES, _SAMPLE_LINES = 1 << 18, 100
BLOCK_ROWS = 8192
_TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat")
_PARQUET_SUFFIXES = (".parquet", ".pq")
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


class _Dialect(NamedTuple):
    """How a CSV file is written.

    Attributes:
        encoding: of its characters.
        delimiter: between cells.
        names: of the columns.
        headed: whether the first line names them.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    headed: bool


def is_table_file(name: str) -> bool:
    """Whether a name ends as those of the files that can be read do.

    >>> is_table_file("data/adult.csv.gz"), is_table_file("digits")
    (True, False)
    """
    return (
        name.lower()
        .removesuffix(_compression(Path(name)))
        .endswith(_TEXT_SUFFIXES + _PARQUET_SUFFIXES)
    )


def read_table(path: str | Path, *, numbers: bool = False) -> DataFrame:
    """Read a whole file.

    Args:
        path: .csv, .tsv or .txt, also .gz, .bz2 or .xz; or .parquet. Delimiter, encoding and quotes
            are found out.
        numbers: whether columns of a CSV in which every cell is a number or empty become numbers,
            many times faster than through text; an empty cell among them is NaN.

    Returns:
        A pandas DataFrame with unique names. Parquet brings the types of its columns.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if pandas, or for Parquet pyarrow, is not installed.
        ValueError: if the file is empty, truncated, or not what its name says.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.csv")
        ...     _ = path.write_text('name;age\\n"Doe; Jane";30\\n')
        ...     read_table(path).to_dict("records")
        ...     read_table(path, numbers=True).to_dict("records")
        [{'name': 'Doe; Jane', 'age': '30'}]
        [{'name': 'Doe; Jane', 'age': 30}]
    """
    blocks = list(read_table_blocks(path, None, numbers=numbers))
    return blocks[0] if len(blocks) == 1 else import_pandas().concat(blocks, ignore_index=True)


def read_table_blocks(
    path: str | Path, rows: int | None = BLOCK_ROWS, *, numbers: bool = False
) -> Iterator[DataFrame]:
    """Read a file piece by piece; see `read_table`.

    Args:
        path: the file.
        rows: of a block, at most; None reads all in one.
        numbers: as for `read_table`; each block decides for itself.

    Yields:
        pandas DataFrames, whose attrs["done"] is the share of the file read so far, in [0, 1], and
            attrs["headed"] says whether the file names its columns.

    Raises:
        As `read_table`; what is wrong far into the file is found when it is reached.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    if not is_table_file(path.name):
        raise ValueError(
            f"{path} is no table that can be read: give a .csv (or .csv.gz) or .parquet file."
        )
    if path.suffix.lower() in _PARQUET_SUFFIXES:
        yield from _parquet_blocks(path, rows)
    else:
        yield from _csv_blocks(path, rows, numbers)


def _csv_blocks(path: Path, rows: int | None, numbers: bool) -> Iterator[DataFrame]:
    pd = import_pandas()
    as_text = {"dtype": str, "keep_default_na": False, "na_filter": False}
    dialect = _find_dialect(path)
    # The engine in C warns of, and then cuts, lines that are longer than the heading.
    try:
        with warnings.catch_warnings(), path.open("rb") as raw, _open(raw, path, dialect) as file:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            size = path.stat().st_size
            reader = pd.read_csv(
                file, sep=dialect.delimiter, names=list(dialect.names),
                header=0 if dialect.headed else None, skip_blank_lines=True, index_col=False,
                skipinitialspace=True, chunksize=rows, iterator=True,
                **({"low_memory": False} if numbers else as_text),
            )  # fmt: skip
            with reader:
                while True:
                    try:
                        block = reader.read() if rows is None else reader.get_chunk()
                    except StopIteration:
                        return
                    if not len(block):
                        raise ValueError(f"{path} has a heading, but no rows.")
                    if not numbers:
                        block = block.fillna("")  # lines that are shorter than the heading
                    block.attrs |= {"done": min(1.0, raw.tell() / size), "headed": dialect.headed}
                    yield block
                    if rows is None:
                        return
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a table: {_reason(error)}.") from error
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is truncated or damaged; fetch it again.") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
    if "Length of header" in text:
        return "some lines have more cells than the heading"
    if "EOF inside string" in text:
        return "a quote is opened and never closed"
    return text.rstrip(".")


def _find_dialect(path: Path) -> _Dialect:
    """Find out how a CSV file is written, from its beginning.

    Raises:
        ValueError: if it is empty, compressed otherwise than its name says, or not text.
    """
    sample, cut = _sample(path)
    encoding = _encoding(path, sample, cut)
    text = sample.decode(encoding, "replace")
    if not text.strip():
        raise ValueError(f"{path} is empty.")
    if cut:
        text = text[: text.rfind("\n") + 1] or text  # the last line may be half a one
    delimiter, heading = _delimiter(text)
    if all(_is_number(name) for name in heading):
        names = tuple(f"x{k}" for k in range(len(heading)))
        return _Dialect(encoding, delimiter, names, headed=False)
    return _Dialect(encoding, delimiter, tuple(unique_names(heading)), headed=True)


def _sample(path: Path) -> tuple[bytes, bool]:
    try:
        with _OPENERS.get(_compression(path), open)(path, "rb") as file:
            sample = file.read(_SAMPLE_BYTES)
            return sample, len(sample) == _SAMPLE_BYTES
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{path} is truncated or damaged; fetch it again.") from error
    except OSError as error:
        if _compression(path) and path.is_file():
            raise ValueError(f"{path} is not what its name says: {error}.") from error
        raise


def _compression(path: Path) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix in _OPENERS else ""


def _open(raw: BinaryIO, path: Path, dialect: _Dialect) -> io.TextIOWrapper:
    """Open as text; a few broken characters in a long file do no harm."""
    suffix = _compression(path)
    plain = _OPENERS[suffix](raw, "rb") if suffix else raw
    return io.TextIOWrapper(plain, encoding=dialect.encoding, errors="replace", newline="")


def _encoding(path: Path, sample: bytes, cut: bool) -> str:
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if b"\0" in sample:
        raise ValueError(f"{path} holds binary data, not text; export it as CSV.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=not cut)
    except UnicodeDecodeError:
        return "cp1252"  # what spreadsheets write in the West
    return "utf-8"


def _delimiter(text: str) -> tuple[str, list[str]]:
    """Return the delimiter that makes the most lines equally long, and the first line's cells."""
    best: tuple[float, str, list[str]] = (-1.0, ",", text.strip().splitlines()[:1])
    for delimiter in _DELIMITERS:
        lines = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True
        )
        try:
            rows = [row for row in islice(lines, _SAMPLE_LINES) if row]
        except csv.Error:
            continue
        if not rows:
            continue
        if all(len(row) == len(rows[0]) + 1 and not row[-1] for row in rows[1:]) and rows[1:]:
            rows[0].append("")  # every line but the heading ends in a delimiter
        width = len(rows[0])
        equal = sum(len(row) == width for row in rows) / len(rows)
        score = equal * min(width, 2) + 1e-3 * min(width, 100)
        if score > best[0]:
            best = score, delimiter, rows[0]
    _, delimiter, heading = best
    return delimiter, [name.strip() for name in heading]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parquet_blocks(path: Path, rows: int | None) -> Iterator[DataFrame]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError(
            "Parquet files need pyarrow, which is not installed. Install it with: "
            "pip install 'jaxmlp[parquet]'"
        ) from error
    try:
        with pq.ParquetFile(path) as file:
            if not file.metadata.num_rows:
                raise ValueError(f"{path} has columns, but no rows.")
            total, read = file.metadata.num_rows, 0
            for batch in file.iter_batches(batch_size=rows or total):
                frame = batch.to_pandas()
                frame.columns = unique_names([str(name).strip() for name in frame.columns])
                read += len(frame)
                frame.attrs |= {"done": read / total, "headed": True}
                yield frame
    except pa.ArrowException as error:
        raise ValueError(f"{path} is no Parquet file, or a damaged one.") from error
