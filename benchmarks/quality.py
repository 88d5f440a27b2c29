"""How good the defaults are: ten data sets, five splits, beside scikit-learn's learners.

    JAXMLP_DATA_DIR=folder python -m benchmarks.quality

Every method gets the same rows and the same encoded inputs (and standardized targets); "sklearn
raw" gets the numbers unscaled. The score is the accuracy, or the root mean squared error in the
target's units. Results are written after every split, and a second call goes on where it stopped.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.quality_data import SOURCES, Split, load_frame, make_split
from jaxmlp.cli.measuring import measure_model
from jaxmlp.cli.options import Options, recipe_defaults
from jaxmlp.cli.training_run import fit_network, make_plan
from jaxmlp.recipes import get_recipe, recipe_settings

RESULTS = Path(__file__).parent / "results" / "quality.json"
OURS, PEERS = "jaxmlp", ("sklearn MLP", "sklearn MLP 256,256 stopped early")


def jaxmlp_defaults(split: Split, seed: int, **changes: Any) -> float:
    """Train as `jaxmlp train table.csv` does."""
    prepared = split.prepared
    names = prepared.train.class_names
    task = "regression" if names is None else "classification"
    plain = recipe_settings(get_recipe("plain"), len(prepared.train.x), task, len(names or (0,)))
    suitable = recipe_defaults(plain)
    options = replace(Options(seed=seed), **{**suitable, **changes})
    result = fit_network(options, prepared, make_plan(options, prepared), observed=False)
    model, _ = measure_model(prepared, result, importance=False)
    return model.metrics.get("test_accuracy", model.metrics.get("test_rmse", np.nan))


def peer(classifier: Callable[..., Any], regressor: Callable[..., Any], raw: bool = False) -> Any:
    """Wrap two scikit-learn learners as a method."""

    def run(split: Split, seed: int) -> float:
        is_class = split.prepared.train.class_names is not None
        make = classifier if is_class else regressor
        (x, y), x_test = split.rest, split.prepared.test.x
        if raw:
            x, y, x_test = split.raw
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # defaults are what is compared
            predicted = make(seed).fit(x, y).predict(x_test)
        if is_class:
            return float(np.mean(predicted == split.truth))
        if not raw:
            predicted = split.prepared.target_transform.inverse_transform(predicted[:, None])[:, 0]
        return float(np.sqrt(np.mean((predicted - split.truth) ** 2)))

    return run


STOPPED = {"hidden_layer_sizes": (256, 256), "early_stopping": True}
METHODS: dict[str, Callable[[Split, int], float]] = {
    OURS: jaxmlp_defaults,
    PEERS[0]: peer(lambda s: MLPClassifier(random_state=s), lambda s: MLPRegressor(random_state=s)),
    PEERS[1]: peer(
        lambda s: MLPClassifier(random_state=s, **STOPPED),
        lambda s: MLPRegressor(random_state=s, **STOPPED),
    ),
    "linear": peer(lambda s: LogisticRegression(max_iter=1000), lambda s: Ridge()),
    "boosted trees": peer(
        lambda s: HistGradientBoostingClassifier(random_state=s),
        lambda s: HistGradientBoostingRegressor(random_state=s),
    ),
    "sklearn MLP raw": peer(
        lambda s: MLPClassifier(random_state=s), lambda s: MLPRegressor(random_state=s), raw=True
    ),
}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill in what is missing in the result file."""
    content: dict[str, Any] = {"rows": options.rows, "scores": {}, "seconds": {}}
    if options.out.is_file():
        content = json.loads(options.out.read_text())
        if content["rows"] != options.rows:
            raise SystemExit(f"{options.out} was made with --rows {content['rows']}; move it away")
    frames = {name: load_frame(name, options.data_dir) for name in options.data}
    for seed in options.seeds:
        for name in options.data:
            done = content["scores"].setdefault(name, {})
            missing = [m for m in options.methods if str(seed) not in done.get(m, {})]
            if not missing:
                continue
            split = make_split(name, frames[name], seed, options.rows)
            for method in missing:
                scores = done.setdefault(method, {})
                start = time.process_time()
                scores[str(seed)] = METHODS[method](split, seed)
                seconds = content["seconds"].setdefault(name, {}).setdefault(method, {})
                seconds[str(seed)] = round(time.process_time() - start, 2)
            write_json(options.out, {"environment": environment(), **content})
            print(name, seed, {m: round(s[str(seed)], 4) for m, s in content["scores"][name].items()
                               if str(seed) in s}, flush=True)  # fmt: skip
    return content


def summarize(scores: dict[str, dict[str, dict[str, float]]]) -> tuple[list[dict], dict[str, list]]:
    """Return the table's rows, and where ours is ahead of or behind a peer.

    Ahead and behind mean: better or worse in the mean by more than the larger of the two standard
    deviations over the splits.
    """
    rows, verdict = [], {f"{word} {peer}": [] for peer in PEERS for word in ("ahead of", "behind")}
    for name, methods in scores.items():
        is_class = max(max(s.values()) for s in methods.values()) <= 1
        row: dict[str, Any] = {"data set": name, "score": "accuracy %" if is_class else "RMSE"}
        figures = {}
        for method, found in methods.items():
            values = [100 * v if is_class else v for v in found.values()]
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            figures[method] = statistics.mean(values), deviation
            row[method] = _cell(*figures[method])
        rows.append(row)
        for other in PEERS:
            if other not in figures or OURS not in figures:
                continue
            gain = figures[OURS][0] - figures[other][0]
            gain = gain if is_class else -gain
            deviation = max(figures[OURS][1], figures[other][1])
            if abs(gain) > deviation:
                verdict[f"{'ahead of' if gain > 0 else 'behind'} {other}"].append(name)
    return rows, verdict


def _cell(mean: float, deviation: float) -> str:
    digits = 0 if mean > 1000 else 2
    return f"{mean:,.{digits}f} ± {deviation:,.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", default=list(SOURCES), choices=SOURCES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--rows", type=int, help="training rows at most; default: all")
    parser.add_argument("--out", type=Path, default=RESULTS)
    folder = os.environ.get("JAXMLP_DATA_DIR")
    parser.add_argument("--data-dir", type=Path, default=folder, required=folder is None)
    options = parser.parse_args()
    content = run(options)
    rows, verdict = summarize(content["scores"])
    write_json(options.out, {"environment": environment(), **content, "verdict": verdict})
    print(markdown_table(rows))
    print(json.dumps(verdict, indent=2))


if __name__ == "__main__":
    main()
