"""Workload "cold": a new process from its start to the trained network.

Each process imports one library only, reads the data from a .npz file, compiles, trains and ends.
JAX's libraries run twice: as the first time on a machine, and with JAX's compilation cache on disk.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.effort import Effort
from benchmarks.harness.peers import OWN, PEERS, Problem, available
from benchmarks.harness.problems import CASES, digits_128
from benchmarks.harness.results import Row
from benchmarks.harness.timing import interleave

CACHED = ", compilation cache"
FITS = (
    OWN, "flax + optax, compiled scan", "equinox + optax, compiled scan", "scikit-learn",
    "PyTorch, eager", "numpy, by hand",
)  # fmt: skip
LEFT_OUT_QUICK = ("equinox + optax, compiled scan", "PyTorch, eager", "flax + optax, compiled scan")


def measure_cold(effort: Effort, names: Sequence[str] = FITS) -> Iterator[Row]:
    """Time cold fits of the digits."""
    names = [name for name in names if available(name) and effort.wants(name)]
    if effort.quick:
        names = [name for name in names if name not in LEFT_OUT_QUICK]
    case, problem = effort.named(CASES["digits"].name), digits_128(effort.quick)
    yield from time_processes("cold", case, problem, dict.fromkeys(names, ""), effort.rounds_of(5))


def time_processes(
    workload: str,
    case: str,
    problem: Problem,
    jobs: Mapping[str, str],
    rounds: int,
    numbers: Mapping[str, Any] | None = None,
) -> Iterator[Row]:
    """Time jobs, each a process of its own, in turns.

    Args:
        workload: of the rows.
        case: of the rows.
        problem: what is trained.
        jobs: by contender: the job's name for `python -m peers`, "" for the contender's own.
        rounds: turns.
        numbers: what else the job needs.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        write_problem(data, problem, numbers or {})
        works: dict[str, Callable[[], None]] = {}
        for name, job in jobs.items():
            command = [sys.executable, "-m", "peers", job or name, str(data)]
            works[name] = _process(command, {"JAX_ENABLE_COMPILATION_CACHE": "false"})
            if "jax" in needs(name):
                cache = str(Path(folder) / f"cache-{len(works)}")
                works[name + CACHED] = _process(command, cache_settings(cache))
        for name, timing in interleave(works, rounds).items():
            # The first turn fills the cache: for a cached contender it is no cold start.
            yield Row(
                workload, case, name, "import to result", "s",
                timing.median, timing.low, timing.high, timing.processor, timing.rounds,
            )  # fmt: skip


def needs(contender: str) -> tuple[str, ...]:
    """Return the packages a contender stands on, "jax" among them."""
    packages = PEERS[contender].packages
    return (*packages, "jax") if {"jaxmlp", "optax"} & set(packages) else packages


def cache_settings(folder: str) -> dict[str, str]:
    """Return what keeps every compiled program on disk (by default: those of a second or more)."""
    return {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def write_problem(path: Path, problem: Problem, sweep: Mapping[str, Any]) -> None:
    """Write what a cold process reads: arrays, and numbers as JSON."""
    numbers = problem._asdict() | {"sweep": dict(sweep)}
    arrays = {name: numbers.pop(name) for name in ("x", "y")}
    np.savez(path, numbers=json.dumps(numbers), **arrays)


def _process(command: Sequence[str], settings: Mapping[str, str]) -> Callable[[], None]:
    """A function that runs the command to its end, and raises what it printed if it fails."""
    here = Path(__file__).parent  # `peers` is a package of its own there: no import of ours
    # Where this process found its packages, the child looks too, but for the current folder.
    path = os.pathsep.join([str(here), *(p for p in sys.path if p and Path(p).is_dir())])
    variables = {**os.environ, "PYTHONPATH": path, **settings}

    def run() -> None:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[1:])} failed: {done.stderr[-800:]}")

    return run
