"""When a run ends: early stopping, divergence, and the status that says which it was."""

import enum
import math
from dataclasses import dataclass

from jaxmlp.checks import unknown_name
from jaxmlp.training.metrics import HIGHER_IS_BETTER


class FitStatus(enum.IntEnum):
    """How a run stands; inside compiled code, an int32.

    RUNNING only while it trains; COMPLETED after the last epoch; EARLY_STOPPED when the best
    metric stopped improving; DIVERGED when the loss was not finite; INTERRUPTED by Ctrl-C or a
    callback.
    """

    RUNNING = 0
    COMPLETED = 1
    EARLY_STOPPED = 2
    DIVERGED = 3
    INTERRUPTED = 4


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when a metric has not improved for some epochs, and keep the best parameters.

    Args:
        monitor: a column of the history, such as "validation_loss" or "validation_accuracy";
            None is the validation loss, or the training loss without validation data.
        patience: epochs without an improvement before training stops, at least 1.
        min_delta: an improvement smaller than this is none, >= 0.
        latest: of equally good epochs keep the latest, not the first.

    Raises:
        ValueError: for a patience below 1 or a negative min_delta.

    Example:
        >>> EarlyStopping(patience=5).patience
        5

    Reference: Prechelt, "Early stopping - but when?", 1998.
    """

    monitor: str | None = None
    patience: int = 10
    min_delta: float = 0.0
    latest: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.patience >= 1:
            raise ValueError(f"patience is {self.patience}; give at least 1 epoch.")
        if not (self.min_delta >= 0 and math.isfinite(self.min_delta)):
            raise ValueError(f"min_delta is {self.min_delta}; give a finite number >= 0.")


def best_metric(monitor: str | None, columns: tuple[str, ...]) -> str:
    """Return the name of the metric that decides which epoch was best.

    >>> best_metric(None, ("train_loss", "train_accuracy"))
    'train_loss'
    """
    if monitor is None:
        monitor = "validation_loss" if "validation_loss" in columns else "train_loss"
    if monitor not in columns:
        if monitor.startswith("validation_") and not any(
            c.startswith("validation") for c in columns
        ):
            raise ValueError(
                f"early stopping monitors {monitor!r}, but there is no validation data: pass "
                "validation_data=(x, y), or monitor 'train_loss'."
            )
        raise unknown_name("metric to monitor", monitor, columns)
    return monitor


def higher_is_better(column: str) -> bool:
    """Whether a larger value of a history column is an improvement.

    >>> higher_is_better("validation_accuracy"), higher_is_better("train_loss")
    (True, False)
    """
    return column.endswith(HIGHER_IS_BETTER)
