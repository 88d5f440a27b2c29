"""Losses on logits, each with its gradient by hand.

A loss l(o, y) takes the network's last outputs o (logits) and returns one value an example and
dl/do, neither averaged nor weighted: network.py does that once. Logits are cast to float32 at
least; targets follow them.
"""

from collections.abc import Mapping
from typing import Any

from jaxmlp.checks import unknown_name
from jaxmlp.losses.base import Loss, identity_link
from jaxmlp.losses.classification import (
    sigmoid_binary_cross_entropy,
    sigmoid_link,
    softmax_cross_entropy,
    softmax_link,
)
from jaxmlp.losses.regression import (
    absolute_error,
    exp_link,
    huber,
    poisson,
    quantile,
    squared_error,
)
from jaxmlp.losses.targets import (
    OPTION_RANGES,
    VALUE_CHECKS,
    check_finite,
    check_range,
    check_target_shape,
    numeric_targets,
)
from jaxmlp.types import ScalarLike

__all__ = ["LOSSES", "Loss", "check_loss_options", "check_target_values", "get_loss"]

_SMOOTHING = (("label_smoothing", 0.0),)

LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("squared_error", squared_error, identity_link, "regression"),
        Loss("absolute_error", absolute_error, identity_link, "regression"),
        Loss("huber", huber, identity_link, "regression", (("delta", 1.0),)),
        Loss("quantile", quantile, identity_link, "regression", (("quantile", 0.5),)),
        Loss("poisson", poisson, exp_link, "regression"),
        Loss(
            "softmax_cross_entropy",
            softmax_cross_entropy,
            softmax_link,
            "classification",
            _SMOOTHING,
        ),
        Loss(
            "sigmoid_binary_cross_entropy",
            sigmoid_binary_cross_entropy,
            sigmoid_link,
            "classification",
            _SMOOTHING,
        ),
    )
}
"""The built-in losses by name."""


def get_loss(loss: str | Loss) -> Loss:
    """Look a loss up by name; a record passes through.

    Args:
        loss: one of `LOSSES`, or a `Loss`.

    Returns:
        The record.

    Raises:
        ValueError: for an unknown name (the message has the nearest known one), or for a record of
            yours with the name of a built-in loss.
        TypeError: for anything else.

    Example:
        >>> get_loss("squared_error").task
        'regression'
    """
    if isinstance(loss, Loss):
        if LOSSES.get(loss.name, loss) != loss:
            raise ValueError(
                f"loss {loss.name!r} is not the built-in of that name; give yours another name."
            )
        return loss
    if not isinstance(loss, str):
        raise TypeError(
            f"loss is {loss!r:.60}; give a name, such as 'squared_error', or a jaxmlp.Loss "
            "(jaxmlp.Loss.from_value makes one of a function)."
        )
    if loss not in LOSSES:
        raise unknown_name("loss", loss, LOSSES)
    return LOSSES[loss]


def check_loss_options(
    loss: Loss, options: Mapping[str, ScalarLike] | None
) -> dict[str, ScalarLike]:
    """Return all options of a loss, the given and the default ones, if they have a meaning for it.

    Args:
        loss: the loss.
        options: numbers by name, or None.

    Returns:
        Each option's value, in the loss's order.

    Raises:
        ValueError: for an unknown name, or a number outside the option's range; compiled code,
            for which options are arrays, could not say so.
        TypeError: for what is no number.

    Example:
        >>> check_loss_options(get_loss("huber"), None)
        {'delta': 1.0}
        >>> check_loss_options(get_loss("huber"), {"delta": -1})
        Traceback (most recent call last):
            ...
        ValueError: delta is -1, but must lie in (0, inf).
    """
    complete: dict[str, ScalarLike] = dict(loss.options)
    for name, value in (options or {}).items():
        if name not in complete:
            known = list(complete) or ["none"]
            raise unknown_name(f"option of the loss {loss.name!r}:", name, known)
        if loss.name in LOSSES and name in OPTION_RANGES:
            check_range(name, value)
        complete[name] = value
    return complete


def check_target_values(loss: str | Loss, n_out: int, targets: Any) -> None:
    """Look through targets on the host, before training, for values that the loss has no sense for.

    Compiled code cannot raise; what it would do instead (no loss for a label out of range, NaN
    for a missing value) is better met here.

    Args:
        loss: name of a loss, or a `Loss`.
        n_out: outputs of the network.
        targets: all targets, with examples in rows.

    Raises:
        ValueError: for shapes that do not fit, values that are not finite, labels outside
            0..n_out-1, soft labels that are negative or do not sum to 1, binary targets outside
            [0, 1], negative counts.
        TypeError: for targets that are not numbers.

    Example:
        >>> check_target_values("softmax_cross_entropy", 3, [0, 2, 1])
        >>> check_target_values("softmax_cross_entropy", 3, [1, 2, 3])
        Traceback (most recent call last):
            ...
        ValueError: targets has a label outside 0..2, the classes of 3 outputs: 3 at row 2. Count
        classes from 0, as np.unique(y, return_inverse=True)[1] does, or set the last of
        layer_sizes to the number of classes.
    """
    loss = get_loss(loss)
    y = numeric_targets(targets)
    if loss.name in LOSSES:
        check_target_shape(loss.name, y, (len(y) if y.ndim else 0, n_out))
    check_finite(y)
    if loss.name in VALUE_CHECKS:
        VALUE_CHECKS[loss.name](y, n_out)
