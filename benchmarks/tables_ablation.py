"""What each ingredient of the recipe tabm brings: the recipe, with one left out or changed.

    python -m benchmarks.tables_ablation

The tables are two of scikit-learn's; the recipe's rule of steps was settled on six others. 60% of
the rows train, 20% choose the epoch, 20% test. Variants, tables, splits and seeds were fixed before
the first look, and every variant gets the same splits and the same seeds, so that its difference to
the recipe is taken split by split. Results are written after every fit, and a second call goes on
where it stopped.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.quality_data import load_frame, split_table
from benchmarks.realmlp_study import cut, result_row
from benchmarks.tables_study import jaxmlp_recipe, main_measure
from jaxmlp.recipes import Recipe, get_recipe

RESULTS = Path(__file__).parent / "results" / "tables_ablation.json"
NAMES = ("diabetes", "breast_cancer")
FULL = "tabm"


class Variant(NamedTuple):
    """The recipe, but for some fields; and whether the best epoch is kept, or the last."""

    changes: dict[str, Any]
    best_epoch: bool = True

    @property
    def recipe(self) -> Recipe:
        """The record."""
        return get_recipe(FULL).replace(**self.changes)


VARIANTS = {
    FULL: Variant({}),
    # Signs set members apart: without signs of their own, they would all be the same network.
    "one member, without signs": Variant({"members": 1}),
    "numbers as they are": Variant({"embedding": None}),
    # Fifteen times the rate suits bends that start at 0; waves are given the rate of the layers.
    "periodic embedding": Variant({"embedding": "periodic", "embedding_rate": 1.0}),
    "no scale": Variant({"scale": False}),
    "no dropout": Variant({"dropout": (0.0, 0.0)}),
    "no weight decay": Variant({"weight_decay": 0.0}),
    "constant learning rate": Variant({"schedule": "constant"}),
    "one rate for all arrays": Variant(
        {"embedding_rate": 1.0, "scale_rate": 1.0, "bias_rate": 1.0}
    ),
    "b2 = 0.999": Variant({"b2": 0.999}),
    "batches of 256 in small tables": Variant({"small": ((), ())}),
    "last epoch": Variant({}, best_epoch=False),
}


def fit_one(table: str, variant: str, seed: int, rows: int) -> dict[str, float]:
    """Fit a variant on a split of a table, with at most so many training rows; measure it."""
    split = cut(split_table(table, load_frame(table, Path()), seed), rows, seed)
    recipe, best_epoch = VARIANTS[variant].recipe, VARIANTS[variant].best_epoch
    # scikit-learn's diabetes has whole numbers, but counts nothing.
    method = jaxmlp_recipe(recipe, loss="squared_error", best_epoch=best_epoch)
    return result_row(split, method(split, seed))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill in what is missing in the result file."""
    content: dict[str, Any] = {"scores": {}}
    if options.out.is_file():
        content = json.loads(options.out.read_text())
    for table in options.tables:
        variants = content["scores"].setdefault(table, {})
        for seed in options.seeds:
            for name in options.variants:
                splits = variants.setdefault(name, {})
                if str(seed) not in splits:
                    splits[str(seed)] = fit_one(table, name, seed, options.rows)
                    save(options.out, content["scores"])
                    print(table, seed, name, splits[str(seed)], flush=True)
    return content


def save(path: Path, scores: dict[str, Any]) -> None:
    """Write what there is, with the records' changes and the differences."""
    changes = {name: v.recipe.to_dict() for name, v in VARIANTS.items()}
    full = changes[FULL]
    told = {
        name: {field: value for field, value in fields.items() if value != full[field]}
        for name, fields in changes.items()
    }
    found = {"environment": environment(), "changes": told, "scores": scores}
    write_json(path, {**found, "differences": differences(scores)})


def differences(scores: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Return by table and variant the paired difference to the recipe, and its standard error.

    difference = mean_s(d_s), error = sqrt(var(d_s) / n), d_s = score of the variant - score of the
    recipe on split s, over the n splits that both have. Scores are log losses or RMSEs: a positive
    difference means that the recipe is better.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for table, variants in scores.items():
        full = variants.get(FULL, {})
        for name, splits in variants.items():
            both = [seed for seed in splits if seed in full]
            if name == FULL or len(both) < 2:
                continue
            measure = main_measure(variants)
            paired = [splits[seed][measure] - full[seed][measure] for seed in both]
            found.setdefault(table, {})[name] = {
                "difference": statistics.mean(paired),
                "error": statistics.stdev(paired) / len(paired) ** 0.5,
            }
    return found


def verdict(scores: dict[str, Any]) -> dict[str, list[str]]:
    """Name the variants that differ from the recipe by more than two standard errors."""
    found: dict[str, list[str]] = {}
    for table, variants in differences(scores).items():
        for name, told in variants.items():
            if abs(told["difference"]) > 2 * told["error"]:
                word = "worse" if told["difference"] > 0 else "better"
                found.setdefault(f"{word} than the recipe", []).append(f"{table}: {name}")
    return found


def summarize(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row a variant: of each table the score, the difference and the seconds."""
    names = list(dict.fromkeys(name for variants in scores.values() for name in variants))
    rows: list[dict[str, Any]] = [{"variant": name} for name in names]
    paired = differences(scores)
    for table, variants in scores.items():
        measure = main_measure(variants)
        digits = 2 if measure == "rmse" else 4
        title = f"{table}, {measure.replace('_', ' ')}"
        for row in rows:
            splits = variants.get(row["variant"], {})
            values = [split[measure] for split in splits.values()]
            told = paired.get(table, {}).get(row["variant"])
            row[title] = row[f"{table}, difference"] = row[f"{table}, s"] = ""
            if values:
                deviation = statistics.stdev(values) if len(values) > 1 else 0.0
                seconds = statistics.median(split["processor_seconds"] for split in splits.values())
                row[title] = f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"
                row[f"{table}, s"] = f"{seconds:.1f}"
            if told:
                row[f"{table}, difference"] = (
                    f"{told['difference']:+.{digits}f} ± {told['error']:.{digits}f}"
                )
    return rows


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--rows", type=int, default=8_000, help="training rows at most")
    parser.add_argument("--out", type=Path, default=RESULTS)
    scores = run(parser.parse_args())["scores"]
    print(markdown_table(summarize(scores)))
    print(json.dumps(verdict(scores), indent=2))


if __name__ == "__main__":
    main()
