"""The update rules and schedules behind `solver` and `learning_rate`, as scikit-learn defines them.

They differ from `jaxmlp.momentum` and `jaxmlp.adam` where the field's conventions do: the velocity
contains the learning rate, and Adam's epsilon is not corrected for bias. With the same weights and
batches a step is scikit-learn's to the last digits.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Int

from jaxmlp.optimizers import Optimizer, as_optimizer, chain, clip_by_global_norm, clip_by_value
from jaxmlp.optimizers.base import (
    Rate,
    cast,
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


class _VelocityState(NamedTuple):
    """Number of steps, and the velocity v, shaped like the parameters and in their units."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, over tuple.count
    velocity: PyTree


class _MomentsState(NamedTuple):
    """Number of steps, and the running averages of the gradient and of its square."""

    count: Int[Array, ""]  # type: ignore[assignment]
    mu: PyTree
    nu: PyTree


class _Velocity(NamedTuple):
    learning_rate: Any
    momentum: Any


class _Moments(NamedTuple):
    learning_rate: Any
    b1: Any
    intake1: Any
    b2: Any
    intake2: Any
    eps: Any


def _velocity_sgd(learning_rate: Rate, momentum: ScalarLike, nesterov: bool) -> Optimizer:
    """SGD whose velocity contains the learning rate.

    v <- momentum v - lr g,  theta <- theta + v,  or theta + momentum v - lr g with `nesterov`.

    Args:
        learning_rate: lr, a number >= 0 or a schedule step -> rate.
        momentum: share of the old velocity, in [0, 1].
        nesterov: step from where the velocity leads.

    Returns:
        The optimizer.

    Differences: `jaxmlp.momentum(dampening=False)` takes the same steps while the rate is
    constant; after a change of rate, its old gradients count with the new rate.

    Example:
        >>> optimizer = _velocity_sgd(0.5, 0.9, nesterov=True)
        >>> optimizer.update(jnp.array([2.0]), optimizer.init(jnp.zeros(1)))[0].tolist()
        [-1.899...]

    Reference: scikit-learn's and Keras' SGD; Sutskever et al., 2013.
    """
    momentum = hyperparameter("momentum", momentum, low=0.0, high=1.0, closed="[]")
    update = _step_nesterov if nesterov else _step_velocity
    return make_optimizer(_init_velocity, update, _Velocity(rate(learning_rate), momentum))


def _uncorrected_adam(
    learning_rate: Rate, b1: ScalarLike, b2: ScalarLike, eps: ScalarLike
) -> Optimizer:
    """Adam with the bias correction in the step size alone.

    mu <- b1 mu + (1 - b1) g,  nu <- b2 nu + (1 - b2) g^2,
    theta <- theta - lr sqrt(1 - b2^t) / (1 - b1^t) mu / (sqrt(nu) + eps).

    Args:
        learning_rate: lr, a number >= 0 or a schedule step -> rate.
        b1: share of the old average gradient, in [0, 1).
        b2: share of the old average square, in [0, 1).
        eps: keeps the root away from 0.

    Returns:
        The optimizer.

    Differences: `jaxmlp.adam` corrects nu before eps is added, which makes eps sqrt(1 - b2^t)
    times as large here in the first steps.

    Example:
        >>> optimizer = _uncorrected_adam(0.1, 0.9, 0.999, 1e-8)
        >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.zeros(1)))
        >>> round(float(updates[0]), 6)
        -0.1

    Reference: Kingma & Ba, 2015, the more efficient order at the end of section 2.
    """
    b1 = hyperparameter("beta_1", b1, low=0.0, high=1.0)
    b2 = hyperparameter("beta_2", b2, low=0.0, high=1.0)
    eps = hyperparameter("epsilon", eps, low=0.0)
    hyper = _Moments(rate(learning_rate), b1, 1 - b1, b2, 1 - b2, eps)
    return make_optimizer(_init_moments, _step_adam, hyper)


def _init_velocity(hyper: _Velocity, params: PyTree) -> _VelocityState:
    return _VelocityState(count_zero(), zeros_like(params))


@entrywise
def _step_velocity(
    hyper: _Velocity, grads: PyTree, state: _VelocityState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, _VelocityState]:
    lr = rate_at(hyper.learning_rate, state.count)
    velocity = settle(_accelerate(hyper, lr, state.velocity, grads))
    return velocity, _VelocityState(next_count(state.count), velocity)


@entrywise
def _step_nesterov(
    hyper: _Velocity, grads: PyTree, state: _VelocityState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, _VelocityState]:
    lr = rate_at(hyper.learning_rate, state.count)
    velocity = settle(_accelerate(hyper, lr, state.velocity, grads))
    updates = _accelerate(hyper, lr, velocity, grads)
    return updates, _VelocityState(next_count(state.count), velocity)


def _accelerate(hyper: _Velocity, lr: Any, velocity: PyTree, grads: PyTree) -> PyTree:
    """Momentum v - lr g."""
    return jax.tree.map(lambda v, g: cast(hyper.momentum, g) * v - cast(lr, g) * g, velocity, grads)


def _init_moments(hyper: _Moments, params: PyTree) -> _MomentsState:
    return _MomentsState(count_zero(), zeros_like(params), zeros_like(params))


@entrywise
def _step_adam(
    hyper: _Moments, grads: PyTree, state: _MomentsState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, _MomentsState]:
    lr = rate_at(hyper.learning_rate, state.count)
    count = next_count(state.count)
    mu = jax.tree.map(
        lambda m, g: cast(hyper.b1, g) * m + cast(hyper.intake1, g) * g, state.mu, grads
    )
    nu = jax.tree.map(
        lambda v, g: cast(hyper.b2, g) * v + cast(hyper.intake2, g) * g**2, state.nu, grads
    )
    mu, nu = settle((mu, nu))
    like = jax.tree.leaves(grads)[0]
    correction1, correction2 = (_correction(b, count, like) for b in (hyper.intake1, hyper.intake2))
    size = cast(lr, like) * jnp.sqrt(correction2) / correction1
    updates = jax.tree.map(lambda m, v: -size * m / (jnp.sqrt(v) + cast(hyper.eps, v)), mu, nu)
    return updates, _MomentsState(count, mu, nu)


def _correction(intake: Any, count: Array, like: Array) -> Array:
    """1 - b^t, as -expm1(t log(1 - (1 - b))): 1 - 0.999 in float32 is off by 5e-5."""
    return -jnp.expm1(count.astype(like.dtype) * jnp.log1p(-cast(intake, like)))


def inverse_scaling(
    initial: ScalarLike, power: ScalarLike, seen: int, n_rows: int, steps_per_epoch: int
) -> Callable[[Any], Any]:
    """Return the schedule "invscaling": lr = initial / (t + 1)^power from the second epoch on.

    t is the number of rows seen, `seen` before this fit and `n_rows` more after every epoch.

    >>> schedule = inverse_scaling(0.1, 0.5, seen=0, n_rows=8, steps_per_epoch=2)
    >>> [round(float(schedule(step)), 4) for step in (0, 1, 2)]
    [0.1, 0.1, 0.0333]
    """
    numbers = (initial, power, seen, n_rows, steps_per_epoch)
    return Partial(_inverse_scaling, *(np.asarray(number, np.float64) for number in numbers))


def _inverse_scaling(
    initial: Any, power: Any, seen: Any, n_rows: Any, steps_per_epoch: Any, step: Any
) -> Any:
    epoch = step // jnp.asarray(steps_per_epoch, jnp.int32)
    t = jnp.asarray(seen) + jnp.asarray(n_rows) * epoch.astype(jnp.asarray(n_rows).dtype)
    decayed = jnp.asarray(initial) / (t + 1) ** jnp.asarray(power)
    return jnp.where(epoch == 0, jnp.asarray(initial), decayed)


def cosine(initial: ScalarLike, n_steps: int) -> Callable[[Any], Any]:
    """Return the schedule "cosine": half a cosine from `initial` to 0 in `n_steps` steps.

    >>> [round(float(cosine(0.1, 100)(step)), 3) for step in (0, 50, 100)]
    [0.1, 0.05, 0.0]

    Reference: Loshchilov & Hutter, 2017, arXiv 1608.03983.
    """
    return Partial(_cosine, np.asarray(initial, np.float64), np.asarray(n_steps, np.float64))


def _cosine(initial: Any, n_steps: Any, step: Any) -> Any:
    last = jnp.asarray(n_steps)
    progress = jnp.minimum(jnp.asarray(step).astype(last.dtype) / last, 1.0)
    return 0.5 * jnp.asarray(initial) * (1 + jnp.cos(jnp.pi * progress))


def make_solver(estimator: Any, learning_rate: Rate) -> Optimizer:
    """Make the update rule that an estimator's parameters ask for.

    Args:
        estimator: an MLPClassifier or MLPRegressor.
        learning_rate: a number or schedule; unused where `solver` is an optimizer itself.

    Returns:
        The optimizer, clipping included.
    """
    if estimator.solver == "sgd":
        nesterov = bool(estimator.nesterovs_momentum)
        rule = _velocity_sgd(learning_rate, estimator.momentum, nesterov)
    elif estimator.solver == "adam":
        betas = estimator.beta_1, estimator.beta_2
        rule = _uncorrected_adam(learning_rate, *betas, estimator.epsilon)
    else:
        solver = estimator.solver
        rule = as_optimizer(solver() if callable(solver) else solver)
    if estimator.clip_value is not None:
        rule = chain(clip_by_value(estimator.clip_value), rule)
    if estimator.clip_norm is not None:
        rule = chain(clip_by_global_norm(estimator.clip_norm), rule)
    return rule
