"""A leaf whose gradient is wrong, what is known about it, and how it is compared with the truth."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.config import MLPConfig

NEAR = 1e-5  # of the leaf's largest entry: a cause explains the claim if it comes this close,
_OF_GAP = 0.01  # and leaves no more than this share of what it is to explain


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
    config: MLPConfig | None
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


def nearness(claimed: np.ndarray, true: np.ndarray, tolerance: float) -> float:
    """Return the largest difference at which a cause still explains a claim."""
    near = max(10 * tolerance, NEAR * float(np.abs(true).max(initial=0.0)))
    if claimed.shape != true.shape:
        return near
    return max(tolerance, min(near, _OF_GAP * float(np.abs(claimed - true).max(initial=0.0))))


def equal(a: np.ndarray, b: np.ndarray, near: float) -> bool:
    """Return whether arrays of the same shape agree to `near`."""
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= near))


def apart(a: float, b: float) -> tuple[str, str]:
    """Write two numbers with four digits, or with as many as tell them apart.

    >>> apart(0.5, 1 / 3), apart(1.00012345, 1.0)
    (('0.5', '0.3333'), ('1.00012', '1'))
    """
    for digits in range(4, 16):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            break
    else:
        digits = 4
    shown = digits if digits == 4 else digits + 1
    return f"{a:.{shown}g}", f"{b:.{shown}g}"


def written_factor(factor: float) -> str:
    """Write a factor so that it cannot be taken for a round number that it is not.

    >>> written_factor(2.0), written_factor(5 / 3), written_factor(1.0001)
    ('2', '1.667', '1.0001')
    """
    return apart(factor, float(f"{factor:.2g}"))[0]


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
