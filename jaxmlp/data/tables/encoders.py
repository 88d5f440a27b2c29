"""From a column to inputs of a network: one fitted record for each kind of column.

Each record is made from the training data, holds nothing but numbers and words, and maps a cell to
a few numbers with simple arithmetic and look-ups.
"""

import math
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from jaxtyping import Float64

from jaxmlp.data.tables.dates import to_days
from jaxmlp.data.tables.inference import BOOLEANS, TRUTHS, boolean_levels
from jaxmlp.data.tables.schema import Column
from jaxmlp.data.tables.units import find_units
from jaxmlp.data.tables.values import (
    Series,
    find_levels,
    import_pandas,
    shorten,
    to_numbers,
    to_truths,
    to_words,
)

Features = Float64[np.ndarray, "rows features"]

SCALINGS = ("robust", "standard", "quantile")
BOUND = 3.0  # where smooth clipping saturates
_QUANTILES = 257
CYCLES = {"year": (0.0, 365.2425), "week": (3.0, 7.0), "day": (0.0, 1.0)}
"""(shift, period) in days: day + shift is a whole period at the start; 1970-01-01, a Thursday."""


class Encoder(Protocol):
    """What a fitted record offers."""

    @property
    def kind(self) -> str:
        """What the column is."""

    @property
    def name(self) -> str:
        """Of the column."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the numbers it makes."""

    @property
    def n_numbers(self) -> int:
        """How many of the first ones are numbers on a scale, which an embedding may bend."""

    @property
    def n_levels(self) -> int:
        """Number of levels, if what it makes is the number of a level; else 0."""

    def encode(self, column: Series) -> Features:
        """Map a pandas Series to numbers, (rows, features)."""

    def remarks(self, column: Series) -> list[str]:
        """Say what the training data did not have."""

    def to_dict(self) -> dict[str, object]:
        """Return JSON-ready values."""


class Record:
    """The form in a file that all encoders share."""

    kind: ClassVar[str]
    n_numbers: ClassVar[int] = 0

    @property
    def n_levels(self) -> int:
        """No number of a level."""
        return 0

    def to_dict(self) -> dict[str, object]:
        """Return JSON-ready values."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class NumberEncoder(Record):
    """A number, scaled; and whether it was missing, if it ever was in training.

    robust: z = (x - median) / (q75 - q25), then z / sqrt(1 + (z/3)^2): near 0 a plain scale, and no
    outlier beyond 3. standard: (x - mean) / deviation. quantile: the normal score of x's rank. A
    missing number becomes the centre, 0.

    Reference: Holzmüller et al., RealMLP, 2024, arXiv 2407.04491 (robust scale, smooth clip).
    """

    kind: ClassVar[str] = "number"
    n_numbers: ClassVar[int] = 1
    name: str
    style: str
    scaling: str
    center: float
    scale: float
    quantiles: tuple[float, ...]
    may_miss: bool
    unit: str = ""

    @classmethod
    def fit(cls, column: Column, series: Series, scaling: str) -> Self:
        """Measure centre and scale on the training data."""
        numbers = to_numbers(series, column.style, column.unit)
        filled = numbers[~np.isnan(numbers)]
        may_miss = len(filled) < len(numbers)
        center, scale, quantiles = 0.0, 1.0, ()
        if scaling == "robust" and len(filled):
            center, scale = map(float, robust_scale(filled))
        elif scaling == "standard" and len(filled):
            center, scale = float(filled.mean()), float(filled.std()) or 1.0
        elif len(filled):
            grid = np.linspace(0, 1, min(_QUANTILES, len(filled)))
            quantiles = tuple(np.quantile(filled, grid).tolist())
        style = column.style or "."
        return cls(column.name, style, scaling, center, scale, quantiles, may_miss, column.unit)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The number, and perhaps whether it is missing."""
        return (self.name, f"{self.name} missing")[: 1 + self.may_miss]

    def encode(self, column: Series) -> Features:
        """Scale, fill in, mark."""
        numbers = to_numbers(column, self.style, self.unit)
        missing = np.isnan(numbers)
        z = np.where(missing, 0.0, self._scaled(np.where(missing, self.center, numbers)))
        return np.stack([z, missing.astype(np.float64)][: 1 + self.may_miss], axis=1)

    def _scaled(self, numbers: np.ndarray) -> np.ndarray:
        if self.scaling == "quantile":
            return normal_scores(numbers, np.asarray(self.quantiles))
        z = (numbers - self.center) / self.scale
        return z / np.hypot(1.0, z / BOUND) if self.scaling == "robust" else z

    def remarks(self, column: Series) -> list[str]:
        """Missing numbers where there were none, words, and other units."""
        empty = np.isnan(to_numbers(column, self.style, self.unit))
        other = self._in_other_units(column[empty]) if self.unit and empty.any() else []
        missing = int(empty.sum())
        if not missing or other or self.may_miss:
            return other
        return [f"{self.name}: {missing} missing or no number, as never in training"]

    def _in_other_units(self, column: Series) -> list[str]:
        """Cells that are missing because they are in another unit than those of training."""
        codes, words = to_words(column)
        counts = np.bincount(codes[codes >= 0], minlength=len(words))
        units = find_units(words, counts)
        if not units:
            return []
        n, named = sum(units.values()), ", ".join(map(shorten, list(units)[:3]))
        return [f"{self.name}: {n} not in {self.unit}, as in training, but in {named}: missing"]


def robust_scale(filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median, and the range of the middle half; of half the whole range if that is 0.

    Args:
        filled: numbers, (rows,), or of several columns, (rows, columns).

    Returns:
        Centre and scale, one for each column.

    >>> [float(part) for part in robust_scale(np.array([1.0, 2.0, 3.0, 4.0, 9.0]))]
    [3.0, 2.0]
    """
    low, center, high = np.quantile(filled, [0.25, 0.5, 0.75], axis=0)
    scale = np.where(high > low, high - low, np.ptp(filled, axis=0) / 2)
    return center, np.where(scale > 0, scale, 1.0)


def normal_scores(numbers: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Normal quantile of the rank, within +-5.2; of equal numbers the middle rank, at the ends too
    (scikit-learn's QuantileTransformer makes outliers of a smallest number that many rows share).
    """
    from scipy.special import ndtri  # jax needs scipy too

    if len(quantiles) < 2:
        return np.zeros_like(numbers)
    grid = np.linspace(0, 1, len(quantiles))
    up = np.interp(numbers, quantiles, grid)
    down = -np.interp(-numbers, -quantiles[::-1], -grid[::-1])
    scores: np.ndarray = ndtri(np.clip((up + down) / 2, 1e-7, 1 - 1e-7))
    return scores


@dataclass(frozen=True)
class BooleanEncoder(Record):
    """A truth: -1 or 1; 0 where it is missing or something else."""

    kind: ClassVar[str] = "boolean"
    name: str
    levels: tuple[str, ...]

    @classmethod
    def fit(cls, column: Column, series: Series) -> Self:
        """Find out which pair of words it is; other words beside truths are missing."""
        words = tuple(sorted(set(to_truths(to_words(series).levels))))
        truths = tuple(word for word in words if word in TRUTHS)
        read = to_numbers(import_pandas().Series(words, dtype=object))
        numbers = tuple(word for word, number in zip(words, read, strict=True) if number == number)
        if not set(read[~np.isnan(read)]) <= {0.0, 1.0}:
            levels: tuple[str, ...] = numbers  # 1 and 2, -1 and 1
        elif len(truths) == len(words) or numbers or (truths and len(words) > 2):
            # the rows that were inferred from had both words of a pair
            overlapping = (pair for pair in BOOLEANS if not truths or set(truths) & set(pair))
            levels = boolean_levels(truths) or next(overlapping)
        else:
            levels = words
        if len(levels) != 2:
            raise ValueError(
                f"column {column.name!r} is said to be boolean, but has {len(levels)} different "
                "values; make it a category."
            )
        return cls(column.name, tuple(levels))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The column itself."""
        return (self.name,)

    def encode(self, column: Series) -> Features:
        """Look the word up."""
        codes, words = to_words(column)
        return np.take(np.array([*self._values(words), 0.0]), codes)[:, None]

    def _values(self, words: tuple[str, ...]) -> list[float]:
        """Each word's number: of a pair of truths, other words for the same stand for it."""
        words = to_truths(words)
        if self.levels in BOOLEANS:
            value = {word: 1.0 if true else -1.0 for word, true in TRUTHS.items()}
            return [value.get(word, 0.0) for word in words]
        return [0.0 if k is None else 2.0 * k - 1.0 for k in find_levels(words, self.levels)]

    def remarks(self, column: Series) -> list[str]:
        """Words that are neither."""
        words = to_words(column).levels
        odd = [word for word, value in zip(words, self._values(words), strict=True) if not value]
        return (
            [f"{self.name}: {shorten(odd[0])!r} is neither of {', '.join(self.levels)}"]
            if odd
            else []
        )


@dataclass(frozen=True)
class DateEncoder(Record):
    """A date: time elapsed, from -1 to 1 in training, and where it is in the year, week and day.

    Each cycle that the training data vary in becomes a sine and a cosine. A missing date is 0
    everywhere.
    """

    kind: ClassVar[str] = "date"
    n_numbers: ClassVar[int] = 1
    name: str
    style: str
    center: float
    scale: float
    cycles: tuple[str, ...]
    may_miss: bool

    @classmethod
    def fit(cls, column: Column, series: Series) -> Self:
        """Measure the range, and which cycles there are."""
        days = to_days(series, column.style or "ymd")
        filled = days[~np.isnan(days)]
        if not len(filled):
            if to_words(series).levels:
                raise ValueError(f"column {column.name!r} is said to be a date, but has none.")
            return cls(column.name, column.style or "ymd", 0.0, 1.0, (), True)
        span = float(np.ptp(filled))
        whole_days = np.unique(np.floor(filled))
        cycles = (
            ("year",) * (span >= 60)
            + ("week",) * (len(whole_days) >= 4)
            + ("day",) * bool(np.ptp(filled % 1) > 0)
        )
        center, scale = float(filled.min() + span / 2), span / 2 or 1.0
        may_miss = len(filled) < len(days)
        return cls(column.name, column.style or "ymd", center, scale, cycles, may_miss)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Elapsed time, then the cycles."""
        names = [f"{self.name} elapsed"]
        for cycle in self.cycles:
            names += [f"{self.name} sin({cycle})", f"{self.name} cos({cycle})"]
        return tuple(names + [f"{self.name} missing"] * self.may_miss)

    def encode(self, column: Series) -> Features:
        """Turn days into angles."""
        days = to_days(column, self.style)
        missing = np.isnan(days)
        days = np.where(missing, self.center, days)
        z = (days - self.center) / self.scale
        features = [z / np.hypot(1.0, z / BOUND)]
        for shift, period in map(CYCLES.__getitem__, self.cycles):
            angle = 2 * math.pi * ((days + shift) / period % 1.0)
            features += [np.sin(angle), np.cos(angle)]
        block = np.where(missing[:, None], 0.0, np.stack(features, axis=1))
        if self.may_miss:
            block = np.concatenate([block, missing[:, None]], axis=1)
        return block

    def remarks(self, column: Series) -> list[str]:
        """Missing dates where there were none."""
        missing = int(np.isnan(to_days(column, self.style)).sum())
        if not missing or self.may_miss:
            return []
        return [f"{self.name}: {missing} missing or no date, as never in training"]


@dataclass(frozen=True)
class PresenceEncoder(Record):
    """A text: 1 if there is one, else -1."""

    kind: ClassVar[str] = "text"
    name: str

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The one question."""
        return (f"{self.name} given",)

    def encode(self, column: Series) -> Features:
        """Ask it."""
        return np.where(to_words(column).codes >= 0, 1.0, -1.0)[:, None]

    def remarks(self, column: Series) -> list[str]:
        """Nothing to say about texts."""
        return []
