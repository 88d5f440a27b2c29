"""The page as people see it: no empty cell, layers counted from 1, nothing that means nothing."""

import json
import re

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.main import run
from jaxmlp.formatting import count_from_one
from jaxmlp.models import Model
from jaxmlp.report.network_chart import network_chart


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a run on a table, named by its absolute path."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    rows = [f"{x:.3f},{'ab'[k]},{'yes' if x > 0 else 'no'}" for x, k in
            zip(rng.normal(size=120), rng.integers(0, 2, 120), strict=True)]  # fmt: skip
    (folder / "t.csv").write_text("\n".join(["x,kind,y", *rows]) + "\n")
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules count on it
        assert not run(["train", str(folder / "t.csv"), "--target", "y", "--epochs", "4",
                        "--layers", "16,16", "--quiet", "--out", str(folder / "run")])  # fmt: skip
    return (folder / "run" / "report.html").read_text(), folder


def test_no_cell_is_empty(page):
    """Two columns at most: an odd number of cards ends in one across both."""
    text, _ = page
    assert ".charts > :last-child:nth-child(odd) { grid-column: 1 / -1; }" in text
    width = float(re.search(r"max-width: (\d+)rem", text)[1])
    least, gap = float(re.search(r"minmax\(min\(100%, (\d+)rem\)", text)[1]), 1.0
    assert 3 * least + 2 * gap > width - 2 >= 2 * least + gap


def test_layers_are_counted_from_1(page):
    text, _ = page
    assert "layer 0" not in text.lower()
    assert text.count("Layers are counted from 1; in Python, from 0.") == 1


def test_what_is_not_set_and_where_files_lie_is_left_out(page):
    text, folder = page
    assert "null" not in text
    assert str(folder) not in text
    assert "t.csv" in text


def test_the_page_says_which_epoch_was_kept(page):
    text, folder = page
    found = json.loads((folder / "run" / "run.json").read_text())
    said = f"the parameters of epoch {found['epoch']} are kept"
    assert (said in text) == (found["epoch"] != found["epochs"])


def test_every_picture_can_be_enlarged(page):
    text, _ = page
    assert text.count("<details><summary") == text.count("<svg") > 5


def test_a_network_is_drawn_by_its_layers():
    config = jaxmlp.MLPConfig((4, 32, 3), activation="tanh")
    params = jaxmlp.init(config, jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    y = np.arange(50) % 3
    words = [text.get_text() for text in network_chart(Model(config, params), x, y).axes[0].texts]
    J = jaxmlp.objective(config, "softmax_cross_entropy")
    grads = jax.grad(J)(params, x, y)
    assert "layer 1\n4 × 32 weights\n160 parameters\ntanh" in words
    assert "layer 2\n32 × 3 weights\n99 parameters\nidentity" in words
    for layer in grads:
        assert f"‖dJ/dW‖ = {float(np.linalg.norm(layer.W)):.2g}" in words


def test_counting_from_1():
    assert count_from_one("layers 0 and layer 9: Layer 0.") == "layers 0 and layer 10: Layer 1."
