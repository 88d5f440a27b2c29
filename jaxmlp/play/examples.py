"""What is learnt, as arrays: examples, where they are drawn, and the grid that pictures show."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from jaxmlp.data import Dataset, Preprocessing, Standardizer, TargetTransform, load_digits
from jaxmlp.messages import phrase
from jaxmlp.play.settings import DataSettings

GRID = 48  # points a side
_CURVE_POINTS = 192  # of a function of one input
_EXTENT = 2.0  # of the plane, from -2 to 2
_LEAST_DRAWN = 4  # points that make a task


@dataclass(frozen=True)
class Examples:
    """A task of the page.

    Attributes:
        train: inputs and targets that are learnt from.
        test: those that test.
        train_points: where the examples are drawn, (n, 2).
        test_points: likewise.
        grid: inputs of each point of the picture, (rows * columns, n_in).
        grid_shape: rows and columns; one row for the graph of a function.
        extent: of the picture: left, right, bottom, top.
        axes: names of its two axes.
        preprocessing: from raw data to inputs, for the model file; None if these are the same.
        feature_names: of the raw data.
        target_name: of what is predicted.
        target_transform: from the targets' units to those that are learnt, or None.
        raw: the raw data by column, target included, for a file beside the model.
        sliders: of the columns that are held: name, kind, and range or levels.
        images: pixels of each example, (n, 64), where they are pictures.
    """

    train: Dataset
    test: Dataset
    train_points: Float[np.ndarray, "n 2"]
    test_points: Float[np.ndarray, "n 2"]
    grid: Float[np.ndarray, "points n_in"]
    grid_shape: tuple[int, int]
    extent: tuple[float, float, float, float]
    axes: tuple[str, str]
    feature_names: tuple[str, ...]
    preprocessing: Preprocessing | None = None
    target_name: str = "y"
    target_transform: TargetTransform | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    sliders: tuple[dict[str, Any], ...] = ()
    images: Float[np.ndarray, "n pixels"] | None = None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes; None where numbers are predicted."""
        return self.train.class_names

    @property
    def task(self) -> str:
        """The task: classification or regression."""
        return "regression" if self.class_names is None else "classification"

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 where numbers are predicted."""
        return len(self.class_names or ())


def make_examples(settings: DataSettings) -> Examples:
    """Draw, compute or load what is learnt; of all but tables.

    Args:
        settings: of the data.

    Returns:
        The examples, the same for the same settings.

    Raises:
        ValueError: if too few points are drawn, or all are of one class.
        ImportError: for digits without scikit-learn.

    Example:
        >>> examples = make_examples(DataSettings("circle", size=100, test=0.2))
        >>> examples.train.x.shape, examples.grid.shape
        ((80, 2), (2304, 2))
    """
    if settings.name == "digits":
        return _digits(settings)
    if settings.name == "function":
        return _function(settings)
    random = np.random.default_rng(settings.seed)
    points, y = (
        _drawn(settings)
        if settings.name == "drawn"
        else _DRAWS[settings.name](random, settings.size, settings.noise)
    )
    points = np.clip(points, -_EXTENT, _EXTENT)
    order = random.permutation(len(points))
    return _on_plane(settings, points[order], y[order].astype(np.int32))


def _circle(random: np.random.Generator, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A disc, and a ring around it."""
    y = np.arange(n) % 2
    radius = np.where(y == 1, random.uniform(0, 0.8, n), random.uniform(1.2, 1.9, n))
    angle = random.uniform(0, 2 * np.pi, n)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + random.normal(0, noise, (n, 2)), y


def _xor(random: np.random.Generator, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Class 1 where the signs of x1 and x2 differ."""
    points = random.uniform(-1.8, 1.8, (n, 2))
    y = (points[:, 0] * points[:, 1] < 0).astype(int)
    points += 0.1 * np.sign(points)  # a gap along the axes
    return points + random.normal(0, noise, (n, 2)), y


def _gaussians(random: np.random.Generator, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % 2
    centre = np.where(y[:, None] == 1, 0.8, -0.8) * np.ones((n, 2))
    return centre + random.normal(0, 0.25 + noise, (n, 2)), y


def _spirals(random: np.random.Generator, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % 2
    t = np.sqrt(random.uniform(0.005, 1, n))  # even along the arc
    angle = 3.5 * np.pi * t + np.pi * y
    points = 1.85 * t[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return points + random.normal(0, noise / 2, (n, 2)), y


_DRAWS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "circle": _circle, "xor": _xor, "gaussians": _gaussians, "spirals": _spirals,
}  # fmt: skip


def _drawn(settings: DataSettings) -> tuple[np.ndarray, np.ndarray]:
    table = np.asarray(settings.points, np.float64).reshape(-1, 3)
    y = table[:, 2].astype(int)
    if len(table) < _LEAST_DRAWN or len(set(y)) < 2:
        raise ValueError(
            phrase(
                "{n} points of {n_classes} classes are drawn; draw at least {least}, of both "
                "classes.",
                n=len(table),
                n_classes=len(set(y)),
                least=_LEAST_DRAWN,
            )
        )
    return table[:, :2], y


def _plane_inputs(
    names: tuple[str, ...], points: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n n_in"]:
    """Compute the chosen inputs from x1 and x2; sines have the period 2.

    >>> _plane_inputs(("x2", "x1^2"), np.array([[3.0, 5.0]])).tolist()
    [[5.0, 9.0]]
    """
    x1, x2 = points[:, 0], points[:, 1]
    known = {
        "x1": x1, "x2": x2, "x1^2": x1**2, "x2^2": x2**2, "x1*x2": x1 * x2,
        "sin(x1)": np.sin(np.pi * x1), "sin(x2)": np.sin(np.pi * x2),
    }  # fmt: skip
    return np.stack([known[name] for name in names], axis=1).astype(np.float32)


def grid_points(
    extent: tuple[float, float, float, float], n: int = GRID
) -> Float[np.ndarray, "points 2"]:
    """Return the points of a picture, row by row from the top."""
    left, right, bottom, top = extent
    across, up = np.meshgrid(np.linspace(left, right, n), np.linspace(top, bottom, n))
    return np.stack([across.ravel(), up.ravel()], axis=1)


def n_test_rows(n: int, share: float) -> int:
    """Return how many rows test: one at least, and one is left to learn from."""
    return min(max(round(n * share), 1), n - 1)


def _on_plane(
    settings: DataSettings, points: Float[np.ndarray, "n 2"], y: Shaped[np.ndarray, " n"]
) -> Examples:
    n_test = n_test_rows(len(points), settings.test)
    x = _plane_inputs(settings.inputs, points)
    extent = (-_EXTENT, _EXTENT, -_EXTENT, _EXTENT)
    grid = _plane_inputs(settings.inputs, grid_points(extent))
    standardizer = Standardizer.fit(x[n_test:]) if settings.standardize else None
    if standardizer is not None:
        x, grid = standardizer.transform(x), standardizer.transform(grid)
    names = ("0", "1")
    return Examples(
        Dataset(x[n_test:], y[n_test:], settings.inputs, names),
        Dataset(x[:n_test], y[:n_test], settings.inputs, names),
        points[n_test:], points[:n_test], grid, (GRID, GRID), extent, ("x1", "x2"),
        settings.inputs, standardizer, "class",
        raw=_columns(settings.inputs, _plane_inputs(settings.inputs, points), "class", y),
    )  # fmt: skip


def _columns(
    names: tuple[str, ...], values: np.ndarray, target: str, y: np.ndarray
) -> dict[str, Any]:
    return {**dict(zip(names, values.T, strict=True)), target: y}


def _function(settings: DataSettings) -> Examples:
    """y = sin(pi x) / 2 + x / 3 with noise; of the inputs, those that need x1 alone."""
    random = np.random.default_rng(settings.seed)
    x1 = random.uniform(-1.9, 1.9, settings.size)
    y = np.sin(np.pi * x1) / 2 + x1 / 3 + random.normal(0, settings.noise / 2, settings.size)
    inputs = tuple(name for name in settings.inputs if "x2" not in name) or ("x1",)
    n_test = n_test_rows(settings.size, settings.test)
    along = np.linspace(-_EXTENT, _EXTENT, _CURVE_POINTS)
    x, grid = (_plane_inputs(inputs, np.stack([v, 0 * v], axis=1)) for v in (x1, along))
    raw = _columns(inputs, x, "y", y)
    standardizer = Standardizer.fit(x[n_test:]) if settings.standardize else None
    if standardizer is not None:
        x, grid = standardizer.transform(x), standardizer.transform(grid)
    points, y = np.stack([x1, y], axis=1), y.astype(np.float32)
    return Examples(
        Dataset(x[n_test:], y[n_test:], inputs), Dataset(x[:n_test], y[:n_test], inputs),
        points[n_test:], points[:n_test], grid, (1, _CURVE_POINTS),
        (-_EXTENT, _EXTENT, -_EXTENT, _EXTENT), ("x1", "y"), inputs, standardizer, "y", raw=raw,
    )  # fmt: skip


def _digits(settings: DataSettings) -> Examples:
    """Handwritten digits, shown in the plane of their two principal directions."""
    digits = load_digits()
    random = np.random.default_rng(settings.seed)
    rows = random.permutation(len(digits.x))[: max(settings.size, 200)]
    pixels, y = digits.x[rows], digits.y[rows]
    n_test = n_test_rows(len(rows), settings.test)
    standardizer = Standardizer.fit(pixels[n_test:], per_feature=False)
    x = standardizer.transform(pixels)
    mean = x[n_test:].mean(axis=0)
    directions = np.linalg.svd(x[n_test:] - mean, full_matrices=False)[2][:2]
    points = (x - mean) @ directions.T
    reach = float(1.05 * np.abs(points).max())
    extent = (-reach, reach, -reach, reach)
    grid = (mean + grid_points(extent) @ directions).astype(np.float32)
    train, test = (
        Dataset(x[part], y[part], digits.feature_names, digits.class_names)
        for part in (slice(n_test, None), slice(n_test))
    )
    return Examples(
        train, test, points[n_test:], points[:n_test], grid, (GRID, GRID), extent,
        ("PC 1", "PC 2"), digits.feature_names, standardizer, "digit",
        raw=_columns(digits.feature_names, pixels, "digit", y), images=pixels[n_test:],
    )  # fmt: skip
