"""Chance level: the loss of the best constant prediction, ln C for C equally frequent classes."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.losses import Loss
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
    loss: Loss, targets: Array, n_out: int, loss_options: Mapping[str, ScalarLike] | None = None
) -> float:
    """Return the mean loss of the best constant logits.

    Tried are the constants that are optimal for the usual losses: the mean (squared error), the
    median (absolute error), and the mean's logarithm (softmax, Poisson) and log-odds (sigmoid).

    Args:
        loss: the loss.
        targets: as the loss takes them.
        n_out: number of outputs.
        loss_options: of the loss.

    Returns:
        The smallest of their mean losses.

    Example:
        >>> from jaxmlp.losses import get_loss
        >>> loss = get_loss("softmax_cross_entropy")
        >>> round(chance_level(loss, jnp.array([0, 1, 2, 3]), 4), 4)  # ln 4
        1.3863
    """
    numbers = target_matrix(targets, n_out)
    mean, tiny = numbers.mean(axis=0), 1e-6
    clipped = np.clip(mean, tiny, 1 - tiny)
    constants = [
        mean,
        np.median(numbers, axis=0),
        np.log(np.maximum(mean, tiny)),
        np.log(clipped / (1 - clipped)),
    ]
    found = []
    for constant in constants:
        logits = jnp.broadcast_to(jnp.asarray(constant, jnp.float32)[None, :], numbers.shape)
        values, _ = loss.value_and_grad(logits, targets, **(loss_options or {}))
        found.append(float(jnp.mean(values)))
    return min(value for value in found if np.isfinite(value))
