"""Weighing what jax.grad, finite differences and the Taylor remainder say about one leaf."""

from typing import NamedTuple

import numpy as np

from jaxmlp.messages import joined, phrase
from jaxmlp.verification.evidence import LeafEvidence
from jaxmlp.verification.measurement.differences import SAFETY
from jaxmlp.verification.measurement.noise import root_mean_square
from jaxmlp.verification.report import LeafReport, Verdict

_INFORMATIVE = 0.1  # evidence counts when its uncertainty is below this share of the gradient
_CLEAR = 100.0  # errors away
_HIDDEN_SHARE = 0.75  # of the probes, against jax.grad and the claim: kinks not seen make fewer
_HIDDEN = phrase(
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
    found = phrase(
        "{n} of {n_entries} entries are NaN or infinite, the first at {index}",
        n=len(where),
        n_entries=leaf.claimed.size,
        index=list(map(int, where[0])),
    )
    if leaf.autodiff is not None and not np.isfinite(leaf.autodiff).all():
        none_exists = phrase("so are jax.grad's: no gradient exists here")
        return Verdict.INCONCLUSIVE, joined("; ", (found, none_exists))
    return Verdict.FAIL, found


def _judge_by_differences(leaf: LeafEvidence, claim: _Opinion) -> tuple[Verdict, str]:
    nowhere, words = leaf.autodiff is None, _words(leaf, claim)
    absent = (
        phrase("jax.grad does not apply to fn") if nowhere else phrase("jax.grad gives NaN here")
    )
    if claim.contradicts:
        against = phrase("finite differences contradict the claim ({evidence})", evidence=words)
        return Verdict.FAIL, joined("; ", (absent, against))
    directions = ~leaf.is_entry & ~leaf.differences.kink
    first_order = directions.any() and (leaf.orders[directions] < 1.5).all()
    if claim.supports and not first_order:
        return Verdict.PASS, joined("; ", (absent, words))
    if not leaf.claimed.any() and not leaf.differences.forward.any():
        constant = phrase("0, and fn does not depend on it")
        return Verdict.PASS, joined("; ", (absent, constant))
    return Verdict.INCONCLUSIVE, (
        phrase(
            "jax.grad does not apply to fn, and finite differences resolve too little ({evidence})",
            evidence=words,
        )
        if nowhere
        else phrase(
            "jax.grad gives NaN here, and finite differences resolve too little ({evidence})",
            evidence=words,
        )
    )


def _judge_by_both(
    leaf: LeafEvidence, claim: _Opinion, autodiff: _Opinion
) -> tuple[Verdict, str, str]:
    """Return verdict, evidence, and a cause if it is fn's."""
    assert leaf.autodiff is not None
    gap, words = np.abs(leaf.claimed - leaf.autodiff), _words(leaf, claim)
    if (gap <= leaf.tolerance).all():
        most_seen = 2 * leaf.differences.kink.sum() <= len(leaf.differences.kink)
        if claim.contradicts and most_seen and min(claim.share, autodiff.share) >= _HIDDEN_SHARE:
            why = phrase("finite differences contradict it ({evidence})", evidence=words)
            return Verdict.FAIL, why, _HIDDEN
        rms = root_mean_square(leaf.autodiff)
        # a gap this small speaks for itself, even where noise would have allowed a larger one
        if (gap <= np.maximum(_INFORMATIVE * rms, leaf.negligible)).all():
            return Verdict.PASS, words, ""
        if claim.supports:
            noisy = phrase("jax.grad is too noisy to add to it")
            return Verdict.PASS, joined("; ", (words, noisy)), ""
        why = phrase("noise is as large as the gradient ({evidence})", evidence=words)
        return Verdict.INCONCLUSIVE, why, ""
    if autodiff.contradicts and claim.supports:
        custom = phrase("jax.grad differs from both: fn has a custom derivative or a stop_gradient")
        return Verdict.PASS, joined("; ", (words, custom)), ""
    why = (
        phrase(
            "jax.grad contradicts the claim, as do finite differences ({evidence})", evidence=words
        )
        if claim.contradicts
        else phrase(
            "jax.grad contradicts the claim, which finite differences cannot resolve ({evidence})",
            evidence=words,
        )
    )
    return Verdict.FAIL, why, ""


def _words(leaf: LeafEvidence, claim: _Opinion) -> str:
    """List what was measured."""
    aside = int(leaf.differences.kink.sum())
    said = [
        *_distances(leaf, claim),
        phrase("{n} set aside at kinks", n=aside) if aside else "",
        _order(leaf.orders[~leaf.is_entry & ~leaf.differences.kink]),
    ]
    if any(said):
        return joined(", ", said)
    return phrase("no evidence") if leaf.claimed.size else phrase("no entries")


def _distances(leaf: LeafEvidence, claim: _Opinion) -> list[str]:
    """Say how far the claim is from jax.grad, and from finite differences."""
    error = _autodiff_error(leaf)
    n, informative = len(leaf.is_entry), claim.n_informative
    measured = {"n": informative, "n_probes": n, "gap": claim.error, "error": error}
    if not error:
        return [
            "" if error is None else phrase("equal to jax.grad"),
            "" if claim.error is None
            else phrase("differs from {n} finite differences by {gap:.1g}", **measured)
            if informative >= n
            else phrase(
                "differs from {n} of {n_probes} finite differences by {gap:.1g}", **measured
            ),
        ]  # fmt: skip
    if claim.error is None:
        return [phrase("differs from jax.grad by {error:.1g}", **measured)]
    if informative < n:
        return [
            phrase(
                "differs from jax.grad by {error:.1g}, from {n} of {n_probes} finite differences "
                "by {gap:.1g}",
                **measured,
            )
        ]
    return [
        phrase(
            "differs from jax.grad by {error:.1g}, from {n} finite differences by {gap:.1g}",
            **measured,
        )
    ]


def _order(orders: np.ndarray) -> str:
    if not orders.size:
        return ""
    if np.isfinite(orders.min()):
        return phrase("Taylor order {order:.2f}", order=orders.min())
    return phrase("Taylor order 2 (remainder at rounding)")
