"""What was measured of each leaf, collected."""

from typing import NamedTuple

import numpy as np

from jaxmlp.verification.measurement.differences import Differences, Probes, along
from jaxmlp.verification.measurement.functions import Point
from jaxmlp.verification.measurement.noise import Noise, unit_of
from jaxmlp.verification.measurement.precision import Precision
from jaxmlp.verification.measurement.taylor import taylor_orders

_NOISE_FACTOR = 30.0  # two right gradients may differ by this many times their measured noise
# of a leaf's largest entry
_FLOOR = {Precision.DOUBLE: 1e-10, Precision.SINGLE: 2.0**-18, Precision.HALF: 2.0**-5}


class LeafEvidence(NamedTuple):
    """All that was measured of one leaf.

    Attributes:
        name: of the leaf.
        shape: of the leaf.
        claimed: the claimed gradient, (size,).
        autodiff: jax.grad, (size,), or None.
        tolerance: difference between the two that rounding explains, (size,).
        negligible: what counts as nothing beside the gradient of all leaves, (size,).
        differences: finite differences along this leaf's probes.
        is_entry: which probes are single entries.
        predicted: claimed slope along each probe.
        predicted_autodiff: jax.grad's slope along each probe, or None.
        allowance: rounding of the predicted slopes.
        orders: Taylor order of the claimed gradient along each probe.
    """

    name: str
    shape: tuple[int, ...]
    claimed: np.ndarray
    autodiff: np.ndarray | None
    tolerance: np.ndarray
    negligible: np.ndarray
    differences: Differences
    is_entry: np.ndarray
    predicted: np.ndarray
    predicted_autodiff: np.ndarray | None
    allowance: np.ndarray
    orders: np.ndarray


def collect(
    point: Point,
    claimed: np.ndarray,
    autodiff: np.ndarray | None,
    noise: Noise,
    probes: Probes,
    differences: Differences,
    largest: np.ndarray,
) -> list[LeafEvidence]:
    """Put together the evidence on each leaf.

    Args:
        point: the parameters.
        claimed: the claimed gradient, (n_parameters,).
        autodiff: jax.grad, (n_parameters,), or None.
        noise: of the function and of both gradients.
        probes: directions, n of them.
        differences: of the function along the probes.
        largest: size of each entry of the gradient, here and farther away, (n_parameters,).

    Returns:
        One entry a leaf.
    """
    # where a leaf's gradient cancels to 0, the last digits of what cancels are left
    size, roundoff = _size_of_all(point, largest), noise.precision.roundoff
    tolerances = 8 * roundoff * size + np.concatenate(
        [
            _tolerance(
                claimed[part],
                None if autodiff is None else autodiff[part],
                noise.gradient[part],
                noise.precision,
            )
            for part in point.slices
        ]
    )
    predicted = along(point, probes, claimed)
    by_jax = None if autodiff is None else along(point, probes, autodiff)
    orders = taylor_orders(differences, predicted, noise.value)
    scaled, is_entry = unit_of(point) * tolerances, probes.entry >= 0
    leaves = []
    for l, part in enumerate(point.slices):
        mine = probes.leaf == l
        whole = np.linalg.norm(scaled[part])
        leaves.append(
            LeafEvidence(
                name=point.names[l],
                shape=point.shapes[l],
                claimed=claimed[part],
                autodiff=None if autodiff is None else autodiff[part],
                tolerance=tolerances[part],
                negligible=max(1e-6, 2 * roundoff) * size[part],
                differences=Differences(
                    *(x if x is differences.steps else x[mine] for x in differences)
                ),
                is_entry=is_entry[mine],
                predicted=predicted[mine],
                predicted_autodiff=None if by_jax is None else by_jax[mine],
                allowance=np.where(is_entry[mine], scaled[probes.entry[mine]], whole),
                orders=orders[mine],
            )
        )
    return leaves


def _size_of_all(point: Point, largest: np.ndarray) -> np.ndarray:
    """Return the size of the whole gradient beside which an entry may be nothing, (n_parameters,).

    It is seen twice, as it is and in units of the parameters: sizes of 1e-30 and of 1e30 may stand
    side by side, and a leaf is small only if it is small in both.
    """
    unit = unit_of(point)
    as_it_is, in_units = largest.max(initial=0.0), (unit * largest).max(initial=0.0) / unit
    size: np.ndarray = np.minimum(as_it_is, in_units)
    return size


def _tolerance(
    claimed: np.ndarray, autodiff: np.ndarray | None, noise: np.ndarray, precision: Precision
) -> np.ndarray:
    """Return what may lie between two right computations of one leaf's gradient, (size,).

    Args:
        claimed: the claimed gradient of the leaf.
        autodiff: jax.grad of the leaf, or None.
        noise: of both, measured.
        precision: in which both were computed.
    """
    reference = claimed if autodiff is None else autodiff
    floor = _FLOOR[max(precision, _stored(claimed, reference))]
    finite = np.abs(reference[np.isfinite(reference)])
    return _NOISE_FACTOR * noise + floor * (finite.max() if finite.size else 0.0)


def _stored(claimed: np.ndarray, reference: np.ndarray) -> Precision:
    """Return SINGLE if the claim alone was cut to the digits of float32."""

    def is_single(g: np.ndarray) -> bool:
        return bool(np.array_equal(g, g.astype(np.float32).astype(np.float64)))

    cut = is_single(claimed) and not is_single(reference)
    return Precision.SINGLE if cut else Precision.DOUBLE
