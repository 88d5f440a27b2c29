"""Gradient descent: on all examples at once, or stochastic, on mini-batches."""

from typing import Any, NamedTuple

import jax

from jaxmlp.optimizers.base import (
    CountState,
    Optimizer,
    Rate,
    cast,
    count_zero,
    entrywise,
    make_optimizer,
    next_count,
    rate,
    rate_at,
)
from jaxmlp.types import PyTree


class _Hyper(NamedTuple):
    learning_rate: Any


def sgd(learning_rate: Rate) -> Optimizer:
    """Step against the gradient: theta <- theta - lr g.

    With g from a mini-batch this is stochastic gradient descent, with g from all examples
    (`fit(..., batch_size=None)`) gradient descent; the rule is the same, and `gd` is another name
    for it.

    Args:
        learning_rate: lr, a number >= 0, an array of shape () (traced, if you like), or a schedule
            step -> rate.

    Returns:
        The optimizer.

    Raises:
        ValueError: for a negative or infinite rate.
        TypeError: if it is no number.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = sgd(0.5)
        >>> optimizer.update(jnp.array([2.0]), optimizer.init(jnp.zeros(1)))[0].tolist()
        [-1.0]

    Reference: Robbins & Monro, 1951; lecture, chapter VII.
    """
    return make_optimizer(_init, _update, _Hyper(rate(learning_rate)))


gd = sgd


def _init(hyper: _Hyper, params: PyTree) -> CountState:
    return CountState(count_zero())


@entrywise
def _update(
    hyper: _Hyper, grads: PyTree, state: CountState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, CountState]:
    lr = rate_at(hyper.learning_rate, state.count)
    updates = jax.tree.map(lambda g: -cast(lr, g) * g, grads)
    return updates, CountState(next_count(state.count))
