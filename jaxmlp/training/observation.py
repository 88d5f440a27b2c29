"""Watching a run: what `fit` asks of its `diagnostics`.

The loop knows these interfaces and nothing else; what there is to measure, `jaxmlp.diagnostics`
knows, whose `Diagnostics` is the one to pass.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxmlp.config import MLPConfig
from jaxmlp.optimizers import Optimizer
from jaxmlp.training.batches import TrainData
from jaxmlp.training.program import Carry, Monitor, Program, Settings
from jaxmlp.types import PyTree


class RunParts(NamedTuple):
    """What a run is made of besides its carry: enough to take any of its steps again."""

    program: Program
    optimizer: Optimizer
    train: TrainData
    validation: TrainData | None
    settings: Settings
    steps_per_epoch: int


class Watch(Protocol):
    """One run under observation."""

    def before_chunk(self, carry: Carry, step: int) -> None:
        """Take note of where a chunk starts; its carry is donated, so copy what to keep."""

    def after_chunk(self, carry: Carry, step: int, over: bool) -> None:
        """Look at where the chunk has come to, and whether the run is over."""

    def report(self, steps: list[int], readings: PyTree) -> Any:
        """Pack what has been seen so far, with the monitor's records: `FitResult.diagnostics`."""


@runtime_checkable
class Observer(Protocol):
    """What `fit(diagnostics=...)` takes."""

    @property
    def every(self) -> int:
        """Return the monitor's cadence in steps."""

    def monitor(self, config: MLPConfig, frozen: tuple[int, ...]) -> Monitor:
        """Make the function that is recorded inside the compiled run."""

    def watch(self, parts: RunParts, carry: Carry, step: int, earlier: Any) -> Watch:
        """Begin with a run; `earlier` is the report of the run that it goes on with, or None."""
