"""What `fit` asks of its `diagnostics`.

The loop knows these interfaces and nothing else; what there is to measure, `jaxmlp.diagnostics`
knows, whose `Diagnostics` is the one to pass.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from jaxmlp.networks import NetworkConfig
from jaxmlp.training.program import Probe
from jaxmlp.training.runner import Listener, Runner
from jaxmlp.types import PyTree


class Observation(Listener, Protocol):
    """One run under observation."""

    def report(self, steps: list[int], readings: PyTree) -> Any:
        """Pack what has been seen so far, with the probe's readings: `FitResult.diagnostics`."""

    def saved(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint must hold for an `Observer.restore`."""


@runtime_checkable
class Observer(Protocol):
    """What `fit(diagnostics=...)` takes."""

    @property
    def every(self) -> int:
        """Return the steps from one reading of the probe to the next."""

    def probe(self, config: NetworkConfig, frozen: tuple[int, ...]) -> Probe:
        """Make the function whose readings are recorded inside the compiled run."""

    def observe(self, run: Runner, earlier: Any) -> Observation:
        """Begin with a run; `earlier` is the report of the run that it goes on with, or None."""

    def restore(self, saved: dict[str, np.ndarray]) -> Any:
        """Return such a report from what a checkpoint holds."""
