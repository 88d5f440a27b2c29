"""Rows past memory: read block by block, in an order of blocks that each epoch draws anew."""

import glob
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jaxmlp.data.tables.dialect import ReadingOptions
from jaxmlp.data.tables.duckdb_csv import duckdb_readers, sql_text
from jaxmlp.optional import import_optional

__all__ = [
    "RowGroup", "RowStream", "open_npy", "open_parquet", "row_groups", "shuffle_rows",
    "tells_by_place",
]  # fmt: skip

Block: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Features (rows, n_in) and targets (rows,) or (rows, n_out)."""

_BLOCK_ROWS = 50_000


@dataclass(frozen=True)
class RowStream:
    """Examples that are read a block at a time, for `fit` in place of (x, y).

    Attributes:
        sizes: rows of each block.
        read: number of a block -> its features and targets, as `fit` takes them.
        fingerprint: what names the data: where a run goes on, it must be the same.

    Example:
        >>> x, y = np.zeros((10, 2), np.float32), np.arange(10) % 2
        >>> stream = RowStream((6, 4), lambda i: (x[6 * i :][:6], y[6 * i :][:6]), "ten rows")
        >>> stream.n_rows, [len(y) for _, y in stream.blocks([1, 0])]
        (10, [4, 6])
    """

    sizes: tuple[int, ...]
    read: Callable[[int], Block]
    fingerprint: str

    def __post_init__(self) -> None:
        """Refuse a stream without rows."""
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"a stream has blocks of {self.sizes} rows; each must have some.")

    @property
    def n_rows(self) -> int:
        """Rows of all blocks."""
        return sum(self.sizes)

    def order(self, seed: int, epoch: int) -> list[int]:
        """Draw the order of the blocks in an epoch."""
        grain = import_optional("grain", "streams are ordered by grain", "jaxmlp[scale]")
        mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
        numbers = grain.MapDataset.range(len(self.sizes)).seed(mixed).shuffle()
        return [int(number) for number in numbers]

    def blocks(self, order: Sequence[int], ahead: int = 2) -> Iterator[Block]:
        """Read blocks in an order, some ahead of where they are wanted, in a thread of its own."""
        grain = import_optional("grain", "streams are read by grain", "jaxmlp[scale]")
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=ahead)
        read: Iterator[Block] = iter(
            grain.MapDataset.source(list(order)).map(self.read).to_iter_dataset(options)
        )
        return read

    def shard(self, index: int, count: int) -> "RowStream":
        """Return every count-th block, from `index` on: the share of one process of several."""
        own = range(index, len(self.sizes), count)
        return RowStream(
            tuple(self.sizes[i] for i in own),
            lambda i: self.read(own[i]),
            f"{self.fingerprint}, part {index} of {count}",
        )


def open_npy(x: str | Path, y: str | Path, *, block_rows: int = _BLOCK_ROWS) -> RowStream:
    """Open two .npy files as a stream; they are mapped into memory, not read.

    Args:
        x: features, (rows, n_in).
        y: targets, (rows,) or (rows, n_out).
        block_rows: rows that are read together.

    Returns:
        The stream. The rows are taken in blocks, so they must not be stored in an order that
        says something of the targets.

    Raises:
        FileNotFoundError: if one is not there.
        ValueError: for files that do not fit each other.

    Example:
        >>> open_npy("no.npy", "y.npy")
        Traceback (most recent call last):
        FileNotFoundError: there is no file no.npy.
    """
    arrays = []
    for path in map(Path, (x, y)):
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}.")
        try:
            arrays.append(np.load(path, mmap_mode="r", allow_pickle=False))
        except ValueError as error:
            raise ValueError(f"{path} is no array that can be mapped: {error}") from error
    features, targets = arrays
    if features.ndim != 2 or len(features) != len(targets):
        raise ValueError(
            f"{x} has shape {features.shape} and {y} {targets.shape}; give (rows, n_in) and as "
            "many targets."
        )
    cuts = list(range(0, len(features), block_rows))
    sizes = tuple(min(block_rows, len(features) - cut) for cut in cuts)

    def read(i: int) -> Block:
        rows = slice(cuts[i], cuts[i] + sizes[i])
        return np.array(features[rows]), np.array(targets[rows])

    return RowStream(sizes, read, _fingerprint([Path(x), Path(y)]))


class RowGroup(NamedTuple):
    """A part of a Parquet file.

    Attributes:
        path: the file.
        number: of the row group in it.
        n_rows: rows.
    """

    path: Path
    number: int
    n_rows: int


def _parquet_files(source: str | Path) -> list[Path]:
    """Return the Parquet files that a path names: a file, a folder, or a pattern with *.

    Raises:
        FileNotFoundError: if there are none.
    """
    path = Path(source)
    found = (
        sorted(path.rglob("*.parquet"))
        if path.is_dir()
        else sorted(map(Path, glob.glob(str(source))))
    )
    if not found:
        raise FileNotFoundError(
            f"{source} names no Parquet file; give a file, a folder or a pattern."
        )
    return found


def row_groups(source: str | Path) -> list[RowGroup]:
    """List the row groups of Parquet files, from their footers.

    Args:
        source: a file, a folder, or a pattern with *.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: for a file that is damaged, or of other columns than the first.
    """
    parquet = _parquet()
    groups, first = list[RowGroup](), None
    for path in _parquet_files(source):
        try:
            meta = parquet.ParquetFile(path)
        except (OSError, ValueError) as error:  # what pyarrow raises is one of these
            raise ValueError(f"{path} is no Parquet file that can be read: {error}") from error
        names = meta.schema_arrow.names
        first = first or (path, names)
        if set(names) != set(first[1]):
            odd = sorted(set(names) ^ set(first[1]))
            raise ValueError(f"{path} and {first[0]} differ in the column {odd[0]!r}.")
        groups += [
            RowGroup(path, k, meta.metadata.row_group(k).num_rows)
            for k in range(meta.num_row_groups)
            if meta.metadata.row_group(k).num_rows
        ]
    if not groups:
        raise ValueError(f"{source} holds no rows.")
    return groups


def value_range(groups: Sequence[RowGroup], name: str) -> tuple[float, float] | None:
    """Read a column's smallest and largest number from the footers; None where they lack these."""
    metadata = {path: _parquet().ParquetFile(path).metadata for path in {g.path for g in groups}}
    ends: list[float] = []
    for group in groups:
        meta = metadata[group.path]
        names = [own.strip() for own in meta.schema.names]
        found = meta.row_group(group.number).column(names.index(name)).statistics
        if found is None or not found.has_min_max:
            return None
        ends += [found.min, found.max]
    return min(ends), max(ends)


def read_group(group: RowGroup, columns: Sequence[str] | None = None) -> Any:
    """Read a row group as a DataFrame; texts are categories, so that each is looked at once."""
    parquet = _parquet()
    table = parquet.ParquetFile(group.path).read_row_group(group.number, columns, use_threads=False)
    return table.to_pandas(strings_to_categorical=True, self_destruct=True)


def open_parquet(groups: Sequence[RowGroup], encode: Callable[[Any], Block]) -> RowStream:
    """Open row groups as a stream.

    Args:
        groups: from `row_groups`; in no order that says something of the targets.
        encode: DataFrame of a row group -> features and targets.

    Returns:
        The stream, a block a row group.
    """
    own = list(groups)
    return RowStream(
        tuple(group.n_rows for group in own),
        lambda i: encode(read_group(own[i])),
        _fingerprint(sorted({group.path for group in own})) + f" {len(own)}",
    )


def sample_rows(groups: Sequence[RowGroup], n_rows: int, seed: int) -> Any:
    """Read random row groups until there are so many rows, as one DataFrame of plain cells."""
    pandas = import_optional("pandas", "tables need pandas", "jaxmlp[sklearn]")
    parts, found = [], 0
    for k in np.random.default_rng(seed).permutation(len(groups)):
        table = _parquet().ParquetFile(groups[k].path).read_row_group(groups[k].number)
        parts.append(table.to_pandas())
        found += groups[k].n_rows
        if found >= n_rows:
            break
    return pandas.concat(parts, ignore_index=True).iloc[:n_rows]


def tells_by_place(groups: Sequence[RowGroup], target: str, seed: int = 0) -> bool:
    """Whether the order in which rows are stored says something of their targets.

    Classes are compared between twenty row groups by the chi-squared test, numbers by analysis of
    variance; below p = 1e-9, training on one block after another would learn one target after
    another.

    Args:
        groups: of the data.
        target: name of the column.
        seed: of the choice of row groups.
    """
    stats = import_optional("scipy.stats", "this test needs SciPy", "jaxmlp[sklearn]")
    pandas = import_optional("pandas", "tables need pandas", "jaxmlp[sklearn]")
    if len(groups) < 2:
        return False
    chosen = np.random.default_rng(seed).permutation(len(groups))[:_COMPARED]
    cells = [read_group(groups[k], [target])[target].dropna() for k in chosen]
    whole = pandas.concat([column.astype(object) for column in cells], ignore_index=True)
    numbers = pandas.to_numeric(whole, errors="coerce")
    with np.errstate(divide="ignore", invalid="ignore"):
        if numbers.notna().all() and whole.nunique() > _CLASSES:
            found = stats.f_oneway(*(pandas.to_numeric(column) for column in cells))
        else:
            where = np.repeat(np.arange(len(cells)), [len(column) for column in cells])
            counts = pandas.crosstab(where, whole.astype(str).to_numpy())
            if counts.shape[1] < 2:
                return False
            found = stats.chi2_contingency(counts)
    return bool(found.pvalue < _TELLING)


_COMPARED, _CLASSES, _TELLING = 20, 20, 1e-9


def shuffle_rows(
    source: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    progress: Callable[[float], object] = lambda percent: None,
    memory: str = "1GB",
    options: ReadingOptions | None = None,
) -> Path:
    """Write the rows of CSV or Parquet files in random order, as one Parquet file, past memory.

    Args:
        source: a file, a folder of Parquet files, or a pattern with *.
        out: where to write.
        seed: of the order.
        progress: called with the percentage that is done.
        memory: that DuckDB may use; what is beyond goes to temporary files beside `out`.
        options: what is known of how a CSV is written; the rest is found out.

    Returns:
        The file: zstd, row groups of about 50,000 rows.

    Raises:
        ImportError: without duckdb, with the command that installs it.
        FileExistsError: if `out` is there.
        ValueError: for what DuckDB cannot read.
    """
    duckdb = import_optional("duckdb", "shuffling past memory needs duckdb", "jaxmlp[scale]")
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists already; give another name.")
    text = not (Path(source).is_dir() or str(source).endswith((".parquet", ".parquet*")))
    partial = out.with_name(f".{out.name}.partial")
    connection = duckdb.connect()
    readers = (
        duckdb_readers(str(source), options or ReadingOptions(), out)
        if text
        else nullcontext([f"read_parquet([{', '.join(map(sql_text, _parquet_files(source)))}])"])
    )
    try:
        connection.execute(f"SET memory_limit = {sql_text(memory)}")
        connection.execute(f"SET temp_directory = {sql_text(out.parent.absolute())}")
        connection.execute("SET preserve_insertion_order = false")
        with readers as possible:
            for reader in possible:
                numbered = f"SELECT *, row_number() OVER () AS jaxmlp_row FROM {reader}"
                try:
                    _watched(
                        connection,
                        f"COPY (SELECT * EXCLUDE (jaxmlp_row) FROM ({numbered}) "
                        f"ORDER BY hash(jaxmlp_row, {int(seed)})) TO {sql_text(partial)} "
                        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_BLOCK_ROWS})",
                        progress,
                    )
                    break
                except duckdb.Error:
                    if reader == possible[-1]:
                        raise
        partial.replace(out)
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"{source} cannot be read by DuckDB: {first}") from error
    finally:
        connection.close()
        partial.unlink(missing_ok=True)
    return out


def _watched(connection: Any, query: str, progress: Callable[[float], object]) -> None:
    """Run a query, and tell how far it is."""
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.execute, query)
        while not running.done():
            wait([running], timeout=0.2)
            progress(max(0.0, float(connection.query_progress())))
        running.result()


def _parquet() -> Any:
    return import_optional("pyarrow.parquet", "Parquet files need pyarrow", "jaxmlp[parquet]")


def _fingerprint(paths: Sequence[Path]) -> str:
    """Name files by their names, sizes and times."""
    found = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        found.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return found.hexdigest()[:24]
