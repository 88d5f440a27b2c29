"""Rows past memory: how fast, and in how much memory?

    python -m benchmarks.streaming [--rows 50_000_000] [--folder FOLDER] [--out FILE]

Makes Parquet files of 20 numbers, three categories and a label (1,000,000 rows a file, row groups
of 50,000, zstd), and trains 64-128-10 with Adam and batches of 256 for an epoch of them in a
process of its own: reading, encoding, mixing and training. Reports rows a second of that epoch,
with and without compilation, the most memory that the process held, and whether the sums over the
rows that it saw are those over the rows that were written. Files that are there already are used
again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import RESULTS
from benchmarks.harness import environment, write_json

_FILE_ROWS, _GROUP_ROWS = 1_000_000, 50_000
_LEVELS = (5, 12, 27)

CHILD = """
import json, resource, sys, time
import jax
import numpy as np
import jaxmlp
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.streams import open_parquet, row_groups, sample_rows

folder = sys.argv[1]
groups = row_groups(folder)
sample = sample_rows(groups, 100_000, 0)
features = TablePreprocessor.fit(sample.drop(columns=["label", "check"]))
seen, firsts = {"rows": 0, "check": 0}, []

def encode(frame):
    y = frame["label"].to_numpy().astype(np.int32)
    seen["rows"] += len(frame)
    check = int(frame["check"].to_numpy().sum())
    seen["check"] += check
    firsts.append(check)
    return features.transform(frame), y

stream = open_parquet(groups, encode)
config = jaxmlp.MLPConfig((features.n_features, 128, 10))
begin = time.perf_counter()
result = jaxmlp.fit(
    config, jaxmlp.init(config, jax.random.key(0)), stream, epochs=1, batch_size=256,
    loss="softmax_cross_entropy", optimizer=jaxmlp.adam(1e-3), key=jax.random.key(1),
)
seconds = time.perf_counter() - begin
seen["rows"] -= stream.sizes[0]  # read once more before, to check it
seen["check"] -= firsts[0]
print("said", json.dumps({
    "seconds": seconds, "training_seconds": float(result.history["seconds"].sum()),
    "loss": float(result.history["train_loss"][-1]), **seen,
    "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def write_file(path: Path, number: int) -> int:
    """Write a file of the data set; return the sum of its check column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(number)
    x = rng.normal(size=(_FILE_ROWS, 20)).astype(np.float32)
    levels = [rng.integers(0, n, _FILE_ROWS) for n in _LEVELS]
    score = x[:, :10] + 0.3 * x[:, 10:] + (levels[0] == 1)[:, None]
    check = rng.integers(0, 1 << 20, _FILE_ROWS)
    columns: dict[str, Any] = {f"x{k}": x[:, k] for k in range(20)}
    for k, codes in enumerate(levels):
        names = pa.array([f"level {i}" for i in range(_LEVELS[k])])
        columns[f"c{k}"] = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)
    columns |= {"label": score.argmax(axis=1).astype(np.int32), "check": check}
    pq.write_table(pa.table(columns), path, row_group_size=_GROUP_ROWS, compression="zstd")
    return int(check.sum())


def make(folder: Path, n_rows: int) -> int:
    """Write the files that are missing; return the sum over all rows' check column."""
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for number in range(n_rows // _FILE_ROWS):
        path = folder / f"{number:03}.parquet"
        note = path.with_suffix(".sum")
        if not note.is_file():
            note.write_text(str(write_file(path, number)))
        total += int(note.read_text())
    return total


def measure(folder: Path, n_rows: int) -> dict[str, Any]:
    """Train an epoch in a process of its own."""
    total = make(folder, n_rows)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("said "))
    found = json.loads(line[5:])
    return {
        "rows": n_rows, "rows a second": round(n_rows / found["training_seconds"]),
        "rows a second, with compilation": round(n_rows / found["seconds"]),
        "seconds": round(found["seconds"], 1), "peak MiB": round(found["mebibytes"]),
        "loss": round(found["loss"], 4),
        "each row once": (found["rows"], found["check"]) == (n_rows, total),
        "checksum of all rows": total,
        "checksum of those seen": found["check"],
    }  # fmt: skip


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--folder", type=Path, default=None, help="to keep the files in")
    parser.add_argument("--out", type=Path, default=RESULTS / "streaming.json")
    options = parser.parse_args()
    if options.rows % _FILE_ROWS or options.rows < _FILE_ROWS:
        parser.error(f"--rows is {options.rows}; give a multiple of {_FILE_ROWS:,}.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.folder is None else options.folder
        found = measure(folder / f"{options.rows}", options.rows)
    write_json(options.out, {"environment": environment(), **found})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
