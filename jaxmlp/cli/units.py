"""From what training minimizes to what people read: errors in the target's units, deviances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.losses import get_loss
from jaxmlp.losses.deviance import exact_losses, shown_as, to_deviance
from jaxmlp.sweeps import SweepResult
from jaxmlp.training import History


@dataclass(frozen=True)
class Units:
    """How metrics are shown.

    Attributes:
        scale: one unit of the network's target in the user's units.
        exact: of counts, the loss of exact predictions in each part, "train" and "validation"; a
            number, or an array that goes with the metrics.
    """

    scale: float = 1.0
    exact: Mapping[str, float | np.ndarray] = field(default_factory=dict)

    @property
    def loss(self) -> str:
        """What the loss is shown as."""
        return "deviance" if self.exact else "loss"

    def shown(self, column: str, value: Any) -> tuple[str, Any]:
        """Return the name and the values of a column, such as "train_loss", as people read it."""
        part, _, metric = column.partition("_")
        if metric == "rmse":
            return column, value * self.scale
        if metric == "loss" and part in self.exact:
            return f"{part}_deviance", to_deviance(value, self.exact[part])
        return column, value

    def history(self, history: History) -> History:
        """Return a history for people; the loss itself, which was minimized, stays beside."""
        shown = (self.shown(name, column) for name, column in history.items())
        return History({**history, **dict(shown)})


def units_of(data: PreparedData) -> Units:
    """Return the units of a command's data."""
    if shown_as(data.loss) == "deviance":
        parts = {"train": data.train, "validation": data.validation}
        return Units(exact={name: _exact(part.y) for name, part in parts.items()})
    transform = data.target_transform
    return Units(1.0 if transform is None else float(transform.scale[0]))


def sweep_in_units(
    result: SweepResult,
    data: PreparedData,
    folds: Sequence[tuple[np.ndarray, np.ndarray]] = (),
) -> SweepResult:
    """Return a sweep whose metrics are those that people read.

    Args:
        result: of the sweep.
        data: what it trained on.
        folds: row numbers (train, test) of a cross-validation's folds.
    """
    units = units_of(data)
    if units.exact and folds:
        y = np.concatenate([data.train.y, data.validation.y])
        at = [setting["fold"] for setting in result.settings]
        losses = np.array([[_exact(y[rows]) for rows in folds[fold]] for fold in at])
        units = Units(exact={"train": losses[:, :1], "validation": losses[:, 1:]})
    shown = [
        units.shown(name, result.metrics[:, :, place]) for place, name in enumerate(result.columns)
    ]
    columns = tuple(name for name, _ in shown)
    return replace(
        result,
        columns=columns,
        metrics=np.stack([values for _, values in shown], axis=2),
        best_metric=columns[result.columns.index(result.best_metric)],
    )


def _exact(counts: np.ndarray) -> float:
    """The Poisson loss of exact predictions."""
    return float(exact_losses(get_loss("poisson"), counts).mean())
