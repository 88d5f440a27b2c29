"""Chance level: the loss of the best constant prediction, ln C for C equally frequent classes."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.losses import Loss
from jaxmlp.once import jit_once
from jaxmlp.types import ScalarLike


def target_matrix(targets: Array, n_out: int) -> Float[np.ndarray, "rows n_out"]:
    """Return targets as numbers, (rows, n_out); integer labels of several classes as one-hot rows.

    >>> target_matrix(jnp.array([2, 0]), 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    y = np.asarray(targets)
    if y.ndim == 1 and n_out > 1:
        return np.eye(n_out)[y.astype(int)]
    return y.astype(np.float64).reshape(len(y), n_out)


def chance_level(
    loss: Loss,
    targets: Array,
    n_out: int,
    loss_options: Mapping[str, ScalarLike] | None = None,
    sample_weight: Any = None,
) -> float:
    """Return the mean loss of the best constant logits.

    Tried are the constants that are optimal for the usual losses: the mean (squared error), the
    median (absolute error), and the mean's logarithm (softmax, Poisson) and log-odds (sigmoid).

    Args:
        loss: the loss.
        targets: as the loss takes them.
        n_out: number of outputs.
        loss_options: of the loss.
        sample_weight: of the rows, or None for equal ones.

    Returns:
        The smallest of their mean losses.

    Example:
            >>> from jaxmlp.losses import get_loss
        >>> loss = get_loss("softmax_cross_entropy")
        >>> round(chance_level(loss, jnp.array([0, 1, 2, 3]), 4), 4)  # ln 4
        1.3863
    """
    numbers = target_matrix(targets, n_out)
    weight = np.ones(len(numbers)) if sample_weight is None else np.asarray(sample_weight, float)
    mean, tiny = np.average(numbers, axis=0, weights=weight), 1e-6
    clipped = np.clip(mean, tiny, 1 - tiny)
    constants = [mean, np.log(np.maximum(mean, tiny)), np.log(clipped / (1 - clipped))]
    if loss.task == "regression":
        constants.append(_weighted_median(numbers, weight))
    values = _losses(
        loss, np.stack(constants).astype(np.float32), targets, dict(loss_options or {})
    )
    means = np.average(np.asarray(values, np.float64), axis=1, weights=weight)
    return float(means[np.isfinite(means)].min())


@partial(jit_once, static_argnums=0)
def _losses(
    loss: Loss, constants: Array, targets: Array, options: dict[str, ScalarLike]
) -> Float[Array, "constants rows"]:
    """Each row's loss for each of the constant predictions."""
    shape = len(targets), constants.shape[1]
    predictions = [jnp.broadcast_to(constant[None], shape) for constant in constants]
    return jnp.stack([loss.value_and_grad(logits, targets, **options)[0] for logits in predictions])


def _weighted_median(
    numbers: Float[np.ndarray, "rows n_out"], weight: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " n_out"]:
    """Return the median of each column, each row counting by its weight.

    >>> _weighted_median(np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 1.0, 9.0])).tolist()
    [3.0]
    """
    return np.asarray(
        np.quantile(numbers, 0.5, axis=0, weights=weight, method="inverted_cdf"), float
    )
