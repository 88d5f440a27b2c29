"""What the monitor costs: the same training runs with it, at the default cadence, and without.

    JAXMLP_DATA_DIR=data python -m benchmarks.diagnostics_overhead [--repeats 9]

Digits: 64-128-10, batch 64, 40 epochs. Fashion-MNIST: 784-256-10, batch 128, 1 epoch (left out
where the data are not at hand). Runs with and without take turns, so that both meet the same
neighbours on the machine; each figure is the median of its runs, the overhead that of the pairs.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxmlp
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.data import load_digits, load_idx
from jaxmlp.diagnostics import monitor_layers

RESULTS = Path(__file__).parent / "results" / "diagnostics_overhead.json"


def problems() -> dict[str, Any]:
    """Data, layer sizes, batch size and epochs by name."""
    digits = load_digits()
    found = {"digits": ((digits.x / 16, digits.y), (64, 128, 10), 64, 40)}
    if "JAXMLP_DATA_DIR" in os.environ:
        fashion, _ = load_idx(os.environ["JAXMLP_DATA_DIR"], "fashion-mnist")
        found["Fashion-MNIST"] = ((fashion.x, fashion.y), (784, 256, 10), 128, 1)
    return found


def compare(name: str, problem: Any, repeats: int) -> dict[str, Any]:
    """Time pairs of runs that differ in the monitor only."""
    data, sizes, batch_size, epochs = problem
    config = jaxmlp.MLPConfig(sizes)
    params = jaxmlp.init(config, jax.random.key(0))
    data = tuple(jax.device_put(np.asarray(part)) for part in data)

    def seconds(monitor: Any) -> float:
        begin = time.perf_counter()
        result = jaxmlp.fit(
            config, params, data, loss="softmax_cross_entropy", optimizer=jaxmlp.adam(1e-3),
            epochs=epochs, batch_size=batch_size, key=jax.random.key(1), monitor=monitor,
        )  # fmt: skip
        jax.block_until_ready(result.params)
        return time.perf_counter() - begin

    monitor = monitor_layers(config)
    pairs = [(seconds(None), seconds(monitor)) for _ in range(repeats + 1)][1:]  # compiles first
    return {
        "data": name,
        "without (s)": statistics.median(plain for plain, _ in pairs),
        "with (s)": statistics.median(watched for _, watched in pairs),
        "overhead": f"{statistics.median(watched / plain - 1 for plain, watched in pairs):+.1%}",
        "pairs": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = [compare(name, problem, options.repeats) for name, problem in problems().items()]
    write_json(options.out, {"environment": environment(), "rows": rows})
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
