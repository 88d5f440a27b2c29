"""Workload "fit": warm training runs of every library, compilation apart."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

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


class Contender:
    """A peer at a problem: each turn is a fit with the next seed, whose loss is kept."""

    def __init__(self, name: str, problem: Problem) -> None:
        """Import the library and put the data where it wants them."""
        self.problem, self.fit, self.turns = problem, make(name)(problem), 0
        self.losses = Losses(lambda seed: final_loss(problem, self.fit(seed)))

    def __call__(self) -> tuple[int, Weights]:
        """Train."""
        seed, self.turns = self.turns, self.turns + 1
        return seed, self.fit(seed)

    def keep(self, result: tuple[int, Weights]) -> None:
        """Measure what a turn has learnt, off the clock."""
        seed, weights = result
        self.losses.found[seed] = final_loss(self.problem, weights)


def measure_fits(effort: Effort, cases: Iterable[str] = tuple(CASES)) -> Iterator[Row]:
    """Time the fits of each case; rows come case by case."""
    for key in cases:
        case = CASES[key]
        problem = case.make(effort.quick)
        names = [name for name in PEERS if _runs(name, key, effort)]
        rounds = effort.rounds_of(3) if case.heavy else effort.rounds
        floor = measure_floor(effort.quick)
        name = effort.named(case.name)
        yield from time_fits(name, problem, names, rounds)
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
    rounds: int,
    workload: str = "fit",
    judged: bool = True,
) -> Iterator[Row]:
    """Time whole fits in turns; void where the final loss is not the library's own.

    Args:
        case: of the rows.
        problem: what is trained.
        names: of the peers.
        rounds: turns of each.
        workload: of the rows.
        judged: whether to compare losses; not for runs of a few steps of work judged elsewhere.
    """
    contenders = {name: Contender(name, problem) for name in names}

    def keep(name: str, result: Any) -> None:
        contenders[name].keep(result)

    timings = interleave(contenders, rounds, after=keep)
    for name, timing in timings.items():
        void, details = "", {"products of float32": product_precision(), "steps": problem.steps}
        if judged and OWN in contenders:
            found = compare(contenders[name].losses, contenders[OWN].losses)
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
