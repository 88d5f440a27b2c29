"""Overfitting examined: planted in five tables, and looked for in healthy runs on the same tables.

Planted: a network of 256-256 units learns 80 rows without regularization for 300 epochs; a
quarter of the labels are wrong, or the amounts have more noise than signal. Healthy: all training
rows, labels as they are, dropout, and the best epoch kept by early stopping. A run counts as named
if `diagnose` gives a warning of overfitting.

    python -m benchmarks.overfitting [--seeds 20]
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn import datasets

import jaxmlp
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.data import Standardizer
from jaxmlp.diagnostics import FindingKind, Severity, diagnose
from jaxmlp.training import EarlyStopping

RESULTS = Path(__file__).parent / "results" / "overfitting.json"
N_PLANTED, WRONG, NOISE = 80, 0.25, 1.5  # rows learnt by heart; share of wrong labels; deviations
SIZES, RATE, BATCH = (256, 256), 1e-3, 32

TABLES: dict[str, Callable[[], Any]] = {
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman": lambda: datasets.make_friedman1(600, noise=1.0, random_state=0),
}


class Parts(NamedTuple):
    """Standardized features, and targets."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]


def draw(table: str, seed: int, planted: bool) -> Parts:
    """Split a table, and spoil the targets if something is to be planted."""
    rng = np.random.default_rng(seed)
    x, y = TABLES[table]()
    x = Standardizer.fit(x).transform(x).astype(np.float32)
    classes = y.dtype.kind == "i"
    if not classes:
        y = ((y - y.mean()) / y.std()).astype(np.float32)
    if planted and classes:
        wrong = rng.random(len(y)) < WRONG
        y = np.where(wrong, (y + rng.integers(1, y.max() + 1, len(y))) % (y.max() + 1), y)
    elif planted:
        y = y + NOISE * rng.normal(size=len(y)).astype(np.float32)
    order = rng.permutation(len(y))
    held_out, rest = np.split(order, [len(y) // 4])
    learnt = rest[:N_PLANTED] if planted else rest
    return Parts((x[learnt], y[learnt]), (x[held_out], y[held_out]))


def is_named(table: str, seed: int, planted: bool) -> bool:
    """Train, and ask the doctor."""
    train, validation = draw(table, seed, planted)
    classes = train[1].dtype.kind == "i"
    n_out = int(train[1].max()) + 1 if classes else 1
    loss = "softmax_cross_entropy" if classes else "squared_error"
    config = jaxmlp.MLPConfig(
        (train[0].shape[1], *SIZES, n_out), activation="relu", dropout=not planted
    )
    optimizer = jaxmlp.optimizers.adam(RATE)
    params_key, key = jax.random.split(jax.random.key(seed))
    result = jaxmlp.fit(
        config, jaxmlp.init(config, params_key), train, loss=loss, optimizer=optimizer, key=key,
        epochs=300, batch_size=BATCH, validation_data=validation,
        dropout_rate=0.0 if planted else 0.3,
        early_stopping=None if planted else EarlyStopping(patience=20),
    )  # fmt: skip
    findings = diagnose(config, result, train, loss=loss, validation_data=validation, trial_steps=0)
    return any(
        f.kind is FindingKind.OVERFITTING and f.severity >= Severity.WARNING for f in findings
    )


def main() -> None:
    """Run the study, and write its results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for table in TABLES:
        planted, healthy = (
            sum(is_named(table, seed, planted) for seed in range(options.seeds))
            for planted in (True, False)
        )
        rows.append({"table": table, "planted and named": planted, "healthy and named": healthy})
        print(rows[-1], flush=True)
    write_json(options.out, {"environment": environment(), "seeds": options.seeds, "tables": rows})
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
