"""Columns of a table that go through a backbone: texts, and files that paths name."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from jaxmlp.backbones import Backbone, backbone_of
from jaxmlp.cli.extraction import backbone_record, extract_features, refuse_unread, say_broken
from jaxmlp.cli.feature_files import FileRows
from jaxmlp.data.tables.features import feature_cells
from jaxmlp.data.tables.values import DataFrame, Series, import_pandas, to_words
from jaxmlp.models import Model
from jaxmlp.models.behind_backbone import backbone_columns, takes_items

_BLOCK_ROWS = 256  # predicted at a time, so that progress is seen


class TableBackbone(NamedTuple):
    """What makes features of a table's columns.

    Attributes:
        backbone: the backbone.
        folder: that relative paths begin at.
        console: where progress is shown and broken files are named.
    """

    backbone: Backbone
    folder: Path
    console: Console

    def record(self, columns: Sequence[str]) -> dict[str, Any]:
        """Describe it for a model that is to apply it to these columns."""
        return {
            **backbone_record(self.backbone), "kind": self.backbone.kind, "columns": list(columns),
        }  # fmt: skip

    def describe(self, made: Series) -> str:
        """Say what a column became."""
        source, empty = self.backbone.source, int(made.isna().sum())
        said = f"{self.backbone.kind}s through {source.spelled if source else self.backbone.name}"
        return f"{empty} cell{'s' * (empty > 1)} empty; {said}" if empty else said


class _FeatureColumns(NamedTuple):
    """What a backbone made of columns.

    Attributes:
        cells: the features of each cell; None where it is empty, or cannot be read.
        broken: rows with a file that cannot be read, bool, (rows,).
        faults: (what cannot be read, why) of each.
    """

    cells: DataFrame
    broken: np.ndarray
    faults: list[tuple[str | Path, str]]


def extract_columns(through: TableBackbone, columns: DataFrame) -> _FeatureColumns:
    """Extract the features of the different cells of columns.

    Args:
        through: the backbone.
        columns: of texts, or of paths.

    Returns:
        The features, and what could not be read.
    """
    backbone, folder, console = through
    texts = backbone.kind == "text"
    faults = list[tuple[str | Path, str]]()

    def extract(words: tuple[str, ...]) -> list[np.ndarray | None]:
        items = words if texts else [folder / word for word in words]
        found = extract_features(backbone, items, console)
        faults.extend(found.broken)
        rows: list[np.ndarray | None] = [None] * len(words)
        for k, row in zip(found.kept, found.x, strict=True):
            rows[k] = row
        return rows

    made = {name: feature_cells(column, extract) for name, column in columns.items()}
    cells = import_pandas().DataFrame(made, index=columns.index)
    broken = np.zeros(len(columns), bool)
    for name, column in columns.items():
        broken |= (to_words(column).codes >= 0) & cells[name].isna().to_numpy() & (not texts)
    return _FeatureColumns(cells, broken, faults)


def backbone_of_run(
    model: Model, folder: Path, notify: Callable[[str], object]
) -> TableBackbone | None:
    """Load what makes features of a table's columns for a model; None where nothing does.

    Args:
        model: the model.
        folder: that relative paths begin at.
        notify: told of another backbone than that of the training.
    """
    if "backbone" not in model.extra or takes_items(model):
        return None
    backbone = backbone_of(model.extra["backbone"], notify)
    return TableBackbone(backbone, folder, Console(quiet=True))


def column_blocks(
    model: Model, through: TableBackbone, blocks: Iterable[FileRows]
) -> Iterator[FileRows]:
    """Put features into the columns of a table that a model wants them in.

    Args:
        model: the model.
        through: its backbone.
        blocks: rows of a table; those with a file that cannot be read are named and left out.

    Raises:
        ValueError: if no row can be read.
    """
    kind, n_rows, faults = through.backbone.kind, 0, list[tuple[str | Path, str]]()
    for block in _cut(blocks):
        found = extract_columns(through, backbone_columns(model, block.table))
        faults += found.faults
        if kind != "text":
            say_broken(Console(stderr=True), found.faults)
        whole = np.flatnonzero(~found.broken)
        if len(whole):
            inputs = block.table.assign(**dict(found.cells.items()))
            yield block._replace(
                table=block.table.iloc[whole], inputs=inputs.iloc[whole],
                rows=block.first_row + whole,
            )  # fmt: skip
        n_rows += len(whole)
    if not n_rows:
        refuse_unread(kind, faults)


def _cut(blocks: Iterable[FileRows]) -> Iterator[FileRows]:
    """Cut blocks into few rows, so that the progress of each part is seen."""
    before = 0.0
    for block in blocks:
        n_rows = len(block.table)
        for start in range(0, n_rows, _BLOCK_ROWS):
            end = min(start + _BLOCK_ROWS, n_rows)
            done = before + (block.done - before) * end / n_rows
            table, first_row = block.table.iloc[start:end], block.first_row + start
            yield block._replace(table=table, first_row=first_row, done=done)
        before = block.done
