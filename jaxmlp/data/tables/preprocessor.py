"""The fitted preprocessing of a table: from rows as people have them to the network's inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float32

from jaxmlp.checks import unknown_name
from jaxmlp.data.preprocessing import register_preprocessing
from jaxmlp.data.tables.encoders import SCALINGS, Encoder
from jaxmlp.data.tables.encoding import fit_encoder, read_encoder
from jaxmlp.data.tables.inference import infer_columns
from jaxmlp.data.tables.schema import Column
from jaxmlp.data.tables.values import DataFrame, blank_cells, shorten, to_frame

_MAX_LEVELS = 64  # of a category; the others are pooled
_BLOCK_ROWS = 1 << 16  # encoded in float64 at a time
_LIMIT = 1e6  # of a scaled number: an outlier of new data may be any size
_MIN_COUNT = 10  # rows of a level that is not pooled, in a table of 2000 rows or more


@register_preprocessing("table")
@dataclass(frozen=True)
class TablePreprocessor:
    """Turns a table of numbers, words and dates into a float32 matrix, as it was fitted.

    Numbers are scaled robustly and clipped smoothly, categories are one-hot with rare levels
    pooled, dates become elapsed time and cycles, missing cells are marked. Everything it knows
    comes from the training rows, and can be written to a file without pickle.

    Attributes:
        names: of the columns of the training table, in its order, dropped ones included.
        encoders: one record for each column that is used.
        missing: words that mean a missing cell, besides the usual ones.
    """

    names: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    missing: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        table: Any,
        *,
        columns: Mapping[str, Column | str] | None = None,
        scaling: str = "robust",
        max_levels: int = _MAX_LEVELS,
        max_one_hot: int | None = None,
        missing: tuple[str, ...] = (),
    ) -> Self:
        """Infer what the columns are, and measure what their encoding needs.

        Args:
            table: training rows without the target: a DataFrame of pandas or polars, a mapping of
                columns, or an array (rows, columns) of numbers or objects.
            columns: what some columns are, where it is known: a `Column` or a kind ("number",
                "category", "boolean", "date", "text", "features", "drop"); the rest is inferred.
            scaling: of numbers: "robust", "standard" or "quantile".
            max_levels: of a category; the most frequent ones are kept.
            max_one_hot: levels up to which a category is one-hot; one of more becomes the number of
                its level, for a network that embeds categories. None: all are one-hot.
            missing: words that mean a missing cell, such as "-999", besides the usual ones.

        Returns:
            The preprocessor.

        Raises:
            ImportError: if pandas is not installed, with the command that installs it.
            ValueError: for an empty table, an unknown column, kind or scaling, or if no column is
                of use.

        Example:
            >>> table = {"age": [31, 42, None, 23], "town": ["A", "B", "A", "C"]}
            >>> preprocessor = TablePreprocessor.fit(table)
            >>> preprocessor.feature_names
            ('age', 'age missing', 'town=A', 'town=B', 'town=C')
            >>> preprocessor.transform({"town": ["B"], "age": [31]}).tolist()
            [[0.0, 0.0, 0.0, 1.0, 0.0]]

        Reference: Holzmüller et al., RealMLP, 2024, arXiv 2407.04491.
        """
        if scaling not in SCALINGS:
            raise unknown_name("scaling", scaling, SCALINGS)
        frame = blank_cells(to_frame(table), missing)
        if not len(frame) or not len(frame.columns):
            raise ValueError(
                f"the table has {len(frame)} rows and {len(frame.columns)} columns of features; "
                "it needs at least one of each."
            )
        chosen = {
            name: Column(name, column) if isinstance(column, str) else column
            for name, column in (columns or {}).items()
        }
        known = infer_columns(frame, chosen)
        min_count = max(1, min(_MIN_COUNT, len(frame) // 200))
        encoders = tuple(
            fit_encoder(
                column,
                frame[name],
                scaling=scaling,
                max_levels=max_levels,
                min_count=min_count,
                max_one_hot=max_one_hot,
            )
            for name, column in known.items()
            if column.kind != "drop"
        )
        if not encoders:
            shown = list(known.values())[:5]
            reasons = "; ".join(f"{shorten(c.name)}: {shorten(c.reason, 60)}" for c in shown)
            raise ValueError(f"no column is of use as a feature ({reasons}).")
        return cls(tuple(frame.columns), encoders, missing)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns that new data must have."""
        return tuple(encoder.name for encoder in self.encoders)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each column of the matrix."""
        return tuple(name for encoder in self.encoders for name in encoder.feature_names)

    @property
    def number_columns(self) -> tuple[int, ...]:
        """Columns of the matrix that are numbers on a scale, which an embedding may bend."""
        starts = self._starts()
        return tuple(
            start + k
            for start, encoder in zip(starts, self.encoders, strict=True)
            for k in range(encoder.n_numbers)
        )

    @property
    def level_columns(self) -> tuple[tuple[int, int], ...]:
        """(column of the matrix, number of levels) of each category that is to be looked up."""
        starts = self._starts()
        return tuple(
            (start, encoder.n_levels)
            for start, encoder in zip(starts, self.encoders, strict=True)
            if encoder.n_levels
        )

    def _starts(self) -> list[int]:
        """The first column of the matrix that each encoder fills."""
        widths = [len(encoder.feature_names) for encoder in self.encoders]
        return [sum(widths[:k]) for k in range(len(widths))]

    @property
    def n_features(self) -> int:
        """Number of columns of the matrix."""
        return len(self.feature_names)

    def transform(self, table: Any) -> Float32[np.ndarray, "rows features"]:
        """Encode rows, one or many; each is encoded by itself.

        Args:
            table: as for `fit`. Columns are found by name, whatever their order, and others are
                ignored; those of an array are taken in the order of the training table.

        Returns:
            (rows, n_features), float32, finite.

        Raises:
            ValueError: if a column is missing, with its name.
        """
        frame = self.select(table)
        matrix = np.empty((len(frame), self.n_features), np.float32)
        for start in range(0, len(frame), _BLOCK_ROWS):
            rows = frame.iloc[start : start + _BLOCK_ROWS]
            blocks = [encoder.encode(rows[encoder.name]) for encoder in self.encoders]
            block = np.clip(np.concatenate(blocks, axis=1), -_LIMIT, _LIMIT)
            matrix[start : start + _BLOCK_ROWS] = block
        return matrix

    def select(self, table: Any) -> DataFrame:
        """Return the needed columns as a pandas DataFrame, or say which one is missing."""
        frame = to_frame(table, self.names)
        missing = [name for name in self.column_names if name not in frame.columns]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(
                f"the table lacks the column {missing[0]!r}{more}, which the model was trained "
                f"with; it has {', '.join(map(str, frame.columns[:8]))}"
                f"{', ...' if len(frame.columns) > 8 else ''}."
            )
        return blank_cells(frame[list(self.column_names)], self.missing)

    def remarks(self, table: Any) -> tuple[str, ...]:
        """Say what new rows hold that the training rows did not: columns, levels, missing cells.

        Example:
            >>> preprocessor = TablePreprocessor.fit({"town": ["A", "B", "C", "A"]})
            >>> preprocessor.remarks({"town": ["D"]})
            ("town: 'D' never seen in training",)
        """
        frame = to_frame(table, self.names)
        said = []
        extra = [name for name in frame.columns if name not in self.names]
        if extra:
            named = ", ".join(extra[:5]) + ", ..." * (len(extra) > 5)
            said.append(f"the model does not use the columns {named}")
        frame = self.select(frame)
        said += [r for encoder in self.encoders for r in encoder.remarks(frame[encoder.name])]
        return tuple(said)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; floats survive exactly.

        >>> TablePreprocessor.fit({"town": ["A", "B", "C"]}).to_dict()["names"]
        ['town']
        """
        return {
            "names": list(self.names),
            "encoders": [encoder.to_dict() for encoder in self.encoders],
            "missing": list(self.missing),
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Rebuild a preprocessor from `to_dict`'s result.

        Raises:
            ValueError: if the fields are not those of a table preprocessor.

        >>> preprocessor = TablePreprocessor.fit({"town": ["A", "B", "C"]})
        >>> TablePreprocessor.from_dict(preprocessor.to_dict()) == preprocessor
        True
        """
        try:
            names, encoders = fields["names"], fields["encoders"]
            read = tuple(read_encoder(dict(entry)) for entry in encoders)
            return cls(tuple(names), read, tuple(fields.get("missing", ())))
        except (KeyError, TypeError) as error:
            raise ValueError(f"the fields of the preprocessing are incomplete: {error}.") from error
