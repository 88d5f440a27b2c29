"""Encoder of features: the numbers that a backbone makes of a text, an image or a sound."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Float

from jaxmlp.data.tables.encoders import BOUND, Features, Record, normal_scores, robust_scale
from jaxmlp.data.tables.schema import Column
from jaxmlp.data.tables.values import Series, import_pandas, shorten, to_words

_QUANTILES = 257


def feature_cells(
    cells: Series, extract: Callable[[tuple[str, ...]], Iterable[np.ndarray | None]]
) -> Series:
    """Put features in place of words; each different word is extracted once.

    Args:
        cells: texts, or paths of files.
        extract: different words -> the features of each, (features,), or None.

    Returns:
        A column of arrays; None where a cell says nothing, or `extract` found nothing.

    Example:
        >>> import pandas as pd
        >>> cells = pd.Series(["good", "", "bad", "good"])
        >>> feature_cells(cells, lambda words: [np.array([len(w)]) for w in words]).tolist()
        [array([4]), None, array([3]), array([4])]
    """
    codes, words = to_words(cells)
    found = [*(extract(words) if words else ()), None]  # the last one answers code -1
    rows = [found[code] for code in codes]
    return import_pandas().Series(rows, index=cells.index, name=cells.name, dtype=object)


@dataclass(frozen=True)
class FeaturesEncoder(Record):
    """Features, each scaled as a number is; and whether there are none, if that was in training.

    Its column holds arrays (features,), as `feature_cells` makes them. An empty cell is the centre,
    0, everywhere.
    """

    kind: ClassVar[str] = "features"
    name: str
    scaling: str
    centers: tuple[float, ...]
    scales: tuple[float, ...]
    quantiles: tuple[float, ...]  # (quantiles, features), row by row
    may_miss: bool

    @classmethod
    def fit(cls, column: Column, series: Series, scaling: str) -> Self:
        """Measure centre and scale of each feature on the training data."""
        given, matrix = _rows(column.name, series)
        if not len(matrix):
            raise ValueError(f"column {column.name!r} is empty in all rows that are learnt from.")
        width = matrix.shape[1]
        centers, scales, quantiles = np.zeros(width), np.ones(width), np.zeros(0)
        if scaling == "robust":
            centers, scales = robust_scale(matrix)
        elif scaling == "standard":
            centers, scales = matrix.mean(axis=0), matrix.std(axis=0)
            scales = np.where(scales > 0, scales, 1.0)
        else:
            grid = np.linspace(0, 1, min(_QUANTILES, len(matrix)))
            quantiles = np.quantile(matrix, grid, axis=0).ravel()
        return cls(
            column.name, scaling, tuple(centers.tolist()), tuple(scales.tolist()),
            tuple(quantiles.tolist()), may_miss=not bool(given.all()),
        )  # fmt: skip

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features, and perhaps whether there are none."""
        names = (f"{self.name} feature {k}" for k in range(1, len(self.centers) + 1))
        return (*names, *(f"{self.name} missing",) * self.may_miss)

    def encode(self, column: Series) -> Features:
        """Scale, fill in, mark."""
        given, matrix = _rows(self.name, column)
        if len(matrix) and matrix.shape[1] != len(self.centers):
            raise ValueError(
                f"column {self.name!r} has {matrix.shape[1]} features, and had "
                f"{len(self.centers)} in training; that was another backbone."
            )
        block = np.zeros((len(column), len(self.feature_names)))
        if len(matrix):
            block[given, : len(self.centers)] = self._scaled(matrix)
        if self.may_miss:
            block[~given, -1] = 1.0
        return block

    def _scaled(self, matrix: np.ndarray) -> np.ndarray:
        if self.scaling == "quantile":
            quantiles = np.reshape(self.quantiles, (-1, len(self.centers)))
            pairs = zip(matrix.T, quantiles.T, strict=True)
            return np.stack([normal_scores(*pair) for pair in pairs], axis=1)
        z = (matrix - self.centers) / self.scales
        return z / np.hypot(1.0, z / BOUND) if self.scaling == "robust" else z

    def remarks(self, column: Series) -> list[str]:
        """Empty cells where there were none."""
        missing = int((~_rows(self.name, column)[0]).sum())
        if not missing or self.may_miss:
            return []
        return [f"{self.name}: {missing} missing, as never in training"]


def _rows(name: str, column: Series) -> tuple[np.ndarray, Float[np.ndarray, "given features"]]:
    """Which cells hold features, and these."""
    given = np.array([isinstance(cell, np.ndarray) for cell in column], bool)
    words = to_words(column[~given]).levels
    if words:
        raise ValueError(
            f"column {name!r} holds {shorten(words[0])!r}, where the features of a backbone belong."
        )
    rows = [np.asarray(cell, np.float64) for cell in column[given]]
    return given, np.stack(rows) if rows else np.zeros((0, 0))
