"""Tables past memory as the data of a run: understood from a sample, read block by block."""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from jaxmlp.cli.prepared_table import (
    PreparedTable,
    encode_table,
    names_parquet,
    understand_table,
)
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.standardizer import Standardizer
from jaxmlp.data.streams import (
    RowGroup,
    RowStream,
    open_parquet,
    read_group,
    row_groups,
    sample_rows,
    shuffle_rows,
    tells_by_place,
    value_range,
)
from jaxmlp.data.tables import Column, ReadingOptions, RowSplit, Target
from jaxmlp.data.tables.inference import NUMBERING, decimal_sign, infer_column
from jaxmlp.data.tables.pitfalls import Doubt
from jaxmlp.data.tables.reading import whole_dialect
from jaxmlp.data.tables.values import (
    DataFrame,
    Series,
    blank_cells,
    find_levels,
    import_pandas,
    shorten,
    to_levels,
    to_numbers,
)

_LARGE = 1 << 30  # bytes of a file from which it is read as a stream
_SAMPLE = 100_000  # rows that tell what the columns are, and what the encoding is fitted on
_AT_ONCE = "give one file and --no-stream"
_HELD_OUT = 0.1, 50_000  # share of the row groups, and the most rows, to validate and to test


@dataclass(frozen=True, kw_only=True)
class _PreparedStream(PreparedTable):
    """A `PreparedTable` whose training part is a sample of what the network learns from.

    Attributes:
        stream: all rows that it learns from.
    """

    stream: RowStream

    @property
    def rows(self) -> RowStream:
        """The stream."""
        return self.stream

    @property
    def n_train(self) -> int:
        """Its rows."""
        return self.stream.n_rows


def is_streamed(data: str, wanted: bool | None) -> bool:
    """Whether a command reads its data as a stream: as was said, or where they are large.

    Raises:
        ValueError: where that is wanted of something else than Parquet and CSV, or is not wanted
            of a folder or a pattern.
    """
    if names_parquet(data):
        if wanted is False:
            raise ValueError(
                f"--no-stream reads one file, and {data} is a folder or a pattern; give a file, or "
                "leave it out."
            )
        return True
    path = Path(data)
    possible = path.suffix in (".parquet", ".csv") and path.is_file()
    if wanted and not possible:
        raise ValueError(f"--stream reads Parquet and .csv files, and {data} is neither.")
    return wanted if wanted is not None else possible and path.stat().st_size > _LARGE


def load_stream(data: str, options: TableOptions, seed: int) -> _PreparedStream:
    """Understand a table past memory, and open it as a stream.

    A CSV file is first written as Parquet beside it, in random order, once. A tenth of the row
    groups, or as many as hold 50,000 rows, validate, and as many test; of the others, 100,000
    random rows tell what the columns are, and the encoding is fitted on them.

    Args:
        data: a file, a folder or a pattern.
        options: of the user.
        seed: of the choice of row groups.

    Raises:
        ValueError: for options that need all rows at once, or data that cannot be learnt from.
    """
    for name in ("group", "time"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} needs all rows at once; leave it out, or {_AT_ONCE}.")
    source, notes = data, tuple[str, ...]()
    if data.endswith(".csv"):
        notes = whole_dialect(Path(data), options.reading).notes
        source = str(_as_parquet(Path(data), options.reading))
    groups = row_groups(source)
    if len(groups) < 3:
        raise ValueError(
            f"{data} has {len(groups)} row group(s), and a stream needs some to learn from, to "
            f"validate and to test: jaxmlp shuffle {data} OUT.parquet, or {_AT_ONCE}."
        )
    parts = _deal(groups, seed)
    tables = [sample_rows(part, n, seed) for part, n in zip(parts, _most_rows(), strict=True)]
    frame, part_of = _joined(tables)
    frame = blank_cells(frame, options.missing_words)
    frame.attrs["notes"] = notes
    numberings = _row_numbers(frame, groups)
    understood = understand_table(frame, data, options, seed, numberings)
    kept = part_of[understood.target.rows]
    train, validation, test = (np.flatnonzero(kept == k) for k in range(3))
    split = RowSplit(train, validation, test, "whole row groups")
    prepared = encode_table(understood._replace(split=split), data, options, seed)
    reader = _TargetReader.of(understood.target, frame[understood.target.name], decimal_sign(frame))
    stream, left_out = _open(parts[0], prepared, reader)
    doubts = (*prepared.doubts, *left_out, *_order(groups, understood.target.name, data, seed))
    fields = {**vars(prepared), "doubts": doubts, "name": run_name(data)}
    return _PreparedStream(**fields, stream=stream)


def run_name(data: str) -> str:
    """Name a run after a file or folder; of a pattern, after the folder.

    >>> run_name("taxi/2020-*.parquet"), run_name("taxi/"), run_name("trips.parquet")
    ('taxi', 'taxi', 'trips')
    """
    path = Path(data)
    named = path.parent if "*" in path.name or "?" in path.name else path
    return (named.name or "table").split(".")[0]


def _row_numbers(frame: DataFrame, groups: list[RowGroup]) -> dict[str, Column]:
    """Find the columns that number all rows, of which these are a sample."""
    found, n_rows = {}, sum(group.n_rows for group in groups)
    for name, cells in frame.items():
        numbers = to_numbers(cells) if cells.dtype.kind in "iuf" else np.array([np.nan])
        if len(np.unique(numbers)) == len(frame) and (numbers % 1 == 0).all():
            low, high = value_range(groups, str(name)) or (0, 0)
            if high - low == n_rows - 1:
                found[str(name)] = Column(str(name), "drop", ".", NUMBERING)
    return found


def _as_parquet(path: Path, reading: ReadingOptions) -> Path:
    """Write a CSV file as shuffled Parquet beside it, unless that is there and newer."""
    said = "" if reading == ReadingOptions() else f".{zlib.crc32(repr(reading).encode()):08x}"
    out = path.with_suffix(f"{said}.shuffled.parquet")
    if out.is_file():
        if out.stat().st_mtime >= path.stat().st_mtime:
            return out
        out.unlink()
    columns = (
        TextColumn(f"shuffling {path.name} once, into {out.name}"), BarColumn(),
        TaskProgressColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=100)
        shuffle_rows(
            path, out, options=reading,
            progress=lambda percent: bar.update(task, completed=percent),
        )  # fmt: skip
    return out


def _deal(groups: list[RowGroup], seed: int) -> list[list[RowGroup]]:
    """Deal row groups out: to learn from, to validate and to test."""
    order = np.random.default_rng([seed, 1]).permutation(len(groups))
    share, most = _HELD_OUT
    mean_rows = sum(group.n_rows for group in groups) / len(groups)
    n = max(1, min(round(share * len(groups)), math.ceil(most / mean_rows)))
    cuts = order[2 * n :], order[:n], order[n : 2 * n]
    return [[groups[k] for k in sorted(part)] for part in cuts]


def _most_rows() -> tuple[int, int, int]:
    return _SAMPLE, int(_HELD_OUT[1]), int(_HELD_OUT[1])


def _joined(tables: list[DataFrame]) -> tuple[DataFrame, np.ndarray]:
    """Put the parts' rows together; return them, and which part each is of."""
    frame = import_pandas().concat(tables, ignore_index=True)
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame, np.repeat(np.arange(len(tables)), [len(table) for table in tables])


@dataclass(frozen=True)
class _TargetReader:
    """From the target's cells to what a network is given, NaN or -1 where that is none."""

    target: Target
    style: str
    unit: str

    @classmethod
    def of(cls, target: Target, cells: Series, decimal: str) -> "_TargetReader":
        """Learn from a sample how numbers are written."""
        seen = infer_column(cells, decimal=decimal)
        return cls(target, seen.style or ".", seen.unit)

    def __call__(self, cells: Series) -> np.ndarray:
        """Read a column."""
        if self.target.class_names is None:
            return to_numbers(cells, self.style, self.unit)
        words = to_levels(cells, frozenset([""]))
        places = find_levels(words.levels, self.target.class_names)
        index = np.array([*(-1 if k is None else k for k in places), -1], np.int32)
        found: np.ndarray = index[words.codes]
        return found

    def unknown(self, cells: Series) -> set[str]:
        """Words that are none of the classes."""
        if self.target.class_names is None:
            return set()
        words = to_levels(cells, frozenset([""])).levels
        found = zip(words, find_levels(words, self.target.class_names), strict=True)
        return {word for word, place in found if place is None}

    def usable(self, y: np.ndarray) -> np.ndarray:
        """Which rows have a target."""
        return y >= 0 if self.target.class_names is not None else np.isfinite(y)


def _open(
    groups: list[RowGroup], prepared: PreparedTable, reader: _TargetReader
) -> tuple[RowStream, tuple[Doubt, ...]]:
    """Open the rows that have a target; return them, and what is said of the others."""
    name, missing = prepared.target.name, prepared.preprocessing.missing
    usable, unknown = [], set[str]()
    for group in groups:
        cells = blank_cells(read_group(group, [name]), missing)[name]
        usable.append(reader.usable(reader(cells)))
        unknown |= reader.unknown(cells)
    filled = [k for k, rows in enumerate(usable) if rows.any()]
    preprocessor: TablePreprocessor = prepared.preprocessing
    transform: Standardizer | None = prepared.target_transform
    columns = [*preprocessor.column_names, name]
    opened = open_parquet([groups[k] for k in filled], lambda frame: (frame, frame))

    def read(i: int) -> tuple[np.ndarray, np.ndarray]:
        rows = usable[filled[i]]
        frame = blank_cells(read_group(groups[filled[i]], columns), missing)
        y = reader(frame[name])
        if not rows.all():
            frame, y = frame.iloc[rows], y[rows]
        if transform is not None:
            y = transform.transform(y[:, None])[:, 0]
        targets = y if reader.target.class_names is not None else y.astype(np.float32)
        return preprocessor.transform(frame), targets

    sizes = tuple(int(usable[k].sum()) for k in filled)
    n_odd = sum(group.n_rows for group in groups) - sum(sizes)
    return RowStream(sizes, read, opened.fingerprint), _left_out(n_odd, sorted(unknown))


def _left_out(n_rows: int, unknown: list[str]) -> tuple[Doubt, ...]:
    """Say how many rows are left out for want of a target, and which classes are not known."""
    if not n_rows:
        return ()
    evidence = f"{n_rows:,} further rows without a target are left out."
    remedy = ""
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        evidence = (
            f"{n_rows:,} further rows have no target, or one that is not in the sample, such as "
            f"{shorten(unknown[0])!r}{more}, and are left out."
        )
        remedy = "if these count, shuffle the rows first: jaxmlp shuffle"
    return (Doubt("reading", evidence, remedy),)


def _order(groups: list[RowGroup], target: str, data: str, seed: int) -> tuple[Doubt, ...]:
    """Say so where the order of the rows tells their targets."""
    if not tells_by_place(groups, target, seed):
        return ()
    evidence = (
        "the order in which the rows are stored tells their targets, so blocks of rows teach one "
        "target after another."
    )
    return (Doubt("order", evidence, f"shuffle them once: jaxmlp shuffle {data} OUT.parquet"),)
