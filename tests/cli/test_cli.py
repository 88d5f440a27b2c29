"""The command line as a user meets it: what it prints, writes, refuses, and its exit codes."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from pathlib import Path
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.main import run
from jaxmlp.cli.proof import gradient_error
from jaxmlp.data import load_digits
from jaxmlp.models import load
from jaxmlp.report.scores import confusion_counts

QUICK = ["train", "--epochs", "2", "--layers", "16"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """A run, made once in a folder of its own: the folder, and what it printed."""
    folder = tmp_path_factory.mktemp("cli")
    with chdir(folder), redirect_stdout(io.StringIO()) as out:
        assert run([*QUICK, "--out", "here", "--patience", "1"]) == 0
    return folder / "here", out.getvalue()


@pytest.fixture(scope="module")
def finished(printed):
    """The folder of the run."""
    return printed[0]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, at a fixed width."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("JAXMLP_DATA_DIR", raising=False)


def test_training_prints_a_proof_a_table_and_a_summary(printed):
    folder, out = printed
    assert "gradient by hand = jax.grad" in out
    assert "epoch  train loss" in out
    assert "most often taken for" in out
    assert "test accuracy" in out
    assert "wrote here" in out
    assert "\x1b[" not in out  # no colour codes in a pipe
    assert (folder / "model.safetensors").is_file()


def test_the_run_folder_is_whole(finished):
    names = sorted(path.name for path in finished.iterdir())
    assert names == [
        "confusion.png",
        "curves.png",
        "history.csv",
        "model.safetensors",
        "report.html",
        "run.json",
    ]
    with (finished / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    description = json.loads((finished / "run.json").read_text())
    assert description["options"]["layers"] == [16]
    assert description["status"] == "completed"
    assert description["versions"]["jaxmlp"] == jaxmlp.__version__
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_stands_alone(finished):
    """Valid XML inside, nothing outside: no address, no script, every id once."""
    page = (finished / "report.html").read_text()
    assert not re.search(
        r"https?:|//|<script|<link(?! rel='icon')|@import", page.split("</style>")[1]
    )
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 50
    for reference in re.findall(r'(?:url\(#|href="#)([^")]+)', page):
        assert reference in ids
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(svg)
    for heading in ("Findings", "Learning", "Gradient flow", "Units", "Test set", "Settings"):
        assert f"<h2>{heading}" in page


def test_diagnosis_of_a_run(finished, capsys):
    assert run(["diagnose", str(finished), "--json"]) in (0, 1)
    for finding in json.loads(capsys.readouterr().out):
        assert set(finding) == {"kind", "layer", "severity", "evidence", "remedy"}


@pytest.mark.slow
def test_diagnosis_before_training(capsys):
    options = {"activation": "sigmoid", "init": "normal", "layers": [16] * 6}
    Path("sick.json").write_text(json.dumps(options))
    assert run(["diagnose", "sick.json"]) == 1
    assert "vanishing gradient" in capsys.readouterr().out


def test_predictions_are_the_model_s(finished, capsys):
    digits = load_digits()
    np.save("x.npy", digits.x[:50])
    assert run(["predict", str(finished), "x.npy", "--proba"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    model = load(finished / "model.safetensors")
    x = (digits.x[:50].astype(np.float64) - model.preprocessing.mean) / model.preprocessing.scale
    h = np.maximum(x @ np.asarray(model.params[0].W) + np.asarray(model.params[0].b), 0)
    logits = h @ np.asarray(model.params[1].W) + np.asarray(model.params[1].b)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert [row["prediction"] for row in rows] == [str(k) for k in p.argmax(axis=1)]
    found = np.array([[float(row[f"p_{k}"]) for k in range(10)] for row in rows])
    np.testing.assert_allclose(found, p, atol=1e-5)
    assert [row["row"] for row in rows] == [str(i) for i in range(50)]


def test_csv_columns_are_found_by_name(finished, capsys):
    import pandas as pd

    digits = load_digits()
    table = pd.DataFrame(digits.x[:20], columns=digits.feature_names)
    shuffled = table[list(reversed(table.columns))].assign(target=digits.y[:20])
    table.to_csv("plain.csv", index=False)
    table.to_csv("bare.csv", index=False, header=False)
    shuffled.to_csv("shuffled.csv", index=False)
    outputs = []
    for name in ("plain.csv", "bare.csv", "shuffled.csv"):
        assert run(["predict", str(finished), name, "--out", "p.csv"]) == 0
        with open("p.csv") as file:
            outputs.append(file.read())
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.slow
def test_runs_are_numbered(capsys):
    for number in (1, 2):
        assert run([*QUICK, "--quiet"]) == 0
        assert f"wrote {os.path.join('runs', f'digits-{number}')}" in capsys.readouterr().out


@pytest.mark.slow
def test_force_replaces_a_folder(capsys):
    assert run([*QUICK, "--quiet", "--out", "a"]) == 0
    before = json.loads(Path("a/run.json").read_text())["options"]["seed"]
    assert run([*QUICK, "--quiet", "--out", "a", "--force", "--seed", "3"]) == 0
    assert json.loads(Path("a/run.json").read_text())["options"]["seed"] == 3 != before
    assert os.listdir(".") == ["a"]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            ["--optimizer", "nesterov", "--schedule", "warmup-cosine", "--clip", "1"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [
                "--batch-norm",
                "--dropout",
                "0.2",
                "--activation",
                "gelu",
                "--label-smoothing",
                "0.1",
            ],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--dtype", "float64", "--gradient", "autodiff", "--init", "orthogonal"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--dtype", "bfloat16", "--batch-size", "0", "--optimizer", "gd", "--layers", ""],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_options_work_together(options, capsys):
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules count on it
        assert run([*QUICK, *options, "--out", "run"]) == 0
    assert run(["predict", "run", "digits", "--out", "p.csv"]) == 0
    with open("p.csv") as file:
        assert len(file.readlines()) == 1798


@pytest.mark.slow
def test_seeds_repeat(capsys):
    for name in ("a", "b"):
        assert run([*QUICK, "--seed", "7", "--out", name]) == 0
    a, b = load("a/model.safetensors"), load("b/model.safetensors")
    np.testing.assert_array_equal(a.params[0].W, b.params[0].W)
    assert a.metrics == b.metrics


def bad_arguments(finished):
    """Arguments and the message they must be answered with."""
    np.save("narrow.npy", np.ones((3, 5)))
    np.save("nan.npy", np.full((3, 64), np.nan))
    np.save("empty.npy", np.ones((0, 64)))
    np.savez("two.npz", a=np.ones((1, 64)), b=np.ones((1, 64)))
    for name, text in {
        "empty.csv": "",
        "words.csv": "a,b\nx,y\n",
        "notes.txt": "hello",
        "broken.npy": "not numpy",
        "broken.npz": "not zip",
        "lacking.csv": "pixel_0_0,other\n1,2\n",
        "list.json": "[1, 2]",
        "typo.json": '{"activaton": "relu"}',
        "kind.json": '{"activation": 3}',
    }.items():
        with open(name, "w") as file:
            file.write(text)
    os.mkdir("folder")
    os.mkdir("full")
    for name, content in {
        "full/kept.txt": b"precious",
        "cut.safetensors": (finished / "model.safetensors").read_bytes()[:500],
    }.items():
        with open(name, "wb") as file:
            file.write(content)
    model = str(finished)
    return {
        "no such command": (["tran"], "No such command"),
        "no such option": (["train", "--lerning-rate", "1"], "No such option"),
        "data": (["train", "dgits"], "Did you mean 'digits'"),
        "no folder given": (["train", "mnist"], "pass --data-dir"),
        "no such folder": (["train", "mnist", "--data-dir", "nowhere"], "nowhere"),
        "an empty folder": (["train", "mnist", "--data-dir", "folder"], "folder"),
        "layers": (["train", "--layers", "big"], "--layers is 'big'"),
        "layer of 0": (["train", "--layers", "0"], "whole number >= 1"),
        "activation": (["train", "--activation", "rleu"], "Did you mean 'relu'"),
        "initializer": (["train", "--init", "xaver"], "unknown initializer"),
        "optimizer": (["train", "--optimizer", "adan"], "Did you mean 'adam'"),
        "schedule": (["train", "--schedule", "cos"], "unknown schedule"),
        "dtype": (["train", "--dtype", "float16"], "unknown dtype"),
        "gradient": (["train", "--gradient", "auto"], "unknown gradient"),
        "rate": (["train", "--lr", "-1"], "learning_rate is -1"),
        "rate NaN": (["train", "--lr", "nan"], "learning_rate is nan"),
        "epochs": (["train", "--epochs", "0"], "--epochs is 0"),
        "epochs in words": (["train", "--epochs", "ten"], "--epochs"),
        "batch size": (["train", "--batch-size", "-3"], "--batch-size is -3"),
        "dropout": (["train", "--dropout", "1"], "--dropout is 1"),
        "l2": (["train", "--l2", "-1"], "l2 is -1"),
        "smoothing": (["train", "--label-smoothing", "2"], "label_smoothing is 2"),
        "clip": (["train", "--clip", "0"], "max_norm is 0"),
        "patience": (["train", "--patience", "0"], "patience is 0"),
        "seed": (["train", "--seed", "-1"], "--seed is -1"),
        "existing": (["train", "--out", "full"], "full exists already"),
        "one row left": (["train", "--batch-norm", "--batch-size", "1293"], "batch_size=12"),
        "divergence": (
            [*QUICK, "--lr", "1e38"],
            "diverged at step 1",
        ),
        "no model": (["predict", "folder", "digits"], "has no model.safetensors"),
        "no run": (["predict", "nowhere", "digits"], "no model file nowhere"),
        "truncated model": (["predict", "cut.safetensors", "digits"], "cut.safetensors"),
        "foreign model": (["predict", "notes.txt", "digits"], "notes.txt"),
        "no data": (["predict", model, "nothing.csv"], "no file nothing.csv"),
        "a format": (["predict", model, "notes.txt"], "has a heading, but no rows"),
        "width": (["predict", model, "narrow.npy"], "5 columns"),
        "NaN": (["predict", model, "nan.npy"], "nan"),
        "no rows": (["predict", model, "empty.npy"], "at least one row"),
        "empty csv": (["predict", model, "empty.csv"], "is empty"),
        "words": (["predict", model, "words.csv"], "words.csv"),
        "a column": (["predict", model, "lacking.csv"], "lacks the column"),
        "broken npy": (["predict", model, "broken.npy"], "cannot be read as a numpy file"),
        "broken npz": (["predict", model, "broken.npz"], "cannot be read as a numpy file"),
        "diagnose nothing": (["diagnose", "nowhere"], "no file or folder nowhere"),
        "diagnose a folder": (["diagnose", "folder"], "folder has no run.json"),
        "diagnose words": (["diagnose", "notes.txt"], "is not valid JSON"),
        "diagnose a list": (["diagnose", "list.json"], "holds no options"),
        "diagnose a typo": (["diagnose", "typo.json"], "Did you mean 'activation'"),
        "diagnose a kind": (["diagnose", "kind.json"], "activation is 3; give a value such as"),
        "two arrays": (["predict", model, "two.npz"], "name the features x"),
    }


def test_bad_input_is_explained_in_one_sentence(finished, capsys, subtests):
    cases = bad_arguments(finished)
    before = sorted(os.listdir("."))
    for name, (arguments, message) in cases.items():
        with subtests.test(name):
            assert run(arguments) == 2
            captured = capsys.readouterr()
            flat = " ".join(captured.err.replace("│", " ").split())
            assert message in flat
            assert "Traceback" not in captured.err
            assert sorted(os.listdir(".")) == before
    assert sorted(os.listdir("full")) == ["kept.txt"]


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    import signal
    import time

    command = [sys.executable, "-m", "jaxmlp", "train", "--epochs", "1000000", "--out", "run"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as process:
        for line in process.stdout:
            if line.strip().startswith("1 "):  # the first epoch's row
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "interrupted; the parameters of epoch" in rest
    assert load(tmp_path / "run" / "model.safetensors").metrics["test_accuracy"] > 0.5


@pytest.mark.slow
def test_the_proof_finds_a_wrong_gradient():
    digits = load_digits()
    x, y = digits.x / 16, digits.y
    config = jaxmlp.MLPConfig((64, 8, 10), "tanh")
    assert gradient_error(config, "softmax_cross_entropy", x, y, l2=0.1) < 1e-14
    wrong = jaxmlp.Activation.from_function(
        "wrong_tanh", jnp.tanh, derivative=lambda z: 1 - jnp.tanh(z)
    )
    bad = config.replace(activation=wrong)
    assert gradient_error(bad, "softmax_cross_entropy", x, y) > 1e-3


def test_confusions_against_scikit_learn():
    from sklearn.metrics import confusion_matrix

    rng = np.random.default_rng(0)
    y, predicted = rng.integers(0, 4, (2, 200))
    np.testing.assert_array_equal(
        confusion_counts(y, predicted, 4), confusion_matrix(y, predicted, labels=range(4))
    )


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], []])
def test_help_and_version(arguments, capsys):
    code = run(arguments)
    assert code == (0 if arguments else 2)
    out = capsys.readouterr()
    assert "jaxmlp" in out.out + out.err


def test_importing_the_library_leaves_the_extras_alone():
    extras = ("sklearn", "pandas", "matplotlib", "rich", "typer", "optax", "jaxmlp.verification")
    code = f"import sys, jaxmlp; print([m for m in {extras} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_that_are_imported_late():
    for name in dir(jaxmlp):
        assert getattr(jaxmlp, name) is not None
    assert {"sweep", "diagnose", "check_gradients", "fit"} <= set(dir(jaxmlp))
    assert jaxmlp.diagnostics.diagnose is jaxmlp.diagnose
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        jaxmlp.sweeep  # noqa: B018
