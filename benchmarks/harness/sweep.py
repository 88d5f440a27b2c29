"""Workload "sweep": a grid of settings, cross-validated, against scikit-learn's GridSearchCV."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.harness.cold import time_processes
from benchmarks.harness.contenders import gathered
from benchmarks.harness.effort import Effort
from benchmarks.harness.peers import OWN, available
from benchmarks.harness.peers.own import cross_validation
from benchmarks.harness.peers.problem import Problem
from benchmarks.harness.problems import digits
from benchmarks.harness.results import Row
from benchmarks.harness.timing import interleave

SKLEARN = "scikit-learn"
TOLERANCE = 0.01  # of the mean accuracy: folds of 287 digits scatter by about as much
WARM, COLD = "all settings and folds", "import to result"


def problem_and_grid(quick: bool) -> tuple[str, Problem, dict[str, Any]]:
    """Return the case's name, the problem, and the arguments of both searches."""
    if quick:
        grid = {"rates": [1e-3, 1e-2], "penalties": [0.0], "folds": 2}
        return "digits, 2 settings x 2 folds", digits(128, 2), grid
    grid = {
        "rates": [3e-4, 1e-3, 3e-3, 1e-2],
        "penalties": [0.0, 1e-5, 1e-4, 1e-3],
        "folds": 5,
    }
    return "digits, 64-128-10, 50 epochs, 16 settings x 5 folds", digits(128, 50), grid


class Search:
    """A library's search: each call is a whole one."""

    def __init__(self, name: str, problem: Problem, grid: dict[str, Any], n_jobs: int | None):
        """Import the library."""
        self.accuracy = math.nan
        if name == OWN:
            self.search = partial(cross_validation, problem, **grid)
            return
        from benchmarks.harness.peers.sklearn_mlp import grid_search

        self.search = partial(grid_search, problem, n_jobs=n_jobs, **grid)

    def __call__(self) -> None:
        """Search."""
        self.accuracy = self.search()

    def mean_accuracy(self) -> float:
        """Of the last search, over all settings and folds."""
        return self.accuracy


def measure_sweep(effort: Effort) -> Iterator[Row]:
    """Time both searches warm, then each from the start of a process."""
    case, problem, grid = problem_and_grid(effort.quick)
    jobs = {OWN: "sweep-jaxmlp"}
    if available(SKLEARN) and effort.wants(SKLEARN):
        jobs[SKLEARN] = "sweep-scikit-learn"
    n_jobs = None if effort.quick else 2
    builds = {name: partial(Search, name, problem, grid, n_jobs) for name in jobs}
    with gathered("sweep", builds, effort) as contenders:
        timings = interleave(contenders, effort.rounds_of(3))
        accuracy = {name: contender.ask("mean_accuracy") for name, contender in contenders.items()}
    for name, timing in timings.items():
        difference = accuracy[name] - accuracy[OWN]
        void = "" if abs(difference) <= TOLERANCE or effort.quick else (
            f"mean accuracy differs by {difference:+.3f}"
        )  # fmt: skip
        details = {"mean accuracy": accuracy[name]}
        # No processor time: scikit-learn's workers are processes that live on.
        yield Row(
            "sweep", case, name, WARM, "s", timing.median, timing.low, timing.high, None,
            timing.rounds, void, details,
        )  # fmt: skip
        yield Row("sweep", case, name, "compilation", "s", timing.compile, void=void)
    if not effort.quick:
        rounds = effort.rounds_of(3)
        yield from time_processes("sweep", case, problem, jobs, rounds, grid)
