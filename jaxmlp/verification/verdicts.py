"""Weighing what jax.grad, finite differences and the Taylor remainder say about one leaf."""

from typing import NamedTuple

import numpy as np

from jaxmlp.verification.evidence import LeafEvidence
from jaxmlp.verification.measurement.differences import SAFETY
from jaxmlp.verification.measurement.noise import root_mean_square
from jaxmlp.verification.report import LeafReport, Verdict

_INFORMATIVE = 0.1  # evidence counts when its uncertainty is below this share of the gradient
_CLEAR = 100.0  # errors away
_HIDDEN_SHARE = 0.75  # of the probes, against jax.grad and the claim: kinks not seen make fewer
_HIDDEN = (
    "equal to jax.grad, but not to the slope of fn: a stop_gradient, a custom derivative or a "
    "rounding inside fn hides part of it"
)


class _Opinion(NamedTuple):
    """What the finite differences of one leaf say about a gradient.

    Attributes:
        contradicts: by enough probes to be believed.
        share: of the usable probes that contradict.
        supports: at least one informative probe agrees, and none contradicts.
        n_informative: probes whose uncertainty is small beside the largest slope.
        error: the largest difference among these, as a share of the largest slope.
    """

    contradicts: bool
    share: float
    supports: bool
    n_informative: int
    error: float | None


def judge(leaf: LeafEvidence) -> LeafReport:
    """Reach a verdict; the cause of a failure is found elsewhere."""
    usable = ~leaf.differences.kink & np.isfinite(leaf.differences.error)
    claim = _opinion(leaf, leaf.predicted, usable)
    cause = ""
    if not np.isfinite(leaf.claimed).all():
        verdict, cause = _judge_nonfinite(leaf)
        why = _words(leaf, claim)
    elif leaf.autodiff is None or not np.isfinite(leaf.autodiff).all():
        verdict, why = _judge_by_differences(leaf, claim)
    else:
        opinion = _opinion(leaf, leaf.predicted_autodiff, usable)
        verdict, why, cause = _judge_by_both(leaf, claim, opinion)
    directions = leaf.orders[~leaf.is_entry & usable]
    return LeafReport(
        name=leaf.name,
        shape=leaf.shape,
        verdict=verdict,
        cause=cause if verdict is Verdict.FAIL else "",
        evidence=why,
        autodiff_error=_autodiff_error(leaf),
        difference_error=claim.error,
        taylor_order=float(directions.min()) if directions.size else None,
        n_probes=len(usable),
        n_set_aside=int((~usable).sum()),
    )


def _autodiff_error(leaf: LeafEvidence) -> float | None:
    """Return the largest difference to jax.grad as a share of the leaf's largest entry."""
    if leaf.autodiff is None or not leaf.claimed.size or not np.isfinite(leaf.autodiff).all():
        return None
    worst, scale = np.abs(leaf.claimed - leaf.autodiff).max(), np.abs(leaf.autodiff).max()
    return float(worst / scale) if scale else float(worst)


def _opinion(leaf: LeafEvidence, predicted: np.ndarray | None, usable: np.ndarray) -> _Opinion:
    assert predicted is not None
    slope, error = leaf.differences.slope, leaf.differences.error
    gap = np.abs(predicted - slope)
    scale = _scale(slope, leaf.is_entry, usable)
    against = usable & ~(gap <= SAFETY * error + leaf.allowance)
    informs = usable & ((error + leaf.allowance <= _INFORMATIVE * scale) | (gap == 0))
    # one probe alone may have met what it could not see, unless it is far from doubt
    needed = min(2, int(usable.sum()))
    clear = against & (gap > _CLEAR * error + leaf.allowance) & (gap > 0.01 * scale)
    relative = gap[informs] / np.where(scale[informs] > 0, scale[informs], 1.0)
    return _Opinion(
        contradicts=bool(against.any() and (against.sum() >= needed or clear.any())),
        share=float(against.sum() / max(1, usable.sum())),
        supports=bool(informs.any() and not against.any()),
        n_informative=int(informs.sum()),
        error=float(relative.max()) if relative.size else None,
    )


def _scale(slope: np.ndarray, is_entry: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return the largest slope among probes of the same kind."""
    scale = np.zeros_like(slope)
    for kind in (is_entry, ~is_entry):
        same = np.abs(slope[kind & usable])
        scale[kind] = same.max() if same.size else 0.0
    return scale


def _judge_nonfinite(leaf: LeafEvidence) -> tuple[Verdict, str]:
    where = np.argwhere(~np.isfinite(leaf.claimed.reshape(leaf.shape)))
    n, index = len(where), list(map(int, where[0]))
    found = f"{n} of {leaf.claimed.size} entries are NaN or infinite, the first at {index}"
    if leaf.autodiff is not None and not np.isfinite(leaf.autodiff).all():
        return Verdict.INCONCLUSIVE, f"{found}; so are jax.grad's: no gradient exists here"
    return Verdict.FAIL, found


def _judge_by_differences(leaf: LeafEvidence, claim: _Opinion) -> tuple[Verdict, str]:
    absent = "jax.grad does not apply to fn" if leaf.autodiff is None else "jax.grad gives NaN here"
    words = _words(leaf, claim)
    if claim.contradicts:
        return Verdict.FAIL, f"{absent}; finite differences contradict the claim ({words})"
    directions = ~leaf.is_entry & ~leaf.differences.kink
    first_order = directions.any() and (leaf.orders[directions] < 1.5).all()
    if claim.supports and not first_order:
        return Verdict.PASS, f"{absent}; {words}"
    if not leaf.claimed.any() and not leaf.differences.forward.any():
        return Verdict.PASS, f"{absent}; 0, and fn does not depend on it"
    return Verdict.INCONCLUSIVE, f"{absent}, and finite differences resolve too little ({words})"


def _judge_by_both(
    leaf: LeafEvidence, claim: _Opinion, autodiff: _Opinion
) -> tuple[Verdict, str, str]:
    """Return verdict, evidence, and a cause if it is fn's."""
    assert leaf.autodiff is not None
    gap, words = np.abs(leaf.claimed - leaf.autodiff), _words(leaf, claim)
    if (gap <= leaf.tolerance).all():
        most_seen = 2 * leaf.differences.kink.sum() <= len(leaf.differences.kink)
        if claim.contradicts and most_seen and min(claim.share, autodiff.share) >= _HIDDEN_SHARE:
            return Verdict.FAIL, f"finite differences contradict it ({words})", _HIDDEN
        rms = root_mean_square(leaf.autodiff)
        # a gap this small speaks for itself, even where noise would have allowed a larger one
        if (gap <= np.maximum(_INFORMATIVE * rms, leaf.negligible)).all():
            return Verdict.PASS, words, ""
        if claim.supports:
            return Verdict.PASS, f"{words}; jax.grad is too noisy to add to it", ""
        return Verdict.INCONCLUSIVE, f"noise is as large as the gradient ({words})", ""
    if autodiff.contradicts and claim.supports:
        why = f"{words}; jax.grad differs from both: fn has a custom derivative or a stop_gradient"
        return Verdict.PASS, why, ""
    seen = (
        "as do finite differences"
        if claim.contradicts
        else "which finite differences cannot resolve"
    )
    return Verdict.FAIL, f"jax.grad contradicts the claim, {seen} ({words})", ""


def _words(leaf: LeafEvidence, claim: _Opinion) -> str:
    said = []
    error = _autodiff_error(leaf)
    if error is not None:
        said.append(f"differs from jax.grad by {error:.1g}" if error else "equal to jax.grad")
    n, aside = len(leaf.is_entry), int(leaf.differences.kink.sum())
    if claim.error is not None:
        share = f"{claim.n_informative} of {n}" if claim.n_informative < n else f"{n}"
        verb = "" if error else "differs "
        said.append(f"{verb}from {share} finite differences by {claim.error:.1g}")
    if aside:
        said.append(f"{aside} set aside at kinks")
    orders = leaf.orders[~leaf.is_entry & ~leaf.differences.kink]
    if orders.size:
        order = f"{orders.min():.2f}" if np.isfinite(orders.min()) else "2 (remainder at rounding)"
        said.append(f"Taylor order {order}")
    return ", ".join(said) or ("no entries" if not leaf.claimed.size else "no evidence")
