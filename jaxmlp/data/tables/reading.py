"""Reading tables from files: CSV in its dialects, Parquet, workbooks, JSON lines, archives.

The cells of a CSV stay text, unless numbers are asked for: what text means, its column decides, and
so it means the same in every block of a file that is read piece by piece.
"""

import bz2
import csv
import gzip
import io
import lzma
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from jaxmlp.data.tables.containers import (
    FEATHER_SUFFIXES,
    JSON_SUFFIXES,
    WORKBOOK_SUFFIXES,
    ZIP_SUFFIX,
    extract_table,
    read_feather,
    read_json_lines,
    write_sheet,
)
from jaxmlp.data.tables.dialect import Dialect, ReadingOptions, find_dialect, is_western
from jaxmlp.data.tables.values import DataFrame, import_pandas, unique_names
from jaxmlp.optional import import_optional

_SAMPLE_BYTES, _SAMPLE_LINES = 1 << 18, 3  # a sample grows until it has so many lines
BLOCK_ROWS = 8192
TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat")
PARQUET_SUFFIXES = (".parquet", ".pq")
SHEET_SUFFIXES = (*WORKBOOK_SUFFIXES, ZIP_SUFFIX)  # files that may have sheets
_WHOLE_SUFFIXES = (*PARQUET_SUFFIXES, *FEATHER_SUFFIXES, *SHEET_SUFFIXES)
OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def is_table_file(name: str) -> bool:
    """Whether a name ends as those of the files that can be read do.

    >>> is_table_file("data/adult.csv.gz"), is_table_file("digits")
    (True, False)
    """
    return (
        name.lower()
        .removesuffix(_compression(Path(name)))
        .endswith((*TEXT_SUFFIXES, *JSON_SUFFIXES))
    ) or name.lower().endswith(_WHOLE_SUFFIXES)


def read_table(
    path: str | Path, *, numbers: bool = False, options: ReadingOptions | None = None
) -> DataFrame:
    """Read a whole file.

    Args:
        path: .csv, .tsv, .txt or .jsonl, also .gz, .bz2 or .xz; .parquet, .xlsx, .feather; or a
            .zip of one of these. Delimiter, encoding and quotes of text are found out.
        numbers: whether columns of a CSV in which every cell is a number or empty become numbers,
            many times faster than through text; an empty cell among them is NaN.
        options: what is known of how a CSV is written.

    Returns:
        A pandas DataFrame with unique names. Parquet, Feather and JSON bring types of columns.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if pandas, pyarrow (Parquet, Feather) or openpyxl (.xlsx) is not installed.
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
    blocks = list(read_table_blocks(path, None, numbers=numbers, options=options))
    return blocks[0] if len(blocks) == 1 else import_pandas().concat(blocks, ignore_index=True)


def read_table_blocks(
    path: str | Path,
    rows: int | None = BLOCK_ROWS,
    *,
    numbers: bool = False,
    options: ReadingOptions | None = None,
    sheet_lines: int | None = None,
) -> Iterator[DataFrame]:
    """Read a file piece by piece; see `read_table`.

    Args:
        path: the file.
        rows: of a block, at most; None reads all in one.
        numbers: as for `read_table`; each block decides for itself.
        options: as for `read_table`.
        sheet_lines: how many of a sheet are looked at, which is never read piece by piece; None
            looks at all.

    Yields:
        pandas DataFrames, whose attrs["done"] is the share of the file read so far, in [0, 1],
            attrs["headed"] says whether the file names its columns, and attrs["notes"] are
            sentences about what was doubtful.

    Raises:
        As `read_table`; what is wrong far into the file is found when it is reached.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    if not is_table_file(path.name):
        raise ValueError(
            f"{path} is no table that can be read: give a .csv (or .csv.gz), .xlsx, .jsonl or "
            ".parquet file."
        )
    options, suffix = options or ReadingOptions(), path.suffix.lower()
    if options.sheet and suffix not in SHEET_SUFFIXES:
        raise ValueError(f"{path} has no sheets; leave out --sheet.")
    if suffix in PARQUET_SUFFIXES:
        yield from _parquet_blocks(path, rows)
    elif suffix in FEATHER_SUFFIXES:
        yield from _cut(path, read_feather(path), rows)
    elif suffix in SHEET_SUFFIXES:
        yield from _unpacked_blocks(path, rows, numbers, options, sheet_lines)
    elif path.name.lower().removesuffix(_compression(path)).endswith(JSON_SUFFIXES):
        yield from _cut(path, _json_frame(path), rows)
    else:
        yield from _csv_blocks(path, rows, numbers, options)


def _unpacked_blocks(
    path: Path, rows: int | None, numbers: bool, options: ReadingOptions, sheet_lines: int | None
) -> Iterator[DataFrame]:
    """Read what a workbook or an archive holds, from a file beside; messages name the given one."""
    with tempfile.TemporaryDirectory() as folder:
        notes: tuple[str, ...] = ()
        if path.suffix.lower() == ZIP_SUFFIX:
            inner = extract_table(path, Path(folder), _may_be_packed)
        else:
            inner = Path(folder, "sheet.csv")
            notes = write_sheet(path, options.sheet, inner, sheet_lines)
            options = options._replace(sheet="", delimiter=",")
        try:
            for block in read_table_blocks(
                inner, rows, numbers=numbers, options=options, sheet_lines=sheet_lines
            ):
                said = (note.replace(str(inner), str(path)) for note in block.attrs["notes"])
                block.attrs["notes"] = (*notes, *said)
                yield block
        except ValueError as error:
            raise ValueError(str(error).replace(str(inner), str(path))) from error


def _may_be_packed(name: str) -> bool:
    return is_table_file(name) and not name.lower().endswith(ZIP_SUFFIX)


def _json_frame(path: Path) -> DataFrame:
    try:
        with OPENERS.get(_compression(path), open)(path, "rt", encoding="utf-8-sig") as file:
            return read_json_lines(path, file)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8, as JSON is.") from error
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{path} is truncated or damaged; fetch it again.") from error


def _cut(path: Path, frame: DataFrame, rows: int | None) -> Iterator[DataFrame]:
    """Cut a table in memory into blocks."""
    if not len(frame):
        raise ValueError(f"{path} has columns, but no rows.")
    frame.columns = unique_names([str(name).strip() for name in frame.columns])
    for start in range(0, len(frame), rows or len(frame)):
        block = frame.iloc[start : start + (rows or len(frame))].reset_index(drop=True)
        done = min(1.0, (start + len(block)) / len(frame))
        block.attrs |= {"done": done, "headed": True, "notes": ()}
        yield block


def _csv_blocks(
    path: Path, rows: int | None, numbers: bool, options: ReadingOptions
) -> Iterator[DataFrame]:
    try:
        sample, cut = _sample(path)
        dialect, n_blocks = find_dialect(str(path), sample, cut, options), 0
        try:
            for block in _parse(path, dialect, rows, numbers):
                yield block
                n_blocks += 1
        except UnicodeDecodeError:  # a letter that is not UTF-8, behind the sample
            dialect = _other_encoding(path, dialect)
            yield from islice(_parse(path, dialect, rows, numbers), n_blocks, None)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        what = "not what its name says" if isinstance(error, gzip.BadGzipFile) else "truncated"
        raise ValueError(f"{path} is {what} or damaged; fetch it again.") from error


def whole_dialect(path: Path, options: ReadingOptions) -> Dialect:
    """Find out how a text file is written; its encoding by the whole file.

    Args:
        path: the file.
        options: of the user.

    Raises:
        ValueError: as `find_dialect`.
    """
    dialect = find_dialect(str(path), *_sample(path), options)
    if dialect.encoding != "utf-8":
        return dialect
    try:
        with open_text(path, dialect) as file:
            while file.read(_SAMPLE_BYTES):
                pass
    except UnicodeDecodeError:
        return _other_encoding(path, dialect)
    return dialect


@contextmanager
def open_text(path: Path, dialect: Dialect) -> Iterator[io.TextIOWrapper]:
    """Open a text file, also a compressed one, in its encoding."""
    with path.open("rb") as raw, _open(raw, path, dialect) as file:
        yield file


def _other_encoding(path: Path, dialect: Dialect) -> Dialect:
    """Choose another encoding by the whole file."""
    with path.open("rb") as raw, _unpacked(raw, path) as file:
        western = is_western(iter(lambda: file.read(_SAMPLE_BYTES), b""))
    said = f"{path} is not wholly UTF-8: "
    said += "read as Windows-1252." if western else "letters that cannot be read are replaced."
    encoding = "cp1252" if western else "utf-8-replace"
    return dialect._replace(encoding=encoding, notes=(*dialect.notes, said))


def _parse(path: Path, dialect: Dialect, rows: int | None, numbers: bool) -> Iterator[DataFrame]:
    pd = import_pandas()
    as_text = {"dtype": str, "keep_default_na": False, "na_filter": False}
    one_column = len(dialect.names) == 1
    # The engine in C warns of, and then cuts, lines that are longer than the heading.
    try:
        with warnings.catch_warnings(), path.open("rb") as raw, _open(raw, path, dialect) as file:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            size = path.stat().st_size
            for _ in range(dialect.skip):
                file.readline()
            reader = pd.read_csv(
                _BlankEndsCut(file) if one_column else file,
                sep=r"\s+" if dialect.delimiter == "whitespace" else dialect.delimiter,
                quotechar=dialect.quote, escapechar=dialect.escape, names=list(dialect.names),
                header=0 if dialect.headed and not dialect.named_above else None,
                skip_blank_lines=not one_column,
                index_col=False, skipinitialspace=True, chunksize=rows, iterator=True,
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
                    block.attrs |= {
                        "done": min(1.0, raw.tell() / size),
                        "headed": dialect.headed,
                        "notes": dialect.notes,
                    }
                    yield block
                    if rows is None:
                        return
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a table: {_reason(error)}.") from error


class _BlankEndsCut:
    """A text file without the blank lines at its end; of one column, others are empty cells."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        """Read nothing yet."""
        self._file, self._held = file, ""

    def read(self, size: int) -> str:
        """Return text; line ends are held back until something follows them."""
        while part := self._file.read(size):
            text = self._held + part
            shown = text.rstrip("\r\n")
            self._held = text[len(shown) :]
            if shown:
                return shown
        return ""

    def __iter__(self) -> Iterator[str]:
        """Yield text; pandas takes only what can be iterated for a file."""
        return iter(lambda: self.read(_SAMPLE_BYTES), "")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
    if "Length of header" in text:
        return "some lines have more cells than the heading"
    if "EOF inside string" in text:
        return "a quote is opened and never closed"
    return text.rstrip(".")


def _sample(path: Path) -> tuple[bytes, bool]:
    """Read the beginning, some whole lines of it; and say whether there is more."""
    try:
        with OPENERS.get(_compression(path), open)(path, "rb") as file:
            sample = file.read(_SAMPLE_BYTES)
            cut = len(sample) == _SAMPLE_BYTES
            while cut and sample.count(b"\n") < _SAMPLE_LINES:
                more = file.read(len(sample))
                cut, sample = len(more) == len(sample), sample + more
            return sample, cut
    except OSError as error:
        if _compression(path) and path.is_file():
            raise ValueError(f"{path} is not what its name says: {error}.") from error
        raise


def _compression(path: Path) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix in OPENERS else ""


def _unpacked(raw: BinaryIO, path: Path) -> Any:
    suffix = _compression(path)
    return OPENERS[suffix](raw, "rb") if suffix else raw


def _open(raw: BinaryIO, path: Path, dialect: Dialect) -> io.TextIOWrapper:
    """Open as text; only UTF-8 is doubted, of others a few broken characters do no harm."""
    errors = "strict" if dialect.encoding == "utf-8" else "replace"
    encoding = dialect.encoding.removesuffix("-replace")
    return io.TextIOWrapper(_unpacked(raw, path), encoding=encoding, errors=errors, newline="")


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet, or say how to get them."""
    parquet = import_optional("pyarrow.parquet", "Parquet files need pyarrow", "jaxmlp[parquet]")
    return import_module("pyarrow"), parquet


def _parquet_blocks(path: Path, rows: int | None) -> Iterator[DataFrame]:
    pa, pq = import_pyarrow()
    try:
        with pq.ParquetFile(path) as file:
            if not file.metadata.num_rows:
                raise ValueError(f"{path} has columns, but no rows.")
            total, read = file.metadata.num_rows, 0
            for batch in file.iter_batches(batch_size=rows or total):
                frame = batch.to_pandas()
                frame.columns = unique_names([str(name).strip() for name in frame.columns])
                read += len(frame)
                frame.attrs |= {"done": read / total, "headed": True, "notes": ()}
                yield frame
    except pa.ArrowException as error:
        raise ValueError(f"{path} is no Parquet file, or a damaged one.") from error
