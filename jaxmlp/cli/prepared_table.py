"""A table as the data of a run: understood, split, encoded, and what is doubtful about it."""

import glob
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.cli.prepared_data import DATA_SETS, PreparedData, load_data_set
from jaxmlp.cli.standard_input import STANDARD_INPUT, as_file
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
from jaxmlp.data.tables.column_lists import named_columns
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
    leaking_columns,
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


@dataclass(frozen=True)
class TableOptions:
    """What a user says about a table.

    Attributes:
        target: name of the column to predict.
        task: "classification" or "regression".
        schema: file that says what the columns are.
        group: column whose equal rows stay together.
        time: column that orders the rows.
        drop: names of columns to leave out, separated by commas.
        category: names of columns that are categories, likewise.
        number: names of columns that are numbers, likewise.
        scaling: of numbers.
        missing: words that mean a missing cell, likewise.
        header: whether a line of a text file may name the columns.
        delimiter: between its cells; "" finds it out.
        skip: lines above the table.
        sheet: of a workbook; "": the only or the largest one.
        max_one_hot: levels up to which a category is one-hot; None: all are.
        clamp: whether predicted numbers are kept within the range of the training targets.
        folds: of a cross-validation; 0 splits once.
        fold: which of them tests, from 0.
        stream: whether rows are read block by block.
    """

    target: str | None = None
    task: str | None = None
    schema: Path | None = None
    group: str | None = None
    time: str | None = None
    drop: str = ""
    category: str = ""
    number: str = ""
    scaling: str = "robust"
    missing: str = ""
    header: bool = True
    delimiter: str = ""
    skip: int = 0
    sheet: str = ""
    max_one_hot: int | None = None
    clamp: bool = False
    folds: int = 0
    fold: int = 0
    stream: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return JSON-ready values; folds are left out where there are none."""
        values = {**asdict(self), "schema": None if self.schema is None else str(self.schema)}
        without = {name for name in ("folds", "clamp", "stream") if not getattr(self, name)}
        without |= set() if self.folds else {"fold"}
        return {name: value for name, value in values.items() if name not in without}

    @property
    def reading(self) -> ReadingOptions:
        """How a text file is read."""
        return ReadingOptions(self.header, self.delimiter, self.skip, self.sheet)

    @property
    def missing_words(self) -> tuple[str, ...]:
        """The words of `missing`."""
        return tuple(named_columns(self.missing))

    def column_kinds(self, known: Collection[str]) -> dict[str, str]:
        """The kind of each column that the user named, of a table with these columns."""
        lists = {"drop": self.drop, "category": self.category, "number": self.number}
        return {name: kind for kind, text in lists.items() for name in named_columns(text, known)}


@dataclass(frozen=True, kw_only=True)
class PreparedTable(PreparedData):
    """A `PreparedData` made of a table, and what was understood.

    Attributes:
        preprocessing: from rows of the table to inputs.
        target: what is predicted.
        columns: what each column is.
        split: the rows of each part.
        doubts: what may make the scores too good, or was read wrongly.
        reading: how its file was read.
    """

    preprocessing: TablePreprocessor
    target: Target
    columns: dict[str, Column]
    split: RowSplit
    doubts: tuple[Doubt, ...]
    reading: ReadingOptions

    @property
    def extra(self) -> dict[str, Any]:
        """How new data are read, where that cannot be found out."""
        unusual = self.reading != ReadingOptions()
        return {"reading": self.reading._asdict()} if unusual else {}

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


def load_data(data: str, data_dir: Path | None, options: TableOptions, seed: int) -> PreparedData:
    """Load a table, also from the standard input, "-"; or a data set by name.

    See `load_table` and `load_data_set`.
    """
    if is_table(data):
        with as_file(data) as path:
            return load_table(path, options, seed)
    if options != TableOptions(max_one_hot=options.max_one_hot, clamp=options.clamp):
        raise ValueError(f"--target and its like go with a table, but {data} is none.")
    if Path(data).is_dir() and data not in DATA_SETS:
        raise ValueError(
            f"{data} is a folder without Parquet files; of images or sounds, in a folder for each "
            "class, add --backbone, such as package:efficientnet-lite0 or package:resemblyzer."
        )
    return load_data_set(data, data_dir, seed)


def load_table(path: str, options: TableOptions, seed: int) -> PreparedTable:
    """Read a table, infer its columns, split its rows, and fit the encoding on the training part.

    Args:
        path: the file.
        options: of the user.
        seed: of the split.

    Returns:
        The parts, and what was understood.

    Raises:
        FileNotFoundError: if there is no such file or schema.
        ValueError: if something in it makes learning impossible; the message says what.
    """
    frame = blank_cells(read_table(path, options=options.reading), options.missing_words)
    return encode_table(understand_table(frame, path, options, seed), path, options, seed)


class _UnderstoodTable(NamedTuple):
    """A table whose rows all have a target, and what its columns and rows are."""

    frame: DataFrame
    target: Target
    columns: dict[str, Column]
    split: RowSplit

    @property
    def features(self) -> DataFrame:
        """All columns but the target."""
        return self.frame.drop(columns=self.target.name)


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
        doubts=_doubts(table, preprocessor, seed),
        reading=options.reading,
    )


def _doubts(
    table: _UnderstoodTable, preprocessor: TablePreprocessor, seed: int
) -> tuple[Doubt, ...]:
    target, train = table.target, table.split.train
    numbering = [column.name for column in table.columns.values() if column.reason == NUMBERING]
    return (
        *(_as_doubt(note) for note in table.frame.attrs.get("notes", ())),
        *leaking_columns(
            preprocessor, table.features.iloc[train], target, target.y[train], seed=seed
        ),
        *repeated_rows(table.frame.drop(columns=numbering), table.split),
        *sentinels(table.columns, table.features, target),
        *imbalance(target),
        *time_order(table.columns, table.split),
    )


def _as_doubt(note: str) -> Doubt:
    """A note on how the file was read."""
    evidence, _, remedy = note.partition(". ")
    return Doubt("reading", f"{evidence}.", remedy) if remedy else Doubt("reading", note, "")
