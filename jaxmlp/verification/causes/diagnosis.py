"""What is wrong with a gradient, in words: causes that every entry of a leaf bears out."""

import math
from collections.abc import Iterator

import numpy as np

from jaxmlp.verification.causes.failure import Context, Failure, apart, equal, fit, written_factor


def cause_of_shape(failure: Failure, context: Context) -> str:
    """Name what made a gradient come out in another shape."""
    g, true, near = failure.claimed, failure.true, failure.near
    fault = f"has shape {g.shape}, but the parameter has {true.shape}"
    if g.shape == true.T.shape and true.ndim == 2:
        right = equal(g.T, true, near)
        return f"{fault}: transposed{'' if right else ', and its entries are wrong as well'}"
    if g.size == true.size and equal(g.reshape(true.shape), true, near):
        return f"{fault}: the right numbers, to be reshaped (a keepdims=True, or a [None, :])"
    if g.ndim == true.ndim + 1 and g.shape[1:] == true.shape:
        if equal(g.sum(axis=0), true, near):
            return f"{fault}: not summed over the batch"
        if equal(g.mean(axis=0), true, near):
            return f"{fault}: not averaged over the batch"
        return f"{fault}: not reduced over the batch, and its entries are wrong as well"
    if g.ndim == true.ndim and g.shape[:1] != true.shape[:1] and g.shape[0] in context.batch:
        return f"{fault}: one entry an example, so it was summed over the wrong axis"
    if _broadcasts(g, true):
        return f"{fault}: summed over an axis too many"
    return fault


def strong_cause(failure: Failure, context: Context) -> str:
    """Name a cause that every entry of the leaf bears out, or return ""."""
    for test in (_zero, _scaled, _l2_term, _scaled_beside_l2, _few_entries, _rearranged):
        cause = test(failure, context)
        if cause:
            return cause
    return ""


def _broadcasts(g: np.ndarray, true: np.ndarray) -> bool:
    try:
        return np.broadcast_shapes(g.shape, true.shape) == true.shape
    except ValueError:
        return False


def _zero(failure: Failure, context: Context) -> str:
    if failure.claimed.any():
        return ""
    largest = np.abs(failure.true).max()
    return f"zero everywhere, but the true gradient has entries up to {largest:.2g}"


def _scaled(failure: Failure, context: Context) -> str:
    if not failure.true.any():
        return ""
    (factor,), residual = fit(failure.claimed, failure.true)
    named = _name_factor(float(factor), failure, context)
    if residual > failure.near * max(1.0, abs(factor)) or (failure.true.size == 1 and not named):
        return ""
    if named:
        return f"{factor:.4g} x the true gradient in every entry: {named}"
    return f"{written_factor(float(factor))} x the true gradient in every entry"


def _name_factor(factor: float, failure: Failure, context: Context) -> str:
    """Say what a constant factor between claim and truth usually comes from."""
    precision = min(1e-4, failure.near / np.abs(failure.true).max())  # of the factor
    if math.isclose(factor, -1.0, rel_tol=precision):
        return "the sign is wrong"
    for value, words in _known_factors(failure, context):
        for sign, prefix in ((1.0, ""), (-1.0, "the sign is wrong, and ")):
            if math.isclose(factor, sign * value, rel_tol=precision):
                return prefix + words
    return ""


def _known_factors(failure: Failure, context: Context) -> Iterator[tuple[float, str]]:
    sizes = context.batch
    for n in sizes:
        rest = "" if n not in (2, 4) else f" (or a factor 1/{n} is missing)"
        yield n, f"sum instead of mean over the batch of {n}{rest}"
        rest = "" if n not in (2, 4) else f" (or a factor {n} is missing)"
        yield (
            1 / n,
            f"mean instead of sum over the batch of {n}: divided by it once too often{rest}",
        )
        yield 1 / n**2, f"divided by the batch of {n} twice too often"
    total = float(np.sum(context.options.get("sample_weight", 0.0)))
    if total:
        yield total, "sum instead of mean over the batch: not divided by the sum of the weights"
    config = context.config
    if config is not None and config.layer_sizes[-1] > 1:
        n_out = config.layer_sizes[-1]
        yield 1 / n_out, f"mean instead of sum over the {n_out} outputs"
        yield n_out, f"sum instead of mean over the {n_out} outputs"
    for i in (2, 3, 4):
        yield i, f"a factor 1/{i} is missing"
        yield 1 / i, f"a factor {i} is missing"
    if config is not None and any(config.dropped):
        keep = 1 - float(context.options.get("dropout_rate", 0.5))
        yield keep, f"the 1 / {keep:g} of the dropout mask is missing"
        yield 1 / keep, f"the 1 / {keep:g} of the dropout mask is applied twice"
    for n in failure.true.shape:
        yield 1 / n, f"divided by {n}, a size of the leaf itself"


def _scaled_beside_l2(failure: Failure, context: Context) -> str:
    """Find a known factor on the data's part of the objective, the penalty's being right.

    The claim is then c (true - l2 W) + l2 W, whatever l2 is; it need not be known.
    """
    if failure.claimed.size < 4 or not failure.param.any():
        return ""
    (factor, rest), residual = fit(failure.claimed, failure.true, failure.param)
    named = _name_factor(float(factor), failure, context)
    near = failure.near * max(1.0, abs(factor))
    if residual > near or not named:
        return ""
    l2, known = rest / (1 - factor), _l2_of(context)
    if l2 <= 0 or (known and not math.isclose(l2, known, rel_tol=1e-3)):
        return ""
    return f"{factor:.4g} x the data's gradient, beside the right L2 term, {l2:.4g} W: {named}"


def _few_entries(failure: Failure, context: Context) -> str:
    g, true = failure.claimed, failure.true
    where = np.argwhere(np.abs(g - true) > failure.near)
    if not 0 < len(where) <= max(3, g.size // 100) or len(where) == g.size:
        return ""
    found = ", ".join(
        f"{list(map(int, i))} is {' instead of '.join(apart(g[tuple(i)], true[tuple(i)]))}"
        for i in where[:3]
    )
    return f"{len(where)} of {g.size} entries wrong: {found}{', ...' if len(where) > 3 else ''}"


def _rearranged(failure: Failure, context: Context) -> str:
    g, true, near = failure.claimed, failure.true, failure.near
    if g.size < 2 or np.ptp(true) <= near:
        return ""
    if g.ndim == 2 and g.shape[0] == g.shape[1] and equal(g.T, true, near):
        return "transposed"
    for axis, what in ((0, "rows" if g.ndim > 1 else "entries"), (1, "columns")):
        if axis < g.ndim and equal(np.flip(g, axis), true, near):
            return f"the {what} are in reverse order"
        if axis < g.ndim and any(equal(np.roll(g, shift, axis), true, near) for shift in (1, -1)):
            return f"the {what} are shifted by one"
    if g.ndim == 2 and equal(g.reshape(g.shape[::-1]).T, true, near):
        return "reshaped where it should have been transposed"
    order = np.argsort(g.ravel()), np.argsort(true.ravel())
    if equal(g.ravel()[order[0]], true.ravel()[order[1]], near):
        return "the right numbers in the wrong places"
    return ""


def _l2_term(failure: Failure, context: Context) -> str:
    """Find a multiple of the parameter itself in the difference."""
    if not failure.param.any():
        return ""
    difference = failure.claimed - failure.true
    (rate,), residual = fit(difference, failure.param)
    if residual > failure.near and failure.param.size > 2:
        (loss, gain), residual = fit(difference, failure.param, np.sign(failure.param))
        taken_away = -loss * np.abs(failure.param).max() > 2 * failure.near
        if residual <= failure.near and gain > 0 and taken_away:
            return f"an L1 term, {gain:.4g} x the sign of the parameter, stands for the L2 term"
        return ""
    if residual > failure.near or abs(rate) * np.abs(failure.param).max() <= 2 * failure.near:
        return ""
    l2 = _l2_of(context)
    if failure.param.size == 1 and not (l2 and math.isclose(abs(rate), l2, rel_tol=1e-3)):
        return ""
    if rate < 0 and l2 and not math.isclose(-rate, l2, rel_tol=1e-3):
        return f"the L2 term is {1 + rate / l2:.3g} x what it should be"
    if rate < 0 and l2:
        return f"the L2 term, {l2:.4g} x the parameter, is forgotten"
    if rate < 0:
        return (
            f"{-rate:.4g} x the parameter too little: the L2 term is forgotten, or half as large "
            "with the wrong sign"
        )
    kind = (
        "the L2 penalty is put on a bias"
        if failure.param.ndim < 2
        else ("an L2 term is added once too often")
    )
    return f"{kind}: {rate:.4g} x the parameter too much"


def _l2_of(context: Context) -> float:
    try:
        return float(context.options.get("l2", 0.0))
    except (TypeError, ValueError):
        return 0.0
