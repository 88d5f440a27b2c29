"""Momentum: the lecture's average of gradients, the heavy ball, and Nesterov's look ahead."""

from typing import Any, NamedTuple

import jax
import numpy as np
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
from jaxmlp.types import PyTree, ScalarLike


class MomentumState(NamedTuple):
    """Number of steps, and the velocity v shaped like the parameters."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, over tuple.count
    trace: PyTree


class _Hyper(NamedTuple):
    learning_rate: Any
    beta: Any
    intake: Any  # the factor of the gradient: 1 - beta, or 1


def momentum(
    learning_rate: Rate, beta: ScalarLike = 0.9, *, dampening: bool = True, nesterov: bool = False
) -> Optimizer:
    """Step along a running average of the gradients.

    v <- beta v + (1 - beta) g,  theta <- theta - lr v    (the lecture; the default)
    v <- beta v + g,             theta <- theta - lr v    (dampening=False: the heavy ball)
    v <- beta v + g,             theta <- theta - lr (g + beta v)    (and nesterov=True)

    Args:
        learning_rate: lr, a number >= 0, an array of shape (), or a schedule step -> rate.
        beta: share of the old velocity, in [0, 1).
        dampening: whether the gradient enters with the factor 1 - beta.
        nesterov: step from where the velocity leads; needs dampening=False.

    Returns:
        The optimizer.

    Raises:
        ValueError: for numbers out of range, or Nesterov's rule with dampening.
        TypeError: for what is no number.

    Differences: `optax.sgd(momentum=...)` and PyTorch have no dampening; the default here takes
    steps 1 - beta times as long, so its learning rates are 1 / (1 - beta) times theirs.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = momentum(1.0, beta=0.5)
        >>> optimizer.update(jnp.array([2.0]), optimizer.init(jnp.zeros(1)))[0].tolist()
        [-1.0]

    Reference: Polyak, 1964; Nesterov, 1983; Sutskever et al., 2013; lecture, chapter VII.
    """
    if nesterov and dampening:
        raise ValueError(
            "Nesterov's rule is made for v = beta v + g: pass dampening=False with nesterov=True."
        )
    beta = hyperparameter("beta", beta, low=0.0, high=1.0)
    hyper = _Hyper(rate(learning_rate), beta, complement(beta) if dampening else np.ones(()))
    return make_optimizer(_init, _update_nesterov if nesterov else _update, hyper)


def nesterov(learning_rate: Rate, beta: ScalarLike = 0.9) -> Optimizer:
    """Nesterov's momentum: `momentum(..., dampening=False, nesterov=True)`.

    v <- beta v + g,  theta <- theta - lr (g + beta v).

    Args:
        learning_rate: lr, a number >= 0, an array of shape (), or a schedule step -> rate.
        beta: share of the old velocity, in [0, 1).

    Returns:
        The optimizer.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = nesterov(1.0, beta=0.5)
        >>> optimizer.update(jnp.array([2.0]), optimizer.init(jnp.zeros(1)))[0].tolist()
        [-3.0]

    Reference: Nesterov, 1983; Sutskever et al., 2013.
    """
    return momentum(learning_rate, beta, dampening=False, nesterov=True)


def _init(hyper: _Hyper, params: PyTree) -> MomentumState:
    return MomentumState(count_zero(), zeros_like(params))


def _velocity(hyper: _Hyper, grads: PyTree, state: MomentumState) -> PyTree:
    velocity = jax.tree.map(
        lambda v, g: cast(hyper.beta, g) * v + cast(hyper.intake, g) * g, state.trace, grads
    )
    return settle(velocity)


@entrywise
def _update(
    hyper: _Hyper, grads: PyTree, state: MomentumState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, MomentumState]:
    lr = rate_at(hyper.learning_rate, state.count)
    velocity = _velocity(hyper, grads, state)
    updates = jax.tree.map(lambda v: -cast(lr, v) * v, velocity)
    return updates, MomentumState(next_count(state.count), velocity)


@entrywise
def _update_nesterov(
    hyper: _Hyper, grads: PyTree, state: MomentumState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, MomentumState]:
    lr = rate_at(hyper.learning_rate, state.count)
    velocity = _velocity(hyper, grads, state)
    updates = jax.tree.map(
        lambda v, g: -cast(lr, g) * (g + cast(hyper.beta, g) * v), velocity, grads
    )
    return updates, MomentumState(next_count(state.count), velocity)
