"""RealMLP beside its authors' own: the recipes realmlp and realmlp-s, and pytabkit's TD and TD-S.

    JAXMLP_DATA_DIR=folder python -m benchmarks.realmlp_study

All get the same typed columns and the same rows: 60% to train (a random 2,000 of more), 20% to
choose the epoch, 20% to test. Each fit has a process and a processor core of its own, and its
seconds hold all that a user waits for but imports: preparation, compilation, training, prediction.
Results are written after every fit, and a second call goes on where it stopped.
"""

import argparse
import json
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.quality_data import TABLES, TableSplit, load_frame, split_table
from benchmarks.table_peers import Predicted, measures, realmlp
from benchmarks.tables_study import jaxmlp_recipe

RESULTS = Path(__file__).parent / "results" / "realmlp.json"
NAMES = ("titanic", "dry_bean", "california_housing")
PAIRS = {"TD": ("jaxmlp realmlp", "pytabkit TD"), "TD-S": ("jaxmlp realmlp-s", "pytabkit TD-S")}
METHODS = {
    "jaxmlp realmlp": jaxmlp_recipe("realmlp"),
    "pytabkit TD": realmlp("TD", n_threads=1),
    "jaxmlp realmlp-s": jaxmlp_recipe("realmlp-s"),
    "pytabkit TD-S": realmlp("TD_S", n_threads=1),
}


class Job(NamedTuple):
    """One fit of one method on one split of one table, with at most so many training rows."""

    table: str
    method: str
    seed: int
    rows: int
    data_dir: Path


def cut(split: TableSplit, rows: int, seed: int) -> TableSplit:
    """Keep a random part of the training rows; all if there are no more."""
    if len(split.y_train) <= rows:
        return split
    kept = np.sort(np.random.default_rng(seed).permutation(len(split.y_train))[:rows])
    return split._replace(X_train=split.X_train.iloc[kept], y_train=split.y_train[kept])


_core: tuple[Any, int] | None = None  # of this process: the free ones, and its own


def _take_core(free: Any) -> None:
    """Bind a new process to a free core, where the system can; libraries then use one thread."""
    global _core
    _core = free, free.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {_core[1]})


def _fit_and_leave(job: Job) -> dict[str, float]:
    """Fit, and give the core back: the process ends, so that none finds another's programs."""
    try:
        return fit_one(job)
    finally:
        if _core is not None:
            free, core = _core
            free.put(core)


def fit_one(job: Job) -> dict[str, float]:
    """Fit, ask and measure."""
    frame = load_frame(job.table, job.data_dir)
    split = cut(split_table(job.table, frame, job.seed), job.rows, job.seed)
    found = METHODS[job.method](split, job.seed)
    return result_row(split, found)


def result_row(split: TableSplit, found: Predicted) -> dict[str, float]:
    """Measure predictions; return the scores, the rows learnt from, and the time."""
    return {
        **measures(split, found.outputs),
        "rows": len(split.y_train),
        "seconds": round(found.seconds, 2),
        "processor_seconds": round(found.processor_seconds, 2),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill in what is missing in the result file."""
    content: dict[str, Any] = {"scores": {}}
    if options.out.is_file():
        content = json.loads(options.out.read_text())
    jobs = [
        Job(table, method, seed, options.rows, options.data_dir)
        for seed in options.seeds
        for table in options.tables
        for method in METHODS
        if str(seed) not in content["scores"].get(table, {}).get(method, {})
    ]
    context = multiprocessing.get_context("spawn")
    free = context.Manager().Queue()
    for core in range(options.cores):
        free.put(core)
    with ProcessPoolExecutor(
        options.cores, context, _take_core, (free,), max_tasks_per_child=1
    ) as pool:
        waiting = {pool.submit(_fit_and_leave, job): job for job in jobs}
        for done in as_completed(waiting):
            job, found = waiting[done], done.result()
            methods = content["scores"].setdefault(job.table, {})
            methods.setdefault(job.method, {})[str(job.seed)] = found
            save(options.out, content)
            print(*job[:3], found, flush=True)
    return content


def save(path: Path, content: dict[str, Any]) -> None:
    """Write what there is, in one order whatever ended first."""
    scores = {
        table: {
            method: dict(sorted(methods[method].items())) for method in METHODS if method in methods
        }
        for table, methods in sorted(content["scores"].items())
    }
    rest = {"threads": 1, "scores": scores, "verdict": verdict(scores)}
    write_json(path, {"environment": environment(), **rest})


def summarize(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row a table and measure: mean ± deviation of each method, and its time."""
    rows = []
    for table, methods in scores.items():
        for measure in _measures_of(methods):
            row: dict[str, Any] = {"table": table, "measure": measure.replace("_", " ")}
            for method, splits in methods.items():
                mean, deviation = _spread(splits, measure)
                seconds = statistics.median(split["processor_seconds"] for split in splits.values())
                digits = 0 if measure == "rmse" else 4
                row[method] = f"{mean:,.{digits}f} ± {deviation:,.{digits}f} ({seconds:.0f} s)"
            rows.append(row)
    return rows


def verdict(scores: dict[str, Any]) -> dict[str, list[str]]:
    """Say of each pair where the means are within the larger deviation over the splits."""
    found: dict[str, list[str]] = {}
    for table, methods in scores.items():
        for name, pair in PAIRS.items():
            if not all(len(methods.get(method, ())) > 1 for method in pair):
                continue
            for measure in _measures_of(methods):
                (ours, a), (theirs, b) = (_spread(methods[method], measure) for method in pair)
                better = (ours > theirs) == (measure == "accuracy")
                close = abs(ours - theirs) <= max(a, b)
                word = "within one deviation" if close else "better" if better else "worse"
                found.setdefault(f"{name}: {word}", []).append(f"{table}, {measure}")
    return found


def _measures_of(methods: dict[str, Any]) -> list[str]:
    first = next(iter(next(iter(methods.values())).values()))
    return [name for name in ("accuracy", "log_loss", "rmse") if name in first]


def _spread(splits: dict[str, Any], measure: str) -> tuple[float, float]:
    values = [split[measure] for split in splits.values()]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=list(NAMES), choices=TABLES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=2_000, help="training rows at most")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="fits side by side")
    parser.add_argument("--out", type=Path, default=RESULTS)
    folder = os.environ.get("JAXMLP_DATA_DIR")
    parser.add_argument("--data-dir", type=Path, default=folder, required=folder is None)
    content = run(parser.parse_args())
    print(markdown_table(summarize(content["scores"])))
    print(json.dumps(verdict(content["scores"]), indent=2))


if __name__ == "__main__":
    main()
