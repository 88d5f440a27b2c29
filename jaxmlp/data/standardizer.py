"""Standardization: (x - mean) / scale, fitted on the training part only."""

import math
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float64, Shaped

from jaxmlp.data.preprocessing import register_preprocessing
from jaxmlp.formatting import format_number

_BLOCK = 1 << 20  # entries converted to float64 at a time: 8 MiB, whatever the size of the data


@register_preprocessing("standardizer")
class Standardizer(NamedTuple):
    """The statistics of the training data, and the map they define.

    Make it with `Standardizer.fit`. One mean and scale for all columns suits images, whose pixels
    share a unit: it keeps the contrast between them, and pixels that are almost always 0 do not
    turn into outliers.

    Attributes:
        mean: of each column, (features,), or of all entries, ().
        scale: standard deviation (population, not sample), of the same shape; 1 where it is 0, so
            that a constant column becomes 0.
        n_features: number of columns.
        low: the smallest entry of the training data.
        high: the largest; `foreign_range` compares new data with both.
        bounds: the smallest and the largest entry of each column, (2, features), which
            `inverse_transform` does not leave; None: it may.
    """

    mean: Float64[np.ndarray, "..."]
    scale: Float64[np.ndarray, "..."]
    n_features: int
    low: float
    high: float
    bounds: Float64[np.ndarray, "2 features"] | None = None

    @classmethod
    def fit(
        cls,
        x: Shaped[np.ndarray, "rows features"],
        *,
        per_feature: bool = True,
        clamp: bool = False,
    ) -> Self:
        """Measure mean and standard deviation, in float64 whatever x is.

        Args:
            x: the training part, finite, (rows, features).
            per_feature: one mean and scale for each column; else one for all.
            clamp: whether `inverse_transform` keeps within each column's range.

        Returns:
            The standardizer.

        Raises:
            ValueError: if x is not a matrix with at least one row and column.

        Example:
            >>> standardizer = Standardizer.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
            >>> standardizer.mean.tolist(), standardizer.scale.tolist()
            ([2.0, 5.0], [1.0, 1.0])

        Reference: LeCun et al., Efficient BackProp, 1998, section 4.3.
        """
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"x has shape {x.shape}, but must be (rows, features), not empty.")
        axis = 0 if per_feature else None
        low, high = np.min(x, axis=axis), np.max(x, axis=axis)
        constant = low == high  # not scale == 0: the mean of equal numbers may be rounded
        mean = np.where(constant, low, np.mean(x, axis=axis, dtype=np.float64))
        squares = sum(np.sum((block - mean) ** 2, axis=axis) for block in _blocks(x))
        scale = np.where(constant, 1.0, np.sqrt(squares / (x.size / mean.size)))
        bounds = np.stack([x.min(axis=0), x.max(axis=0)]).astype(np.float64) if clamp else None
        return cls(mean, scale, x.shape[1], float(np.min(low)), float(np.max(high)), bounds)

    def transform(
        self, x: Shaped[np.ndarray, "rows features"]
    ) -> Shaped[np.ndarray, "rows features"]:
        """Standardize: (x - mean) / scale, rounded once at the end.

        Args:
            x: (rows, features).

        Returns:
            (rows, features): float64 if x is, else float32.

        Raises:
            ValueError: if x does not have the columns of the training data.

        Example:
            >>> standardizer = Standardizer.fit(np.array([[1.0], [3.0]]))
            >>> standardizer.transform(np.array([[5.0]], np.float32))
            array([[3.]], dtype=float32)
        """
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise ValueError(
                f"x has shape {x.shape}, but the training data had {self.n_features} columns; pass "
                f"x of shape (rows, {self.n_features})."
            )
        result = np.empty(x.shape, np.float64 if x.dtype == np.float64 else np.float32)
        start = 0
        for block in _blocks(x):
            result[start : start + len(block)] = (block - self.mean) / self.scale
            start += len(block)
        return result

    def inverse_transform(
        self, outputs: Shaped[np.ndarray, "rows features"]
    ) -> Shaped[np.ndarray, "rows features"]:
        """Undo `transform`: outputs * scale + mean, for a model trained on standardized targets.

        With bounds the result is clamped to them.

        Args:
            outputs: (rows, features).

        Returns:
            (rows, features): float64 if outputs are, else float32.

        Raises:
            ValueError: if outputs do not have the columns of the training data.

        Example:
            >>> standardizer = Standardizer.fit(np.array([[1.0], [5.0]]))
            >>> standardizer.inverse_transform(np.array([[1.5]], np.float32))
            array([[6.]], dtype=float32)
        """
        if outputs.ndim != 2 or outputs.shape[1] != self.n_features:
            raise ValueError(
                f"outputs have shape {outputs.shape}, but must be (rows, {self.n_features})."
            )
        dtype = np.float64 if outputs.dtype == np.float64 else np.float32
        values = outputs * self.scale + self.mean
        return np.asarray(values if self.bounds is None else np.clip(values, *self.bounds), dtype)

    def foreign_range(self, x: Shaped[np.ndarray, "rows features"]) -> str | None:
        """Say so if x seems to be in other units: pixels to 255 where training had 0 to 1.

        Args:
            x: new data, (rows, features).

        Returns:
            A sentence if an entry lies further outside the training range than that range is
            wide, else None.

        Example:
            >>> standardizer = Standardizer.fit(np.array([[0.0], [1.0]]))
            >>> standardizer.foreign_range(np.array([[255.0]]))
            'values span 255 to 255, but the training data 0 to 1: check the units'
        """
        width, low, high = self.high - self.low, float(x.min()), float(x.max())
        if self.low - width <= low and high <= self.high + width:
            return None
        new, known = (
            f"{format_number(a)} to {format_number(b)}"
            for a, b in ((low, high), (self.low, self.high))
        )
        return f"values span {new}, but the training data {known}: check the units"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; floats survive exactly.

        >>> Standardizer.fit(np.array([[1.0], [3.0]])).to_dict()["mean"]
        [2.0]
        """
        fields = {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "n_features": self.n_features,
            "low": self.low,
            "high": self.high,
        }
        return fields if self.bounds is None else {**fields, "bounds": self.bounds.tolist()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Rebuild a standardizer from `to_dict`'s result.

        Raises:
            ValueError: if the fields are not those of a standardizer.

        >>> standardizer = Standardizer.fit(np.array([[1.0], [3.0]]))
        >>> Standardizer.from_dict(standardizer.to_dict()) == standardizer
        True
        """
        try:
            mean = np.asarray(fields["mean"], np.float64)
            scale = np.asarray(fields["scale"], np.float64)
            n_features = int(fields["n_features"])
            low, high = float(fields["low"]), float(fields["high"])
            bounds = fields.get("bounds")
            bounds = None if bounds is None else np.asarray(bounds, np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the fields of the standardizer are incomplete: {error}.") from error
        fits = mean.shape == scale.shape and mean.shape in ((), (n_features,))
        if not (fits and np.isfinite(mean).all() and np.all(scale > 0)):
            raise ValueError(
                f"the standardizer has mean of shape {mean.shape} and scale of shape "
                f"{scale.shape} for {n_features} columns; both must be (), or one for each column, "
                "with finite means and positive scales."
            )
        if bounds is not None and bounds.shape != (2, n_features):
            raise ValueError(
                f"the standardizer has bounds of shape {bounds.shape}; for {n_features} columns "
                f"they must be (2, {n_features})."
            )
        return cls(mean, scale, n_features, low, high, bounds)


def _blocks(x: np.ndarray) -> "list[np.ndarray]":
    """Views of consecutive rows, small enough to compute with in float64."""
    rows = max(1, _BLOCK // math.prod(x.shape[1:]))
    return [x[start : start + rows] for start in range(0, len(x), rows)]
