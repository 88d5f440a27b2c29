"""What `jaxmlp train --budget` buys: the first training, a search, an ensemble, on the same rows.

    python -m benchmarks.budget [--out FILE] [--seconds 60] [--seeds 0 1]

Two tables that no recipe was settled on: "friedman", 1,500 made rows of ten numbers with noise of
deviation 1 (no RMSE can be much below 1), and "digits", the 1,797 images of scikit-learn as 64
columns of numbers. A seed splits the rows, and is that of the run; nothing compiled is kept between
runs, as in a process of its own. The validation part decides, the test part is measured afterwards.
How a budget is shared between search and ensemble was settled after earlier runs on these tables.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import pandas as pd
from rich.console import Console
from sklearn.datasets import load_digits, make_friedman1

from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.cli.budget import Budget, spend
from jaxmlp.cli.measuring import measure_model
from jaxmlp.cli.options import Options, recipe_defaults
from jaxmlp.cli.prepared_table import PreparedTable, load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.cli.training_run import fit_network, make_plan
from jaxmlp.recipes import get_recipe, recipe_settings

RECIPE = "tabm"
SCORES = {"friedman": "rmse", "digits": "loss"}  # of the test part


def make_table(name: str) -> pd.DataFrame:
    """Make a table, with its target last."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
        return pd.DataFrame(x).assign(y=[f"digit {k}" for k in y])
    x, y = make_friedman1(1_500, noise=1.0, random_state=0)
    return pd.DataFrame(x).assign(y=y)


def load(name: str, seed: int) -> PreparedTable:
    """Read a table as the command does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.csv")
        make_table(name).to_csv(path, index=False)
        one_hot = get_recipe(RECIPE).max_one_hot
        return load_table(str(path), TableOptions("y", max_one_hot=one_hot), seed)


def run_once(name: str, seed: int, seconds: float) -> list[dict[str, Any]]:
    """Spend a budget; return what each part of it reached."""
    jax.clear_caches()
    data, console = load(name, seed), Console(quiet=True)
    names = data.train.class_names
    task = "regression" if names is None else "classification"
    settings = recipe_settings(get_recipe(RECIPE), len(data.train.x), task, len(names or (0,)))
    options = Options(data.name, recipe=RECIPE, seed=seed, **recipe_defaults(settings))
    budget = Budget(seconds)
    plan, begin = make_plan(options, data), time.perf_counter()
    first = fit_network(options, data, plan)
    took = time.perf_counter() - begin
    found = spend(budget, console, options, data, first, took, plan.best)
    stages = {"first": (first, ()), "search": (found.result, ())}
    stages["ensemble"] = (found.result, found.ensemble)
    rows = []
    for stage, (result, ensemble) in stages.items():
        model, _ = measure_model(data, result, importance=False, ensemble=ensemble)
        record: Any = (found.record or {}).get(stage, {})
        rows.append({
            "table": name, "seed": seed, "part": stage, "score": SCORES[name],
            "networks": record.get("networks", 0), "seconds": record.get("seconds", 0.0),
            "validation_loss": record.get("after"), "test": model.metrics[f"test_{SCORES[name]}"],
        })  # fmt: skip
    return rows


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a table and seed, for people."""
    shown = []
    for first, search, ensemble in zip(*(rows[k::3] for k in range(3)), strict=True):
        parts = {"first training": first, "search": search, "ensemble": ensemble}
        shown.append({
            "table, seed": f"{first['table']}, {first['seed']}",
            "test score": {"rmse": "RMSE", "loss": "log loss"}[first["score"]],
            **{
                name: f"{part['test']:.4g} ({part['networks']} trained, {part['seconds']:.0f} s)"
                for name, part in parts.items()
            },
        })  # fmt: skip
    return shown


def main() -> None:
    """Run all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "budget.json")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in SCORES:
        for seed in arguments.seeds:
            rows += run_once(name, seed, arguments.seconds)
            print(markdown_table(summarize(rows[-3:])), flush=True)
    content = {"environment": environment(), "seconds": arguments.seconds, "rows": rows}
    write_json(arguments.out, content)


if __name__ == "__main__":
    main()
