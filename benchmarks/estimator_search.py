"""A grid search three ways: MLPSearchCV, GridSearchCV of the same estimator, and of scikit-learn's.

16 settings, 5 folds of the digits, 64-128-10, 50 epochs, two processors for each: MLPSearchCV has a
device for each, GridSearchCV(n_jobs=2) a process for each. Seconds of the first call, in which
programs are compiled and processes start, and the median of the later ones; and whether the scores
are equal.

Run: python -m benchmarks.estimator_search [--rounds 3] [--json FILE]
"""

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid

import jaxmlp.estimators
from benchmarks.harness import environment

GRID = {"learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2], "alpha": [0.0, 1e-5, 1e-4, 1e-3]}
OPTIONS: dict[str, Any] = {
    "hidden_layer_sizes": (128,), "max_iter": 50, "batch_size": 128, "tol": 0.0,
    "n_iter_no_change": 1000, "random_state": 0,
}  # fmt: skip
FOLDS, PROCESSORS = 5, 2


def run(search: Any, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit a search; return all scores, (folds, candidates), and the seconds it took."""
    begin = time.perf_counter()
    search.fit(X, y)
    seconds = time.perf_counter() - begin
    return np.array([search.cv_results_[f"split{k}_test_score"] for k in range(FOLDS)]), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="calls after the first")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", PROCESSORS)
    warnings.simplefilter("ignore", ConvergenceWarning)
    os.environ["PYTHONWARNINGS"] = "ignore"  # in the other processes
    X, y = load_digits(return_X_y=True)
    X = (X / 16.0).astype(np.float32)
    ours = jaxmlp.estimators.MLPClassifier(**OPTIONS)
    theirs = sklearn.neural_network.MLPClassifier(**OPTIONS)
    searches = {
        "MLPSearchCV": jaxmlp.estimators.MLPSearchCV(ours, GRID, cv=FOLDS, refit=False),
        "GridSearchCV, our estimator": GridSearchCV(ours, GRID, cv=FOLDS, refit=False),
        "GridSearchCV, scikit-learn": GridSearchCV(
            theirs, GRID, cv=FOLDS, refit=False, n_jobs=PROCESSORS
        ),
    }
    scores: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for turn in range(arguments.rounds + 1):
        for name, search in searches.items():
            scores[name], taken = run(search, X, y)
            seconds[name].append(taken)
            print(f"{turn} {name:28s} {taken:.2f} s", flush=True)
    examples = (
        np.abs(scores["MLPSearchCV"] - scores["GridSearchCV, our estimator"]) * len(X) / FOLDS
    )
    results: dict[str, Any] = {
        "environment": environment(),
        "rows": len(X),
        "settings": len(ParameterGrid(GRID)),
        "folds": FOLDS,
        **OPTIONS,
        "first call (s)": {name: round(taken[0], 2) for name, taken in seconds.items()},
        "later calls (s)": {name: round(median(taken[1:]), 2) for name, taken in seconds.items()},
        "mean accuracy": {name: round(float(found.mean()), 4) for name, found in scores.items()},
        "share of equal scores": float((examples < 0.5).mean()),
        "largest difference in examples": float(np.round(examples.max(), 2)),
    }
    print(json.dumps(results, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
