"""Workload "fit": warm training runs of every library, compilation apart."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.harness.contenders import gathered
from benchmarks.harness.effort import Effort
from benchmarks.harness.environment import on_cpu, product_precision
from benchmarks.harness.equality import Losses, compare
from benchmarks.harness.floor import Floor, measure_floor, time_step_products
from benchmarks.harness.peers import OWN, PEERS, Problem, Weights, available, final_loss, make
from benchmarks.harness.problems import CASES
from benchmarks.harness.results import Row
from benchmarks.harness.timing import Timing, interleave

SLOW_TO_COMPILE = "PyTorch, compiled"
HALF = "jaxmlp, bfloat16 products"
SHORT = 0.1  # seconds a turn of short fits: the first after a sleep is slower


class Training:
    """A peer at a problem: each call is a fit with the next seed."""

    def __init__(self, name: str, problem: Problem) -> None:
        """Import the library and put the data where it wants them."""
        self.problem, self.fit, self.turns = problem, make(name)(problem), 0
        self.last: tuple[int, Weights] | None = None

    def __call__(self) -> Weights:
        """Train."""
        weights = self.fit(self.turns)
        self.last = self.turns, weights
        self.turns += 1
        return weights

    def loss(self, seed: int) -> float:
        """What a seed has learnt: the last fit's weights are at hand."""
        at_hand = self.last is not None and self.last[0] == seed
        return final_loss(self.problem, self.last[1] if at_hand else self.fit(seed))


def measure_fits(effort: Effort, cases: Iterable[str] = tuple(CASES)) -> Iterator[Row]:
    """Time the fits of each case; rows come case by case."""
    for key in cases:
        case = CASES[key]
        problem = case.make(effort.quick)
        names = [name for name in PEERS if _runs(name, key, effort)]
        rounds = effort.rounds_of(3) if case.heavy else effort.rounds
        floor = measure_floor(effort.quick)
        name = effort.named(case.name)
        yield from time_fits(name, problem, names, replace(effort, rounds=rounds))
        floor = floor.best(measure_floor(effort.quick))
        yield floor_row(name, problem, floor)


def _runs(name: str, case: str, effort: Effort) -> bool:
    """Whether a peer takes part: PyTorch's compiler needs a minute a case, bfloat16 a reason."""
    if not available(name) or not effort.wants(name):
        return False
    if name == SLOW_TO_COMPILE:
        return not effort.quick and case in ("digits", "images")
    return name != HALF or not on_cpu() or CASES[case].heavy


def time_fits(
    case: str,
    problem: Problem,
    names: Sequence[str],
    effort: Effort,
    workload: str = "fit",
    judged: bool = True,
) -> Iterator[Row]:
    """Time whole fits in turns; void where the final loss is not the library's own.

    Args:
        case: of the rows.
        problem: what is trained.
        names: of the peers.
        effort: turns of each, and whether they have processes of their own.
        workload: of the rows.
        judged: whether to compare losses; not for runs of a few steps of work judged elsewhere.
    """
    builds = {name: partial(Training, name, problem) for name in names}
    with gathered(workload, builds, effort) as contenders:
        losses = {
            name: Losses(partial(contender.ask, "loss")) for name, contender in contenders.items()
        }

        def keep(name: str) -> None:
            if judged:
                losses[name].first(len(losses[name].found) + 1)

        least = 0.0 if judged or effort.quick else SHORT
        timings = interleave(contenders, effort.rounds, least, after=keep)
        for name, timing in timings.items():
            void, details = "", {"products of float32": product_precision(), "steps": problem.steps}
            if judged and OWN in contenders:
                found = compare(losses[name], losses[OWN])
                void, details = found.void, details | found.details()
            yield from _rows(workload, case, name, timing, problem.steps, void, details)


def _rows(
    workload: str,
    case: str,
    name: str,
    timing: Timing,
    steps: int,
    void: str,
    details: dict[str, Any],
) -> Iterator[Row]:
    """A fit, a step of it, and what the first fit took beyond."""
    low, high, processor = timing.low, timing.high, timing.processor
    yield Row(
        workload, case, name, "whole fit", "s",
        timing.median, low, high, processor, timing.rounds, void, details,
    )  # fmt: skip
    yield Row(
        workload, case, name, "one step", "s", timing.median / steps, low / steps, high / steps,
        processor / steps, timing.rounds, void, details,
    )  # fmt: skip
    yield Row(workload, case, name, "compilation", "s", timing.compile, void=void)


def floor_row(case: str, problem: Problem, floor: Floor) -> Row:
    """The time of a step that the machine alone would need."""
    seconds = floor.seconds(problem.layer_sizes, problem.batch_size)
    details: dict[str, Any] = {
        "products (FLOP/s)": max(floor.products.values()),
        "memory (bytes/s)": max(floor.memory.values()),
        "memory, 16 MiB (bytes/s)": max(floor.working_set.values()),
    }
    if on_cpu():
        alone = time_step_products(problem.layer_sizes, problem.batch_size)
        details["products in their own shapes, numpy (s)"] = alone
    return Row("fit", case, "floor", "one step", "s", seconds, details=details)
