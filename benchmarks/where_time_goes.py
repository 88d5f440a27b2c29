"""Where the time goes: of a training step, of a cold start, and of one row's probabilities.

    python -m benchmarks.where_time_goes [--rounds 5] [--out FILE]

For each missed target of `python -m benchmarks targets` this says why. Of a step: the products
alone, each in its own shape, as XLA and as numpy run them, beside the whole step here and in flax
+ optax's compiled scan; and the kernels of a traced fit by kind (a trace stretches short kernels:
read the shares, not the sum). Of a cold start: importing, tracing, lowering and compiling, each
measured by JAX's own clock in a new process. Of one row: the bytes of the weights over the rate
at which one core reads them.
"""

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.harness.cold import write_problem
from benchmarks.harness.floor import step_flops, step_products, time_step_products
from benchmarks.harness.peers import OWN, make
from benchmarks.harness.problems import CASES, IMAGES
from benchmarks.harness.sweep import problem_and_grid

RESULTS = Path(__file__).parent / "results" / "where_time_goes.json"
FLAX = "flax + optax, compiled scan"
PRODUCTS, GATHER = "products, sums over rows", "gathering the batch"
OPTIMIZER, REST = "update rule", "activations, loss, metrics"


def product_seconds(layer_sizes: tuple[int, ...], batch: int, rounds: int) -> float:
    """Time the products of a step, each compiled alone in a loop, less the loop itself."""
    return sum(
        _loop_seconds(product, a, b, rounds)
        for _, product, a, b in step_products(layer_sizes, batch)
    )


def _loop_seconds(product: Callable[..., Any], a: Any, b: Any, rounds: int) -> float:
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.normal(size=shape).astype(np.float32)) for shape in (a, b))
    turns = max(10, int(2e9 / (2 * a.shape[0] * a.shape[1] * b.shape[1])))

    def seconds(work: Callable[..., Any]) -> float:
        @jax.jit
        def loop(a: Any, b: Any) -> Any:
            def turn(_: Any, carry: Any) -> Any:
                a, result = carry
                result = jax.lax.optimization_barrier(work(a, b))
                # Each turn waits for the one before, and none can be left out.
                return jax.lax.optimization_barrier(a + 1e-9 * result[0, 0]), result

            return jax.lax.fori_loop(0, turns, turn, (a, jnp.zeros_like(work(a, b))))

        jax.block_until_ready(loop(a, b))
        found = []
        for _ in range(rounds):
            begin = time.perf_counter()
            jax.block_until_ready(loop(a, b))
            found.append((time.perf_counter() - begin) / turns)
        return statistics.median(found)

    return seconds(product) - seconds(lambda a, b: a[:1, :1] + b[:1, :1])


def step_row(case: str, rounds: int) -> dict[str, Any]:
    """The whole step, here and in flax's scan, beside its products alone."""
    problem = CASES[case].make(False)
    fits = {name: make(name)(problem) for name in (OWN, FLAX)}
    for fit in fits.values():
        fit(0)
    times: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(rounds):
        for name, fit in fits.items():
            begin = time.perf_counter()
            fit(1)
            times[name].append((time.perf_counter() - begin) / problem.steps)
    row: dict[str, Any] = {"case": CASES[case].name}
    row |= {f"{name}, a step (us)": 1e6 * statistics.median(t) for name, t in times.items()}
    alone = product_seconds(problem.layer_sizes, problem.batch_size, rounds)
    row["its products alone, XLA (us)"] = 1e6 * alone
    row["numpy (us)"] = 1e6 * time_step_products(problem.layer_sizes, problem.batch_size)
    row["GFLOP/s of XLA's"] = step_flops(problem.layer_sizes, problem.batch_size) / alone / 1e9
    return row


def kernel_rows(case: str) -> list[dict[str, Any]]:
    """Traced time of a step by kind of kernel, here and in flax's scan."""
    problem = CASES[case].make(False)
    rows = []
    for name in (OWN, FLAX):
        fit = make(name)(problem)
        fit(0)
        seconds, kernels = _trace(lambda fit=fit: fit(1), problem.steps)
        row: dict[str, Any] = {"case": CASES[case].name, "contender": name}
        row |= {f"{kind} (us)": 1e6 * seconds[kind] for kind in (PRODUCTS, GATHER, OPTIMIZER, REST)}
        rows.append(row | {"kernels a step": kernels})
    return rows


def _trace(work: Callable[[], Any], steps: int) -> tuple[Counter[str], int]:
    """Seconds a step by kind of the kernels that run in every step, and how many there are."""
    options = jax.profiler.ProfileOptions()
    options.host_tracer_level, options.python_tracer_level = 3, 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            work()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    seconds: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    for plane in data.planes:
        for line in plane.lines:
            for event in line.events:
                seconds[event.name] += event.duration_ns / 1e9 / steps
                turns[event.name] += 1
    # Kernels are named as XLA's instructions: lower case, with a number behind.
    kernel = re.compile(r"[a-z_\-]+(\.\d+)*$")
    every_step = [n for n, k in turns.items() if k == steps and kernel.fullmatch(n)]
    kinds: Counter[str] = Counter()
    for name in every_step:
        kinds[_kind(name)] += seconds[name]
    return kinds, len(every_step)


def _kind(kernel: str) -> str:
    if kernel.startswith(("dot", "ynn_fusion")):
        return PRODUCTS
    if "gather" in kernel:
        return GATHER
    return OPTIMIZER if kernel.startswith(("multiply_add", "divide_add")) else REST


def cold_rows(rounds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Parts of a cold fit and of a cold sweep, medians; and the programs that take longest."""
    rows, programs = [], {}
    case, sweep_problem, grid = problem_and_grid(quick=False)
    jobs = {
        "fit": (CASES["digits"].name, CASES["digits"].make(False), {}),
        "sweep": (case, sweep_problem, grid),
    }
    for job, (name, problem, numbers) in jobs.items():
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data.npz"
            write_problem(data, problem, numbers)
            command = [sys.executable, "-m", "benchmarks.cold_parts", job, str(data)]
            found, whole = [], []
            for _ in range(rounds):
                begin = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                whole.append(time.perf_counter() - begin)
                found.append(json.loads(done.stdout.splitlines()[-1]))
        names = list(dict.fromkeys(part for one in found for part in one["parts"]))
        parts = {n: statistics.median(one["parts"].get(n, 0.0) for one in found) for n in names}
        total = statistics.median(whole)
        parts["start and end of the process"] = total - sum(parts.values())
        rows.append({"job": f"{job}: {name}", "seconds": total} | parts)
        programs[job] = found[-1]["programs"] | {"programs": found[-1]["n_programs"]}
    return rows, programs


def one_row(rounds: int) -> dict[str, Any]:
    """What reading the weights once takes one core, when they lie in its caches."""
    n_bytes = 4 * sum(n_in * n_out for n_in, n_out in itertools.pairwise(IMAGES))
    weights, row = np.ones((n_bytes // 4 // 512, 512), np.float32), np.ones(512, np.float32)
    reads = 200
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(reads):
            np.add.reduce(weights, axis=0, out=row)
        found.append((time.perf_counter() - begin) / reads)
    seconds = statistics.median(found)
    return {
        "network": "-".join(map(str, IMAGES)),
        "weights (MB)": n_bytes / 1e6,
        "one core reads them in (us)": 1e6 * seconds,
        "GB/s": n_bytes / seconds / 1e9,
    }


def main() -> None:
    """Run all four, print tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    steps = [step_row(case, options.rounds) for case in ("digits", "images")]
    kernels = [row for case in ("digits", "images") for row in kernel_rows(case)]
    cold, programs = cold_rows(options.rounds)
    reading = one_row(options.rounds)
    for title, rows in (
        ("a training step", steps),
        ("its kernels, traced", kernels),
        ("a cold start, seconds", cold),
        ("one row of probabilities", [reading]),
    ):
        print(f"\n**{title}**\n\n{markdown_table(rows)}")
    print("\nlongest to compile, seconds:", json.dumps(programs, indent=2))
    write_json(
        options.out,
        {
            "environment": environment(),
            "steps": steps,
            "kernels": kernels,
            "cold": cold,
            "programs": programs,
            "one row": reading,
        },
    )


if __name__ == "__main__":
    main()
