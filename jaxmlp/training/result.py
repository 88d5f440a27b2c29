"""What `fit` returns, and what it tells callbacks on the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxmlp.losses import Loss
from jaxmlp.networks import Network
from jaxmlp.training.history import History
from jaxmlp.training.program import Carry
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import PyTree, State


@dataclass(frozen=True)
class FitResult:
    """What a run learnt; pass it to `fit` in the place of the parameters to go on.

    Attributes:
        config: the network, an `MLPConfig` or a `TabularConfig`.
        loss: the loss it was trained with.
        params: the best parameters with early stopping, after a divergence or an interruption;
            else those after the last epoch.
        state: running statistics that belong to `params`, or ().
        history: one row an epoch.
        status: how the run ended.
        best_epoch: the epoch, from 1, with the best metric; 0 if none ended.
        epoch: the epoch, from 1, that `params` are from; 0 if from before any.
        n_steps: steps taken, those of earlier calls included.
        carry: where the run stands; its `stopped_at` is the step at which it diverged.
        probed: what the probe read, stacked along a leading axis; None without one.
        probe_steps: number of steps taken up to each reading, (readings,).
        diagnostics: what `fit(diagnostics=...)` saw; None without.
    """

    config: Any
    loss: Loss
    params: Any
    state: State
    history: History
    status: FitStatus
    best_epoch: int
    epoch: int
    n_steps: int
    steps_per_epoch: int
    carry: Carry = field(repr=False)
    probed: PyTree = field(default=None, repr=False)
    probe_steps: Any = field(default=None, repr=False)
    diagnostics: Any = field(default=None, repr=False)

    @property
    def network(self) -> Network:
        """The trained network as one value."""
        return Network(self.config, self.params, self.state)

    @property
    def optimizer_state(self) -> PyTree:
        """Moments and counters after the last step."""
        return self.carry.optimizer_state


@dataclass(frozen=True)
class Progress:
    """What a callback is given after an epoch.

    Attributes:
        epoch: its number, from 1.
        epochs: the number of the last one if nothing stops the run.
        row: the epoch's metrics by name.
        result: a function that makes a `FitResult` of the run so far, which is the state at the
            end of the *chunk*; with `every=1` that is the end of this epoch.
    """

    epoch: int
    epochs: int
    row: Mapping[str, float]
    result: Callable[[], FitResult] = field(repr=False)


Callback = Callable[[Progress], Any]
"""Called after each epoch (in its chunk's end); what it returns stops the run if it is True."""
