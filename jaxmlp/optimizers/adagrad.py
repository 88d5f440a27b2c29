"""AdaGrad: a rate for each parameter, that shrinks with the squares of its gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxmlp.optimizers.base import (
    Optimizer,
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
)
from jaxmlp.types import PyTree, ScalarLike


class AdagradState(NamedTuple):
    """Number of steps, and the sum of squared gradients G shaped like the parameters."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, over tuple.count
    sum_of_squares: PyTree


class _Hyper(NamedTuple):
    learning_rate: Any
    eps: Any
    initial_accumulator_value: Any


def adagrad(
    learning_rate: Rate, *, eps: ScalarLike = 1e-8, initial_accumulator_value: ScalarLike = 0.0
) -> Optimizer:
    """Divide each parameter's step by the root of its summed squared gradients.

    G <- G + g^2,  theta <- theta - lr g / sqrt(G + eps).

    Args:
        learning_rate: lr, a number >= 0, an array of shape (), or a schedule step -> rate.
        eps: keeps the root away from 0; in units of g^2.
        initial_accumulator_value: G before the first step.

    Returns:
        The optimizer.

    Raises:
        ValueError: for numbers out of range.
        TypeError: for what is no number.

    Differences: `optax.adagrad` starts at G = 0.1 with eps = 1e-7 inside the root; PyTorch has eps
    = 1e-10 outside it.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = adagrad(0.1)
        >>> optimizer.update(jnp.array([5.0]), optimizer.init(jnp.zeros(1)))[0].tolist()
        [-0.1...]

    Reference: Duchi, Hazan & Singer, 2011, JMLR 12:2121; lecture, chapter VII.
    """
    start = hyperparameter("initial_accumulator_value", initial_accumulator_value, low=0.0)
    eps = hyperparameter("eps", eps, low=0.0, closed="()")
    return make_optimizer(_init, _update, _Hyper(rate(learning_rate), eps, start))


def _init(hyper: _Hyper, params: PyTree) -> AdagradState:
    start = jax.tree.map(
        lambda p: jnp.full_like(p, cast(hyper.initial_accumulator_value, p)), params
    )
    return AdagradState(count_zero(), start)


@entrywise
def _update(
    hyper: _Hyper, grads: PyTree, state: AdagradState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, AdagradState]:
    lr = rate_at(hyper.learning_rate, state.count)
    sums = jax.tree.map(lambda G, g: G + g**2, state.sum_of_squares, grads)
    sums = settle(sums)
    updates = jax.tree.map(
        lambda G, g: -cast(lr, g) * g / jnp.sqrt(G + cast(hyper.eps, g)), sums, grads
    )
    return updates, AdagradState(next_count(state.count), sums)
