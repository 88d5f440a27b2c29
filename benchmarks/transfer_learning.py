"""Does transfer beat training from scratch on little data? The lecture's three ways, 10 seeds.

    JAXMLP_DATA_DIR=folder python -m benchmarks.transfer_learning [--out FILE] [--seeds 10]

Tasks: a network pretrained on eight classes of Fashion-MNIST learns the two others, "fashion" bags
and ankle boots from 50 labelled images each, "fashion-few" from 10, "fashion-hard" coats and
shirts from 50; "mnist": one pretrained on MNIST learns all of Fashion-MNIST from 50 of each;
"digits": as "fashion", with the digits embedded in scikit-learn and 20 of each. Everything is
256-128 hidden ReLU units, Adam, 100 epochs for each phase, batches of 32; a seed draws the labelled
images, the new weights and the order. Accuracy is on the whole test set of the new classes.
"scratch" is given the best of three learning rates *on the test set*, so its figure is too good, if
anything; gains are of the same labelled images, seed by seed.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxmlp
from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.data import Dataset, Standardizer, load_digits, load_idx, train_test_split
from jaxmlp.finetuning import MODES, finetune
from jaxmlp.models import Network

LOSS = "softmax_cross_entropy"
HIDDEN, EPOCHS, BATCH = (256, 128), 100, 32
SCRATCH_RATES = (3e-4, 1e-3, 3e-3)


class Task(NamedTuple):
    """A set to pretrain on, and a smaller one to learn then."""

    says: str
    source: Dataset
    pool: Dataset  # labelled images are drawn from here
    test: Dataset
    per_class: int


def classes(data: Dataset, chosen: list[int]) -> Dataset:
    """Keep some classes, numbered anew from 0."""
    kept = data.take(np.isin(data.y, chosen))
    names = tuple((data.class_names or ())[k] for k in chosen)
    return kept._replace(y=np.searchsorted(chosen, kept.y).astype(np.int32), class_names=names)


PARTS = {  # name: (source, classes pretrained on, classes to learn, labelled images of each)
    "digits": ("digits", range(8), (8, 9), 20),
    "fashion": ("fashion-mnist", range(8), (8, 9), 50),
    "fashion-few": ("fashion-mnist", range(8), (8, 9), 10),
    "fashion-hard": ("fashion-mnist", (0, 1, 2, 3, 5, 7, 8, 9), (4, 6), 50),
    "mnist": ("mnist", range(10), range(10), 50),
}


def load_task(name: str, folder: str | None) -> Task:
    """Load what a task is made of, standardized by the source alone."""
    source_name, low, high, per_class = PARTS[name]
    if name == "digits":
        pool, test = train_test_split(load_digits(), 0.5, seed=0)
    else:
        pool, test = load_idx(folder or "", "fashion-mnist")
    source = load_idx(folder or "", "mnist")[0] if name == "mnist" else pool
    parts = classes(source, list(low)), classes(pool, list(high)), classes(test, list(high))
    says = f"{source_name} {_named(low)} -> {_named(high)}"
    if name == "mnist":
        says = "mnist -> fashion-mnist"
    standardizer = Standardizer.fit(parts[0].x, per_feature=False)
    source, pool, test = (part._replace(x=standardizer.transform(part.x)) for part in parts)
    return Task(says, source, pool, test, per_class)


def _named(chosen: Any) -> str:
    return ", ".join(str(k) for k in chosen) if len(chosen) < 8 else f"{len(chosen)} classes"


def pretrain(task: Task, epochs: int) -> Network:
    """Train on the source."""
    data = task.source
    config = jaxmlp.MLPConfig((data.x.shape[1], *HIDDEN, len(data.class_names or ())))
    params = jaxmlp.init(config, jax.random.key(0))
    result = jaxmlp.fit(
        config, params, (data.x, data.y), loss=LOSS, optimizer=jaxmlp.adam(1e-3), epochs=epochs,
        batch_size=128, key=jax.random.key(1),
    )  # fmt: skip
    print(f"{task.says}: pretrained to {result.history['train_accuracy'][-1]:.1%}", flush=True)
    return Network(config, result.params, result.state)


def draw(task: Task, seed: int) -> Dataset:
    """Draw the labelled images of a seed."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(task.pool.y == k), task.per_class, replace=False)
        for k in range(len(task.pool.class_names or ()))
    ]
    return task.pool.take(np.concatenate(rows))


def accuracy(network: Any, test: Dataset) -> float:
    """Measure on the test set."""
    config, params, state = network
    return jaxmlp.evaluate(config, params, (test.x, test.y), LOSS, state=state)["accuracy"]


def scratch(task: Task, network: Network, seed: int, rate: float) -> float:
    """Train a network of the same shape on the labelled images alone."""
    few = draw(task, seed)
    n_out = len(task.pool.class_names or ())
    config = network.config.replace(layer_sizes=(*network.config.layer_sizes[:-1], n_out))
    result = jaxmlp.fit(
        config, jaxmlp.init(config, jax.random.key(100 + seed)), (few.x, few.y), loss=LOSS,
        optimizer=jaxmlp.adam(rate), epochs=EPOCHS, batch_size=BATCH,
        key=jax.random.key(200 + seed),
    )  # fmt: skip
    return accuracy((config, result.params, result.state), task.test)


def transferred(task: Task, network: Network, seed: int, mode: str) -> float:
    """Teach the pretrained network the labelled images."""
    few = draw(task, seed)
    new = finetune(
        network, (few.x, few.y), mode=mode, key=jax.random.key(200 + seed), epochs=EPOCHS,
        batch_size=BATCH,
    )  # fmt: skip
    return accuracy((new.model.config, new.model.params, new.model.state), task.test)


def study(task: Task, seeds: int, pretraining: int) -> list[dict[str, Any]]:
    """One row for each way, best of scratch's rates first."""
    network = pretrain(task, pretraining)
    tried = {
        rate: [scratch(task, network, seed, rate) for seed in range(seeds)]
        for rate in SCRATCH_RATES
    }
    best = max(tried, key=lambda rate: float(np.mean(tried[rate])))
    found = {f"scratch (Adam {best:g})": tried[best]}
    for mode in MODES:
        found[mode] = [transferred(task, network, seed, mode) for seed in range(seeds)]
    base = np.array(tried[best])
    rows = []
    for name, values in found.items():
        gain = np.array(values) - base
        deviation = float(gain.std(ddof=1))
        rows.append(
            {
                "task": task.says,
                "way": name,
                "labelled per class": task.per_class,
                "accuracy": float(np.mean(values)),
                "deviation": float(np.std(values, ddof=1)),
                "gain over scratch": float(gain.mean()),
                "deviation of the gain": deviation,
                "gain / deviation": float(gain.mean()) / deviation if deviation else 0.0,
                "seeds": [round(value, 4) for value in values],
            }
        )
    return rows


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "transfer_learning.json")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tasks", default=",".join(PARTS))
    options = parser.parse_args()
    folder, begin, rows = os.environ.get("JAXMLP_DATA_DIR"), time.perf_counter(), []
    for name in options.tasks.split(","):
        task = load_task(name, folder)
        rows += study(task, options.seeds, 30 if name == "digits" else 5)
        shown = [{k: v for k, v in row.items() if k != "seeds"} for row in rows]
        print(markdown_table(shown), flush=True)
    seconds = round(time.perf_counter() - begin)
    write_json(options.out, {"environment": environment(), "seconds": seconds, "rows": rows})
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
