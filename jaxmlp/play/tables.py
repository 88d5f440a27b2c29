"""A table that was dropped on the page: read, encoded by the library, cut by a plane."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmlp.checks import unknown_name
from jaxmlp.data import Dataset, Standardizer, TablePreprocessor
from jaxmlp.data.tables import Column, infer_columns, is_table_file, read_table, read_target
from jaxmlp.data.tables.inference import decimal_sign
from jaxmlp.data.tables.values import DataFrame, import_pandas, to_numbers, to_words
from jaxmlp.messages import phrase
from jaxmlp.play.examples import GRID, Examples, grid_points, n_test_rows
from jaxmlp.play.fields import shorten
from jaxmlp.play.settings import DataSettings

MOST_TABLE_BYTES = 8 << 20
_MOST_ROWS = 2000  # that are learnt from; of more, so many are drawn
_MOST_COLUMNS = 64
_MOST_CLASSES = 10
_MOST_LEVELS = 20  # that a control offers
_MARGIN = 0.05  # of the picture, beyond the examples


class Table(NamedTuple):
    """A table as it was read.

    Attributes:
        name: of its file.
        frame: all rows.
        columns: what each column is.
    """

    name: str
    frame: DataFrame
    columns: dict[str, Column]

    def to_dict(self) -> dict[str, Any]:
        """Return what the page offers to choose from, JSON-ready."""
        columns = [[column.name, column.kind] for column in self.columns.values()]
        return {"name": self.name, "rows": len(self.frame), "columns": columns}


def read_dropped_table(name: str, content: bytes) -> Table:
    """Read a file that was dropped on the page.

    Args:
        name: of the file, whose end says what it is.
        content: of it.

    Returns:
        The table.

    Raises:
        ValueError: if it is none, is too large, or has fewer than two columns.

    Example:
        >>> table = read_dropped_table("a.csv", b"x,y\\n1,no\\n2,yes\\n")
        >>> table.to_dict()["rows"]
        2
    """
    if len(content) > MOST_TABLE_BYTES:
        raise ValueError(
            phrase(
                "{name} is larger than {most} MiB; send a part of it.",
                name=name,
                most=MOST_TABLE_BYTES >> 20,
            )
        )
    if not is_table_file(name):
        raise ValueError(
            phrase("{name} is no table that can be read: drop a .csv file.", name=shorten(name))
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"dropped{''.join(Path(name).suffixes[-2:])}"
        path.write_bytes(content)
        try:
            frame = read_table(path)
        except (ValueError, OSError, ImportError) as error:
            raise ValueError(str(error).replace(str(path), name)) from error
    if not 2 <= len(frame.columns) <= _MOST_COLUMNS:
        raise ValueError(
            phrase(
                "{name} has {n} columns; 2 to {most} can be played with.",
                name=name,
                n=len(frame.columns),
                most=_MOST_COLUMNS,
            )
        )
    if len(frame) > _MOST_ROWS:
        frame = frame.sample(_MOST_ROWS, random_state=0).reset_index(drop=True)
    return Table(Path(name).name, frame, infer_columns(frame))


def table_examples(table: Table, settings: DataSettings) -> Examples:
    """Encode a table as the settings say, and lay the plane through it.

    Args:
        table: of `read_dropped_table`.
        settings: which columns, which plane, and where the others are held.

    Returns:
        The examples.

    Raises:
        ValueError: for unknown columns, or if there is nothing to learn.
    """
    target_name = settings.target or str(table.frame.columns[-1])
    _check_columns(table, (target_name, *settings.columns, *settings.plane, *settings.held))
    target = read_target(table.frame[target_name], None, decimal=decimal_sign(table.frame))
    if target.class_names is not None and len(target.class_names) > _MOST_CLASSES:
        raise ValueError(
            phrase(
                "{name} has {n} classes; {most} can be shown.",
                name=target_name,
                n=len(target.class_names),
                most=_MOST_CLASSES,
            )
        )
    usual = [c.name for c in table.columns.values() if c.kind != "drop" and c.name != target_name]
    names = [name for name in settings.columns or usual if name != target_name]
    if not names:
        raise ValueError(phrase("no column is left to learn from; choose one besides the target."))
    order = np.random.default_rng(settings.seed).permutation(len(target.rows))
    frame = table.frame[names].iloc[target.rows[order]].reset_index(drop=True)
    y, transform = target.y[order], None
    n_test = n_test_rows(len(order), settings.test)
    if target.class_names is None:
        transform = Standardizer.fit(y[n_test:, None])
        y = transform.transform(y[:, None])[:, 0].astype(np.float32)
    kinds = {name: table.columns[name] for name in names if table.columns[name].kind != "drop"}
    preprocessor = TablePreprocessor.fit(frame.iloc[n_test:], columns=kinds)
    x = preprocessor.transform(frame)
    view = _lay_plane(frame, table, preprocessor, settings, x[n_test:])
    features = preprocessor.feature_names
    return Examples(
        Dataset(x[n_test:], y[n_test:], features, target.class_names),
        Dataset(x[:n_test], y[:n_test], features, target.class_names),
        view.points(frame.iloc[n_test:], x[n_test:]), view.points(frame.iloc[:n_test], x[:n_test]),
        view.grid, (GRID, GRID), view.extent, view.axes, preprocessor.column_names, preprocessor,
        target_name, transform,
        raw={**{name: frame[name].to_numpy() for name in names},
             target_name: table.frame[target_name].iloc[target.rows[order]].to_numpy()},
        sliders=view.sliders,
    )  # fmt: skip


def _check_columns(table: Table, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in table.columns:
            raise unknown_name(phrase("column"), name, table.columns)


class _View(NamedTuple):
    """A plane through the inputs: of two columns, or of the two principal directions."""

    grid: Float[np.ndarray, "points n_in"]
    extent: tuple[float, float, float, float]
    axes: tuple[str, str]
    sliders: tuple[dict[str, Any], ...]
    columns: tuple[Column, ...] = ()
    mean: np.ndarray = np.zeros(0)
    directions: np.ndarray = np.zeros((2, 0))

    def points(self, frame: DataFrame, x: np.ndarray) -> Float[np.ndarray, "rows 2"]:
        """Where rows lie in the plane; one without a number there, at its left or lower edge."""
        if not self.columns:
            projected: np.ndarray = (x - self.mean) @ self.directions.T
            return projected
        edges = self.extent[0], self.extent[2]
        values = [_cells(frame, column) for column in self.columns]
        return np.stack(
            [np.where(np.isnan(v), edge, v) for v, edge in zip(values, edges, strict=True)], axis=1
        )


def _cells(frame: DataFrame, column: Column) -> np.ndarray:
    return to_numbers(frame[column.name], column.style or ".", column.unit)


def _lay_plane(
    frame: DataFrame,
    table: Table,
    preprocessor: TablePreprocessor,
    settings: DataSettings,
    x: np.ndarray,
) -> _View:
    used = [table.columns[name] for name in preprocessor.column_names]
    numbers = [column for column in used if column.kind == "number"]
    chosen = [column for column in numbers if column.name in settings.plane]
    if len(chosen) < len(settings.plane):
        raise ValueError(
            phrase("the plane is made of two columns of numbers that are learnt from.")
        )
    if not chosen:
        chosen = numbers[:2]
    if len(chosen) < 2:
        return _principal_plane(x)
    chosen.sort(key=lambda column: [*settings.plane, column.name].index(column.name))
    extent = tuple(side for column in chosen for side in _range(frame, column))
    sliders = tuple(_slider(frame, c, settings) for c in used if c not in chosen)
    across = grid_points((extent[0], extent[1], extent[2], extent[3]))
    cells = {slider["name"]: slider["value"] for slider in sliders}
    pd = import_pandas()
    rows = pd.DataFrame({chosen[0].name: across[:, 0], chosen[1].name: across[:, 1], **cells})
    return _View(
        preprocessor.transform(rows), (extent[0], extent[1], extent[2], extent[3]),
        (chosen[0].name, chosen[1].name), sliders, tuple(chosen),
    )  # fmt: skip


def _principal_plane(x: np.ndarray) -> _View:
    mean = x.mean(axis=0)
    wide = np.pad(x - mean, ((0, 0), (0, max(0, 2 - x.shape[1]))))
    directions = np.linalg.svd(wide, full_matrices=True)[2][:2, : x.shape[1]]
    reach = float(1.05 * np.abs((x - mean) @ directions.T).max()) or 1.0
    extent = (-reach, reach, -reach, reach)
    grid = (mean + grid_points(extent) @ directions).astype(np.float32)
    return _View(grid, extent, ("PC 1", "PC 2"), (), (), mean, directions)


def _range(frame: DataFrame, column: Column) -> tuple[float, float]:
    values = _cells(frame, column)
    low, high = (float(f(values)) for f in (np.nanmin, np.nanmax))
    margin = _MARGIN * (high - low) or 1.0
    return low - margin, high + margin


def _slider(frame: DataFrame, column: Column, settings: DataSettings) -> dict[str, Any]:
    """A column that is held: at its mean, its most frequent level, or where the page says."""
    held = settings.held.get(column.name)
    if column.kind == "number":
        values = _cells(frame, column)
        low, high = (float(f(values)) for f in (np.nanmin, np.nanmax))
        value = float(np.nanmean(values)) if not isinstance(held, float) else held
        return {"name": column.name, "kind": "number", "low": low, "high": high, "value": value}
    codes, levels = to_words(frame[column.name])
    known = codes[codes >= 0]
    usual = levels[int(np.bincount(known).argmax())] if len(known) else ""
    level = held if isinstance(held, str) else usual
    offered = sorted({*levels[:_MOST_LEVELS], level})
    return {"name": column.name, "kind": "category", "levels": offered, "value": level}
