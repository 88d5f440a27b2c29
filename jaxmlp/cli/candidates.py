"""What a search tries, and what that takes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from jaxmlp.cli.options import Options
from jaxmlp.networks import mlp_of
from jaxmlp.sweeps import SweepResult
from jaxmlp.training import FitResult

# How often a draw keeps what the options say. Rates share a program, sizes do not, and networks of
# one turn are equally long.
_KEPT = {"dropout": 0.3, "epochs": 0.5, "layers": 0.75}
_RATES = (0.25, 4.0)  # times the options' rate, evenly on a log scale
_DROPOUTS = (0.0, 0.05, 0.1, 0.2, 0.3)
_EPOCHS = (0.5, 1.5)  # times the options'
_LAYERS = ((64, 64), (256, 256), (128, 128, 128))
_DRAWS = 20  # turns that are looked at until one fits
ENSEMBLE = 7  # networks beside the best one; further ones gain little
_MARGIN = 1.1  # what a turn may take more than the one before it


class Candidates:
    """Draws options near those of a run.

    Args:
        options: of the run; its seed is that of the draws.
    """

    def __init__(self, options: Options) -> None:
        """Draw nothing yet."""
        self.options, self._rng = options, np.random.default_rng(options.seed)
        self._is_first = True

    def turn(self, size: int, fits: Callable[[Options], bool]) -> list[Options]:
        """Draw so many options of one shape, for which there is time; [] if there is for none.

        The first turn has the sizes of the run, so that the ensemble finds its program compiled.
        """
        for _ in range(_DRAWS):
            shape = self.options if self._is_first else self._shape()
            if fits(shape):
                self._is_first = False
                return [self._member(shape) for _ in range(size)]
        return []

    def _shape(self) -> Options:
        factor, layers = 1.0, self.options.layers
        if self._rng.random() > _KEPT["epochs"]:
            factor = self._choose(_EPOCHS)
        if self._rng.random() > _KEPT["layers"]:
            layers = self._choose(_LAYERS)
        patience = self.options.patience
        return replace(
            self.options,
            layers=layers,
            epochs=max(1, round(self.options.epochs * factor)),
            patience=None if patience is None else max(1, round(patience * factor)),
        )

    def _member(self, shape: Options) -> Options:
        low, high = np.log(_RATES)
        rate = self.options.rate * math.exp(self._rng.uniform(low, high))
        dropout = shape.dropout
        if self._rng.random() > _KEPT["dropout"]:
            dropout = self._choose(_DROPOUTS)
        return replace(shape, learning_rate=float(f"{rate:.2g}"), dropout=dropout)

    def _choose(self, values: tuple[Any, ...]) -> Any:
        return values[self._rng.integers(len(values))]


@dataclass
class Pace:
    """What training takes, by what it took.

    Args:
        options: of the first training.
        first: its result.
        fit_seconds: that it took, compilation included.
    """

    options: Options
    first: FitResult
    fit_seconds: float

    def __post_init__(self) -> None:
        """Take the first training as the measure."""
        trained = float(np.sum(self.first.history["seconds"]))
        self.compile_seconds = max(self.fit_seconds - trained, 0.0)
        # One that stopped early says what an epoch takes all the same.
        epochs = max(self.first.history.n_epochs, 1)
        work = self._work(replace(self.options, epochs=epochs))
        self._per_work = {self.options.layers: trained / work}
        self.turn_seconds = 0.0  # of a turn beside its training: plans, initial parameters
        self._compiled: set[tuple[tuple[int, ...], int]] = set()

    def seconds(self, turns: list[Options], n_networks: int) -> float:
        """Predict what turns of so many networks take: their training, and what is compiled anew.

        Args:
            turns: the options of each.
            n_networks: of each.
        """
        shapes = {(options.layers, n_networks) for options in turns} - self._compiled
        training = n_networks * sum(self._training_seconds(options) for options in turns)
        return _MARGIN * (training + len(turns) * self.turn_seconds) + (
            len(shapes) * self.compile_seconds
        )

    def networks(self, left: float) -> int:
        """Return how many networks a turn should have.

        Up to `ENSEMBLE` that fit are all the ensemble's, for a search of fewer than that says
        little; of more, half go into a search, in turns of at most so many.

        Args:
            left: seconds.
        """
        one = max(_MARGIN * self._training_seconds(self.options), 1e-9)
        fitting = max(0, int((left - self.compile_seconds) / one))
        return fitting if fitting <= ENSEMBLE else min(ENSEMBLE, fitting // 2)

    def learn(self, turn: list[Options], found: SweepResult, seconds: float) -> None:
        """Take in what a turn took."""
        ended = int(np.isfinite(found.metrics[..., 0]).any(axis=0).sum())
        steps = self.first.steps_per_epoch * ended * len(found)
        trained = min(found.microseconds * 1e-6 * steps, seconds)
        work = len(turn) * self._work(replace(turn[0], epochs=max(ended, 1)))
        self._per_work[turn[0].layers] = trained / work
        shape = (turn[0].layers, len(turn))
        if shape in self._compiled:
            self.turn_seconds = seconds - trained
        else:
            self.compile_seconds = max(seconds - trained - self.turn_seconds, 0.0)
            self._compiled.add(shape)

    def _training_seconds(self, options: Options) -> float:
        """Of one network; sizes that have not trained yet are as fast as the first ones."""
        of_first = self._per_work[self.options.layers]
        return self._per_work.get(options.layers, of_first) * self._work(options)

    def _work(self, options: Options) -> float:
        """Products of an epoch's rows with the weights, of all epochs: what time goes with."""
        first, *_, last = mlp_of(self.first.config).layer_sizes
        sizes = (first, *options.layers, last)
        return options.epochs * sum(a * b for a, b in pairwise(sizes))
