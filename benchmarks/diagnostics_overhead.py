"""What watching costs: the same training runs with diagnostics, at the defaults, and without.

    JAXMLP_DATA_DIR=data python -m benchmarks.diagnostics_overhead [--seconds 90]

Digits: 64-128-10, batch 64, 200 epochs. Fashion-MNIST: 784-256-10, batch 128, 20 epochs (left out
where the data are not at hand). With is `fit(diagnostics=Diagnostics())`: the probe every 100
steps, and a look at the units at the start, at the end and every 20 epochs at most. Runs with and
without take turns, so that both meet the same neighbours on the machine. The overhead is that of
the processor time, all threads together, median of the pairs: on a busy machine the clock on the
wall measures the neighbours (its median is given beside).
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxmlp
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.data import load_digits, load_idx

RESULTS = Path(__file__).parent / "results" / "diagnostics_overhead.json"


def problems() -> dict[str, Any]:
    """Data, layer sizes, batch size and epochs by name."""
    digits = load_digits()
    found = {"digits": ((digits.x / 16, digits.y), (64, 128, 10), 64, 200)}
    if "JAXMLP_DATA_DIR" in os.environ:
        fashion, _ = load_idx(os.environ["JAXMLP_DATA_DIR"], "fashion-mnist")
        found["Fashion-MNIST"] = ((fashion.x, fashion.y), (784, 256, 10), 128, 20)
    return found


def compare(name: str, problem: Any, seconds_each: float) -> dict[str, Any]:
    """Time pairs of runs that differ in their diagnostics only."""
    data, sizes, batch_size, epochs = problem
    config = jaxmlp.MLPConfig(sizes)
    params = jaxmlp.init(config, jax.random.key(0))
    data = tuple(jax.device_put(np.asarray(part)) for part in data)

    def seconds(diagnostics: Any) -> np.ndarray:
        """Processor time and time on the clock of one run."""
        begin = time.process_time(), time.perf_counter()
        result = jaxmlp.fit(
            config, params, data, loss="softmax_cross_entropy", optimizer=jaxmlp.adam(1e-3),
            epochs=epochs, batch_size=batch_size, key=jax.random.key(1), diagnostics=diagnostics,
        )  # fmt: skip
        jax.block_until_ready(result.params)
        return np.subtract((time.process_time(), time.perf_counter()), begin)

    diagnostics = jaxmlp.Diagnostics()
    seconds(diagnostics)  # compiles
    longest = max(seconds(None)[1], seconds(None)[1])
    repeats = min(max(int(seconds_each / longest / 2), 3), 25)
    pairs = np.array([(seconds(None), seconds(diagnostics)) for _ in range(repeats)])
    plain, watched = np.median(pairs[:, :, 0], axis=0)
    overhead, by_clock = np.median(pairs[:, 1] / pairs[:, 0] - 1, axis=0)
    return {
        "data": name,
        "without (CPU s)": float(plain),
        "with (CPU s)": float(watched),
        "overhead": f"{overhead:+.1%}",
        "by the clock": f"{by_clock:+.1%}",
        "pairs": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=90, help="for each data set")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = [compare(name, problem, options.seconds) for name, problem in problems().items()]
    write_json(options.out, {"environment": environment(), "rows": rows})
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
