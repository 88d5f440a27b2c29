"""Workload "members": many networks in one program, against one after another."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

import jaxmlp
from benchmarks.harness.effort import Effort
from benchmarks.harness.equality import TOLERANCE
from benchmarks.harness.peers.problem import Problem
from benchmarks.harness.problems import DIGITS, digits
from benchmarks.harness.results import Row
from benchmarks.harness.timing import Timing, interleave
from jaxmlp.sweeps import Executor

CASE = "64-128-10, batch 32"
TOGETHER, ALONE = "sweep", "one after another"
ONE_DEVICE = "sweep on one device, best executor"
CHUNKS = (1, 2, 4, 8, 16, 64)
METRIC = "one step of one member"
COUNT = 64


def measure_members(effort: Effort) -> Iterator[Row]:
    """Time 64 members, on the devices that there are, and each executor on one of them."""
    yield from time_members(8 if effort.quick else COUNT, effort, one_device=True)


def time_members(count: int, effort: Effort, one_device: bool = False) -> Iterator[Row]:
    """Time a sweep over seeds and, in turns, as many compiled fits.

    Args:
        count: number of members.
        effort: rounds, and which contenders.
        one_device: whether to try the executors on one device too; the best of them gets a row.
    """
    problem = digits(32, 1 if effort.quick else 10)
    runs = _Runs(problem, count)
    works = {name: work for name, work in runs.works().items() if effort.wants(name)}
    sizes = (CHUNKS if not effort.quick else (1, count)) if one_device else ()
    chunks = {f"{ONE_DEVICE}, chunks of {n}": n for n in sizes}
    for name, chunk in chunks.items():
        works[name] = partial(runs.together, executor=Executor(chunk))
    kept = {name: partial(runs.keep, name, work) for name, work in works.items()}
    timings = interleave(kept, effort.rounds_of(5))
    tried = {name: timing for name, timing in timings.items() if name in chunks}
    for name in [name for name in timings if name not in chunks]:
        yield _row(runs, name, name, timings[name], {"devices": jax.device_count()})
    if tried:
        best = min(tried, key=lambda name: tried[name].median)
        steps = count * problem.steps
        seconds = {f"chunks of {chunks[name]}": t.median / steps for name, t in tried.items()}
        yield _row(runs, ONE_DEVICE, best, tried[best], {"devices": 1, "executors (s)": seconds})


def _row(runs: "_Runs", contender: str, name: str, timing: Timing, details: Any) -> Row:
    """One contender's time of a step of a member."""
    steps, reference = runs.count * runs.problem.steps, runs.losses.get(TOGETHER)
    ratio = runs.losses[name] / reference if reference else 1.0
    # A mean over few members says little of equal work; that of 64 scatters by less than 1%.
    differs = runs.count >= COUNT and abs(ratio - 1) > TOLERANCE
    details = details | {
        "members": runs.count,
        "executor": runs.executors.get(name, ""),
        "final loss": runs.losses[name],
    }
    return Row(
        "members", f"{runs.count} x {CASE}", contender, METRIC, "s", timing.median / steps,
        timing.low / steps, timing.high / steps, timing.processor / steps, timing.rounds,
        f"final loss {ratio:.3g} x" if differs else "", details,
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
        grid: dict[str, Sequence[Any]] = {
            "seed": range(self.count),
            "learning_rate": [problem.learning_rate],
        }
        return jaxmlp.sweep(
            self.config,
            (problem.x, problem.y),
            loss=problem.loss,
            optimizer=jaxmlp.adam,
            grid=grid,
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

    def keep(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work, and remember the mean training loss of the last epoch."""
        result = work()
        if name == ALONE:
            self.losses[name] = float(np.mean([r.history["train_loss"][-1] for r in result]))
        else:
            self.losses[name] = float(np.mean(result.table["train_loss"]))
            self.executors[name] = result.executor
        return result
