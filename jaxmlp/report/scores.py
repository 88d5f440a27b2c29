"""Scores on a test set with intervals that say how far they can be trusted."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_RESAMPLES, _LARGE = 400, 20_000  # of the bootstrap; with more rows than that, a quarter of them
_CONFIDENCE = (0.025, 0.975)
SCORE_NAMES = {"auc": "AUC", "f1": "F1", "rmse": "RMSE", "mae": "MAE", "r2": "R2"}  # as written
_Z = 1.959963984540054  # of a normal 95% interval


class Score(NamedTuple):
    """A score, the 95% interval around it, and what a guess without features gets.

    Attributes:
        value: on the test set.
        low: lower end of the interval.
        high: upper end.
        guess: of always saying the most frequent class, or the mean; NaN where that means nothing.
    """

    value: float
    low: float
    high: float
    guess: float = math.nan


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """95% interval of a share, also near 0 and 1.

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    Example:
        >>> low, high = wilson_interval(10, 10)
        >>> round(low, 3), round(high, 3)
        (0.722, 1.0)

    Reference: Wilson, 1927.
    """
    p, square = hits / n, _Z**2 / n
    middle = (p + square / 2) / (1 + square)
    half = _Z * math.sqrt(p * (1 - p) / n + square / (4 * n)) / (1 + square)
    # Rounding may leave the share itself outside where it is 0 or 1.
    return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))


def classification_scores(
    y: Int[np.ndarray, " rows"], p: Float[np.ndarray, "rows classes"], *, seed: int = 0
) -> dict[str, Score]:
    """Accuracy, balanced accuracy, log loss; of two classes also AUC and F1 of the second.

    Args:
        y: class indices.
        p: probabilities.
        seed: of the bootstrap.

    Returns:
        name -> score. Accuracy has Wilson's interval, the others that of the bootstrap.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
        >>> scores = classification_scores(np.array([0, 1, 1, 0]), p)
        >>> scores["accuracy"].value, round(scores["auc"].value, 2)
        (0.5, 0.75)
    """
    n_classes = p.shape[1]
    predicted = p.argmax(axis=1)
    hits = int((predicted == y).sum())
    counts = np.bincount(y, minlength=n_classes)
    shares = np.maximum(counts / len(y), 1e-300)
    accuracy = Score(hits / len(y), *wilson_interval(hits, len(y)), float(counts.max() / len(y)))
    losses = -np.log(np.maximum(p[np.arange(len(y)), y].astype(np.float64), 1e-12))
    measures: dict[str, tuple[Callable[[np.ndarray], float], float]] = {
        "balanced accuracy": (
            lambda rows: _balanced(y[rows], predicted[rows], n_classes),
            1 / int((counts > 0).sum()),
        ),
        "log loss": (
            lambda rows: float(losses[rows].mean()),
            float(-(shares * np.log(shares)).sum()),
        ),
    }
    if n_classes == 2:
        measures["auc"] = (lambda rows: area_under_curve(y[rows], p[rows, 1]), 0.5)
        measures["f1"] = (lambda rows: _f1(y[rows], predicted[rows]), math.nan)
    return {"accuracy": accuracy, **_bootstrap(measures, len(y), seed)}


def regression_scores(
    y: Float[np.ndarray, " rows"], predicted: Float[np.ndarray, " rows"], *, seed: int = 0
) -> dict[str, Score]:
    """RMSE and mean absolute error, in the target's units, and R2; bootstrap intervals.

    Example:
        >>> scores = regression_scores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
        >>> round(scores["rmse"].value, 3), scores["r2"].value
        (0.577, 0.5)
    """
    errors = (predicted - y).astype(np.float64)
    spread = (y - y.mean()) ** 2

    def r2(rows: np.ndarray) -> float:
        total = ((y[rows] - y[rows].mean()) ** 2).sum()
        return float(1 - (errors[rows] ** 2).sum() / total) if total > 0 else math.nan

    measures: dict[str, tuple[Callable[[np.ndarray], float], float]] = {
        "rmse": (lambda rows: float(np.sqrt((errors[rows] ** 2).mean())), spread.mean() ** 0.5),
        "mae": (lambda rows: float(np.abs(errors[rows]).mean()), np.abs(y - y.mean()).mean()),
        "r2": (r2, 0.0),
    }
    return _bootstrap(measures, len(y), seed)


def _bootstrap(
    measures: Mapping[str, tuple[Callable[[np.ndarray], float], float]], n: int, seed: int
) -> dict[str, Score]:
    """Percentile intervals over rows drawn with replacement; undefined values are left out."""
    rng = np.random.default_rng(seed)
    times = _RESAMPLES if n <= _LARGE else _RESAMPLES // 4
    draws = [rng.integers(0, n, n) for _ in range(times)]
    scores = {}
    for name, (measure, guess) in measures.items():
        value = measure(np.arange(n))
        if not math.isfinite(value):
            continue
        found = np.array([measure(rows) for rows in draws])
        found = found[np.isfinite(found)]
        low, high = np.quantile(found, _CONFIDENCE) if len(found) else (value, value)
        scores[name] = Score(value, float(low), float(high), float(guess))
    return scores


def _balanced(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    counts = np.bincount(y, minlength=n_classes)
    hits = np.bincount(y[y == predicted], minlength=n_classes)
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def area_under_curve(y: Int[np.ndarray, " rows"], score: Float[np.ndarray, " rows"]) -> float:
    """Share of the pairs of both classes that are in the right order, ties counted half: the AUC.

    >>> area_under_curve(np.array([0, 1, 1]), np.array([0.1, 0.1, 0.9]))
    0.75

    Reference: Mann & Whitney, 1947.
    """
    positive, negative = np.sort(score[y == 1]), np.sort(score[y == 0])
    if not len(positive) or not len(negative):
        return math.nan
    below = np.searchsorted(negative, positive, "left").sum()
    upto = np.searchsorted(negative, positive, "right").sum()
    return float((below + upto) / 2 / (len(positive) * len(negative)))


def _f1(y: np.ndarray, predicted: np.ndarray) -> float:
    right = int(((y == 1) & (predicted == 1)).sum())
    total = int((y == 1).sum() + (predicted == 1).sum())
    return 2 * right / total if total else math.nan


def confusion_counts(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count counts[i, j] examples of class i that were predicted as class j.

    >>> confusion_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    pairs = np.bincount(y * n_classes + predicted, minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)
