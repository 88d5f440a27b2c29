"""How exactly a function can be computed: its rounding noise, measured.

Along a line p + k s v the third differences of a smooth function vanish with s^3, so for tiny s
what is left of them is rounding: noise = sqrt(mean (third difference)^2 / 20). The line is sampled
at two scales, because a function that computes in float32 inside is a staircase whose steps are
too wide to be seen at the scale of float64.

Reference: Hamming, Introduction to Applied Numerical Analysis; Moré & Wild, 2011, SIAM J. Sci.
Comput. 33:1292 (difference tables for computational noise).
"""

from typing import NamedTuple

import numpy as np

from jaxmlp.verification.functions import ManyPoints, Point

SAMPLES = np.arange(-4, 4)
DOUBLE_STEP, SINGLE_STEP, HALF_STEP = 2.0**-48, 2.0**-20, 2.0**-6
RESPONSE_STEP = 2.0**-14  # large enough for float32 to follow, too small for 16 bits


class Noise(NamedTuple):
    """Rounding noise, in absolute units.

    Attributes:
        value: of the function's value.
        gradient: of the claimed gradient and jax.grad together, for each entry that of its leaf,
            (n_parameters,).
    """

    value: float
    gradient: np.ndarray


def unit_of(point: Point) -> np.ndarray:
    """Return the natural size of each parameter: its own or its leaf's, whichever is larger."""
    unit = np.empty_like(point.vector)
    for part in point.slices:
        leaf = np.abs(point.vector[part])
        typical = np.sqrt(np.mean(leaf**2)) if leaf.size else 0.0
        unit[part] = np.maximum(leaf, typical if typical > 0 else 1.0)
    return np.where(np.isfinite(unit), unit, 1.0)


def line(point: Point, direction: np.ndarray, step: float) -> np.ndarray:
    """Return eight points around the parameters, (8, n_parameters)."""
    return point.vector + (step * SAMPLES)[:, None] * direction


def third_difference_noise(samples: np.ndarray) -> np.ndarray:
    """Return the noise of each column of (8, ...) equidistant samples; inf where not finite."""
    noise = np.sqrt(np.mean(np.diff(samples, n=3, axis=0) ** 2, axis=0) / 20)
    return np.where(np.isfinite(noise), noise, np.inf)


def follows_small_steps(values: np.ndarray) -> bool:
    """Return whether eight values along a line change smoothly, not in stairs."""
    noise = third_difference_noise(values)
    return bool(noise <= 0.05 * abs(values[-1] - values[0]) / len(values))


def value_noise(
    fn: ManyPoints, point: Point, direction: np.ndarray, half: bool | None
) -> tuple[float, bool]:
    """Measure the noise of a function's value, at the scales of its precision.

    Args:
        fn: the function.
        point: the parameters.
        direction: of the line, in units of the parameters, (n_parameters,).
        half: whether the function uses 16-bit floats; None if that is not known.

    Returns:
        The noise, absolute, and whether there are 16-bit floats: unless it is known, they are
        inferred where small steps are lost in stairs.
    """
    if half is None:
        (values,) = _sample(fn, point, direction, [RESPONSE_STEP])
        half = not follows_small_steps(values)
    steps = [DOUBLE_STEP, SINGLE_STEP, *([HALF_STEP] if half else [])]
    samples = _sample(fn, point, direction, steps)
    return max(float(third_difference_noise(values)) for values in samples), half


def gradient_noise(samples: np.ndarray, point: Point) -> np.ndarray:
    """Return each leaf's root mean square noise, spread over its entries, (n_parameters,).

    Args:
        samples: gradients along lines of several steps, (steps, 8, n_parameters).
        point: the parameters.
    """
    noise = np.max([third_difference_noise(part) for part in samples], axis=0)
    spread = np.empty_like(noise)
    for part in point.slices:
        spread[part] = np.sqrt(np.mean(noise[part] ** 2)) if noise[part].size else 0.0
    return spread


def _sample(fn: ManyPoints, point: Point, direction: np.ndarray, steps: list[float]) -> np.ndarray:
    points = np.concatenate([line(point, direction, step) for step in steps])
    return np.asarray(fn(points), np.float64).reshape(len(steps), len(SAMPLES))
