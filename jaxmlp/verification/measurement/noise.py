"""How exactly a function can be computed: its rounding noise, measured.

Along a ray p + k s v, k = 1..7, the third differences of a smooth function vanish with s^3, so for
tiny s what is left of them is rounding: noise = sqrt(mean (third difference)^2 / 20). A ray, not a
line through p: p may lie on a kink, and a slope that jumps there is no noise. s follows the
precision in which the function computes: float32 makes it a staircase whose steps are too wide to
be seen at the scale of float64, and larger steps than needed cross kinks.

Reference: Hamming, Introduction to Applied Numerical Analysis; Moré & Wild, 2011, SIAM J. Sci.
Comput. 33:1292 (difference tables for computational noise).
"""

from typing import NamedTuple

import numpy as np

from jaxmlp.verification.measurement.functions import ManyPoints, Point
from jaxmlp.verification.measurement.precision import Precision

SAMPLES = np.arange(8)  # the first is p itself
_DOUBLE_STEP, _SINGLE_STEP, HALF_STEP = 2.0**-48, 2.0**-20, 2.0**-6
_FAR = 0.25  # of a parameter's own size, no farther than finite differences go
_RESPONSE_STEP = 2.0**-14  # large enough for float32 to follow, too small for 16 bits


class Noise(NamedTuple):
    """Rounding noise, in absolute units.

    Attributes:
        value: of the function's value.
        gradient: of the claimed gradient and jax.grad together, for each entry that of its leaf,
            (n_parameters,).
        precision: in which function and claim are computed.
    """

    value: float
    gradient: np.ndarray
    precision: Precision


def root_mean_square(x: np.ndarray) -> np.ndarray:
    """Return sqrt(mean x^2) over the first axis, without leaving the range of floats; 0 of none.

    >>> print(f"{root_mean_square(np.array([3e-200, 4e-200])):.4g}")
    3.536e-200
    """
    scale = np.abs(x).max(axis=0, initial=0.0)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    root: np.ndarray = scale * np.sqrt(np.sum((x / scale) ** 2, axis=0) / max(1, len(x)))
    return root


def unit_of(point: Point) -> np.ndarray:
    """Return the natural size of each parameter: its own or its leaf's, whichever is larger."""
    unit = np.empty_like(point.vector)
    for part in point.slices:
        leaf = np.abs(point.vector[part])
        typical = root_mean_square(leaf)
        unit[part] = np.maximum(leaf, typical if typical > 0 else 1.0)
    return np.where(np.isfinite(unit), unit, 1.0)


def ray(point: Point, direction: np.ndarray, step: float) -> np.ndarray:
    """Return the parameters and seven points beside them, (8, n_parameters)."""
    points: np.ndarray = point.vector + (step * SAMPLES)[:, None] * direction
    return points


def far_points(point: Point, rng: np.random.Generator) -> np.ndarray:
    """Return two points well away from the parameters, to both sides, (2, n_parameters).

    What cancels in the gradient at the parameters need not cancel there, so its size can be seen.
    """
    move = _FAR * unit_of(point) * rng.choice([-1.0, 1.0], len(point.vector))
    return np.stack([point.vector + move, point.vector - move])


def _third_difference_noise(samples: np.ndarray) -> np.ndarray:
    """Return the noise of each column of samples along a ray, (8, ...); inf where not finite."""
    noise = root_mean_square(np.diff(samples[1:], n=3, axis=0)) / np.sqrt(20)
    finite: np.ndarray = np.where(np.isfinite(noise), noise, np.inf)
    return finite


def steps_for(*precisions: Precision | None) -> list[float]:
    """Return two or more steps that show the rounding of each precision; None is an unknown one."""
    steps = {
        step
        for precision in precisions
        for step in {
            Precision.DOUBLE: (_DOUBLE_STEP,),
            Precision.SINGLE: (_SINGLE_STEP,),
            Precision.HALF: (_SINGLE_STEP, HALF_STEP),
            None: (_DOUBLE_STEP, _SINGLE_STEP),
        }[precision]
    }
    return sorted(steps) * (1 if len(steps) > 1 else 2)


def _follows_small_steps(values: np.ndarray) -> bool:
    """Return whether eight values along a ray change smoothly, not in stairs."""
    noise = _third_difference_noise(values)
    return bool(noise <= 0.05 * abs(values[-1] - values[0]) / len(values))


def value_noise(
    fn: ManyPoints,
    point: Point,
    value: float,
    gradient: np.ndarray,
    precision: Precision | None,
) -> tuple[float, Precision]:
    """Measure the noise of a function's value, at the scales of its precision.

    Args:
        fn: the function.
        point: the parameters.
        value: f(p).
        gradient: a guess of it, which points where the value moves, (n_parameters,).
        precision: as traced, or None for a function that cannot be traced; then 16-bit floats
            are inferred where small steps are lost in stairs.

    Returns:
        The noise, absolute, and the precision.
    """
    direction = unit_of(point) * np.where(np.nan_to_num(gradient) < 0, -1.0, 1.0)
    if precision is None:
        (response,) = _sample(fn, point, direction, [_RESPONSE_STEP])
        stairs = not _follows_small_steps(response)
        steps = steps_for(Precision.HALF) if stairs else steps_for(None)
    else:
        stairs, steps = precision is Precision.HALF, steps_for(precision)
    slope = float(np.abs(np.nan_to_num(gradient)) @ np.abs(direction))
    # a step must move the value by more than its last digit, or no stairs will be seen
    visible = 8 * Precision.SINGLE.roundoff * abs(value) / slope if slope else 0.0
    steps = [min(max(s, visible), 2.0**-10) if s == _SINGLE_STEP else s for s in steps]
    samples = _sample(fn, point, direction, steps)
    if precision is None:
        single = np.array_equal(samples, samples.astype(np.float32).astype(np.float64))
        precision = (Precision.SINGLE if single else Precision.DOUBLE, Precision.HALF)[stairs]
    noise = max(float(_third_difference_noise(values)) for values in samples)
    return max(noise, precision.roundoff * abs(value), precision.tiny), precision


def gradient_noise(samples: np.ndarray, point: Point) -> np.ndarray:
    """Return each leaf's root mean square noise, spread over its entries, (n_parameters,).

    Args:
        samples: gradients along rays of several steps, (steps, 8, n_parameters).
        point: the parameters.
    """
    noise = np.max([_third_difference_noise(part) for part in samples], axis=0)
    spread: np.ndarray = np.empty_like(noise)
    for part in point.slices:
        spread[part] = root_mean_square(noise[part])
    return spread


def _sample(fn: ManyPoints, point: Point, direction: np.ndarray, steps: list[float]) -> np.ndarray:
    points = np.concatenate([ray(point, direction, step) for step in steps])
    return np.asarray(fn(points), np.float64).reshape(len(steps), len(SAMPLES))
