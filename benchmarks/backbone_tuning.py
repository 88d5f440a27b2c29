"""The lecture's three ways on a real backbone: do the passes through it pay, and what do they cost?

    python -m benchmarks.backbone_tuning [--seeds 10] [--out FILE]

SciPy's functions by their first sentence, through all-MiniLM-L6-v2: which of nine packages is it?
10 labelled sentences a package, all others are tested. A seed draws the labelled ones, the head and
the order; all ways get the same. "features" trains a linear head on fixed features; "finetune" a
new head together with the upper half of the blocks; "transfer" the head first, then both. The
options are those that `finetune_backbone` has by itself; nothing was tuned. Seconds are those of
training.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import RESULTS
from benchmarks.backbones import sentences
from benchmarks.harness import environment, write_json
from jaxmlp.backbones import Backbone
from jaxmlp.finetuning import MODES, finetune_backbone


def measure(backbone: Backbone, seed: int) -> list[dict[str, Any]]:
    """Accuracy and seconds of each way, for one drawing of the labelled images."""
    task = sentences(Path())
    rng, y = np.random.default_rng(seed), task.y.astype(np.int32)
    classes = range(int(y.max()) + 1)
    train = np.concatenate(
        [rng.choice(task.pool[y[task.pool] == k], task.per_class, replace=False) for k in classes]
    )
    test = np.setdiff1d(task.pool, train)
    data = ([task.items[row] for row in train], y[train])
    rows = []
    for mode in MODES:
        begun = time.perf_counter()
        tuned = finetune_backbone(backbone, data, key=jax.random.key(seed), mode=mode)
        seconds = time.perf_counter() - begun
        p = tuned.predict([task.items[row] for row in test])
        accuracy = float(np.mean(p.argmax(axis=1) == y[test]))
        own = backbone.model.parameters if backbone.model else {}
        size = sum(own[name].size for name in own if name not in tuned.frozen)
        rows.append(
            {"seed": seed, "mode": mode, "accuracy": accuracy, "seconds": seconds, "tuned": size}
        )
        print(rows[-1], flush=True)
    return rows


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a way: mean and deviation over the seeds, and the gain over fixed features."""
    found = []
    fixed = np.array([row["accuracy"] for row in rows if row["mode"] == "features"])
    for mode in MODES:
        own = [row for row in rows if row["mode"] == mode]
        accuracy = np.array([row["accuracy"] for row in own])
        gain = accuracy - fixed
        found.append({
            "way": mode,
            "accuracy, %": _mean_and_deviation(accuracy),
            "gain": "" if mode == "features" else _mean_and_deviation(gain),
            "parameters tuned below the head": f"{own[0]['tuned']:,}",
            "seconds of training": f"{np.median([row['seconds'] for row in own]):.0f}",
        })  # fmt: skip
    return found


def _mean_and_deviation(shares: np.ndarray) -> str:
    spread = shares.std(ddof=1) if len(shares) > 1 else 0.0
    return f"{100 * shares.mean():.1f} ± {100 * spread:.1f}"


def main() -> None:
    """Tune, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "backbone_tuning.json")
    parser.add_argument("--cache", type=Path, default=None, help="folder to keep features in")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    backbone = Backbone.load("package:all-MiniLM-L6-v2", cache=options.cache)
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        rows += measure(backbone, seed)
        write_json(
            options.out,
            {
                "environment": environment(), "command": "python -m benchmarks.backbone_tuning",
                "seeds": seed + 1, "backbone": backbone.name, "rows": rows,
            },
        )  # fmt: skip
    for row in summarize(rows):
        print(row)


if __name__ == "__main__":
    main()
