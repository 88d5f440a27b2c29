"""One training step and one whole fit: jaxmlp by hand and by autodiff, and its peers.

    python -m benchmarks.step_time [--out FILE] [--repeats 5] [--epochs 100] [--skip-cold]

The work is digits (1,437 rows), 64-128-10, ReLU, Adam, batch 128, 100 epochs, in float32. A row is
void if its final training loss, a mean over 5 seeds, is not within 2% of the library's own.
"warm" is a fit after the first one; "per step" is that time over the number of steps; "cold" is a
new process from its start to the trained network, imports and compilation included, data read from
a file.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.peers import PEERS, Problem, final_loss

SEEDS = 5
TOLERANCE = 0.02


def digits(epochs: int) -> Problem:
    """The problem, from the data that scikit-learn embeds."""
    import jaxmlp.data

    data = jaxmlp.data.load_digits()
    x = (data.x[:1437] / 16).astype(np.float32)
    return Problem(x, data.y[:1437].astype(np.int32), (64, 128, 10), 128, epochs)


def available(name: str) -> bool:
    """Whether the peer's library is installed."""
    from importlib.util import find_spec

    return not name.startswith("PyTorch") or find_spec("torch") is not None


def warm(name: str, problem: Problem, repeats: int) -> dict[str, object]:
    """Measure one peer in this process."""
    from benchmarks.harness import measure

    fit = PEERS[name](problem)
    losses = [final_loss(problem, fit(seed)) for seed in range(SEEDS)]
    seconds = measure(lambda: fit(0), repeats)["median"]
    return {
        "library": name,
        "warm fit (s)": seconds,
        "per step (us)": seconds / problem.steps * 1e6,
        "final loss": float(np.mean(losses)),
    }


def cold(name: str, problem: Problem, repeats: int) -> float:
    """Time whole processes; the median in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, x=problem.x, y=problem.y)
        command = [sys.executable, "-m", "benchmarks.step_time", "--child", name, str(path)]
        command += ["--epochs", str(problem.epochs)]
        times = []
        for _ in range(repeats):
            begin = time.perf_counter()
            subprocess.run(command, check=True)
            times.append(time.perf_counter() - begin)
    return float(np.median(times))


def run_child(name: str, path: str, epochs: int) -> None:
    """What a cold process does."""
    with np.load(path) as data:
        problem = Problem(data["x"], data["y"], (64, 128, 10), 128, epochs)
    PEERS[name](problem)(0)


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/step_time.json"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--skip-cold", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("PEER", "NPZ"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(*options.child, options.epochs)
        return
    from benchmarks.harness import environment, markdown_table, write_json

    problem = digits(options.epochs)
    rows = []
    for name in filter(available, PEERS):
        row = warm(name, problem, options.repeats)
        if not options.skip_cold:
            row["cold (s)"] = cold(name, problem, max(1, options.repeats // 2))
        rows.append(row)
        print(f"{name}: {row['warm fit (s)']:.3f} s", flush=True)
    own = rows[0]
    for row in rows:
        row["times jaxmlp's"] = row["warm fit (s)"] / own["warm fit (s)"]
        equal = abs(row["final loss"] / own["final loss"] - 1) <= TOLERANCE
        row["void"] = "" if equal else "loss differs"
    print(markdown_table(rows))
    write_json(options.out, {"environment": environment(), "rows": rows})
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
