"""`Diagnostics`: the health of a run, observed while it trains and kept in its result."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int

from jaxmlp.diagnostics.chance import chance_level
from jaxmlp.diagnostics.examine import sample_rows, take_sample
from jaxmlp.diagnostics.nonfinite import NonFinite, replay
from jaxmlp.diagnostics.probe import LayerProbe, LayerReadings, probe_layers
from jaxmlp.diagnostics.units import UnitActivity, layer_activity, seen_rows
from jaxmlp.formatting import format_number
from jaxmlp.losses import Loss
from jaxmlp.losses.deviance import exact_losses
from jaxmlp.networks import (
    NetworkConfig,
    NetworkParams,
    functions_of,
    layers_of,
    mlp_of,
    without_dropout,
)
from jaxmlp.once import jit_once
from jaxmlp.training.chunk import copy_tree
from jaxmlp.training.data import TrainData, real_rows
from jaxmlp.training.program import Carry
from jaxmlp.training.runner import Runner
from jaxmlp.types import ScalarLike, State

_ACTIVITY_ROWS = 4096  # shares to a standard error of 0.8%, for 1/20 of the cost of 60,000 rows


@dataclass(frozen=True)
class RunDiagnostics:
    """What `fit(diagnostics=Diagnostics())` saw; `print` it for a table.

    Attributes:
        steps: number of steps up to each record, (records,).
        layers: readings of every layer at these steps, (records, layers) each; None if the run
            was shorter than the cadence.
        epochs: of the looks at all examples; the first is 0, before training.
        activity: of the hidden layers at each look.
        first_loss: mean loss before training.
        chance: loss of the best constant prediction: ln C for C equally frequent classes. A fresh
            network should start near it.
        exact: loss of exact predictions: 0, but for counts.
        non_finite: where NaN or infinity first appeared; None in a run that stayed finite.
    """

    steps: Int[np.ndarray, " records"]
    layers: LayerReadings | None
    epochs: tuple[int, ...]
    activity: tuple[tuple[UnitActivity, ...], ...]
    first_loss: float
    chance: float
    exact: float
    non_finite: NonFinite | None = None

    def __str__(self) -> str:
        """Format the readings of the first record and the last as a table."""
        first, chance = format_number(self.first_loss), format_number(self.chance)
        lines = [f"loss before training {first}, of the best constant prediction {chance}"]
        if self.non_finite is not None:
            lines.append(f"not finite from {self.non_finite}")
        if self.layers is not None:
            lines += ["", f"from step {self.steps[0]} to step {self.steps[-1]}:", _HEADING]
            lines += [self._row(l) for l in range(self.layers.gradient_norm.shape[1])]
        return "\n".join(lines)

    def _row(self, l: int) -> str:
        assert self.layers is not None
        parts = (self.layers.gradient_norm, self.layers.update_ratio)
        moves = (f"{values[0, l]:.1e} -> {values[-1, l]:.1e}" for values in parts)
        last = self.activity[-1]
        units = ("", "")
        if l < len(last):
            n_dead = int(last[l].dead.sum())
            units = f"{n_dead} of {len(last[l].dead)}", f"{last[l].saturated_fraction:.1%}"
        return _line((str(l), *moves, *units))


_WIDTHS = (5, 18, 18, 12, 9)


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(c.rjust(width) for c, width in zip(cells, _WIDTHS, strict=True)).rstrip()


_HEADING = _line(("layer", "gradient norm", "update/weight", "dead units", "saturated"))


@dataclass(frozen=True)
class Diagnostics:
    """Switch on what observes a run: `fit(..., diagnostics=Diagnostics())`.

    Every `every` steps, inside the compiled program: gradient norm, update/weight ratio, weight
    norm, activations, dead and saturated units of each layer on the batch at hand. At the start, at
    the end, and between chunks of steps that are `every_epochs` apart at least: the units over the
    training set (shares of a sample of 4096 rows; which units are dead, over all rows). If the run
    diverges, its last steps are taken again to find the step, layer and tensor in which that began.
    It needs memory for two copies of what the optimizer carries.

    Args:
        every: steps between two records.
        every_epochs: epochs between two looks at all examples at the least.

    Raises:
        ValueError: if one of them is below 1.

    Example:
        >>> import jax
        >>> from jaxmlp import MLPConfig, fit, init, sgd
        >>> config = MLPConfig((2, 8, 2), activation="tanh")
        >>> x, y = np.eye(2, dtype=np.float32), np.array([0, 1])
        >>> result = fit(config, init(config, jax.random.key(0)), (x, y), optimizer=sgd(0.1),
        ...              loss="softmax_cross_entropy", epochs=40, key=jax.random.key(1),
        ...              diagnostics=Diagnostics(every=10))
        >>> seen = result.diagnostics
        >>> seen.steps.tolist(), seen.layers.gradient_norm.shape, seen.epochs[-1]
        ([10, 20, 30, 40], (4, 2), 40)
        >>> round(seen.chance, 4), seen.non_finite
        (0.6931, None)

    Reference: lecture, chapter VI.
    """

    every: int = 100
    every_epochs: int = 20

    def __post_init__(self) -> None:
        """Refuse cadences that are none."""
        for name in ("every", "every_epochs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} is {value!r}; give a whole number >= 1.")

    def probe(self, config: NetworkConfig, frozen: tuple[int, ...]) -> LayerProbe:
        """Make the probe whose readings are recorded in the compiled run; called by `fit`."""
        return probe_layers(config, frozen)

    def observe(self, run: Runner, earlier: RunDiagnostics | None) -> "_Observation":
        """Begin with a run; called by `fit`."""
        return _Observation(self, run, earlier)

    def restore(self, saved: dict[str, np.ndarray]) -> RunDiagnostics:
        """Return what a resumed run goes on with; called by `fit`."""
        epochs = saved["epochs"].tolist()
        names = UnitActivity._fields
        n_layers = (len(saved) - 2) // max(len(names) * len(epochs), 1)
        looks = tuple(
            tuple(
                UnitActivity._make(saved[f"{i}.{l}.{name}"] for name in names)
                for l in range(n_layers)
            )
            for i in range(len(epochs))
        )
        first, chance, exact = saved["at_start"].tolist()
        return RunDiagnostics(np.zeros(0, int), None, tuple(epochs), looks, first, chance, exact)


class _Observation:
    """One run under observation."""

    def __init__(self, cadence: Diagnostics, run: Runner, earlier: RunDiagnostics | None) -> None:
        self.cadence = cadence
        self.x = real_rows(run.shared.train).x
        self.looks: list[tuple[int, tuple[UnitActivity, ...]]] = []
        self.starts: list[tuple[int, Carry]] = []  # of the last two chunks
        self.non_finite: NonFinite | None = None
        if earlier is not None:
            self.looks = list(zip(earlier.epochs, earlier.activity, strict=True))
            self.at_start = earlier.first_loss, earlier.chance, earlier.exact
        else:
            self.at_start = _losses_at_start(run)
            self._look(run)

    def before_chunk(self, run: Runner) -> None:
        """Keep where the chunk starts: it is gone once the chunk has run."""
        self.starts = [*self.starts[-1:], (run.n_steps, copy_tree(run.carry))]

    def after_chunk(self, run: Runner) -> None:
        """Look at all examples if it is time to, and for the origin of a divergence."""
        stopped_at = int(run.carry.stopped_at)
        if stopped_at >= 0:
            # What is not finite at a chunk's first step became so in the chunk before.
            earlier = [start for start in self.starts if start[0] < stopped_at]
            first, start = (earlier or self.starts)[-1]
            self.non_finite = replay(run, start, first, stopped_at)
            return
        last = self.looks[-1][0] * run.steps_per_epoch
        interval = self.cadence.every_epochs * run.steps_per_epoch
        if run.is_over or run.n_steps - last >= interval:
            self._look(run)

    def report(self, steps: list[int], readings: Any) -> RunDiagnostics:
        """Pack what has been seen so far."""
        epochs, activity = zip(*self.looks, strict=True)
        return RunDiagnostics(
            np.asarray(steps, int), readings, epochs, activity, *self.at_start, self.non_finite
        )  # fmt: skip

    def saved(self) -> dict[str, np.ndarray]:
        """Return what `Diagnostics.restore` needs."""
        records = {
            "at_start": np.array(self.at_start), "epochs": np.array([e for e, _ in self.looks], int)
        }  # fmt: skip
        for i, (_, layers) in enumerate(self.looks):
            for l, units in enumerate(layers):
                for name, value in units._asdict().items():
                    records[f"{i}.{l}.{name}"] = np.asarray(value)
        return records

    def _look(self, run: Runner) -> None:
        epoch = run.n_steps // run.steps_per_epoch
        if self.looks and self.looks[-1][0] == epoch:
            return
        program, carry = run.program, run.carry
        activity = layer_activity(
            mlp_of(program.config), layers_of(carry.params),
            seen_rows(program.config, carry.params, self.x),
            sample_rows=_ACTIVITY_ROWS, state=carry.state, frozen=program.frozen,
        )  # fmt: skip
        self.looks.append((epoch, activity))


def _losses_at_start(run: Runner) -> tuple[float, float, float]:
    """Mean loss of the untrained network, of the best constant and of the truth, over a sample."""
    program, train, options = run.program, run.shared.train, run.members.settings.loss_options
    config = without_dropout(program.config)
    value, y, weight = jax.device_get(
        _first_loss(
            config, program.loss, program.frozen, run.carry.params, run.carry.state, train,
            sample_rows(int(train.n_rows)), options,
        )
    )  # fmt: skip
    chance = chance_level(program.loss, y, config.layer_sizes[-1], options, weight)
    exact = np.average(exact_losses(program.loss, y), weights=weight)
    return float(value), chance, float(exact)


@partial(jit_once, static_argnames=("loss", "frozen"))
def _first_loss(
    config: NetworkConfig,
    loss: Loss,
    frozen: tuple[int, ...],
    params: NetworkParams,
    state: State,
    train: TrainData,
    rows: Int[Array, " rows"],
    options: dict[str, ScalarLike],
) -> tuple[Array, Array, Array]:
    """Mean loss over some rows, with their targets and weights."""
    sample = take_sample(train, rows)
    J = functions_of(config).objective(config, loss, frozen=frozen)
    value = J(
        params, sample.x, sample.y, sample_weight=sample.weight, state=state, loss_options=options
    )
    return value, sample.y, sample.weight
