"""Central finite differences at four steps, with their error measured, not assumed.

D(h) = (f(p + h v) - f(p - h v)) / 2h errs by rounding, noise / h, and by truncation, ~h^2, which
shows in how D changes from one step to the next. The step with the smallest error is used. Where
the slopes to the two sides, F+ and F-, stay apart as h shrinks, the function has a kink there.
"""

from typing import NamedTuple

import numpy as np

from jaxmlp.verification.measurement.functions import MAX_CHUNK, ManyPoints, Point
from jaxmlp.verification.measurement.noise import unit_of

_STEP_RATIO = 8.0
_N_STEPS = 4
_LARGEST_STEP = 0.25  # of a parameter's own size
_SMOOTH_ORDER = 0.8  # F+ - F- falls with h^1 where the function is smooth
SAFETY = 5.0  # a claim contradicts a difference that is this many errors away


class Probes(NamedTuple):
    """Directions in which to differentiate: one entry of a leaf, or all of a leaf at random.

    Attributes:
        leaf: index of the leaf, (n,).
        entry: index within the whole vector, (n,); -1 for a random direction.
        sign: of the step in each entry, for the random directions, (n_directions, n_parameters).
    """

    leaf: np.ndarray
    entry: np.ndarray
    sign: np.ndarray


class Differences(NamedTuple):
    """Directional derivatives by finite differences; one row a probe.

    Attributes:
        slope: along the probe, at the best step, (n,).
        error: how far the slope may be off, (n,).
        kink: whether the function has a kink within the step, (n,).
        steps: h, in units of the parameters, (4,), from large to small.
        forward: f(p + h v) - f(p), (n, 4).
        backward: f(p - h v) - f(p), (n, 4).
    """

    slope: np.ndarray
    error: np.ndarray
    kink: np.ndarray
    steps: np.ndarray
    forward: np.ndarray
    backward: np.ndarray


def choose_probes(
    point: Point, max_entries: int, n_directions: int, rng: np.random.Generator
) -> Probes:
    """Choose every entry of a small leaf, some of a large one, and random directions of each."""
    leaf, entry = [], []
    for l, part in enumerate(point.slices):
        entries = np.arange(part.start, part.stop)
        if len(entries) > max_entries:
            entries = np.sort(rng.choice(entries, max_entries, replace=False))
        chosen = [*entries, *([-1] * (n_directions if part.stop > part.start else 0))]
        leaf += [l] * len(chosen)
        entry += chosen
    sign = rng.choice([-1.0, 1.0], size=(max(n_directions, 1), len(point.vector)))
    return Probes(np.array(leaf, int), np.array(entry, int), sign)


def _probe_vectors(point: Point, probes: Probes, rows: slice) -> np.ndarray:
    """Return the directions of some probes, in the parameters' own units, (rows, n_parameters)."""
    unit, slices = unit_of(point), point.slices
    leaves, entries = probes.leaf[rows], probes.entry[rows]
    vectors = np.zeros((len(leaves), len(point.vector)))
    start = rows.start or 0
    for i, (l, entry) in enumerate(zip(leaves, entries, strict=True)):
        if entry >= 0:
            vectors[i, entry] = unit[entry]
        else:
            part = slices[l]
            vectors[i, part] = unit[part] * _signs(probes, start + i, part)
    return vectors


def _signs(probes: Probes, i: int, part: slice) -> np.ndarray:
    """Return the signs of probe i; those of one leaf come in a row, so each gets its own."""
    return probes.sign[i % len(probes.sign), part]


def along(point: Point, probes: Probes, gradient: np.ndarray) -> np.ndarray:
    """Return <gradient, v> for every probe, (n,)."""
    scaled, slices = unit_of(point) * gradient, point.slices
    return np.array(
        [
            scaled[entry] if entry >= 0 else scaled[slices[l]] @ _signs(probes, i, slices[l])
            for i, (l, entry) in enumerate(zip(probes.leaf, probes.entry, strict=True))
        ]
    )


def central_differences(
    fn: ManyPoints, point: Point, probes: Probes, value: float, noise: float
) -> Differences:
    """Differentiate along every probe, at the step that the function's noise allows.

    Args:
        fn: the function at many points.
        point: the parameters.
        probes: the directions, n of them.
        value: f(p).
        noise: of the function's value, absolute.

    Returns:
        Slopes, their errors, and where kinks were met.
    """
    steps = _step_sizes(value, noise)
    rows, changes = _rows(point), []
    for start in range(0, len(probes.leaf), rows):
        vectors = _probe_vectors(point, probes, slice(start, start + rows))
        moves = np.concatenate([steps, -steps])[None, :, None] * vectors[:, None, :]
        points = (point.vector + moves).reshape(-1, len(point.vector))
        # the value at p comes from the same batch, so that its rounding is the same
        values = fn(np.concatenate([point.vector[None, :], points]))
        changes.append((values[1:] - values[0]).reshape(len(vectors), 2, _N_STEPS))
    change = np.concatenate(changes)
    slope, error, kink = _best_slopes(change[:, 0], change[:, 1], steps, noise)
    return Differences(slope, error, kink, steps, change[:, 0], change[:, 1])


def _step_sizes(value: float, noise: float) -> np.ndarray:
    """Return four steps: from the one that balances rounding and truncation, up by factors of 8."""
    scale = max(abs(value), noise, np.finfo(float).tiny)
    relative = min(max(noise / scale, 2.0**-53), 1.0) if np.isfinite(noise) else 2.0**-53
    smallest = min(relative ** (1 / 3), _LARGEST_STEP / _STEP_RATIO)
    largest = min(smallest * _STEP_RATIO ** (_N_STEPS - 1), _LARGEST_STEP)
    return np.geomspace(largest, smallest, _N_STEPS)


def _best_slopes(
    forward: np.ndarray, backward: np.ndarray, steps: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (slope, error, kink) of each row at its best step; see the module's first lines."""
    ratio = steps[0] / steps[1]
    central = (forward - backward) / (2 * steps)
    rounding = 4 * noise / steps[1:]
    # truncation at a step is 1/(ratio^2 - 1) of the change to it; quadratically more is allowed
    error = rounding + 0.25 * np.abs(np.diff(central, axis=1)) + _later_changes(central, rounding)
    bend = np.abs(forward + backward) / steps  # |F+ - F-|, which shrinks with h unless at a kink
    order = np.log(bend[:, :-1] / bend[:, 1:]) / np.log(ratio)
    kinked = (bend[:, 1:] > 2 * rounding) & ~(order >= _SMOOTH_ORDER)
    error += np.where(kinked, bend[:, 1:], 0.0)  # a kink puts D off by half of F+ - F- at most
    error = np.where(np.isfinite(error), error, np.inf)
    best = np.argmin(error, axis=1)
    row = np.arange(len(best))
    slope = central[row, best + 1]
    best_error = error[row, best] + 1e-10 * np.abs(slope)
    return slope, np.where(np.isfinite(slope), best_error, np.inf), kinked[row, best]


def _later_changes(central: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Return how far D still moves at smaller steps, beyond their rounding; one column a step."""
    later = np.zeros((len(central), _N_STEPS - 1))
    for j in range(_N_STEPS - 2):
        moved = np.abs(central[:, j + 2 :] - central[:, j + 1, None]) - rounding[j + 1 :]
        later[:, j] = np.maximum(moved, 0.0).max(axis=1)
    return later


def _rows(point: Point) -> int:
    return max(1, MAX_CHUNK // (2 * _N_STEPS * max(1, len(point.vector))))
