"""A grid search three ways: MLPSearchCV, GridSearchCV of the same estimator, and of scikit-learn's.

Processor seconds of each, compilation included, and how the scores compare.

Run: python -m benchmarks.estimator_search [--json FILE]
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import jaxmlp.estimators

GRID = {"learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2], "alpha": [1e-5, 1e-3, 1e-1]}
OPTIONS: dict[str, Any] = {"hidden_layer_sizes": (16,), "max_iter": 30, "random_state": 0}
FOLDS = 5


def run(search: Any, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Fit a search; return all scores, (folds, candidates), and what it took."""
    processor, wall = time.process_time(), time.perf_counter()
    search.fit(X, y)
    seconds = {
        "processor_seconds": round(time.process_time() - processor, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
    }
    scores = [search.cv_results_[f"split{fold}_test_score"] for fold in range(FOLDS)]
    return np.array(scores), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    ours = jaxmlp.estimators.MLPClassifier(**OPTIONS)
    theirs = sklearn.neural_network.MLPClassifier(**OPTIONS)
    searches = {
        "MLPSearchCV": jaxmlp.estimators.MLPSearchCV(ours, GRID, cv=FOLDS, refit=False),
        "GridSearchCV": GridSearchCV(ours, GRID, cv=FOLDS, refit=False),
        "scikit-learn": GridSearchCV(theirs, GRID, cv=FOLDS, refit=False),
    }
    results: dict[str, Any] = {"rows": len(X), "candidates": 12, "folds": FOLDS, **OPTIONS}
    scores = {}
    for name, search in searches.items():
        scores[name], results[name] = run(search, X, y)
        print(f"{name:14s} {results[name]}", flush=True)
    examples = np.abs(scores["MLPSearchCV"] - scores["GridSearchCV"]) * len(X) / FOLDS
    results["share of equal scores"] = float((examples < 0.5).mean())
    results["largest difference in examples"] = float(np.round(examples.max(), 2))
    print(json.dumps(results, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
