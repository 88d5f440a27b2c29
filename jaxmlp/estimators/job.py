"""What is handed to training, and what it hands back."""

from typing import Any, NamedTuple

import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.estimators.callbacks import EpochReports
from jaxmlp.estimators.rows import Rows
from jaxmlp.losses import Loss, check_loss_options
from jaxmlp.training import Program
from jaxmlp.types import Params, State


class Solver:
    """The state of a solver between calls of `partial_fit`.

    Attributes:
        learning_rate: of the next step, where `learning_rate` names a schedule.
        leaves: moments and counters, flat; None where each fit begins anew.
    """

    def __init__(self, learning_rate: float, leaves: list[np.ndarray]) -> None:
        """Hold both."""
        self.learning_rate, self.leaves = learning_rate, leaves


class FitJob(NamedTuple):
    """What is to be trained: `starts` holds the initial weights of each member."""

    estimator: Any
    config: MLPConfig
    loss: Loss
    rows: Rows
    validation: Rows | None
    frozen: tuple[int, ...]
    starts: list[tuple[Params, State]]
    incremental: bool = False
    reports: EpochReports | None = None

    @property
    def heard(self) -> bool:
        """Whether somebody needs the weights after every epoch."""
        return self.reports is not None and self.reports.wanted

    @property
    def last_epoch(self) -> int:
        """Most epochs of this call."""
        return 1 if self.incremental else self.estimator.max_iter

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the recorded metrics."""
        program = Program(self.config, self.loss, 1)
        return program.columns(self.validation is not None)

    @property
    def options(self) -> dict[str, float]:
        """Numbers of the loss."""
        return check_loss_options(self.loss, self.estimator._loss_options())


class FitOutcome(NamedTuple):
    """What training found.

    Attributes:
        params: the parameters, on the host.
        state: running statistics of batch normalization.
        table: each epoch's metrics, (epochs, columns); empty for L-BFGS.
        n_iter: number of epochs or iterations.
        loss: the last value of the objective.
        waited: epochs in a row without enough improvement.
        optimizer: what `partial_fit` goes on from, or None.
        lost: whether nothing finite was found.
    """

    params: Params
    state: State
    table: np.ndarray
    n_iter: int
    loss: float
    waited: int = 0
    optimizer: Solver | None = None
    lost: bool = False
