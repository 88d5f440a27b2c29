"""Workload "sweep": a grid of settings, cross-validated, against scikit-learn's GridSearchCV."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness.cold import time_processes
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


def measure_sweep(effort: Effort) -> Iterator[Row]:
    """Time both searches in this process, then in new ones."""
    case, problem, grid = problem_and_grid(effort.quick)
    searches: dict[str, Callable[[], float]] = {OWN: lambda: cross_validation(problem, **grid)}
    jobs = {OWN: "sweep-jaxmlp"}
    if available(SKLEARN) and effort.wants(SKLEARN):
        from benchmarks.harness.peers.sklearn_mlp import grid_search

        n_jobs = None if effort.quick else 2
        searches[SKLEARN] = lambda: grid_search(problem, n_jobs=n_jobs, **grid)
        jobs[SKLEARN] = "sweep-scikit-learn"
    accuracy: dict[str, float] = {}
    timings = interleave(searches, effort.rounds_of(3), after=accuracy.__setitem__)
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
