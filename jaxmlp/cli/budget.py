"""`jaxmlp train --budget SECONDS`: what a first training leaves buys a search, then an ensemble.

The first training, measured, says what another one takes. Of what fits, seven networks are for the
ensemble: they differ from the best one in nothing but their seed. What is beyond goes into a search
over the recipe's numbers before that, in turns of networks that share a program.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxmlp.cli.candidates import ENSEMBLE, Candidates, Pace
from jaxmlp.cli.options import Options, loss_options
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.training_run import Improvement
from jaxmlp.cli.turns import Turns
from jaxmlp.cli.units import units_of
from jaxmlp.formatting import format_number, format_share
from jaxmlp.losses import check_loss_options, get_loss
from jaxmlp.models import Model, infer
from jaxmlp.networks import without_dropout
from jaxmlp.sweeps import SweepProgress, SweepResult
from jaxmlp.tabular_config import link_of
from jaxmlp.tabular_network import average_logits
from jaxmlp.training import FitResult, FitStatus, History
from jaxmlp.training.data import prepare_data
from jaxmlp.training.metrics import METRICS, finish, metric_sums, total
from jaxmlp.training.stopping import higher_is_better

_TITLES = {"first": "first training", "search": "search", "ensemble": "ensemble"}


class Budget:
    """Seconds that run from now on.

    Args:
        seconds: how many.
        clock: what counts them.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """Look at the clock."""
        self.seconds, self._clock = seconds, clock
        self._begin = clock()

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._begin

    @property
    def left(self) -> float:
        """Seconds until the end, negative after it."""
        return self.seconds - self.spent


class _Stage(NamedTuple):
    """What a part of the budget came to.

    Attributes:
        networks: trained in it.
        seconds: that it took.
        before: the validation score before it.
        after: and after it.
    """

    networks: int
    seconds: float
    before: float
    after: float


@dataclass
class _Spending:
    """What has been bought so far."""

    budget: Budget
    data: PreparedData
    metric: str
    turns: Any
    pace: Pace
    candidates: Candidates
    best: Options
    result: FitResult
    size: int = 0
    interrupted: bool = False
    out_of_time: bool = False
    ensemble: list[Any] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The validation score of the best network."""
        return _score_of(self.result, self.metric)

    def train(self, candidates: list[Options], seeds: list[int]) -> SweepResult | None:
        """Train a turn, until the budget is spent; None if it was interrupted at once."""
        begin = self.budget.spent

        def over(at: SweepProgress) -> bool:
            self.out_of_time = self.budget.left <= 0
            return self.out_of_time

        try:
            found: SweepResult = self.turns.train(candidates, seeds, over)
        except KeyboardInterrupt:
            self.interrupted = True
            return None
        stopped = FitStatus.INTERRUPTED in found.status
        self.interrupted = stopped and not self.out_of_time
        if not stopped:
            self.pace.learn(candidates, found, self.budget.spent - begin)
        return found

    @property
    def over(self) -> bool:
        """Whether nothing more can be trained."""
        return self.interrupted or self.out_of_time

    def search(self) -> _Stage:
        """Try other numbers while there is time for them and for an ensemble."""
        begin, before, tried = self.budget.spent, self.score, 0
        while not self.over:
            turn = self.candidates.turn(self.size, self._fits)
            found = self.train(turn, [0] * len(turn)) if turn else None
            if found is None:
                break
            tried += len(found)
            place = found.best_index
            if _better(self.metric, float(found.scores[place]), self.score):
                self.best, self.result = turn[place], _as_fit(found, place, self.result)
        return _Stage(tried, self.budget.spent - begin, before, self.score)

    def _fits(self, candidate: Options) -> bool:
        """Whether a turn of these options leaves time for an ensemble, of whichever are best."""
        either = candidate, self.best
        needed = max(self.pace.seconds([candidate, best], self.size) for best in either)
        return needed <= self.budget.left

    def prepare(self) -> float:
        """Compile the measurement of networks now, so that no time need be left for it.

        Returns:
            Seconds that it took.
        """
        begin = self.budget.spent
        _ensemble_score(self.result, [], self.data, self.best, self.metric)
        self.size = self.pace.networks(self.budget.left)
        return self.budget.spent - begin

    def _ensemble_size(self) -> int:
        """A turn's networks, whose program there is; else as many as there is time for."""
        sizes = range(self.size, 0, -1)
        left = self.budget.left
        return next((n for n in sizes if self.pace.seconds([self.best], n) <= left), 0)

    def train_ensemble(self) -> _Stage:
        """Train the best options from other seeds, and keep these if their mean is better."""
        begin, before, after = self.budget.spent, self.score, self.score
        trained: list[Any] = []
        size = self._ensemble_size()
        while not self.over and len(trained) < ENSEMBLE:
            if not size or self.pace.seconds([self.best], size) > self.budget.left:
                break
            seeds = [1 + len(trained) + k for k in range(size)]
            found = self.train([self.best] * size, seeds)
            if found is None:
                break
            # Of those that ran out of time, what they had learnt by their best epoch counts too.
            sound = np.flatnonzero(np.isfinite(found.scores)).tolist()
            trained += [tuple(found.member(i).network[1:]) for i in sound]
        if trained:
            score = _ensemble_score(self.result, trained, self.data, self.best, self.metric)
            if _better(self.metric, score, before):
                self.ensemble, after = trained, score
        return _Stage(len(trained), self.budget.spent - begin, before, after)


def spend(
    budget: Budget,
    console: Console,
    options: Options,
    data: PreparedData,
    first: FitResult,
    fit_seconds: float,
    metric: str,
    turns: Any = None,
) -> Improvement:
    """Buy what a budget still buys after a first training.

    Args:
        budget: the time; it has begun before the first training.
        console: where to print.
        options: of the first training.
        data: of the run.
        first: what the first training learnt.
        fit_seconds: that it took, compilation included.
        metric: of the validation part, that decides.
        turns: what trains candidates together.

    Returns:
        The best options and network, and an ensemble if one is better.
    """
    seconds, before = budget.spent, _score_of(first, metric)
    pace = Pace(options, first, fit_seconds)
    spending = _Spending(
        budget, data, metric, turns or Turns(data), pace, Candidates(options), options, first
    )
    stages = {"first": _Stage(1, seconds, before, before)}
    if pace.networks(budget.left):
        with console.status(f"spending what is left of {budget.seconds:g} s"):
            prepared = spending.prepare()
            stages["search"] = spending.search()
            ensemble = spending.train_ensemble()
            stages["ensemble"] = ensemble._replace(seconds=prepared + ensemble.seconds)
    changed = _changed(options, spending.best)
    _show(console, spending, stages, changed)
    record = {
        "seconds": budget.seconds, "spent": budget.spent, "metric": metric, "changed": changed,
        "networks": 1 + len(spending.ensemble),
        **{name: stage._asdict() for name, stage in stages.items()},
    }  # fmt: skip
    return Improvement(
        spending.best, spending.result, tuple(spending.ensemble), record, spending.interrupted
    )


def _ensemble_score(
    result: FitResult, further: list[Any], data: PreparedData, options: Options, metric: str
) -> float:
    """Measure the mean prediction of several networks on the validation part."""
    loss, part = get_loss(data.loss), data.validation
    config = without_dropout(result.config)  # which would make another program of it
    ready = prepare_data(config, loss, (part.x, part.y))
    x = np.asarray(ready.x)
    networks = ((result.params, result.state), *further)
    each = [infer(Model(config, p, s, loss.name), x, output="logits") for p, s in networks]
    outputs = average_logits(link_of(loss), jnp.asarray(np.stack(each)))
    weight = jnp.ones(len(outputs), outputs.dtype)
    numbers = check_loss_options(loss, loss_options(options, data.loss))
    sums = total(metric_sums(loss, outputs, ready.y, weight, numbers))
    values = finish(loss, sums, jnp.asarray(ready.spread, outputs.dtype))
    return float(values[METRICS[loss.task].index(metric.removeprefix("validation_"))])


def _score_of(result: FitResult, metric: str) -> float:
    column = result.history[metric]
    return float(column[result.epoch - 1]) if result.epoch else float("nan")


def _better(metric: str, score: float, than: float) -> bool:
    if not np.isfinite(score):
        return False
    return not np.isfinite(than) or (score > than if higher_is_better(metric) else score < than)


def _as_fit(found: SweepResult, place: int, first: FitResult) -> FitResult:
    """A member of a sweep as what `fit` returns, without what only a run alone records."""
    member, history = found.member(place), found.history(place)
    steps = first.steps_per_epoch
    each = np.full(history.n_epochs, found.microseconds * 1e-6 * steps)
    return replace(
        first, config=member.config, params=member.params, state=member.state,
        history=History({**history, "seconds": each}), status=member.status,
        best_epoch=member.best_epoch, epoch=int(found.epoch[place]),
        n_steps=history.n_epochs * steps, probed=None, probe_steps=None, diagnostics=None,
    )  # fmt: skip


def _changed(options: Options, best: Options) -> dict[str, Any]:
    names = ("learning_rate", "dropout", "epochs", "layers")
    found = {name: getattr(best, name) for name in names}
    return {name: value for name, value in found.items() if value != getattr(options, name)}


def _show(
    console: Console, spending: _Spending, stages: dict[str, _Stage], changed: dict[str, Any]
) -> None:
    """Say what each part of the budget bought."""
    budget, pace = spending.budget, spending.pace
    if sum(stage.networks for stage in stages.values()) == 1 and not spending.interrupted:
        one = format_number(pace.seconds([spending.best], 1), 2)
        console.print(
            f"budget: no further training fits into what is left of {budget.seconds:g} s, for one "
            f"takes about {one} s with its compilation\n"
        )
        return
    shown, _ = units_of(spending.data).shown(spending.metric, 0.0)
    table = Table(box=None, padding=(0, 2, 0, 0), title="budget", title_justify="left")
    for heading in ("spent on", "networks", "seconds", shown.replace("_", " "), ""):
        table.add_column(heading, justify="left" if heading in ("spent on", "") else "right")
    notes = {
        "first": "as the options say",
        "search": _said(changed) or "nothing better",
        "ensemble": f"the mean of {1 + len(spending.ensemble)}"
        if spending.ensemble
        else "no better, one network is kept",
    }
    for name, stage in stages.items():
        numbers = str(stage.networks), f"{stage.seconds:.1f}"
        nothing = "interrupted" if spending.interrupted else "nothing fitted"
        note = notes[name] if stage.networks else nothing
        table.add_row(_TITLES[name], *numbers, _value(spending, stage.after), note)
    console.print(table)
    how = ", interrupted" if spending.interrupted else ""
    console.print(f"{format_number(budget.spent, 3)} of {budget.seconds:g} s{how}\n")


def _value(spending: _Spending, value: float) -> str:
    name, shown = units_of(spending.data).shown(spending.metric, value)
    return format_share(shown, 2) if name.endswith("accuracy") else format_number(shown)


def _said(changed: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_write(v)}" for name, v in changed.items())


def _write(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"
