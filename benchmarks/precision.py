"""What narrow numbers cost in accuracy: float32, bfloat16 products, and bfloat16 throughout.

    JAXMLP_DATA_DIR=folder python -m benchmarks.precision [--seeds 5] [--out FILE]

Three tasks, each trained by Adam in the same way with each choice of dtypes, a fixed number of
epochs, the rate falling along a cosine, without dropout and early stopping: digits (64-128-10), the
first 5,000 training images of Fashion-MNIST (784-256-128-10, its own test images),
california_housing (two hidden layers of 64, squared error of the standardized target). A seed draws
the initial weights, in float32, and the order of the rows, alike for every choice, so that
differences are between pairs. Times are not measured: a processor without units for bfloat16
emulates it.
"""

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.quality_data import load_frame, make_split
from jaxmlp import MLPConfig, Params, adam, init
from jaxmlp.data import load_digits, load_idx
from jaxmlp.optimizers import cosine
from jaxmlp.sweeps import sweep

CHOICES: dict[str, dict[str, Any]] = {
    "float32": {},
    "mixed": {"compute_dtype": "bfloat16"},
    "bfloat16": {"dtype": "bfloat16"},
}
"""What is said to `MLPConfig`: of the parameters, and of products and activations."""

ROWS = 5_000  # training images of Fashion-MNIST
BATCH = 128
N_TEST = 360  # of the 1,797 digits


class Task(NamedTuple):
    """Data, in training and test part, and what learns from them."""

    name: str
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    hidden: tuple[int, ...]
    loss: str
    metric: str
    epochs: int


def load_tasks(folder: Path) -> list[Task]:
    """Load and scale the three."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.x))
    test, train = order[:N_TEST], order[N_TEST:]
    x = digits.x / 16
    fashion, fashion_test = load_idx(folder, "fashion-mnist")
    housing = make_split(
        "california_housing", load_frame("california_housing", folder), seed=0, rows=None
    )
    learnt = housing.rest
    held_out = housing.prepared.test
    cross_entropy = "softmax_cross_entropy"
    return [
        Task(
            "digits", (x[train], digits.y[train]), (x[test], digits.y[test]), (128,),
            cross_entropy, "accuracy", 50,
        ),
        Task(
            "Fashion-MNIST, 5,000 images", (fashion.x[:ROWS], fashion.y[:ROWS]),
            (fashion_test.x, fashion_test.y), (256, 128), cross_entropy, "accuracy", 15,
        ),
        Task(
            "california_housing", learnt, (held_out.x, held_out.y), (64, 64), "squared_error",
            "r2", 20,
        ),
    ]  # fmt: skip


def measure(task: Task, dtypes: dict[str, Any], n_seeds: int) -> tuple[np.ndarray, int]:
    """Train from every seed: the test metric after the last epoch, and how many diverged."""
    n_out = 1 if task.metric == "r2" else int(task.train[1].max()) + 1
    config = MLPConfig((task.train[0].shape[1], *task.hidden, n_out), **dtypes)
    n_steps = task.epochs * -(-len(task.train[0]) // BATCH)
    result = sweep(
        config, task.train, loss=task.loss, grid={"seed": range(n_seeds)}, epochs=task.epochs,
        batch_size=BATCH, key=jax.random.key(0), validation_data=task.test, executor="one",
        optimizer=adam(cosine(1e-3, n_steps)), init=init_alike,
    )  # fmt: skip
    column = result.columns.index(f"validation_{task.metric}")
    return result.final[:, column], sum(status.name != "COMPLETED" for status in result.status)


def init_alike(config: MLPConfig, key: jax.Array) -> Params:
    """Draw in float32, then round."""
    params: Params = init(config.replace(dtype="float32"), key)
    return jax.tree.map(lambda leaf: leaf.astype(config.dtype), params)


def study(tasks: list[Task], n_seeds: int) -> list[dict[str, Any]]:
    """One row for each task and choice; differences are to float32 from the same seed."""
    rows = []
    for task in tasks:
        exact = None
        for choice, dtypes in CHOICES.items():
            scores, n_diverged = measure(task, dtypes, n_seeds)
            exact = scores if exact is None else exact
            gaps = scores - exact
            rows.append(
                {
                    "task": task.name,
                    "choice": choice,
                    "metric": f"test {task.metric}",
                    "mean": float(scores.mean()),
                    "deviation": float(scores.std(ddof=1)),
                    "minus float32": float(gaps.mean()),
                    "error of that": float(gaps.std(ddof=1) / np.sqrt(n_seeds)),
                    "diverged": n_diverged,
                    "scores": scores.tolist(),
                }
            )
            print(markdown_table([shown(rows[-1])]), flush=True)
    return rows


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as tables have it."""
    rounded = {name: f"{row[name]:.4f}" for name in ("mean", "deviation")}
    gap = f"{row['minus float32']:+.4f} ± {row['error of that']:.4f}"
    return {name: row[name] for name in ("task", "choice", "metric")} | rounded | {
        "minus float32": "" if row["choice"] == "float32" else gap
    }  # fmt: skip


def main() -> None:
    """Train, print, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "precision.json")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    folder = os.environ.get("JAXMLP_DATA_DIR")
    if folder is None:
        parser.error("set JAXMLP_DATA_DIR to the folder with fashion_mnist/ and tabular/")
    if options.seeds < 2:
        parser.error(f"--seeds is {options.seeds}; give at least 2, for their deviation")
    rows = study(load_tasks(Path(folder)), options.seeds)
    write_json(options.out, {"environment": environment(), "rows": rows})
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
