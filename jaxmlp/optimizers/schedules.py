"""Schedules whose numbers are leaves: equal shapes of them share a program, whatever their length.

They go wherever a learning rate, a weight decay or a dropout rate does. optax's schedules go there
too, but bake their numbers into the program.
"""

from typing import Any

import jax.numpy as jnp
from jax.tree_util import Partial

from jaxmlp.optimizers.base import hyperparameter
from jaxmlp.types import ScalarLike, Schedule


def cosine(value: ScalarLike, n_steps: ScalarLike) -> Schedule:
    """Fall from a value to 0 along half a cosine: value (1 + cos(pi t)) / 2, t = step / n_steps.

    Args:
        value: at step 0.
        n_steps: steps until 0.

    Returns:
        step -> number.

    Example:
        >>> [round(float(cosine(1.0, 4)(step)), 3) for step in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]

    Reference: Loshchilov & Hutter, 2017, arXiv 1608.03983.
    """
    return Partial(_cosine, *_numbers(value, n_steps))


def flat_cosine(value: ScalarLike, n_steps: ScalarLike) -> Schedule:
    """Keep a value for the first half, then fall to 0 along half a cosine.

    value for t < 1/2, then value (1 + cos(pi (2 t - 1))) / 2, t = step / n_steps.

    Args:
        value: of the first half.
        n_steps: steps until 0.

    Returns:
        step -> number.

    Example:
        >>> [round(float(flat_cosine(1.0, 4)(step)), 3) for step in range(5)]
        [1.0, 1.0, 1.0, 0.5, 0.0]

    Reference: Holzmüller et al., 2024, arXiv 2407.04491.
    """
    return Partial(_flat_cosine, *_numbers(value, n_steps))


def coslog4(value: ScalarLike, n_steps: ScalarLike) -> Schedule:
    """Rise from 0 and fall back four times, each cycle about twice as long as the one before.

    value (1 - cos(2 pi log2(1 + 15 t))) / 2, t = step / n_steps.

    Args:
        value: at the top of each cycle.
        n_steps: steps until the end of the last cycle.

    Returns:
        step -> number.

    Example:
        >>> [round(float(coslog4(1.0, 15)(step)), 3) for step in (0, 1, 2, 3, 15)]
        [0.0, 0.0, 0.726, 0.0, 0.0]

    Reference: Holzmüller et al., 2024, arXiv 2407.04491.
    """
    return Partial(_coslog4, *_numbers(value, n_steps))


def _numbers(value: Any, n_steps: Any) -> tuple[Any, Any]:
    return (
        hyperparameter("value", value, low=0.0),
        hyperparameter("n_steps", n_steps, low=0.0, closed="()"),
    )


def _progress(n_steps: Any, step: Any) -> Any:
    share = jnp.asarray(step, jnp.float32) / jnp.asarray(n_steps, jnp.float32)
    return jnp.clip(share, 0.0, 1.0)


def _cosine(value: Any, n_steps: Any, step: Any) -> Any:
    t = _progress(n_steps, step)
    return jnp.asarray(value, t.dtype) * (1 + jnp.cos(jnp.pi * t)) / 2


def _flat_cosine(value: Any, n_steps: Any, step: Any) -> Any:
    return _cosine(value, 1.0, jnp.clip(2 * _progress(n_steps, step) - 1, 0.0, 1.0))


def _coslog4(value: Any, n_steps: Any, step: Any) -> Any:
    t = _progress(n_steps, step)
    return jnp.asarray(value, t.dtype) * (1 - jnp.cos(2 * jnp.pi * jnp.log2(1 + 15 * t))) / 2
