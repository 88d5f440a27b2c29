"""Which executor trains many networks fastest, by size of the network and of the batch.

    python -m benchmarks.executors [--devices N] [--install] [--out FILE]

Members train epochs of 45 steps in chunks of 1, 2, 4, ... on every device, up to half of a device's
members (all at once is another program, without a loop over chunks). `--install` writes the table
that the library ships (`jaxmlp/sweeps/executor_table.json`): the fastest chunk for each size,
where a smaller one within 3% is preferred: it needs less memory. Rows of other platforms stay.
"""

import argparse
import json
import os
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks import RESULTS, ROOT

NETWORKS = {(2, 16, 2): 256, (64, 128, 10): 64, (784, 128, 10): 64, (784, 512, 512, 10): 16}
"""Layer sizes and number of members a device."""
LIMITS = (1_000, 20_000, 150_000, 1_000_000_000)  # parameters up to which a row of the table holds
BATCHES = (64, 1_000_000)  # likewise for the rows of a batch; measured at 32 and 256
TABLE = ROOT / "jaxmlp" / "sweeps" / "executor_table.json"
SECONDS = 0.5  # of work a measurement, at least an epoch


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=os.cpu_count())
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "executors.json")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", options.devices)
    from benchmarks.harness.environment import environment
    from benchmarks.harness.results import write_json

    rows, table = [], []
    for (sizes, n_members), limit in zip(NETWORKS.items(), LIMITS, strict=True):
        for batch_size, batch_limit in zip((32, 256), BATCHES, strict=True):
            times = measure(sizes, batch_size, n_members * jax.device_count())
            fastest = min(times.values())
            chunk = min(c for c, t in times.items() if t <= 1.03 * fastest)
            rows.append({"layers": "-".join(map(str, sizes)), "batch": batch_size, "us": times})
            table.append({"platform": jax.default_backend(), "parameters": limit,
                          "batch_size": batch_limit, "chunk": chunk})  # fmt: skip
            shown = ", ".join(f"{c}: {t:.1f}" for c, t in times.items())
            print(
                f"{rows[-1]['layers']}, batch {batch_size}: chunk {chunk}  ({shown} us)", flush=True
            )
    write_json(options.out, {"environment": environment(), "rows": rows, "table": table})
    if options.install:
        others = [
            row
            for row in json.loads(TABLE.read_text())["rows"]
            if row["platform"] != jax.default_backend()
        ]
        lines = ",\n".join(f"    {json.dumps(row)}" for row in [*table, *others])
        TABLE.write_text(f'{{\n  "rows": [\n{lines}\n  ]\n}}\n')
    print(f"wrote {options.out}")


def measure(sizes: tuple[int, ...], batch_size: int, n_members: int) -> dict[int, float]:
    """Return microseconds of a member's step for each chunk, the least of three."""
    import jaxmlp
    from jaxmlp.sweeps import Executor
    from jaxmlp.sweeps.spec import ShapeGroup, check_sweep

    rng = np.random.default_rng(0)
    x = rng.random((batch_size * 45, sizes[0]), np.float32)  # digits: 1,437 rows by 32
    y = rng.integers(0, sizes[-1], len(x))
    spec = check_sweep(
        jaxmlp.sweep, jaxmlp.MLPConfig(sizes), (x, y), loss="softmax_cross_entropy", epochs=1,
        key=jax.random.key(0), options={"batch_size": batch_size},
    )  # fmt: skip
    group, devices = ShapeGroup(spec, spec.training.config, batch_size), jax.local_device_count()
    points = [{"seed": seed} for seed in range(n_members)]
    times = {}
    for chunk in (2**i for i in range(8)):
        if chunk * devices > n_members // 2:
            break
        run = group.run(points, Executor(chunk, devices))
        run.advance(1)
        best = run.microseconds
        epochs = max(1, int(SECONDS / (best * 1e-6 * n_members * run.steps_per_epoch)))
        for _ in range(3):
            begin, steps = time.perf_counter(), run.n_steps
            run.advance(epochs)
            elapsed = time.perf_counter() - begin
            best = min(best, elapsed / (run.n_steps - steps) / n_members * 1e6)
        times[chunk] = round(best, 2)
    return times


if __name__ == "__main__":
    main()
