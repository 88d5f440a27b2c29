"""The deviance of counts: a likelihood that is 0 where every prediction is exact."""

from typing import TypeVar

import numpy as np
from jaxtyping import Float, Num

from jaxmlp.losses.base import Loss
from jaxmlp.messages import phrase

_Loss = TypeVar("_Loss", float, np.ndarray)


def exact_losses(loss: Loss, targets: Num[np.ndarray, "rows *n_out"]) -> Float[np.ndarray, " rows"]:
    """Return each row's loss where exactly its target is predicted: 0 for all losses but Poisson's.

    >>> from jaxmlp.losses import get_loss
    >>> exact_losses(get_loss("poisson"), np.array([0.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    if loss.name != "poisson":
        return np.zeros(len(targets))
    y = np.asarray(targets, np.float64).reshape(len(targets), -1)
    losses: np.ndarray = np.sum(y - y * np.log(np.where(y > 0, y, 1.0)), axis=1)
    return losses


def shown_as(loss: str) -> str:
    """Return what a loss is shown to people as: of counts the deviance.

    >>> shown_as("poisson"), shown_as("huber")
    ('deviance', 'loss')
    """
    return phrase("deviance") if loss == "poisson" else phrase("loss")


def to_deviance(loss: _Loss, exact: float | np.ndarray) -> _Loss:
    """Return the mean deviance, 2 (loss - exact loss), of a mean Poisson loss.

    The loss lacks a constant of the counts, ln y!, and may be any number; the deviance is 0 at
    best.

    Args:
        loss: a mean over rows; an array of them, if wanted.
        exact: the mean of `exact_losses` over the same rows.

    Example:
        >>> y, rate = np.array([1.0, 3.0]), np.array([2.0, 2.0])
        >>> loss = float(np.mean(rate - y * np.log(rate)))
        >>> exact = float(np.mean(y - y * np.log(y)))
        >>> round(to_deviance(loss, exact), 4)
        0.5232

    Reference: Nelder & Wedderburn, 1972.
    """
    return 2 * (loss - exact)  # type: ignore[return-value]
