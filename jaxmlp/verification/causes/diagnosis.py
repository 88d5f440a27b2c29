"""What is wrong with a gradient, in words: causes that every entry of a leaf bears out."""

import math
from collections.abc import Iterator

import numpy as np

from jaxmlp.messages import joined, phrase
from jaxmlp.verification.causes.failure import Context, Failure, apart, equal, fit, written_factor


def cause_of_shape(failure: Failure, context: Context) -> str:
    """Name what made a gradient come out in another shape."""
    g, true, near = failure.claimed, failure.true, failure.near
    fault = misshapen(g.shape, true.shape)
    return joined(": ", (fault, _why_misshapen(g, true, near, context)))


def misshapen(shape: tuple[int, ...], right: tuple[int, ...]) -> str:
    """Say that a gradient has another shape than its parameter."""
    return phrase("has shape {shape}, but the parameter has {right}", shape=shape, right=right)


def _why_misshapen(g: np.ndarray, true: np.ndarray, near: float, context: Context) -> str:
    if g.shape == true.T.shape and true.ndim == 2:
        if equal(g.T, true, near):
            return phrase("transposed")
        return phrase("transposed, and its entries are wrong as well")
    if g.size == true.size and equal(g.reshape(true.shape), true, near):
        return phrase("the right numbers, to be reshaped (a keepdims=True, or a [None, :])")
    if g.ndim == true.ndim + 1 and g.shape[1:] == true.shape:
        if equal(g.sum(axis=0), true, near):
            return phrase("not summed over the batch")
        if equal(g.mean(axis=0), true, near):
            return phrase("not averaged over the batch")
        return phrase("not reduced over the batch, and its entries are wrong as well")
    if g.ndim == true.ndim and g.shape[:1] != true.shape[:1] and g.shape[0] in context.batch:
        return phrase("one entry an example, so it was summed over the wrong axis")
    if _broadcasts(g, true):
        return phrase("summed over an axis too many")
    return ""


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
    return phrase(
        "zero everywhere, but the true gradient has entries up to {largest:.2g}", largest=largest
    )


def _scaled(failure: Failure, context: Context) -> str:
    if not failure.true.any():
        return ""
    (factor,), residual = fit(failure.claimed, failure.true)
    named = _name_factor(float(factor), failure, context)
    if residual > failure.near * max(1.0, abs(factor)) or (failure.true.size == 1 and not named):
        return ""
    if named:
        return phrase(
            "{factor:.4g} x the true gradient in every entry: {cause}", factor=factor, cause=named
        )
    written = written_factor(float(factor))
    return phrase("{factor} x the true gradient in every entry", factor=written)


def _name_factor(factor: float, failure: Failure, context: Context) -> str:
    """Say what a constant factor between claim and truth usually comes from."""
    precision = min(1e-4, failure.near / np.abs(failure.true).max())  # of the factor
    if math.isclose(factor, -1.0, rel_tol=precision):
        return phrase("the sign is wrong")
    for value, words in _known_factors(failure, context):
        if math.isclose(factor, value, rel_tol=precision):
            return words
        if math.isclose(factor, -value, rel_tol=precision):
            return phrase("the sign is wrong, and {cause}", cause=words)
    return ""


def _known_factors(failure: Failure, context: Context) -> Iterator[tuple[float, str]]:
    for n in context.batch:
        yield from _batch_factors(n)
    total = float(np.sum(context.options.get("sample_weight", 0.0)))
    if total:
        yield (
            total,
            phrase("sum instead of mean over the batch: not divided by the sum of the weights"),
        )
    config = context.config
    if config is not None and config.layer_sizes[-1] > 1:
        n_out = config.layer_sizes[-1]
        yield 1 / n_out, phrase("mean instead of sum over the {n} outputs", n=n_out)
        yield n_out, phrase("sum instead of mean over the {n} outputs", n=n_out)
    for i in (2, 3, 4):
        yield i, phrase("a factor 1/{n} is missing", n=i)
        yield 1 / i, phrase("a factor {n} is missing", n=i)
    if config is not None and any(config.dropped):
        keep = 1 - float(context.options.get("dropout_rate", 0.5))
        yield keep, phrase("the 1 / {keep:g} of the dropout mask is missing", keep=keep)
        yield 1 / keep, phrase("the 1 / {keep:g} of the dropout mask is applied twice", keep=keep)
    for n in failure.true.shape:
        yield 1 / n, phrase("divided by {n}, a size of the leaf itself", n=n)


def _batch_factors(n: int) -> Iterator[tuple[float, str]]:
    if n in (2, 4):  # a derivative's factor may be meant
        yield (
            n,
            phrase("sum instead of mean over the batch of {n} (or a factor 1/{n} is missing)", n=n),
        )
        yield (
            1 / n,
            phrase(
                "mean instead of sum over the batch of {n}: divided by it once too often (or a "
                "factor {n} is missing)",
                n=n,
            ),
        )
    else:
        yield n, phrase("sum instead of mean over the batch of {n}", n=n)
        yield (
            1 / n,
            phrase("mean instead of sum over the batch of {n}: divided by it once too often", n=n),
        )
    yield 1 / n**2, phrase("divided by the batch of {n} twice too often", n=n)


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
    return phrase(
        "{factor:.4g} x the data's gradient, beside the right L2 term, {l2:.4g} W: {cause}",
        factor=factor,
        l2=l2,
        cause=named,
    )


def _few_entries(failure: Failure, context: Context) -> str:
    g, true = failure.claimed, failure.true
    where = np.argwhere(np.abs(g - true) > failure.near)
    if not 0 < len(where) <= max(3, g.size // 100) or len(where) == g.size:
        return ""
    found = [_entry(tuple(map(int, i)), g, true) for i in where[:3]]
    return phrase(
        "{n} of {n_entries} entries wrong: {entries}",
        n=len(where),
        n_entries=g.size,
        entries=joined(", ", (*found, "..." if len(where) > 3 else "")),
    )


def _entry(index: tuple[int, ...], g: np.ndarray, true: np.ndarray) -> str:
    claimed, right = apart(g[index], true[index])
    return phrase(
        "{index} is {claimed} instead of {right}",
        index=list(index),
        claimed=claimed,
        right=right,
    )


def _rearranged(failure: Failure, context: Context) -> str:
    g, true, near = failure.claimed, failure.true, failure.near
    if g.size < 2 or np.ptp(true) <= near:
        return ""
    if g.ndim == 2 and g.shape[0] == g.shape[1] and equal(g.T, true, near):
        return phrase("transposed")
    for axis, (reversed_order, shifted) in enumerate(_orders(g.ndim)):
        if axis < g.ndim and equal(np.flip(g, axis), true, near):
            return reversed_order
        if axis < g.ndim and any(equal(np.roll(g, shift, axis), true, near) for shift in (1, -1)):
            return shifted
    if g.ndim == 2 and equal(g.reshape(g.shape[::-1]).T, true, near):
        return phrase("reshaped where it should have been transposed")
    order = np.argsort(g.ravel()), np.argsort(true.ravel())
    if equal(g.ravel()[order[0]], true.ravel()[order[1]], near):
        return phrase("the right numbers in the wrong places")
    return ""


def _orders(ndim: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """What to say of each axis where its entries are in reverse order, or shifted."""
    of_columns = (
        phrase("the columns are in reverse order"),
        phrase("the columns are shifted by one"),
    )
    if ndim > 1:
        of_rows = phrase("the rows are in reverse order"), phrase("the rows are shifted by one")
        return of_rows, of_columns
    of_entries = (
        phrase("the entries are in reverse order"),
        phrase("the entries are shifted by one"),
    )
    return of_entries, of_columns


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
            return phrase(
                "an L1 term, {gain:.4g} x the sign of the parameter, stands for the L2 term",
                gain=gain,
            )
        return ""
    if residual > failure.near or abs(rate) * np.abs(failure.param).max() <= 2 * failure.near:
        return ""
    l2 = _l2_of(context)
    if failure.param.size == 1 and not (l2 and math.isclose(abs(rate), l2, rel_tol=1e-3)):
        return ""
    if rate < 0 and l2 and not math.isclose(-rate, l2, rel_tol=1e-3):
        return phrase("the L2 term is {factor:.3g} x what it should be", factor=1 + rate / l2)
    if rate < 0 and l2:
        return phrase("the L2 term, {l2:.4g} x the parameter, is forgotten", l2=l2)
    if rate < 0:
        return phrase(
            "{rate:.4g} x the parameter too little: the L2 term is forgotten, or half as large "
            "with the wrong sign",
            rate=-rate,
        )
    if failure.param.ndim < 2:
        return phrase(
            "the L2 penalty is put on a bias: {rate:.4g} x the parameter too much", rate=rate
        )
    return phrase(
        "an L2 term is added once too often: {rate:.4g} x the parameter too much", rate=rate
    )


def _l2_of(context: Context) -> float:
    try:
        return float(context.options.get("l2", 0.0))
    except (TypeError, ValueError):
        return 0.0
