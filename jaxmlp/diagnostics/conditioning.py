"""The condition number that matters: of the directions in which the targets can be told apart.

The plain condition number of the features' covariance is useless as an alarm: images have constant
pixels, so theirs is infinite, and they train well, because nothing depends on those directions.
Gradient descent on a linear layer removes the error along an eigenvector of variance v at the rate
learning_rate * v, and learning_rate < 2 / v_max: a direction takes about v_max / v steps. So what
counts is how small v gets in the directions that carry what can be learnt.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_SHARE = 0.9  # of the signal; the last tenth is left to chance
_NOISE = 10.8  # chi-squared(1) exceeds it once in a thousand: chance correlation of one direction


class Conditioning(NamedTuple):
    """How unevenly the variance of features is spread, seen from the targets.

    Attributes:
        condition_number: v_max / v, v the variance below which only a tenth of the linear signal
            lies; 1 if there is no signal.
        signal: share of the targets' variance that directions tell apart significantly, 0..1.
        plain: largest over smallest eigenvalue of the covariance, for the record.
    """

    condition_number: float
    signal: float
    plain: float


def conditioning(
    features: Float[np.ndarray, "rows n"],
    targets: Float[np.ndarray, "rows outputs"],
    sample_weight: Float[np.ndarray, " rows"] | None = None,
) -> Conditioning:
    """Measure the effective condition number of features for predicting targets.

    With the singular value decomposition X = U S V^T of the centred features, direction i has the
    variance S_i^2 / rows, and explains the share ||U_i^T Y||^2 / ||Y||^2 of the targets' variance;
    shares that chance alone would reach in one case of a thousand are left out.

    Args:
        features: inputs or activations, (rows, n).
        targets: numbers or one-hot labels, (rows, outputs).
        sample_weight: of the rows, or None for equal ones.

    Returns:
        The `Conditioning`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(500, 2))
        >>> found = conditioning(z * [1.0, 0.01], z.sum(axis=1, keepdims=True))
        >>> 5e3 < found.condition_number < 2e4
        True

    Reference: LeCun et al., Efficient BackProp, 1998, section 5 (learning speed and eigenvalues).
    """
    X = np.asarray(features, np.float64)
    Y = np.asarray(targets, np.float64)
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    root = np.sqrt(weight / weight.mean())[:, None]
    X, Y = (root * (part - np.average(part, axis=0, weights=weight)) for part in (X, Y))
    if not (X.any() and Y.any() and np.isfinite(X).all()):
        return Conditioning(1.0, 0.0, float("inf"))
    U, S, _ = np.linalg.svd(X, full_matrices=False)
    plain = float((S[0] / S[-1]) ** 2) if S[-1] > 0 and len(S) == X.shape[1] else float("inf")
    real = S[0] * 1e-10 < S
    variance = S[real] ** 2
    share = np.sum((U[:, real].T @ Y) ** 2, axis=1) / np.sum(Y**2)
    share = np.where(share > _NOISE / len(X), share, 0.0)
    signal = float(share.sum())
    if signal == 0:
        return Conditioning(1.0, 0.0, plain)
    reached = int(np.searchsorted(np.cumsum(share), _SHARE * signal))
    return Conditioning(float(variance[0] / variance[min(reached, len(share) - 1)]), signal, plain)
