"""A leaf whose gradient is wrong, what is known about it, and how it is compared with the truth."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

NEAR = 1e-5  # of the leaf's largest entry: a cause explains the claim if it comes this close


class Context(NamedTuple):
    """What is known about the functions beside their parameters.

    Attributes:
        args: further positional arguments, in float64.
        options: keyword arguments, in float64.
        config: of the network, or None.
        batch: the likely batch sizes.
    """

    args: tuple[Any, ...]
    options: Mapping[str, Any]
    config: Any
    batch: tuple[int, ...]


class Failure(NamedTuple):
    """One leaf whose claimed gradient is wrong.

    Attributes:
        leaf: its index.
        name: its path.
        claimed: the claimed gradient, of whatever shape it came in.
        true: the true gradient, in the parameter's shape.
        param: the parameter.
        near: largest difference at which two arrays count as equal.
    """

    leaf: int
    name: str
    claimed: np.ndarray
    true: np.ndarray
    param: np.ndarray
    near: float


def equal(a: np.ndarray, b: np.ndarray, near: float) -> bool:
    """Return whether arrays of the same shape agree to `near`."""
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= near))


def fit(claimed: np.ndarray, *basis: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit by least squares: (coefficients, largest residual)."""
    columns = np.stack([b.ravel() for b in basis], axis=1)
    coefficients, *_ = np.linalg.lstsq(columns, claimed.ravel(), rcond=None)
    residual = claimed.ravel() - columns @ coefficients
    return coefficients, float(np.abs(residual).max(initial=0.0))


def fit_factor(claimed: np.ndarray, true: np.ndarray) -> tuple[float, bool]:
    """Return the factor between two arrays, and whether it holds in every entry."""
    if not true.any():
        return 0.0, False
    (factor,), residual = fit(claimed, true)
    return float(factor), residual <= NEAR * np.abs(claimed).max()
