"""Which workloads there are, and how each is run: here, or in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.harness import floor
from benchmarks.harness.cold import measure_cold
from benchmarks.harness.effort import Effort
from benchmarks.harness.fit import measure_fits
from benchmarks.harness.inference import measure_inference
from benchmarks.harness.members import measure_members
from benchmarks.harness.per_example import measure_per_example
from benchmarks.harness.results import Row, read_results
from benchmarks.harness.scaling import measure_scaling
from benchmarks.harness.sweep import measure_sweep

Workload = Callable[[Effort], Iterator[Row]]


def _floor(effort: Effort) -> Iterator[Row]:
    yield from floor.rows(floor.measure_floor(effort.quick))


def _fit_digits(effort: Effort) -> Iterator[Row]:
    yield from measure_fits(effort, ["digits"])


def _fit_images(effort: Effort) -> Iterator[Row]:
    yield from measure_fits(effort, ["images"])


WORKLOADS: dict[str, Workload] = {
    "floor": _floor,
    "fit": measure_fits,
    "fit-digits": _fit_digits,
    "fit-images": _fit_images,
    "cold": measure_cold,
    "sweep": measure_sweep,
    "members": measure_members,
    "per-example": measure_per_example,
    "inference": measure_inference,
    "scaling": measure_scaling,
}
ALL = (
    "floor", "fit", "cold", "sweep", "members", "per-example", "inference",
    "scaling",
)  # fmt: skip
TARGETS = {  # by workload: the contenders that its targets name; () for all
    "floor": (),
    "fit-digits": ("jaxmlp", "scikit-learn", "PyTorch, eager", "flax + optax, compiled scan"),
    "fit-images": ("jaxmlp",),
    "cold": ("jaxmlp", "scikit-learn"),
    "sweep": (),
    "members": (),
    "per-example": (),
    "inference": ("jaxmlp", "scikit-learn"),
}


def in_a_process(workload: str, effort: Effort, threads: int | None = None) -> list[Row]:
    """Run a workload in a new process, which prints its tables as they come; return its rows.

    Args:
        workload: its name.
        effort: how much of it.
        threads: processors it may use, None for all.

    Raises:
        RuntimeError: if the process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        arguments = [workload, "--rounds", str(effort.rounds), "--out", str(path), "--child"]
        arguments += ["--quick"] if effort.quick else []
        for name in sorted(effort.only or ()):
            arguments += ["--only", name]
        code = relaunch(arguments, threads)
        if code:
            raise RuntimeError(f"the workload {workload} ended with exit code {code}.")
        return read_results(path).rows


def relaunch(
    arguments: Sequence[str], threads: int | None = None, precision: str | None = None
) -> int:
    """Run `python -m benchmarks` in a new process; return its exit code.

    OPENBLAS_CORETYPE, where it is set, holds numpy to another processor's kernels: it is dropped.
    The child finds this package whichever folder it runs in. The precision of products is an
    environment variable, so that all contenders and their own processes read the same.
    """
    variables = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    if precision is not None:
        variables["JAX_DEFAULT_MATMUL_PRECISION"] = precision
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    command = [sys.executable, "-m", "benchmarks", *arguments]
    if threads is None or not hasattr(os, "sched_setaffinity"):
        return subprocess.run(command, env=variables).returncode
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    variables |= dict.fromkeys(names, str(threads))
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:threads])  # inherited; JAX's threads follow it
    try:
        return subprocess.run(command, env=variables).returncode
    finally:
        os.sched_setaffinity(0, allowed)
