"""A table as the data of a run: understood, split, encoded, and what is doubtful about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxmlp.cli.problem import Problem
from jaxmlp.data import Dataset, Standardizer, TablePreprocessor
from jaxmlp.data.tables import (
    Column,
    Parts,
    Schema,
    Target,
    infer_columns,
    read_schema,
    read_table,
    read_target,
    split_rows,
    with_kinds,
)
from jaxmlp.data.tables.inference import NUMBERING, SHOWN_NAMES, unknown_column
from jaxmlp.data.tables.pitfalls import Doubt, imbalance, leaking_columns, repeated_rows, time_order
from jaxmlp.data.tables.values import shorten

_SHOWN_COLUMNS = 60
_LOSSES = {"classes": "softmax_cross_entropy", "amounts": "squared_error", "counts": "poisson"}


@dataclass(frozen=True)
class TableOptions:
    """What a user says about a table; names of several columns are separated by commas."""

    target: str | None = None
    task: str | None = None
    schema: Path | None = None
    group: str | None = None
    time: str | None = None
    drop: str = ""
    category: str = ""
    number: str = ""
    scaling: str = "robust"


@dataclass(frozen=True, kw_only=True)
class TableProblem(Problem):
    """A `Problem` made of a table, and what was understood.

    Attributes:
        target: what is predicted.
        columns: what each column is.
        parts: rows of each part.
        doubts: what may make the scores too good.
    """

    target: Target
    columns: dict[str, Column]
    parts: Parts
    doubts: tuple[Doubt, ...]

    @property
    def schema(self) -> Schema:
        """What was inferred and chosen, for a file."""
        return Schema(self.columns, self.target.name, self.target.task)


def load_table_problem(path: str, options: TableOptions, seed: int) -> TableProblem:
    """Read a table, infer its columns, split its rows, and fit the encoding on the training part.

    Args:
        path: a CSV or Parquet file.
        options: of the user.
        seed: of the split.

    Returns:
        The problem.

    Raises:
        FileNotFoundError: if there is no such file or schema.
        ValueError: if something in it makes learning impossible; the message says what.
    """
    frame = read_table(path)
    schema = Schema() if options.schema is None else read_schema(options.schema)
    kinds = {kind: _listed(getattr(options, kind)) for kind in ("drop", "category", "number")}
    schema = with_kinds(schema, kinds)
    name = _target_name(frame, options.target or schema.target, path)
    target = read_target(frame[name], options.task or schema.task)
    frame = frame.iloc[target.rows].reset_index(drop=True)
    for special in (options.group, options.time):
        if special is not None and special not in frame.columns:
            raise unknown_column(special, frame)
    features = frame.drop(columns=name)
    columns = infer_columns(features, _without(schema.columns, name))
    columns = _set_aside(columns, options)
    parts = split_rows(
        target.y,
        stratify=target.class_names is not None,
        seed=seed,
        group=None if options.group is None else frame[options.group],
        time=None if options.time is None else frame[options.time],
    )
    return _encode(path, options, frame, features, target, columns, parts, seed)


def _target_name(frame: Any, name: str | None, path: str) -> str:
    if name is None:
        names = frame.columns[:SHOWN_NAMES]
        raise ValueError(
            f"say which column of {path} to predict: --target NAME. It has "
            f"{', '.join(map(shorten, names))}{', ...' if len(frame.columns) > len(names) else ''}."
        )
    if name not in frame.columns:
        raise unknown_column(name, frame)
    if len(frame.columns) < 2:
        raise ValueError(f"{path} has no column besides {name!r} to predict it from.")
    return name


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _without(columns: Any, name: str) -> dict[str, Column]:
    return {key: column for key, column in columns.items() if key != name}


def _set_aside(columns: dict[str, Column], options: TableOptions) -> dict[str, Column]:
    """Take the columns that split the rows out of the features."""
    columns = dict(columns)
    if options.group is not None and options.group in columns:
        columns[options.group] = Column(options.group, "drop", reason="groups the rows")
    if options.time is not None and options.time in columns:
        columns[options.time] = Column(options.time, "drop", reason="orders the rows")
    return columns


def _encode(
    path: str,
    options: TableOptions,
    frame: Any,
    features: Any,
    target: Target,
    columns: dict[str, Column],
    parts: Parts,
    seed: int,
) -> TableProblem:
    train_rows = features.iloc[parts.train]
    preprocessor = TablePreprocessor.fit(train_rows, columns=columns, scaling=options.scaling)
    y, transform = target.y, None
    if target.kind == "amounts":
        transform = Standardizer.fit(target.y[parts.train][:, None])
        y = transform.transform(target.y[:, None])[:, 0]
    train, validation, test = (
        Dataset(
            preprocessor.transform(features.iloc[rows]),
            y[rows] if target.class_names is not None else y[rows].astype(np.float32),
            preprocessor.feature_names,
            target.class_names,
        )
        for rows in (parts.train, parts.validation, parts.test)
    )
    numbering = [column.name for column in columns.values() if column.reason == NUMBERING]
    whole_rows = frame.drop(columns=numbering)
    return TableProblem(
        Path(path).name.split(".")[0],
        train,
        validation,
        test,
        preprocessor,
        preprocessor.column_names,
        _LOSSES[target.kind],
        transform,
        target.name,
        target=target,
        columns=columns,
        parts=parts,
        doubts=_doubts(preprocessor, train_rows, whole_rows, target, columns, parts, seed),
    )


def _doubts(
    preprocessor: TablePreprocessor,
    train_rows: Any,
    whole_rows: Any,
    target: Target,
    columns: dict[str, Column],
    parts: Parts,
    seed: int,
) -> tuple[Doubt, ...]:
    y = target.y[parts.train]
    return (
        *leaking_columns(preprocessor, train_rows, target, y, seed=seed),
        *repeated_rows(whole_rows, parts),
        *imbalance(target),
        *time_order(columns, parts),
    )


def show_table_problem(console: Console, problem: TableProblem) -> None:
    """Print what was understood: a line for each column, the target, and the doubts."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="columns", title_justify="left")
    for heading in ("column", "taken as", "what it holds", "inputs"):
        table.add_column(heading, justify="right" if heading == "inputs" else "left")
    widths = {e.name: len(e.feature_names) for e in problem.preprocessing.encoders}
    columns = list(problem.columns.values())
    for column in columns[:_SHOWN_COLUMNS]:
        style = "dim" if column.kind == "drop" else ""
        kind = "left out" if column.kind == "drop" else column.kind
        inputs = str(widths.get(column.name, ""))
        table.add_row(Text(column.name), kind, Text(column.reason), inputs, style=style)
    console.print(table)
    if len(columns) > _SHOWN_COLUMNS:
        console.print(f"... and {len(columns) - _SHOWN_COLUMNS} more, in the run's schema.json")
    target = problem.target
    console.print(Text.assemble("\ntarget ", (target.name, "bold"), f": {target.reason}"))
    if target.class_names is not None:
        counts = np.bincount(target.y, minlength=len(target.class_names))
        shares = [
            f"{name} {count / len(target.y):.1%}"
            for name, count in zip(target.class_names, counts, strict=True)
        ]
        console.print(Text(f"  {', '.join(shares[:10])}{', ...' if len(shares) > 10 else ''}"))
    console.print(Text(f"split {problem.parts.said}"))
    for doubt in problem.doubts:
        console.print(Text.assemble((f"warning: {doubt.title}", "yellow")))
        console.print(Text(f"  {doubt.evidence} {doubt.remedy}"))
    console.print()
