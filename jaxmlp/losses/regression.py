"""Losses of predictions that are numbers, each with its gradient by hand.

`jax.grad` of the values is an independent check of the gradient, also at kinks.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.losses.base import Logits, Targets, ValuesAndGrad, named_options
from jaxmlp.losses.targets import at_least_float32, check_option, real_targets
from jaxmlp.types import ScalarLike


@named_options
def squared_error(logits: Logits, targets: Targets) -> ValuesAndGrad:
    """l = 1/2 sum_k (o_k - y_k)^2,  dl/do = o - y.

    Args:
        logits: o, (batch, n_out), in the units of the targets.
        targets: y, (batch, n_out), or (batch,) if n_out is 1.

    Returns:
        Values (batch,) and gradient (batch, n_out).

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> values, d_logits = squared_error(jnp.array([[3.0, 1.0]]), jnp.array([[1.0, 2.0]]))
        >>> values.tolist(), d_logits.tolist()
        ([2.5], [[2.0, -1.0]])

    Differences: optax.squared_error, sklearn and torch have no 1/2; torch averages over outputs.

    Reference: lecture, chapter III.
    """
    o, y = real_targets("squared_error", logits, targets)
    r = o - y
    return 0.5 * jnp.sum(r**2, axis=1), r


@named_options
def absolute_error(logits: Logits, targets: Targets) -> ValuesAndGrad:
    """l = sum_k |o_k - y_k|,  dl/do = sign(o - y), which is 0 at 0.

    Args:
        logits: o, (batch, n_out), in the units of the targets.
        targets: y, (batch, n_out), or (batch,) if n_out is 1.

    Returns:
        Values (batch,) and gradient (batch, n_out).

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> values, d_logits = absolute_error(jnp.array([[3.0, 1.0]]), jnp.array([[1.0, 1.0]]))
        >>> values.tolist(), d_logits.tolist()
        ([2.0], [[1.0, 0.0]])

    Reference: the network learns the conditional median (Koenker & Bassett, 1978).
    """
    o, y = real_targets("absolute_error", logits, targets)
    sign = jnp.sign(o - y)
    return jnp.sum(sign * (o - y), axis=1), sign


@named_options
def huber(logits: Logits, targets: Targets, *, delta: ScalarLike = 1.0) -> ValuesAndGrad:
    """l = sum_k c_k (r_k - c_k / 2), r = o - y, c = r clipped to [-delta, delta];  dl/do = c.

    That is r^2 / 2 where |r| <= delta, and delta (|r| - delta / 2) beyond.

    Args:
        logits: o, (batch, n_out), in the units of the targets.
        targets: y, (batch, n_out), or (batch,) if n_out is 1.
        delta: > 0, in the units of the targets; may be traced.

    Returns:
        Values (batch,) and gradient (batch, n_out).

    Raises:
        ValueError: if the shapes do not fit, or delta is not positive.

    Example:
        >>> values, d_logits = huber(jnp.array([[3.0, 1.5]]), jnp.array([[1.0, 1.0]]))
        >>> values.tolist(), d_logits.tolist()
        ([1.625], [[1.0, 0.5]])

    Reference: Huber, 1964.
    """
    o, y = real_targets("huber", logits, targets)
    delta = check_option("delta", delta, o.dtype)
    r = o - y
    c = jnp.clip(r, -delta, delta)
    return jnp.sum(c * (r - 0.5 * c), axis=1), c


@named_options
def quantile(logits: Logits, targets: Targets, *, quantile: ScalarLike = 0.5) -> ValuesAndGrad:
    """l = sum_k |r_k| / 2 + (1/2 - q) r_k, r = o - y;  dl/do = sign(r) / 2 + 1/2 - q.

    That is (1 - q) |r| above the target and q |r| below; at it, where the slope jumps, dl/do is the
    middle of the two.

    Args:
        logits: o, (batch, n_out), in the units of the targets.
        targets: y, (batch, n_out), or (batch,) if n_out is 1.
        quantile: q, in (0, 1): 0.9 costs 9 times as much below the target as above it, and so
            is least where 90% of the targets lie below; may be traced.

    Returns:
        Values (batch,) and gradient (batch, n_out).

    Raises:
        ValueError: if the shapes do not fit, or the quantile is outside (0, 1).

    Example:
        >>> values, d_logits = quantile(jnp.array([[3.0], [1.0]]), jnp.array([2.0, 2.0]),
        ...                             quantile=0.75)
        >>> values.tolist(), d_logits.tolist()
        ([0.25, 0.75], [[0.25], [-0.75]])

    Differences: at q = 0.5 it is half the absolute error.

    Reference: Koenker & Bassett, 1978 (the pinball loss).
    """
    o, y = real_targets("quantile", logits, targets)
    q = check_option("quantile", quantile, o.dtype)
    r = o - y
    slope = 0.5 * jnp.sign(r) + (0.5 - q)
    return jnp.sum(slope * r, axis=1), slope


@named_options
def poisson(logits: Logits, targets: Targets) -> ValuesAndGrad:
    """l = sum_k (exp(o_k) - y_k o_k),  dl/do = exp(o) - y, for counts y of rate exp(o).

    The negative log likelihood without its constant log y!.

    Args:
        logits: o, log rates, (batch, n_out).
        targets: y, counts >= 0, (batch, n_out), or (batch,) if n_out is 1.

    Returns:
        Values (batch,) and gradient (batch, n_out). Of the losses here this is the one that can
        overflow, because its true value does: beyond a log rate of 88.7 (in float64 709.7) value
        and gradient are inf, which training reports as divergence.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> values, d_logits = poisson(jnp.array([[0.0]]), jnp.array([3.0]))
        >>> values.tolist(), d_logits.tolist()
        ([1.0], [[-2.0]])

    Reference: Nelder & Wedderburn, 1972 (log link).
    """
    o, y = real_targets("poisson", logits, targets)
    rate = jnp.exp(o)
    return jnp.sum(rate - y * o, axis=1), rate - y


def exp_link(logits: Logits) -> Float[Array, "batch n_out"]:
    """Turn log rates into rates, (batch, n_out)."""
    return jnp.exp(at_least_float32(logits))
