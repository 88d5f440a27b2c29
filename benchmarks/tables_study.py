"""Tables: the recipe tabm beside boosted trees and networks, full sizes, several splits.

    JAXMLP_DATA_DIR=folder python -m benchmarks.tables_study

Every method gets the same typed columns and the same rows: 60% to train, 20% to validate, 20% to
test. A method without validation rows of its own trains on both. The splits and seeds were fixed
before the first look: the recipe was chosen on seeds 100 to 102. Results are written after every
split, and a second call goes on where it stopped.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.quality_data import TABLES, TableSplit, load_frame, split_table
from benchmarks.table_peers import PEERS, Predicted, measures, why_absent
from jaxmlp.estimators import TabularMLPClassifier, TabularMLPRegressor
from jaxmlp.recipes import Recipe

RESULTS = Path(__file__).parent / "results" / "tables.json"
OURS = "jaxmlp tabm"
TREES = ("scikit-learn boosted trees", "LightGBM", "XGBoost", "CatBoost")
NAMES = (
    "california_housing", "bike_sharing", "bike_sharing_numeric", "adult", "bank_marketing",
    "dry_bean", "titanic",
)  # fmt: skip


def jaxmlp_recipe(
    recipe: str | Recipe, *, loss: str | None = None, best_epoch: bool = True, **settings: Any
) -> Callable[[TableSplit, int], Predicted]:
    """Make the method that trains a recipe.

    Args:
        recipe: its name, or a record.
        loss: of numbers; None is "poisson" for counts, else "squared_error".
        best_epoch: whether the validation rows decide which epoch is kept; else the last is.
        settings: instead of the recipe's own.
    """

    def run(split: TableSplit, seed: int) -> Predicted:
        options = {"recipe": recipe, "random_state": seed, "settings": settings}
        held_out = {"X_val": split.X_val, "y_val": split.y_val}
        if not best_epoch:
            options["validation_fraction"], held_out = 0.0, {}
        begin, processor = time.perf_counter(), time.process_time()
        if split.class_names is not None:
            model = TabularMLPClassifier(**options)
        else:
            model = TabularMLPRegressor(loss=loss or loss_of(split), **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of levels that training never saw
            model.fit(split.X_train, split.y_train, **held_out)
            ask = model.predict if split.class_names is None else model.predict_proba
            outputs = np.asarray(ask(split.X_test), float)
        return Predicted(outputs, time.perf_counter() - begin, time.process_time() - processor)

    return run


def loss_of(split: TableSplit) -> str:
    """Choose the loss of numbers: "poisson" for counts, else "squared_error"."""
    counts = np.all(split.y_train == np.round(split.y_train)) and split.y_train.max() < 1e4
    return "poisson" if counts and split.y_train.min() >= 0 else "squared_error"


METHODS: dict[str, Callable[[TableSplit, int], Predicted]] = {
    OURS: jaxmlp_recipe("tabm"),
    "jaxmlp plain": jaxmlp_recipe("plain"),
    **{name: peer.run for name, peer in PEERS.items()},
}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill in what is missing in the result file."""
    content: dict[str, Any] = {"scores": {}}
    if options.out.is_file():
        content = json.loads(options.out.read_text())
    absent = {name: why_absent(name) for name in options.methods if name in PEERS}
    for name, reason in absent.items():
        if reason is not None:
            print(f"{name} is left out: {reason}")
    methods = [name for name in options.methods if absent.get(name) is None]
    for seed in options.seeds:
        for table in options.tables:
            done = content["scores"].setdefault(table, {})
            missing = [m for m in methods if str(seed) not in done.get(m, {})]
            if not missing:
                continue
            split = split_table(table, load_frame(table, options.data_dir), seed)
            for method in missing:
                found = METHODS[method](split, seed)
                done.setdefault(method, {})[str(seed)] = {
                    **measures(split, found.outputs),
                    "seconds": round(found.seconds, 2),
                    "processor_seconds": round(found.processor_seconds, 2),
                }
                write_json(options.out, {"environment": environment(), **content})
                print(table, seed, method, done[method][str(seed)], flush=True)
    return content


def main_measure(scores: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return what a table is judged by: the RMSE, or the log loss."""
    first = next(iter(next(iter(scores.values())).values()))
    return "rmse" if "rmse" in first else "log_loss"


def summarize(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row a table: mean and deviation of each method, and its seconds."""
    rows = []
    for table, methods in scores.items():
        measure = main_measure(methods)
        row: dict[str, Any] = {"table": table, "measure": measure.replace("_", " ")}
        for method, splits in methods.items():
            values = [split[measure] for split in splits.values()]
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            seconds = statistics.median(split["processor_seconds"] for split in splits.values())
            digits = 0 if max(values) > 1000 else 2 if measure == "rmse" else 4
            mean = statistics.mean(values)
            row[method] = f"{mean:,.{digits}f} ± {deviation:,.{digits}f} ({seconds:.1f} s)"
        rows.append(row)
    return rows


def verdict(scores: dict[str, Any]) -> dict[str, list[str]]:
    """Name the tables where ours is better in the mean, and where it is behind the best trees.

    Behind means: by more than the larger of the two deviations over the splits.
    """
    found: dict[str, list[str]] = {}
    for table, methods in scores.items():
        measure = main_measure(methods)
        ours = [split[measure] for split in methods[OURS].values()]
        means = {}
        for method, splits in methods.items():
            theirs = [splits[seed][measure] for seed in methods[OURS] if seed in splits]
            if method == OURS or len(theirs) < len(ours):
                continue
            means[method] = statistics.mean(theirs)
            if statistics.mean(ours) < means[method]:
                found.setdefault(f"better than {method}", []).append(table)
        best = min((m for m in TREES if m in means), key=lambda m: means[m], default=None)
        if best is not None and len(ours) > 1:
            spread = max(
                statistics.stdev(split[measure] for split in methods[name].values())
                for name in (OURS, best)
            )
            if statistics.mean(ours) > means[best] + spread:
                found.setdefault("behind the best trees", []).append(table)
    return found


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=list(NAMES), choices=TABLES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--out", type=Path, default=RESULTS)
    folder = os.environ.get("JAXMLP_DATA_DIR")
    parser.add_argument("--data-dir", type=Path, default=folder, required=folder is None)
    options = parser.parse_args()
    content = run(options)
    found = verdict(content["scores"])
    write_json(options.out, {"environment": environment(), **content, "verdict": found})
    print(markdown_table(summarize(content["scores"])))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
