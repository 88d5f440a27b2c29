"""One network trained by two processes on one machine: when does it pay?

    python -m benchmarks.distributed [--repeats 3] [--seconds 5] [--out FILE]

Each case is trained by one process that is held to one core, then by two with a core each, on
the same rows, the same batches in number and size, Adam; the time of a step is the median over the
repeats of a run's own measurement, without compilation. Losses must agree, or the row is void.
Beside it stands what `jaxmlp.training.devices.predicted_gain` says.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp import MLPConfig
from jaxmlp.training.devices import predicted_gain

CASES = (
    ((64, 128, 10), 256), ((64, 128, 10), 4096), ((784, 512, 512, 10), 256),
    ((784, 512, 512, 10), 2048), ((1024, 2048, 2048, 1024), 512),
    ((1024, 2048, 2048, 1024), 4096),
)  # fmt: skip
_RATE = 2e11  # operations a second of one core, roughly: to know how many epochs fill the seconds
_BATCHES = 4  # an epoch

CHILD = """
import json, os, sys
rank, n, address, sizes, batch, epochs = json.loads(sys.argv[1])
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
import jax
from jaxmlp import distributed
if n > 1:
    distributed.initialize(address, n, rank)
import warnings
import numpy as np
import jaxmlp
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
x = rng.normal(size=(BATCHES * batch, sizes[0])).astype(np.float32)
y = rng.integers(0, sizes[-1], len(x)).astype(np.int32)
config = jaxmlp.MLPConfig(tuple(sizes))
own = slice(rank * len(x) // n, (rank + 1) * len(x) // n)
result = jaxmlp.fit(
    config, jaxmlp.init(config, jax.random.key(0)), (x[own], y[own]), epochs=epochs,
    loss="softmax_cross_entropy", optimizer=jaxmlp.adam(1e-4), batch_size=batch,
    key=jax.random.key(1), distributed=n > 1,
)
seconds = np.median(result.history["seconds"][1:]) / BATCHES
print("said", json.dumps([float(seconds), float(result.history["train_loss"][-1])]))
""".replace("BATCHES", str(_BATCHES))


def train(n: int, sizes: tuple[int, ...], batch: int, epochs: int) -> tuple[float, float]:
    """Train in n processes; return the seconds of a step, and the last loss."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    started = []
    for rank in range(n):
        call = json.dumps([rank, n, address, sizes, batch, epochs])
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, call], stdout=subprocess.PIPE, text=True,
                stderr=subprocess.PIPE, env={**os.environ, "JAX_PLATFORMS": "cpu"},
            )
        )  # fmt: skip
    said = [process.communicate(timeout=900) for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(said[0][1] or said[-1][1])
    line = next(line for line in said[0][0].splitlines() if line.startswith("said "))
    seconds, loss = json.loads(line[5:])
    return seconds, loss


def measure(sizes: tuple[int, ...], batch: int, repeats: int, seconds: float) -> dict[str, Any]:
    """Measure a case: one process and two, in turns."""
    n_parameters = MLPConfig(sizes).n_parameters
    step = max(6 * batch * n_parameters / _RATE, 1e-4)
    epochs = max(3, min(2_000, round(seconds / step / _BATCHES)))
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(repeats):
        for n in found:
            found[n].append(train(n, sizes, batch, epochs))
    one, two = (statistics.median(t for t, _ in found[n]) for n in (1, 2))
    losses = [found[n][0][1] for n in (1, 2)]
    gain = one / two if abs(losses[0] - losses[1]) < 0.02 * abs(losses[0]) else None
    return {
        "network": "-".join(map(str, sizes)), "batch": batch,
        "one process, ms a step": round(1e3 * one, 3), "two": round(1e3 * two, 3),
        "gain": None if gain is None else round(gain, 2),
        "predicted": round(predicted_gain(n_parameters, batch, 2), 2), "losses": losses,
    }  # fmt: skip


def main() -> None:
    """Measure all cases, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of training, a run")
    parser.add_argument("--out", type=Path, default=RESULTS / "distributed.json")
    options = parser.parse_args()
    rows = []
    for sizes, batch in CASES:
        rows.append(measure(sizes, batch, options.repeats, options.seconds))
        print(rows[-1], flush=True)
        write_json(options.out, {"environment": environment(), "cases": rows})
    shown = [{name: row[name] for name in row if name != "losses"} for row in rows]
    print(markdown_table(shown))


if __name__ == "__main__":
    main()
