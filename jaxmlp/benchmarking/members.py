"""Workload "members": many networks in one program, against one after another."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

import jaxmlp
from jaxmlp.benchmarking.effort import Effort
from jaxmlp.benchmarking.equality import TOLERANCE
from jaxmlp.benchmarking.peers.problem import Problem
from jaxmlp.benchmarking.problems import DIGITS, digits
from jaxmlp.benchmarking.results import Row
from jaxmlp.benchmarking.timing import interleave

CASE = "64-128-10, batch 32"
TOGETHER, ALONE = "sweep", "one after another"
ONE_DEVICE = "sweep, one device, best executor"
EXECUTORS = ("vmap", "chunks", "sequential")
METRIC = "one step of one member"
COUNT = 64


def measure_members(effort: Effort) -> Iterator[Row]:
    """Time 64 members, on the devices that there are."""
    yield from time_members(8 if effort.quick else COUNT, effort)


def time_members(count: int, effort: Effort) -> Iterator[Row]:
    """Time a sweep over seeds and, in turns, as many compiled fits."""
    problem = digits(32, 1 if effort.quick else 20)
    runs = _Runs(problem, count)
    works = {name: work for name, work in runs.works().items() if effort.wants(name)}
    timings = interleave(works, effort.rounds_of(5), after=runs.keep)
    member_steps = count * problem.steps
    own = runs.losses.get(TOGETHER)
    for name, timing in timings.items():
        ratio = runs.losses[name] / own if own else 1.0
        # A mean over few members says little of equal work; 64 scatter by less than 1%.
        void = f"final loss {ratio:.3g} x" if count >= COUNT and abs(ratio - 1) > TOLERANCE else ""
        details = {
            "members": count,
            "devices": jax.device_count(),
            "executor": runs.executors.get(name, ""),
            "final loss": runs.losses[name],
        }
        yield Row(
            "members", f"{count} x {CASE}", name, METRIC, "s", timing.median / member_steps,
            timing.low / member_steps, timing.high / member_steps,
            timing.processor / member_steps, timing.rounds, void, details,
        )  # fmt: skip


def measure_one_device(effort: Effort) -> Iterator[Row]:
    """Time each executor in a process with a single device; the best one gets the row."""
    runs = _Runs(digits(32, 1 if effort.quick else 20), 8 if effort.quick else COUNT)
    works = {name: partial(runs.together, executor=name) for name in EXECUTORS}
    timings = interleave(works, effort.rounds_of(5))
    best = min(timings, key=lambda name: timings[name].median)
    timing, member_steps = timings[best], runs.count * runs.problem.steps
    details = {
        "members": runs.count,
        "devices": jax.device_count(),
        "executor": best,
        "all executors (s)": {name: found.median / member_steps for name, found in timings.items()},
    }
    yield Row(
        "members", f"{runs.count} x {CASE}", ONE_DEVICE, METRIC, "s", timing.median / member_steps,
        timing.low / member_steps, timing.high / member_steps, timing.processor / member_steps,
        timing.rounds, "", details,
    )  # fmt: skip


class _Runs:
    """The contenders, and what they have learnt."""

    def __init__(self, problem: Problem, count: int) -> None:
        self.problem, self.count = problem, count
        self.config = jaxmlp.MLPConfig(DIGITS, weight_init="xavier_uniform")
        self.losses: dict[str, float] = {}
        self.executors: dict[str, str] = {}

    def works(self) -> dict[str, Any]:
        return {TOGETHER: self.together, ALONE: self.alone}

    def together(self, **options: Any) -> Any:
        """One call of `sweep`."""
        problem = self.problem
        return jaxmlp.sweep(
            self.config,
            (problem.x, problem.y),
            loss=problem.loss,
            optimizer=jaxmlp.adam,
            grid={"seed": list(range(self.count)), "learning_rate": [problem.learning_rate]},
            epochs=problem.epochs,
            batch_size=problem.batch_size,
            key=jax.random.key(0),
            **options,
        )

    def alone(self) -> list[Any]:
        """A call of `fit` each; all share one compilation."""
        problem, optimizer = self.problem, jaxmlp.adam(self.problem.learning_rate)
        return [
            jaxmlp.fit(
                self.config,
                jaxmlp.init(self.config, jax.random.key(seed)),
                (problem.x, problem.y),
                loss=problem.loss,
                optimizer=optimizer,
                epochs=problem.epochs,
                batch_size=problem.batch_size,
                key=jax.random.key(1000 + seed),
            )
            for seed in range(self.count)
        ]

    def keep(self, name: str, result: Any) -> None:
        """Remember the mean training loss of the last epoch."""
        if name == ALONE:
            self.losses[name] = float(np.mean([r.history["train_loss"][-1] for r in result]))
        else:
            self.losses[name] = float(np.mean(np.asarray(result.table["train_loss"], float)))
            self.executors[name] = str(getattr(result, "executor", ""))
