"""Networks of one table and one shape, trained together: what a search is made of."""

from functools import partial
from typing import Any

import jax

import jaxmlp
from jaxmlp.cli.options import Options, loss_options
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.training_run import draw_params, make_plan
from jaxmlp.networks import mlp_of, with_layers
from jaxmlp.optimizers import Optimizer
from jaxmlp.sweeps import SweepResult
from jaxmlp.sweeps.progress import OnProgress
from jaxmlp.training import EarlyStopping

# The others are functions that have their numbers inside, so that each rate would be a program.
SWEPT_SCHEDULES = ("constant", "cosine", "coslog4")


class Turns:
    """Trains candidates, those of a turn in one program.

    Args:
        data: of the run.
    """

    def __init__(self, data: PreparedData) -> None:
        """Compile nothing yet."""
        self.data = data
        self._inits: dict[tuple[int, ...], Any] = {}  # jit knows a function by its identity

    def train(
        self, candidates: list[Options], seeds: list[int], on_progress: OnProgress
    ) -> SweepResult:
        """Train one network for each of the options, which differ in rates alone.

        Args:
            candidates: options with the same layers and epochs.
            seeds: of each one's initial parameters, order of batches and masks.
            on_progress: called after each chunk; True ends the turn.
        """
        options, data = candidates[0], self.data
        first = make_plan(options, data)
        plans = [make_plan(candidate, data, first.params) for candidate in candidates]

        def rule(candidate: int) -> Optimizer:
            return plans[candidate].optimizer

        points = [
            {"candidate": i, "dropout_rate": plan.dropout_rate, "seed": seed}
            for i, (plan, seed) in enumerate(zip(plans, seeds, strict=True))
        ]
        config = with_layers(first.config, mlp_of(first.config).replace(dropout=True))
        stopping = options.patience and EarlyStopping(first.best, options.patience)
        return jaxmlp.sweep(
            config, (data.train.x, data.train.y), loss=data.loss, grid=points,
            epochs=options.epochs, key=jax.random.key(options.seed), optimizer=rule,
            batch_size=first.batch_size, l2=options.l2, gradient=options.gradient,
            validation_data=(data.validation.x, data.validation.y),
            early_stopping=stopping or None, loss_options=loss_options(options, data.loss),
            init=self._init(options), keep="all", progress=on_progress,
        )  # fmt: skip

    def _init(self, options: Options) -> Any:
        if options.layers not in self._inits:
            self._inits[options.layers] = partial(draw_params, options, self.data)
        return self._inits[options.layers]
