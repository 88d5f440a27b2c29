"""`jaxmlp export`: every target, what it says, and what it refuses."""

import runpy
import shutil
import subprocess
import sys
from importlib import util

import jax
import numpy as np
import pytest
import safetensors.numpy

import jaxmlp
from jaxmlp.cli.main import run
from jaxmlp.data import Standardizer
from jaxmlp.data.tables.preprocessor import TablePreprocessor
from jaxmlp.interchange import from_flax, from_torch
from jaxmlp.models import Model, save

FILES = {
    "onnx": "model.onnx",
    "numpy": "predictor.py",
    "c": "model.h",
    "torch": "model_torch.safetensors",
    "flax": "model_flax.safetensors",
    "sklearn": "model.skops",
}
X = np.random.default_rng(0).normal(5, 2, (20, 3)).astype(np.float32)
NEEDS = {"onnx": "onnxruntime", "sklearn": "skops"}


@pytest.fixture
def model(tmp_path):
    """A run folder's model."""
    config = jaxmlp.MLPConfig((3, 4, 2), batch_norm=True)
    made = Model(
        config, jaxmlp.init(config, jax.random.key(0)), jaxmlp.init_state(config),
        preprocessing=Standardizer.fit(X), feature_names=("a", "b", "c"),
        class_names=("no", "yes"),
    )  # fmt: skip
    save(tmp_path / "model.safetensors", made)
    return made


@pytest.mark.parametrize("target", FILES)
def test_every_target(tmp_path, model, capsys, target):
    if target in NEEDS:
        pytest.importorskip(NEEDS[target])
    assert run(["export", str(tmp_path), "--to", target]) == 0
    said = capsys.readouterr()
    path = tmp_path / FILES[target]
    assert f"wrote {path} ({path.stat().st_size:,} bytes)" in said.out
    assert said.err == ""
    checks = {
        "onnx": "checked with onnxruntime: logits agree to",
        "numpy": "checked with numpy: logits agree to",
        "c": "self-check passed: logits agree to" if shutil.which("cc") else "not run",
        "torch": "nn.BatchNorm1d(4, eps=1e-05, momentum=0.1),",
        "flax": "its variables: flax.traverse_util.unflatten_dict",
        "sklearn": "checked with scikit-learn: loads, same predictions",
    }
    assert checks[target] in said.out
    if target in ("torch", "flax"):
        assert "weights alone; the preprocessing stays in the model file" in said.out
        assert run(["export", str(tmp_path), "--to", target, "--force", "--network-only"]) == 0
        assert "note" not in capsys.readouterr().out


def test_weights_come_back(tmp_path, model):
    for target in ("torch", "flax"):
        assert run(["export", str(tmp_path), "--to", target]) == 0
    _, params, state = from_torch(tmp_path / FILES["torch"])
    jax.tree.map(np.testing.assert_array_equal, (params, state), (model.params, model.state))
    flat = safetensors.numpy.load_file(tmp_path / FILES["flax"])
    variables = {}
    for name, array in flat.items():
        *path, field = name.split(".")
        place = variables
        for key in path:
            place = place.setdefault(key, {})
        place[field] = array
    _, params, state = from_flax(variables)
    jax.tree.map(np.testing.assert_array_equal, (params, state), (model.params, model.state))


def test_a_predictor_that_needs_no_jax(tmp_path, model):
    assert run(["export", str(tmp_path), "--to", "numpy", "--out", str(tmp_path / "p.py")]) == 0
    code = "import sys, p; assert 'jax' not in sys.modules; print(p.predict_label([[5, 5, 5]]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("['no']", "['yes']")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "onxx"], "unknown target of --to 'onxx'. Did you mean 'onnx'?"),
        (["--to", "c", "--out", "2.h"], "'2' is no name in C"),
        (["--to", "numpy", "--out", "model.safetensors"], "model.safetensors exists already."),
        (["--to", "numpy", "--out", "none/p.py"], "No such file or directory"),
    ],
)
def test_what_is_refused(tmp_path, model, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(["export", "model.safetensors", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.fixture
def table(tmp_path):
    """A table, and the model file of one that was fitted to it."""
    pytest.importorskip("pandas")
    table = {
        "age": [31, 42, 50, 23],
        "town": ["A", "B", "A", "C"],
        "on": ["1.2.2020", "25.12.2021"] * 2,
    }
    preprocessing = TablePreprocessor.fit(table)
    config = jaxmlp.MLPConfig((preprocessing.n_features, 3, 1))
    targets = Standardizer(np.array([10.0]), np.array([3.0]), 1, 0.0, 20.0)
    made = Model(
        config, jaxmlp.init(config, jax.random.key(0)), loss="squared_error",
        preprocessing=preprocessing, feature_names=tuple(table), target_transform=targets,
    )  # fmt: skip
    save(tmp_path / "model.safetensors", made)
    return made, table


def test_the_encoding_of_a_table_goes_along(tmp_path, table, capsys):
    made, cells = table
    assert run(["export", str(tmp_path), "--to", "numpy"]) == 0
    assert "checked with numpy: logits agree to" in capsys.readouterr().out
    names = runpy.run_path(str(tmp_path / "predictor.py"))
    np.testing.assert_allclose(names["predict"](cells)[:, 0], made.predict(cells), rtol=1e-5)
    assert run(["export", str(tmp_path), "--to", "c"]) == 0
    if shutil.which("cc"):
        assert "self-check passed: logits agree to" in capsys.readouterr().out
    if util.find_spec("onnxruntime"):
        assert run(["export", str(tmp_path), "--to", "onnx"]) == 0
        said = capsys.readouterr().out
        assert "inputs age, town, on; outputs logits, predictions" in said
        assert "checked with onnxruntime: logits agree to" in said


def test_the_encoding_of_a_table_stays_behind(tmp_path, table, capsys):
    """One sentence says so; the network alone can go, its inputs by their names."""
    made, cells = table
    assert run(["export", str(tmp_path), "--to", "sklearn"]) == 2
    said = capsys.readouterr().err
    assert "of a table cannot be written for sklearn. Pass --network-only" in said
    assert run(["export", str(tmp_path), "--to", "numpy", "--network-only"]) == 0
    names = runpy.run_path(str(tmp_path / "predictor.py"))
    assert names["FEATURE_NAMES"] == list(made.preprocessing.feature_names)
    x = made.preprocessing.transform(cells)
    expected = np.asarray(jaxmlp.predict(made.config, made.params, x)) * 3 + 10
    np.testing.assert_allclose(names["predict"](x), expected, rtol=1e-5)


def test_no_model(tmp_path, capsys):
    assert run(["export", str(tmp_path), "--to", "c"]) == 2
    assert "has no model.safetensors" in capsys.readouterr().err
