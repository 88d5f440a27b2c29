"""Patterns among the wrong entries of a leaf, for want of a cause that explains them all."""

import numpy as np

from jaxmlp.messages import counted, joined, phrase
from jaxmlp.verification.causes.failure import NEAR, Failure, apart, equal, fit, written_factor


def weak_cause(failure: Failure) -> str:
    """Name a pattern among the entries; some words are always found."""
    for test in (_some_entries, _signs, _offset, _clipped, _nothing_in_common):
        cause = test(failure)
        if cause:
            return cause
    raise AssertionError("the last test always answers")


def _some_entries(failure: Failure) -> str:
    g, true = failure.claimed, failure.true
    wrong = np.abs(g - true) > failure.near
    n, where = int(wrong.sum()), np.argwhere(wrong)
    if not 0 < n < g.size:
        return ""
    factor = _factor(g[wrong], true[wrong])
    if g.ndim == 2:
        for axis, lines_wrong in ((0, _rows_wrong), (1, _columns_wrong)):
            lines = np.unique(where[:, axis])
            if len(lines) <= max(1, g.shape[axis] // 3) and n > len(lines):
                return joined(": ", (lines_wrong(lines), factor))
    if g.ndim == 1 and n <= g.size // 2:
        return joined(": ", (_entries_wrong(where[:, 0]), factor))
    return ""


def _rows_wrong(indices: np.ndarray) -> str:
    return counted(
        "only row {indices} is wrong",
        "only rows {indices} are wrong",
        n=len(indices),
        indices=_list(indices),
    )


def _columns_wrong(indices: np.ndarray) -> str:
    return counted(
        "only column {indices} is wrong",
        "only columns {indices} are wrong",
        n=len(indices),
        indices=_list(indices),
    )


def _entries_wrong(indices: np.ndarray) -> str:
    return counted(
        "only entry {indices} is wrong",
        "only entries {indices} are wrong",
        n=len(indices),
        indices=_list(indices),
    )


def _list(indices: np.ndarray) -> str:
    return ", ".join(str(int(i)) for i in indices[:5]) + (", ..." if len(indices) > 5 else "")


def _factor(claimed: np.ndarray, true: np.ndarray) -> str:
    if not claimed.any():
        return "0"
    (factor,), residual = fit(claimed, true)
    same = residual <= NEAR * np.abs(claimed).max()
    if not same or claimed.size == 1:
        return ""
    return phrase("{factor} x the true gradient", factor=written_factor(float(factor)))


def _signs(failure: Failure) -> str:
    g, true = failure.claimed, failure.true
    if not equal(np.abs(g), np.abs(true), failure.near):
        return ""
    n = int((np.abs(g - true) > failure.near).sum())
    return phrase(
        "{n} of {n_entries} entries have the wrong sign, with the right size", n=n, n_entries=g.size
    )


def _offset(failure: Failure) -> str:
    difference = failure.claimed - failure.true
    if difference.size < 2 or np.ptp(difference) > failure.near:
        return ""
    return phrase("{excess:.4g} too much in every entry", excess=difference.mean())


def _clipped(failure: Failure) -> str:
    g, true = failure.claimed, failure.true
    bound = np.abs(g).max()
    if g.size < 3 or not equal(np.clip(true, -bound, bound), g, failure.near):
        return ""
    return phrase("clipped to +-{bound:.4g}", bound=bound)


def _nothing_in_common(failure: Failure) -> str:
    g, true = failure.claimed.ravel(), failure.true.ravel()
    norm = float(np.linalg.norm(g) * np.linalg.norm(true))
    gap = np.abs(g - true)
    worst = np.unravel_index(int(np.argmax(gap)), failure.true.shape)
    claimed, right = apart(failure.claimed[worst], failure.true[worst])
    found = {
        "n": int((gap > failure.near).sum()),
        "n_entries": g.size,
        "worst": list(map(int, worst)),
        "claimed": claimed,
        "right": right,
    }
    if not norm or g.size == 1:
        return phrase(
            "differs from the true gradient in {n} of {n_entries} entries; most at {worst}: "
            "{claimed} instead of {right}",
            **found,
        )
    return phrase(
        "differs from the true gradient in {n} of {n_entries} entries, cosine {cosine:.3f} to it; "
        "most at {worst}: {claimed} instead of {right}",
        cosine=g @ true / norm,
        **found,
    )
