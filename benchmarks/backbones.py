"""Do the features of real backbones beat training from scratch, and by how much?

    JAXMLP_DATA_DIR=folder python -m benchmarks.backbones [--seeds 10] [--out FILE]

Four tasks, few labelled items of each class: Fashion-MNIST through EfficientNet-Lite0 (20 images a
class, 2,000 test images); speakers and digits of recordings through the voice encoder of
resemblyzer (20 a class from the data set's training part, the official test part); SciPy's
functions by their first sentence through all-MiniLM-L6-v2 (10 sentences a class). A seed draws the
labelled items, the new weights and the order; all ways get the same items. The ways: an MLP on what
the data are without a backbone (pixels; a spectrogram of 32 x 40; counted words), logistic
regression on the backbone's features, and an MLP on these. Dropout, Adam and 100 epochs are the
same for both MLPs, and nothing was tuned.
"""

import argparse
import os
import runpy
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxmlp
from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.backbones import Backbone
from jaxmlp.data import Standardizer, load_idx

EPOCHS, BATCH, HIDDEN = 100, 16, 64
SCRATCH, LINEAR, OURS = "scratch", "linear on features", "MLP on features"
TEST_IMAGES = 2_000
EXAMPLES = Path(__file__).parents[1] / "examples"


class Task(NamedTuple):
    """Items with a class each, and how they look without a backbone.

    Attributes:
        backbone: its name.
        items: as the backbone takes them.
        y: their classes.
        pool: rows that labelled items are drawn from.
        test: rows that are tested; all that were not drawn, where None.
        per_class: labelled items.
        raw: labelled rows -> what an MLP from scratch takes of all items.
    """

    backbone: str
    items: list[Any]
    y: np.ndarray
    pool: np.ndarray
    test: np.ndarray | None
    per_class: int
    raw: Callable[[np.ndarray], np.ndarray]


def fashion(folder: Path) -> Task:
    """Fashion-MNIST, upright and white on black as it is."""
    train, test = load_idx(folder, "fashion-mnist")
    rng = np.random.default_rng(0)
    first = np.concatenate(
        [rng.choice(np.flatnonzero(train.y == k), 200, replace=False) for k in range(10)]
    )
    few = rng.choice(len(test.y), TEST_IMAGES, replace=False)
    x = np.concatenate([train.x[first], test.x[few]])
    y = np.concatenate([train.y[first], test.y[few]])
    x = x / x.max()
    images = [pixels.reshape(28, 28) for pixels in x]
    pool, rest = np.arange(len(first)), np.arange(len(first), len(x))
    return Task("package:efficientnet-lite0", images, y, pool, rest, 20, lambda rows: x)


def recordings(folder: Path, what: str) -> Task:
    """Spoken digits; the take says to which part a recording belongs."""
    paths = sorted((folder / "spoken_digits").glob("*.wav"))
    parts = np.array([path.stem.split("_") for path in paths])
    y = np.unique(parts[:, 0 if what == "digits" else 1], return_inverse=True)[1]
    takes = parts[:, 2].astype(int)
    seen = np.stack([spectrogram(path) for path in paths])
    pool, test = np.flatnonzero(takes >= 5), np.flatnonzero(takes < 5)
    return Task("package:resemblyzer", list(paths), y, pool, test, 20, lambda rows: seen)


def spectrogram(path: Path) -> np.ndarray:
    """The loudness of 32 bands at 40 moments, as an image of fixed size."""
    from scipy.io import wavfile
    from scipy.ndimage import zoom
    from scipy.signal import spectrogram as transform

    rate, sound = wavfile.read(path)
    loud = np.log1p(transform(sound / 2**15, rate, nperseg=256, noverlap=128)[2] * 1e6)
    factors = 32 / loud.shape[0], 40 / loud.shape[1]
    return zoom(loud, factors, order=1).ravel().astype(np.float32)


def sentences(folder: Path) -> Task:
    """First sentences of SciPy's documentation; which package is it?"""
    texts, y = runpy.run_path(str(EXAMPLES / "08_text_encoder.py"))["sentences"]()

    def words(rows: np.ndarray) -> np.ndarray:
        counter = TfidfVectorizer(stop_words="english").fit([texts[i] for i in rows])
        return counter.transform(texts).toarray().astype(np.float32)

    return Task("package:all-MiniLM-L6-v2", texts, y, np.arange(len(y)), None, 10, words)


TASKS: dict[str, Callable[[Path], Task]] = {
    "Fashion-MNIST, 20 a class": fashion,
    "speakers, 20 a class": lambda folder: recordings(folder, "speakers"),
    "digits spoken, 20 a class": lambda folder: recordings(folder, "digits"),
    "SciPy's packages, 10 sentences each": sentences,
}


def mlp_accuracy(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int
) -> float:
    """Train an MLP on the labelled rows; its accuracy on the test rows."""
    standardizer = Standardizer.fit(x[train], per_feature=False)
    x = standardizer.transform(x)
    config = jaxmlp.MLPConfig((x.shape[1], HIDDEN, int(y.max()) + 1), dropout=True)
    result = jaxmlp.fit(
        config, jaxmlp.init(config, jax.random.key(seed)), (x[train], y[train]),
        loss="softmax_cross_entropy", optimizer=jaxmlp.adam(3e-3), epochs=EPOCHS,
        batch_size=BATCH, key=jax.random.key(100 + seed),
    )  # fmt: skip
    found = jaxmlp.evaluate(config, result.params, (x[test], y[test]), "softmax_cross_entropy")
    return float(found["accuracy"])


def measure(task: Task, features: np.ndarray, seeds: int) -> dict[str, list[float]]:
    """Accuracies of each way, seed by seed."""
    found: dict[str, list[float]] = {SCRATCH: [], LINEAR: [], OURS: []}
    y = task.y.astype(np.int32)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        train = np.concatenate(
            [
                rng.choice(task.pool[y[task.pool] == k], task.per_class, replace=False)
                for k in range(int(y.max()) + 1)
            ]
        )
        test = np.setdiff1d(np.arange(len(y)), train) if task.test is None else task.test
        raw = task.raw(train).astype(np.float32)
        found[SCRATCH].append(mlp_accuracy(raw, y, train, test, seed))
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
        linear.fit(features[train], y[train])
        found[LINEAR].append(float(linear.score(features[test], y[test])))
        found[OURS].append(mlp_accuracy(features, y, train, test, seed))
    return found


def summarize(scores: dict[str, dict[str, list[float]]]) -> list[dict[str, str]]:
    """One row a task: mean and deviation of each way, and the gain over scratch."""
    rows = []
    for task, ways in scores.items():
        row = {"task": task}
        for way, values in ways.items():
            row[way] = _mean_and_deviation(values)
        gains = [ours - raw for ours, raw in zip(ways[OURS], ways[SCRATCH], strict=True)]
        row["gain"] = _mean_and_deviation(gains)
        rows.append(row)
    return rows


def _mean_and_deviation(shares: list[float]) -> str:
    spread = statistics.stdev(shares) if len(shares) > 1 else 0.0
    return f"{100 * statistics.mean(shares):.1f} ± {100 * spread:.1f}"


def main() -> None:
    """Extract, train, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "backbones.json")
    parser.add_argument("--cache", type=Path, default=None, help="folder to keep features in")
    folder = os.environ.get("JAXMLP_DATA_DIR")
    parser.add_argument("--data-dir", type=Path, default=folder, required=folder is None)
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    scores: dict[str, Any] = {}
    backbones: dict[str, Any] = {}
    for name, load in TASKS.items():
        task = load(options.data_dir)
        backbone = Backbone.load(task.backbone, cache=options.cache)
        features = backbone(task.items)
        backbones[name] = {
            "name": backbone.name, "license": backbone.license, "items": len(task.items),
            "features": features.shape[1],
        }  # fmt: skip
        scores[name] = measure(task, features, options.seeds)
        print(f"{name}: {summarize({name: scores[name]})[0]}", flush=True)
        write_json(
            options.out,
            {"environment": environment(), "backbones": backbones, "accuracy": scores},
        )
    print(markdown_table(summarize(scores)))


if __name__ == "__main__":
    main()
