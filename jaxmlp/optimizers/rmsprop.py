"""RMSProp: AdaGrad that forgets."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
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


class RmspropState(NamedTuple):
    """Number of steps, and the average squared gradient nu shaped like the parameters."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, over tuple.count
    nu: PyTree


class _Hyper(NamedTuple):
    learning_rate: Any
    decay: Any
    intake: Any
    eps_inside: Any
    eps_outside: Any


def rmsprop(
    learning_rate: Rate,
    decay: ScalarLike = 0.9,
    *,
    eps: ScalarLike = 1e-8,
    eps_outside: bool = False,
) -> Optimizer:
    """Divide each parameter's step by the root mean square of its recent gradients.

    nu <- decay nu + (1 - decay) g^2,  theta <- theta - lr g / sqrt(nu + eps).

    Args:
        learning_rate: lr, a number >= 0, an array of shape (), or a schedule step -> rate.
        decay: share of the old average, in [0, 1); the lecture's beta.
        eps: keeps the root away from 0; in units of g^2, or of g if it stands outside.
        eps_outside: divide by sqrt(nu) + eps instead.

    Returns:
        The optimizer.

    Raises:
        ValueError: for numbers out of range.
        TypeError: for what is no number.

    Differences: `optax.rmsprop` has eps = 1e-8 inside by default; PyTorch and Keras have it
    outside.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = rmsprop(0.1, decay=0.75)
        >>> optimizer.update(jnp.array([5.0]), optimizer.init(jnp.zeros(1)))[0].tolist()
        [-0.2...]

    Reference: Tieleman & Hinton, 2012 (lecture 6.5); lecture, chapter VII.
    """
    decay = hyperparameter("decay", decay, low=0.0, high=1.0)
    eps = hyperparameter("eps", eps, low=0.0, closed="()")
    none = np.zeros(())
    inside, outside = (none, eps) if eps_outside else (eps, none)
    hyper = _Hyper(rate(learning_rate), decay, complement(decay), inside, outside)
    return make_optimizer(_init, _update, hyper)


def _init(hyper: _Hyper, params: PyTree) -> RmspropState:
    return RmspropState(count_zero(), zeros_like(params))


@entrywise
def _update(
    hyper: _Hyper, grads: PyTree, state: RmspropState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, RmspropState]:
    lr = rate_at(hyper.learning_rate, state.count)
    nu = jax.tree.map(
        lambda v, g: cast(hyper.decay, g) * v + cast(hyper.intake, g) * g**2, state.nu, grads
    )

    nu = settle(nu)

    def step(v: Array, g: Array) -> Array:
        root = jnp.sqrt(v + cast(hyper.eps_inside, g)) + cast(hyper.eps_outside, g)
        return -cast(lr, g) * g / root

    return jax.tree.map(step, nu, grads), RmspropState(next_count(state.count), nu)
