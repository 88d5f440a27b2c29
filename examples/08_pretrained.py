"""Chapter VIII: a pretrained network learns new classes from few labelled images.

Three ways to use it (features, fine-tuning, transfer) against training from scratch, and the four
steps of inference. With JAXMLP_DATA_DIR set: classes 0-7 of Fashion-MNIST, then bags and ankle
boots from 50 images each; and MNIST, then all of Fashion-MNIST. Without it: the embedded digits,
0-7, then 8 and 9 from 10 images each. Transfer pays where the source is large and its features suit
the new task: bags and boots; MNIST's strokes are of no use for clothes, and scratch wins there.

    python examples/08_pretrained.py [--out DIR] [--seeds 3]
"""

import argparse
import os
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

import jaxmlp
from jaxmlp.data import Standardizer, from_arrays, load_digits, load_idx, train_test_split
from jaxmlp.finetuning import MODES, finetune
from jaxmlp.models import Model, calibrate, infer, load, prepare, reliability, save, top_k
from jaxmlp.report.calibration import reliability_diagram

INK, FAINT = "#333333", "#DDDDDD"
COLORS = {
    "scratch": "#000000", "features": "#56B4E9", "finetune": "#0072B2", "transfer": "#D55E00",
}  # fmt: skip
LOSS, EPOCHS = "softmax_cross_entropy", 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    print("The three ways")
    for mode, says in MODES.items():
        print(f"   {mode:10}{says}")
    found = {}
    for number, (title, source, pool, test, per_class) in enumerate(tasks(), 1):
        print(f"\n{number}. {title}, {per_class} labelled images of each class")
        model = pretrain(source)
        print(f"   pretrained on {len(source.x):,} images of {len(source.class_names)} classes")
        found[title], last = compare(model, pool, test, per_class, options.seeds)
        for way, values in found[title].items():
            print(f"   {way:10} accuracy {np.mean(values):.2%}, deviation {np.std(values):.2%}")
    draw(found).savefig(options.out / "08_transfer.png")
    inference(last, pool, test, options.out)
    print(f"\nwrote {options.out / '08_transfer.png'} and {options.out / '08_reliability.png'}")


def tasks():
    """(title, what to pretrain on, where labelled images are drawn from, test set, how many)."""
    folder = os.environ.get("JAXMLP_DATA_DIR")
    low, high = range(8), (8, 9)
    if not folder:
        pool, test = train_test_split(load_digits(), 0.5, seed=0)
        yield "digits 0-7 -> 8, 9", only(pool, low), only(pool, high), only(test, high), 10
        return
    pool, test = load_idx(folder, "fashion-mnist")
    title = "Fashion-MNIST 0-7 -> 8, 9"
    yield "MNIST -> Fashion-MNIST", load_idx(folder, "mnist")[0], pool, test, 50
    yield title, only(pool, low), only(pool, high), only(test, high), 50


def only(data, classes):
    """The images of some classes."""
    kept = data.take(np.isin(data.y, classes))
    names = [data.class_names[k] for k in classes]
    return from_arrays(kept.x, np.searchsorted(classes, kept.y), class_names=names)


def pretrain(source):
    """A network of two hidden layers, as large data teach it."""
    standardizer = Standardizer.fit(source.x, per_feature=False)
    config = jaxmlp.MLPConfig((source.x.shape[1], 256, 128, len(source.class_names)))
    result = jaxmlp.fit(
        config,
        jaxmlp.init(config, jax.random.key(0)),
        (standardizer.transform(source.x), source.y),
        loss=LOSS,
        optimizer=jaxmlp.adam(1e-3),
        epochs=max(2, 60_000 // len(source.x)),
        batch_size=128,
        key=jax.random.key(1),
    )
    return Model(config, result.params, (), LOSS, standardizer, None, source.class_names)


def compare(model, pool, test, per_class, seeds):
    """Accuracies of each way by seed, and the last transferred model; frozen layers are checked."""
    found = {way: [] for way in COLORS}
    for seed in range(seeds):
        rng, rows = np.random.default_rng(seed), []
        for k in range(len(pool.class_names)):
            rows.append(rng.choice(np.flatnonzero(pool.y == k), per_class, replace=False))
        few = pool.take(np.concatenate(rows))
        options = {"epochs": EPOCHS, "batch_size": 32, "key": jax.random.key(100 + seed)}
        found["scratch"].append(accuracy(scratch(model, few, **options), test))
        for mode in MODES:
            new = finetune(model, (few.x, few.y), mode=mode, class_names=few.class_names, **options)
            for l in new.frozen:
                assert np.array_equal(new.model.params[l].W, model.params[l].W)
            found[mode].append(accuracy(new.model, test))
    return found, new.model


def scratch(model, few, **options):
    """The same network without what it was pretrained with."""
    sizes = (*model.config.layer_sizes[:-1], len(few.class_names))
    config = model.config.replace(layer_sizes=sizes)
    params = jaxmlp.init(config, options["key"])
    data = (prepare(model, few.x), few.y)
    result = jaxmlp.fit(config, params, data, loss=LOSS, optimizer=jaxmlp.adam(1e-3), **options)
    return model._replace(config=config, params=result.params)


def accuracy(model, test):
    return float(np.mean(infer(model, prepare(model, test.x)).argmax(axis=1) == test.y))


def inference(model, pool, test, out):
    """Load, prepare, predict, post-process."""
    validation = train_test_split(pool, 0.5, seed=0)[0]
    model, temperature = calibrate(model, prepare(model, validation.x), validation.y)
    save(out / "08_model.safetensors", model)

    print("\nInference, with the model that was transferred last")
    model = load(out / "08_model.safetensors")  # 1. load
    x = prepare(model, test.x)  # 2. prepare: the pretrained standardization
    p = infer(model, x)  # 3. predict: or output="logits", "embeddings"
    classes, shares = top_k(p, 2)  # 4. post-process: the likeliest classes
    for i in range(3):
        ranked = zip(classes[i], shares[i], strict=True)
        words = ", ".join(f"{model.class_names[k]} {share:.1%}" for k, share in ranked)
        print(f"   {test.class_names[test.y[i]]:12} -> {words}")
    print(f"   embeddings of {infer(model, x, output='embeddings').shape[1]} numbers each")
    logits = infer(model, x, output="logits") * temperature  # those before calibration
    before = np.exp(logits - logits.max(axis=1, keepdims=True))
    bins = {
        "before": reliability(before / before.sum(axis=1, keepdims=True), test.y),
        f"after, T = {temperature:.2f}": reliability(p, test.y),
    }
    errors = " -> ".join(f"{value.error:.2%}" for value in bins.values())
    print(f"   temperature {temperature:.2f}: calibration error {errors}")
    reliability_diagram(bins, title="Test set").savefig(out / "08_reliability.png")


def draw(found):
    """One panel a task: a dot for each seed, a bar for the mean."""
    figure = Figure(figsize=(5.2 * len(found), 3.6), dpi=150, layout="constrained")
    for axes, (title, ways) in zip(
        np.atleast_1d(figure.subplots(1, len(found))), found.items(), strict=True
    ):
        for row, (way, values) in enumerate(reversed(ways.items())):
            axes.plot(values, np.full(len(values), row), "o", color=COLORS[way], alpha=0.6)
            axes.plot([np.mean(values)] * 2, [row - 0.25, row + 0.25], color=COLORS[way], lw=3)
        axes.set_yticks(range(len(ways)), reversed(ways))
        axes.set_ylim(-0.6, len(ways) - 0.4)
        axes.set_title(title, loc="left", color=INK, fontsize=11)
        axes.set_xlabel("accuracy on the test set (bar: mean)", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(5))  # more overlap where all are close
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(colors=INK, length=0)
        axes.grid(axis="x", color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


if __name__ == "__main__":
    main()
