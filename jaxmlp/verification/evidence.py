"""What was measured of each leaf, collected."""

from typing import NamedTuple

import numpy as np

from jaxmlp.verification.differences import Differences, Probes, along
from jaxmlp.verification.functions import Point
from jaxmlp.verification.noise import Noise, unit_of
from jaxmlp.verification.taylor import taylor_orders

NOISE_FACTOR = 30.0  # two right gradients may differ by this many times their measured noise
COARSEST = {"double": 1e-11, "single": 1e-5, "half": np.inf}  # noise, as a share of the gradient
FLOOR = {"double": 1e-10, "single": 2.0**-18, "half": 2.0**-5}  # of a leaf's largest entry


class LeafEvidence(NamedTuple):
    """All that was measured of one leaf.

    Attributes:
        name: of the leaf.
        shape: of the leaf.
        claimed: the claimed gradient, (size,).
        autodiff: jax.grad, (size,), or None.
        tolerance: difference between the two that rounding explains, (size,).
        largest: the largest entry of the whole reference gradient, over all leaves.
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
    largest: float
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
    value: float,
) -> list[LeafEvidence]:
    """Put together the evidence on each leaf.

    Args:
        point: the parameters.
        claimed: the claimed gradient, (n_parameters,).
        autodiff: jax.grad, (n_parameters,), or None.
        noise: of the function and of both gradients.
        probes: directions, n of them.
        differences: of the function along the probes.
        value: of the function.

    Returns:
        One entry a leaf.
    """
    reference = claimed if autodiff is None else autodiff
    value_rounding = noise.value / abs(value) if value else 0.0
    rounding = max(_rounding(noise.gradient, reference), value_rounding)
    tolerances = np.concatenate(
        [
            tolerance(
                claimed[part],
                None if autodiff is None else autodiff[part],
                noise.gradient[part],
                rounding,
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
                largest=float(np.abs(np.nan_to_num(reference)).max(initial=0.0)),
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


def _rounding(noise: np.ndarray, gradient: np.ndarray) -> float:
    """Return the size of the noise as a share of the gradient's."""
    size = float(np.linalg.norm(np.nan_to_num(gradient)))
    share = float(np.linalg.norm(np.nan_to_num(noise, posinf=0.0))) / max(size, 1e-300)
    return share if size else 0.0


def tolerance(
    claimed: np.ndarray, autodiff: np.ndarray | None, noise: np.ndarray, rounding: float
) -> np.ndarray:
    """Return what may lie between two right computations of one leaf's gradient, (size,).

    Args:
        claimed: the claimed gradient of the leaf.
        autodiff: jax.grad of the leaf, or None.
        noise: of both, measured.
        rounding: noise of the whole gradient as a share of it.
    """
    reference = claimed if autodiff is None else autodiff
    rounding = max(rounding, _rounding(noise, reference))
    precision = next(name for name, limit in COARSEST.items() if rounding <= limit)
    floor = FLOOR[stored_precision(claimed, reference, precision)]
    finite = np.abs(reference[np.isfinite(reference)])
    return NOISE_FACTOR * noise + floor * (finite.max() if finite.size else 0.0)


def stored_precision(claimed: np.ndarray, reference: np.ndarray, precision: str) -> str:
    """Return the precision in which a gradient was stored, if coarser than it was computed in."""
    exact = np.array_equal(claimed, claimed.astype(np.float32).astype(np.float64))
    reference_too = np.array_equal(reference, reference.astype(np.float32).astype(np.float64))
    return "single" if precision == "double" and exact and not reference_too else precision
