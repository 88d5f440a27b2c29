"""The Taylor remainder: a test of a gradient that needs no epsilon.

If g is the gradient of a smooth f, then |f(p + h v) - f(p) - h <g, v>| falls with h^2, whatever
the scale of f; if g is wrong, it falls with h only. So the slope in a log-log plot is 2 or 1.

Reference: Farrell, Ham, Funke & Rognes, 2013, SIAM J. Sci. Comput. 35:C369, section 4.
"""

import numpy as np

from jaxmlp.verification.measurement.differences import Differences

_RESOLVED = 20.0  # a remainder counts where it is this many times the noise


def _remainders(differences: Differences, predicted: np.ndarray) -> np.ndarray:
    """Return the mean of |f(p +- h v) - f(p) -+ h <g, v>| over both signs, (n, 4)."""
    linear = differences.steps * predicted[:, None]
    up, down = differences.forward - linear, differences.backward + linear
    mean: np.ndarray = 0.5 * (np.abs(up) + np.abs(down))
    return mean


def taylor_orders(differences: Differences, predicted: np.ndarray, noise: float) -> np.ndarray:
    """Return the order of each probe's remainder at the smallest steps where it can be seen.

    Args:
        differences: the function's changes along n probes.
        predicted: <g, v> of each probe, (n,).
        noise: of the function's value.

    Returns:
        Orders, (n,): 2 for the gradient, 1 for something else, inf where the remainder is at
        rounding level for every step (as for a function that is linear there).

    Example:
        >>> steps = np.array([0.1, 0.01, 0.001, 0.0001])
        >>> f = lambda t: t + t**2
        >>> d = Differences(*[np.zeros(1)] * 3, steps, f(steps)[None], f(-steps)[None])
        >>> [round(float(taylor_orders(d, np.array([g]), 1e-16)[0]), 2) for g in (1.0, 1.1)]
        [2.0, 1.0]
    """
    left = _remainders(differences, predicted)
    # what rounds is also the product h <g, v>, when it is much larger than the function's changes
    floor = _RESOLVED * (noise + 2.0**-52 * np.abs(differences.steps * predicted[:, None]))
    ratio = np.log(differences.steps[0] / differences.steps[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        order = np.log(left[:, :-1] / left[:, 1:]) / ratio
    seen = (left[:, 1:] > floor[:, 1:]) & np.isfinite(order)
    last = seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    return np.where(seen.any(axis=1), order[np.arange(len(last)), last], np.inf)
