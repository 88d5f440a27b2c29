"""Patterns among the wrong entries of a leaf, for want of a cause that explains them all."""

import numpy as np

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
    if g.ndim == 2:
        for axis, what in ((0, "row"), (1, "column")):
            lines = np.unique(where[:, axis])
            if len(lines) <= max(1, g.shape[axis] // 3) and n > len(lines):
                return f"only {_list(what, lines)} wrong{_factor(g[wrong], true[wrong])}"
    if g.ndim == 1 and n <= g.size // 2:
        return f"only {_list('entry', where[:, 0])} wrong{_factor(g[wrong], true[wrong])}"
    return ""


def _list(what: str, indices: np.ndarray) -> str:
    shown = ", ".join(str(int(i)) for i in indices[:5]) + (", ..." if len(indices) > 5 else "")
    many = {"entry": "entries"}.get(what, f"{what}s")
    return f"{what} {shown} is" if len(indices) == 1 else f"{many} {shown} are"


def _factor(claimed: np.ndarray, true: np.ndarray) -> str:
    if not claimed.any():
        return ": 0"
    (factor,), residual = fit(claimed, true)
    same = residual <= NEAR * np.abs(claimed).max()
    factor_known = same and claimed.size > 1
    return f": {written_factor(float(factor))} x the true gradient" if factor_known else ""


def _signs(failure: Failure) -> str:
    g, true = failure.claimed, failure.true
    if not equal(np.abs(g), np.abs(true), failure.near):
        return ""
    n = int((np.abs(g - true) > failure.near).sum())
    return f"{n} of {g.size} entries have the wrong sign, with the right size"


def _offset(failure: Failure) -> str:
    difference = failure.claimed - failure.true
    if difference.size < 2 or np.ptp(difference) > failure.near:
        return ""
    return f"{difference.mean():.4g} too much in every entry"


def _clipped(failure: Failure) -> str:
    g, true = failure.claimed, failure.true
    bound = np.abs(g).max()
    if g.size < 3 or not equal(np.clip(true, -bound, bound), g, failure.near):
        return ""
    return f"clipped to +-{bound:.4g}"


def _nothing_in_common(failure: Failure) -> str:
    g, true = failure.claimed.ravel(), failure.true.ravel()
    norm = float(np.linalg.norm(g) * np.linalg.norm(true))
    cosine = f", cosine {g @ true / norm:.3f} to it" if norm and g.size > 1 else ""
    gap = np.abs(g - true)
    worst = np.unravel_index(int(np.argmax(gap)), failure.true.shape)
    return (
        f"differs from the true gradient in {int((gap > failure.near).sum())} of {g.size} entries"
        f"{cosine}; most at {list(map(int, worst))}: "
        f"{' instead of '.join(apart(failure.claimed[worst], failure.true[worst]))}"
    )
