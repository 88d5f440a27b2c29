"""Adam: momentum and RMSProp together, with or without bias correction and weight decay."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Int

from jaxmlp.optimizers.base import (
    Optimizer,
    Rate,
    cast,
    complement,
    count_zero,
    entrywise,
    hyperparameter,
    make_optimizer,
    next_count,
    rate,
    rate_at,
    settle,
    zeros_like,
)
from jaxmlp.types import PyTree, ScalarLike, wide_dtype


class AdamState(NamedTuple):
    """Number of steps, and the averages of g and g^2, shaped like the parameters."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, over tuple.count
    mu: PyTree
    nu: PyTree


class _Hyper(NamedTuple):
    learning_rate: Any
    b1: Any
    intake1: Any  # 1 - b1, formed where its digits are not lost
    b2: Any
    intake2: Any
    eps: Any
    correction: Any  # 1, or 0 for the lecture's formula
    weight_decay: Any
    mask: Any


def adam(
    learning_rate: Rate = 1e-3,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    *,
    eps: ScalarLike = 1e-8,
    bias_correction: bool = True,
    weight_decay: Rate = 0.0,
    mask: PyTree | Callable[[PyTree], PyTree] | None = None,
) -> Optimizer:
    """Step along the average gradient over the root of the average square.

    mu <- b1 mu + (1 - b1) g,  nu <- b2 nu + (1 - b2) g^2,
    mu^ = mu / (1 - b1^t),  nu^ = nu / (1 - b2^t),
    theta <- theta - lr (mu^ / (sqrt(nu^) + eps) + weight_decay theta).

    Args:
        learning_rate: lr, a number >= 0, an array of shape (), or a schedule step -> rate.
        b1: share of the old average gradient, in [0, 1).
        b2: share of the old average square, in [0, 1).
        eps: keeps the root away from 0; in units of g.
        bias_correction: False takes mu and nu as they are, which is the lecture's formula; the
            first steps are then (1 - b1) / sqrt(1 - b2) = 3.2 times as long.
        weight_decay: decoupled from the gradient (AdamW), on leaves with at least 2 axes; a
            number >= 0, an array of shape (), or a schedule step -> decay.
        mask: which leaves decay instead: a pytree of booleans, or a function of the parameters
            that returns one.

    Returns:
        The optimizer. Its moments have the dtype of the parameters.

    Raises:
        ValueError: for numbers out of range; from `update`, if weights are to decay but it was not
            given the parameters.
        TypeError: for what is no number.

    Differences: `optax.adam` has the same eps outside the root; `optax.adamw` decays biases too.

    Example:
        >>> optimizer = adam(0.1)
        >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.zeros(1)))
        >>> round(float(updates[0]), 6)
        -0.1

    Reference: Kingma & Ba, 2015, arXiv 1412.6980; Loshchilov & Hutter, 2019, arXiv 1711.05101;
    lecture, chapter VII.
    """
    b1 = hyperparameter("b1", b1, low=0.0, high=1.0)
    b2 = hyperparameter("b2", b2, low=0.0, high=1.0)
    decays = callable(weight_decay) or isinstance(weight_decay, jax.Array) or weight_decay != 0
    hyper = _Hyper(
        rate(learning_rate),
        b1,
        complement(b1),
        b2,
        complement(b2),
        hyperparameter("eps", eps, low=0.0, closed="()"),
        np.asarray(float(bias_correction)),
        rate(weight_decay, "weight_decay"),
        Partial(mask) if callable(mask) else mask,
    )
    return make_optimizer(_init, _update_decayed if decays else _update, hyper)


def adamw(learning_rate: Rate = 1e-3, weight_decay: Rate = 1e-2, **options: Any) -> Optimizer:
    """Adam with decoupled weight decay: `adam(..., weight_decay=...)`.

    Args:
        learning_rate: lr, a number >= 0, an array of shape (), or a schedule step -> rate.
        weight_decay: share of each weight, per unit of learning rate, that a step removes; a
            number or a schedule.
        options: the others of `adam`.

    Returns:
        The optimizer.

    Example:
        >>> optimizer, W = adamw(0.1, weight_decay=0.5), jnp.ones((1, 1))
        >>> updates, _ = optimizer.update(0 * W, optimizer.init(W), W)
        >>> round(float(updates[0, 0]), 6)
        -0.05

    Reference: Loshchilov & Hutter, 2019, arXiv 1711.05101.
    """
    return adam(learning_rate, weight_decay=weight_decay, **options)


def _init(hyper: _Hyper, params: PyTree) -> AdamState:
    return AdamState(count_zero(), zeros_like(params), zeros_like(params))


@entrywise
def _update(
    hyper: _Hyper, grads: PyTree, state: AdamState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, AdamState]:
    count = next_count(state.count)
    lr = rate_at(hyper.learning_rate, state.count)
    mu = jax.tree.map(
        lambda m, g: cast(hyper.b1, g) * m + cast(hyper.intake1, g) * g, state.mu, grads
    )
    nu = jax.tree.map(
        lambda v, g: cast(hyper.b2, g) * v + cast(hyper.intake2, g) * g**2, state.nu, grads
    )
    mu, nu = settle((mu, nu))
    # The corrections are scalars: lr mu^ = (lr / c1) mu and sqrt(nu^) = sqrt(nu) / sqrt(c2).
    like = jnp.zeros((), wide_dtype(jax.tree.leaves(grads)[0].dtype))
    size = cast(lr, like) / _correction(hyper.correction, hyper.intake1, count, like)
    root_scale = jax.lax.rsqrt(_correction(hyper.correction, hyper.intake2, count, like))

    def step(m: Array, v: Array) -> Array:
        return -cast(size, m) * m / (jnp.sqrt(v) * cast(root_scale, m) + cast(hyper.eps, m))

    return jax.tree.map(step, mu, nu), AdamState(count, mu, nu)


def _correction(correction: Any, intake: Any, count: Int[Array, ""], like: Array) -> Array:
    """1 - b^t, as -expm1(t log(1 - (1 - b))): 1 - 0.999 in float32 is off by 5e-5."""
    corrected = -jnp.expm1(count.astype(like.dtype) * jnp.log1p(-cast(intake, like)))
    return jnp.where(cast(correction, like) > 0, corrected, jnp.ones_like(corrected))


@entrywise
def _update_decayed(
    hyper: _Hyper, grads: PyTree, state: AdamState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, AdamState]:
    if params is None:
        raise ValueError(
            "weight decay needs the parameters: call update(grads, state, params), or set "
            "weight_decay=0."
        )
    updates, new_state = _update(hyper, grads, state)
    lr = rate_at(hyper.learning_rate, state.count)
    weight_decay = rate_at(hyper.weight_decay, state.count)
    mask = hyper.mask(params) if callable(hyper.mask) else hyper.mask
    if mask is None:
        mask = jax.tree.map(lambda p: p.ndim >= 2, params)

    def decay(u: Array, p: Array, decays: Any) -> Array:
        share = cast(lr, u) * cast(weight_decay, u) * jnp.asarray(decays, u.dtype)
        return u - share * p.astype(u.dtype)

    return jax.tree.map(decay, updates, params, mask), new_state
