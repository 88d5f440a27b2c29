"""Rows, columns and one kernel: what the loop of a narrow network gains, each against the other.

    python -m benchmarks.orientation [--rounds 9] [--out FILE]

The same fit in turns with examples in rows and in columns, in one process; then 2-16-2 and its like
in processes of their own, with and without `jaxmlp.tune_cpu()`, in turns. What counts is processor
time a step, compilation left out: these programs run on one thread. Final losses must agree to
1e-4, or the row is void; of 30 layers they cannot, for such a depth magnifies the last bit.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxmlp
from benchmarks import RESULTS
from benchmarks.harness import environment, write_json
from jaxmlp.data import load_digits
from jaxmlp.training import options

STEPS = 1_500  # of each fit, about
ALLOWED = 1e-4
CASES: dict[str, tuple[tuple[int, ...], int]] = {
    "2-16-2, batch 32": ((2, 16, 2), 32),
    "64-128-10, batch 32": ((64, 128, 10), 32),
    "64-128-10, batch 128": ((64, 128, 10), 128),
    "30 layers of 32, batch 128": ((64, *(32,) * 30, 10), 128),
    "100-100-100-2, batch 200": ((100, 100, 100, 2), 200),
    "784-128-10, batch 128": ((784, 128, 10), 128),
    "256-256-256-10, batch 128": ((256, 256, 256, 10), 128),
}
TINY = {name: CASES[name] for name in ("2-16-2, batch 32",)} | {
    "4-16-3, batch 32": ((4, 16, 3), 32),
    "2-8-8-2, batch 16": ((2, 8, 8, 2), 16),
    "30-16-2, batch 32": ((30, 16, 2), 32),
}


def problem(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Digits where they fit, else numbers at random with classes that depend on them."""
    if (sizes[0], sizes[-1]) == (64, 10):
        digits = load_digits()
        return (digits.x[:1437] / 16).astype(np.float32), digits.y[:1437]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_500, sizes[0])).astype(np.float32)
    return x, (x @ rng.normal(size=(sizes[0], sizes[-1]))).argmax(axis=1)


def make_fit(sizes: tuple[int, ...], batch: int) -> Callable[[], tuple[float, float]]:
    """Return a function that trains; it returns microseconds a step and the final loss."""
    x, y = problem(sizes)
    config = jaxmlp.MLPConfig(sizes)
    params = jaxmlp.init(config, jax.random.key(0))
    epochs = max(1, STEPS * batch // len(x))

    def fit() -> tuple[float, float]:
        begun = time.process_time()
        result = jaxmlp.fit(
            config, params, (x, y), loss="softmax_cross_entropy", optimizer=jaxmlp.adam(1e-3),
            epochs=epochs, batch_size=batch, key=jax.random.key(1),
        )  # fmt: skip
        jax.block_until_ready(result.params)
        seconds = time.process_time() - begun
        return 1e6 * seconds / result.n_steps, float(result.history["train_loss"][-1])

    return fit


def compare_orientations(name: str, rounds: int) -> dict[str, Any]:
    """Time a case in rows and in columns, in turns."""
    fit, times, loss = make_fit(*CASES[name]), {False: [], True: []}, {}
    for number in range(rounds + 1):
        for turned in (False, True):
            options._turns_pay = lambda config, gradient, t=turned: t  # type: ignore[misc]
            spent, loss[turned] = fit()
            if number:  # the first compiles
                times[turned].append(spent)
    return row(name, ("rows", times[False], loss[False]), ("columns", times[True], loss[True]))


def compare_kernels(rounds: int) -> list[dict[str, Any]]:
    """Time tiny networks in processes with and without `tune_cpu`, in turns."""
    times: dict[str, dict[bool, list[float]]] = {name: {False: [], True: []} for name in TINY}
    loss: dict[str, dict[bool, float]] = {name: {} for name in TINY}
    for _ in range(rounds):
        for tuned in (False, True):
            command = [sys.executable, "-m", "benchmarks.orientation", "--tiny"]
            command += ["--tuned"] if tuned else []
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            for name, (spent, final) in json.loads(done.stdout).items():
                times[name][tuned].append(spent)
                loss[name][tuned] = final
    return [
        row(name, ("many kernels", times[name][False], loss[name][False]),
            ("one kernel", times[name][True], loss[name][True]))
        for name in TINY
    ]  # fmt: skip


def row(name: str, *ways: tuple[str, list[float], float]) -> dict[str, Any]:
    """Sum up a comparison of two ways: (name, microseconds, final loss) each."""
    (first, slow, one), (second, fast, other) = ways
    difference = abs(one - other) / max(abs(one), 1e-3)
    found: dict[str, Any] = {"network": name}
    for way, times in ((first, slow), (second, fast)):
        low, middle, high = np.percentile(times, [25, 50, 75])
        found[f"{way}, us a step"] = round(float(middle), 2)
        found[f"{way}, quartiles"] = [round(float(low), 2), round(float(high), 2)]
    found["gain"] = round(statistics.median(slow) / statistics.median(fast), 3)
    found["difference of the final loss"] = float(difference)
    found["void"] = bool(difference > ALLOWED) and "30 layers" not in name
    print(found, flush=True)
    return found


def main() -> None:
    """Compare, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS / "orientation.json")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tuned", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.tuned:
        jaxmlp.tune_cpu()
    if chosen.tiny:
        fits = {name: make_fit(*case) for name, case in TINY.items()}
        found = {name: [fit() for _ in range(3)][-1] for name, fit in fits.items()}
        print(json.dumps(found))
        return
    columns = [compare_orientations(name, chosen.rounds) for name in CASES]
    kernels = compare_kernels(max(3, chosen.rounds // 2))
    write_json(
        chosen.out, {"environment": environment(), "columns": columns, "one_kernel": kernels}
    )


if __name__ == "__main__":
    main()
