"""Schedules whose numbers are leaves: equal shapes of them share a program, whatever their length.

They go wherever a learning rate, a weight decay or a dropout rate does. optax's schedules go there
too, but bake their numbers into the program.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.tree_util import Partial

from jaxmlp.checks import unknown_name
from jaxmlp.optimizers.base import Rate, hyperparameter
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
        [0.0, 0.0, 0.93, 0.0, 0.0]

    Reference: Holzmüller et al., 2024, arXiv 2407.04491.
    """
    return Partial(_coslog4, *_numbers(value, n_steps))


def make_schedule(name: str, value: float, n_steps: int) -> Rate:
    """Make a schedule by name.

    Args:
        name: one of `SCHEDULES`.
        value: at its highest.
        n_steps: of the run.

    Returns:
        What goes where a learning rate does.

    Raises:
        ValueError: for an unknown name, or a negative value.

    Example:
        >>> float(make_schedule("cosine", 0.5, 100)(100))
        0.0
    """
    if name not in SCHEDULES:
        raise unknown_name("schedule", name, SCHEDULES)
    hyperparameter("learning_rate", value, low=0.0)
    return SCHEDULES[name](value, n_steps)


def _optax(name: str, *arguments: Any) -> Schedule:
    import optax  # here, for `import jaxmlp` would wait 80 ms for it

    schedule: Schedule = getattr(optax, name)(*arguments)
    return schedule


def _warmup_cosine(value: float, n_steps: int) -> Schedule:
    """Rise for a tenth of the run, then fall along a cosine."""
    return _optax("warmup_cosine_decay_schedule", 0.0, value, max(1, n_steps // 10), n_steps)


SCHEDULES: dict[str, Callable[[float, int], Rate]] = {
    "constant": lambda value, n_steps: value,
    "cosine": cosine,
    "coslog4": coslog4,
    "linear": lambda value, n_steps: _optax("linear_schedule", value, 0.0, n_steps),
    "exponential": lambda value, n_steps: _optax("exponential_decay", value, n_steps, 0.01),
    "warmup-cosine": _warmup_cosine,
}
"""Schedules by name: (value, number of steps) -> rate."""


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
