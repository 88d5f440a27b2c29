"""A table as the data of a run: understood, split, encoded, and what is doubtful about it."""

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.cli.extraction import refuse_unread, say_broken
from jaxmlp.cli.feature_columns import TableBackbone, extract_columns
from jaxmlp.cli.prepared_data import DATA_SETS, PreparedData, load_data_set
from jaxmlp.cli.standard_input import STANDARD_INPUT, as_file
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.data import Dataset, Standardizer, TablePreprocessor
from jaxmlp.data.tables import (
    Column,
    ReadingOptions,
    RowSplit,
    Schema,
    Target,
    infer_columns,
    is_table_file,
    read_schema,
    read_table,
    read_target,
    split_folds,
    split_rows,
    with_kinds,
)
from jaxmlp.data.tables.dates import to_days
from jaxmlp.data.tables.inference import (
    NUMBERING,
    ROW_NUMBERS,
    SHOWN_NAMES,
    decimal_sign,
    infer_column,
    unknown_column,
)
from jaxmlp.data.tables.pitfalls import (
    Doubt,
    imbalance,
    leak_search,
    repeated_rows,
    sentinels,
    time_order,
)
from jaxmlp.data.tables.values import (
    DataFrame,
    Series,
    blank_cells,
    import_pandas,
    shorten,
    to_numbers,
)

_LOSSES = {"classes": "softmax_cross_entropy", "amounts": "squared_error", "counts": "poisson"}


@dataclass(frozen=True, kw_only=True)
class PreparedTable(PreparedData):
    """A `PreparedData` made of a table, and what was understood.

    Attributes:
        preprocessing: from rows of the table to inputs.
        target: what is predicted.
        columns: what each column is.
        split: the rows of each part.
        doubts: what may make the scores too good, or was read wrongly; but for leaks.
        find_leaks: looks for columns that give the target away.
        reading: how its file was read.
        backbone: what makes features of some columns, for new data; {} if none does.
    """

    preprocessing: TablePreprocessor
    target: Target
    columns: dict[str, Column]
    split: RowSplit
    doubts: tuple[Doubt, ...]
    find_leaks: Callable[[], list[Doubt]]
    reading: ReadingOptions
    backbone: Mapping[str, Any] = field(default_factory=dict)

    @property
    def extra(self) -> dict[str, Any]:
        """How new data are read, where that cannot be found out, and their backbone."""
        unusual = self.reading != ReadingOptions()
        reading = {"reading": self.reading._asdict()} if unusual else {}
        return reading | ({"backbone": dict(self.backbone)} if self.backbone else {})

    @property
    def schema(self) -> Schema:
        """What was inferred and chosen, for a file."""
        return Schema(self.columns, self.target.name, self.target.task)


def is_table(data: str) -> bool:
    """Whether the data of a command are a table's."""
    return data == STANDARD_INPUT or is_table_file(data) or names_parquet(data)


def names_parquet(data: str) -> bool:
    """Whether data are a folder, or a pattern, of Parquet files."""
    if data in DATA_SETS:
        return False
    if "*" in data or "?" in data:
        return bool(glob.glob(data))
    path = Path(data)
    return path.is_dir() and any(path.rglob("*.parquet"))


def load_data(
    data: str,
    data_dir: Path | None,
    options: TableOptions,
    seed: int,
    backbone: TableBackbone | None = None,
) -> PreparedData:
    """Load a table, also from the standard input, "-"; or a data set by name.

    See `load_table` and `load_data_set`.
    """
    if is_table(data):
        with as_file(data) as path:
            return load_table(path, options, seed, backbone)
    if options != TableOptions(max_one_hot=options.max_one_hot, clamp=options.clamp):
        raise ValueError(f"--target and its like go with a table, but {data} is none.")
    if Path(data).is_dir() and data not in DATA_SETS:
        raise ValueError(
            f"{data} is a folder without Parquet files; of images or sounds, in a folder for each "
            "class, add --backbone, such as package:efficientnet-lite0 or package:resemblyzer."
        )
    return load_data_set(data, data_dir, seed)


def load_table(
    path: str, options: TableOptions, seed: int, backbone: TableBackbone | None = None
) -> PreparedTable:
    """Read a table, infer its columns, split its rows, and fit the encoding on the training part.

    Args:
        path: the file.
        options: of the user.
        seed: of the split.
        backbone: what makes features of the columns that hold some.

    Returns:
        The parts, and what was understood.

    Raises:
        FileNotFoundError: if there is no such file or schema.
        ValueError: if something in it makes learning impossible; the message says what.
    """
    frame = blank_cells(read_table(path, options=options.reading), options.missing_words)
    table = understand_table(frame, path, options, seed)
    if backbone is not None:
        table = _through_backbone(table, backbone, path, options, seed)
    return encode_table(table, path, options, seed)


class _UnderstoodTable(NamedTuple):
    """A table whose rows all have a target, and what its columns and rows are.

    `made` holds what a backbone made of columns, and `backbone` says which one it was.
    """

    frame: DataFrame
    target: Target
    columns: dict[str, Column]
    split: RowSplit
    made: Mapping[str, Series] = {}
    backbone: Mapping[str, Any] = {}

    @property
    def features(self) -> DataFrame:
        """All columns but the target."""
        rest = self.frame.drop(columns=self.target.name)
        return rest.assign(**self.made) if self.made else rest


def understand_table(
    frame: DataFrame,
    path: str,
    options: TableOptions,
    seed: int,
    known: Mapping[str, Column] | None = None,
) -> _UnderstoodTable:
    """Find out what a table's columns and target are, and split its rows.

    Args:
        frame: all rows, or a sample.
        path: of the file, for messages.
        options: of the user.
        seed: of the split.
        known: what some columns are, where the user does not say otherwise.

    Raises:
        ValueError: as `load_table`.
    """
    schema = Schema() if options.schema is None else read_schema(options.schema)
    schema = with_kinds(schema, options.column_kinds(frame.columns))
    name = _target_name(frame, options.target or schema.target, path)
    decimal = decimal_sign(frame)
    target = read_target(frame[name], options.task or schema.task, decimal=decimal)
    chosen = {**(known or {}), **schema.columns}
    chosen.pop(name, None)
    if len(target.rows) < len(frame):  # with gaps, a row number looks like any number
        seen = infer_columns(frame.drop(columns=name), chosen, decimal)
        chosen |= {key: column for key, column in seen.items() if column.reason in ROW_NUMBERS}
    frame = frame.iloc[target.rows].reset_index(drop=True)
    for special in (options.group, options.time):
        if special is not None and special not in frame.columns:
            raise unknown_column(special, frame)
    columns = infer_columns(frame.drop(columns=name), chosen, decimal)
    time = None
    if options.time is not None:
        time = _time_column(frame[options.time], columns.get(options.time), decimal)
    split = _split(frame, target, options, time, seed)
    return _UnderstoodTable(frame, target, _set_aside(columns, options, time), split)


def _through_backbone(
    table: _UnderstoodTable, backbone: TableBackbone, path: str, options: TableOptions, seed: int
) -> _UnderstoodTable:
    """Put features in the columns that hold some; rows with a broken file are left out."""
    names = [name for name, column in table.columns.items() if column.kind == "features"]
    if not names:
        raise ValueError(
            "--backbone takes columns of --text, --image or --sound, and none is left."
        )
    found = extract_columns(backbone, table.frame[names])
    if not found.cells.notna().any(axis=None):
        refuse_unread(backbone.backbone.kind, found.faults)
    made = found.cells
    if found.broken.any():
        say_broken(backbone.console, found.faults)
        whole = ~found.broken
        table = understand_table(table.frame[whole], path, options, seed, table.columns)
        made = made[whole].iloc[table.target.rows].reset_index(drop=True)
    columns = {
        name: column._replace(reason=backbone.describe(made[name])) if name in names else column
        for name, column in table.columns.items()
    }
    return table._replace(columns=columns, made=dict(made.items()), backbone=backbone.record(names))


def _time_column(cells: Series, column: Column | None, decimal: str) -> Column:
    """How the column that orders the rows is read, also where it is no feature."""
    known = column is not None and column.kind in ("number", "date")
    return column if column is not None and known else infer_column(cells, decimal=decimal)


def _split(
    frame: DataFrame, target: Target, options: TableOptions, time: Column | None, seed: int
) -> RowSplit:
    said: dict[str, Any] = {
        "stratify": target.class_names is not None,
        "seed": seed,
        "group": None if options.group is None else frame[options.group],
        "time": None if time is None else _moments(frame[time.name], time),
    }
    if options.folds:
        return split_folds(target.y, options.folds, **said)[options.fold]
    return split_rows(target.y, **said)


def _moments(cells: Series, column: Column) -> Series:
    """Read times as numbers, NaN where a cell is none."""
    if column.kind == "date":
        numbers = to_days(cells, column.style)
    else:
        numbers = to_numbers(cells, column.style or ".", column.unit)
    return import_pandas().Series(numbers, name=cells.name)


def _target_name(frame: DataFrame, name: str | None, path: str) -> str:
    if name is None:
        names = frame.columns[:SHOWN_NAMES]
        raise ValueError(
            f"say which column of {path} to predict: --target NAME. It has "
            f"{', '.join(map(shorten, names))}{', ...' if len(frame.columns) > len(names) else ''}."
        )
    if name not in frame.columns and len(frame.columns) == 1:
        raise ValueError(
            f"{path} is read as a single column, {shorten(frame.columns[0])!r}; say what stands "
            "between its cells: --delimiter."
        )
    if name not in frame.columns:
        raise ValueError(f"{unknown_column(name, frame)}{_no_heading(frame)}")
    if len(frame.columns) < 2:
        raise ValueError(f"{path} has no column besides {name!r} to predict it from.")
    return name


def _no_heading(frame: DataFrame) -> str:
    """Say so where the names of the columns may be data."""
    if not frame.attrs.get("headed", True):
        return " No line of the file names its columns: --no-header."
    return "".join(f" {note}." for note in frame.attrs.get("notes", ()) if "--no-header" in note)


def _set_aside(
    columns: dict[str, Column], options: TableOptions, time: Column | None
) -> dict[str, Column]:
    """Take the columns that split the rows out of the features."""
    columns = dict(columns)
    if options.group is not None and options.group in columns:
        columns[options.group] = Column(options.group, "drop", reason="groups the rows")
    if time is not None and time.name in columns:
        order = time.style if time.kind == "date" and time.style != "ymd" else ""
        said = f"orders the rows{', read as ' * bool(order)}{'/'.join(order)}"
        columns[time.name] = Column(time.name, "drop", reason=said)
    return columns


def encode_table(
    table: _UnderstoodTable, path: str, options: TableOptions, seed: int
) -> PreparedTable:
    """Fit the encoding on the training part, and encode all parts."""
    target, split = table.target, table.split
    features = table.features
    preprocessor = TablePreprocessor.fit(
        features.iloc[split.train], columns=table.columns, scaling=options.scaling,
        missing=options.missing_words, max_one_hot=options.max_one_hot,
    )  # fmt: skip
    y, transform = target.y, None
    if target.kind == "amounts":
        transform = Standardizer.fit(target.y[split.train][:, None], clamp=options.clamp)
        y = transform.transform(target.y[:, None])[:, 0]
    train, validation, test = (
        Dataset(
            preprocessor.transform(features.iloc[rows]),
            y[rows] if target.class_names is not None else y[rows].astype(np.float32),
            preprocessor.feature_names,
            target.class_names,
        )
        for rows in (split.train, split.validation, split.test)
    )
    return PreparedTable(
        name=Path(path).name.split(".")[0],
        train=train,
        validation=validation,
        test=test,
        preprocessing=preprocessor,
        feature_names=preprocessor.column_names,
        loss=_LOSSES[target.kind],
        target_transform=transform,
        target_name=target.name,
        target=target,
        columns=table.columns,
        split=split,
        doubts=_doubts(table),
        find_leaks=leak_search(
            preprocessor, features.iloc[split.train], target, target.y[split.train], seed=seed
        ),
        reading=options.reading,
        backbone=table.backbone,
    )


def _doubts(table: _UnderstoodTable) -> tuple[Doubt, ...]:
    numbering = [column.name for column in table.columns.values() if column.reason == NUMBERING]
    return (
        *(_as_doubt(note) for note in table.frame.attrs.get("notes", ())),
        *repeated_rows(table.frame.drop(columns=numbering), table.split),
        *sentinels(table.columns, table.features, table.target),
        *imbalance(table.target),
        *time_order(table.columns, table.split),
    )


def _as_doubt(note: str) -> Doubt:
    """A note on how the file was read."""
    evidence, _, remedy = note.partition(". ")
    return Doubt("reading", f"{evidence}.", remedy) if remedy else Doubt("reading", note, "")
