"""jaxmlp finetune as a user meets it: what it prints, writes and refuses."""

import json
import os
from pathlib import Path

import chex
import jax
import numpy as np
import pandas as pd
import pytest

import jaxmlp
from jaxmlp.cli.main import run
from jaxmlp.data import Standardizer, load_digits
from jaxmlp.models import Model, load, save

DIGITS = load_digits()


@pytest.fixture(autouse=True)
def old(tmp_path, monkeypatch):
    """An untrained model in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("JAXMLP_DATA_DIR", raising=False)
    config = jaxmlp.MLPConfig((64, 16, 8, 10))
    params = jaxmlp.init(config, jax.random.key(0))
    standardizer = Standardizer.fit(DIGITS.x, per_feature=False)
    names = (DIGITS.feature_names, DIGITS.class_names)
    model = Model(config, params, (), "softmax_cross_entropy", standardizer, *names)
    save("old.safetensors", model)
    return model


def write_csv():
    table = pd.DataFrame(DIGITS.x[:200], columns=DIGITS.feature_names)
    labels = np.where(DIGITS.y[:200] % 2, "odd", "even")
    table.assign(parity=labels)[["parity", *reversed(DIGITS.feature_names)]].to_csv(
        "parity.csv", index=False
    )


def test_features_of_a_csv_file(old, capsys):
    write_csv()
    command = ["finetune", "old.safetensors", "parity.csv", "--target", "parity"]
    command += ["--mode", "features", "--epochs", "60", "--lr", "0.01", "--calibrate"]
    assert run([*command, "--out", "new"]) == 0
    out = capsys.readouterr().out
    assert "features: a new head on the fixed features" in out
    assert "1 of 3 layers trained" in out
    assert "temperature" in out
    assert "epoch  train loss" in out
    assert "\x1b[" not in out
    assert "reliability.png" in os.listdir("new")
    new = load("new/model.safetensors")
    assert new.class_names == ("even", "odd")
    assert new.config.layer_sizes == (64, 16, 8, 2)
    chex.assert_trees_all_equal(new.params[:2], old.params[:2])
    description = json.loads(Path("new/run.json").read_text())
    assert description["frozen"] == [0, 1]
    assert description["metrics"]["test_accuracy"] > 0.6
    assert description["options"]["mode"] == "features"
    assert run(["predict", "new", "parity.csv", "--top", "1", "--out", "p.csv"]) == 0
    found = pd.read_csv("p.csv")
    assert list(found.columns) == ["row", "prediction_1", "probability_1"]
    assert (found.prediction_1 == np.where(DIGITS.y[:200] % 2, "odd", "even")).mean() > 0.6
    assert "does not use the columns parity" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["finetune", "transfer"])
def test_the_other_ways(mode, old, capsys):
    command = ["finetune", "old.safetensors", "digits", "--mode", mode, "--classes", "9,8"]
    assert run([*command, "--per-class", "20", "--epochs", "2"]) == 0
    folder = f"runs/digits-{mode}-1"
    assert f"wrote {folder}" in capsys.readouterr().out
    new = load(f"{folder}/model.safetensors")
    assert new.class_names == ("9", "8")
    same = np.array_equal(new.params[0].W, old.params[0].W)
    assert same == (mode == "finetune")


@pytest.mark.slow
def test_keeping_the_head(capsys):
    command = ["finetune", "old.safetensors", "digits", "--keep-head", "--lr", "0.02"]
    assert run([*command, "--epochs", "10", "--quiet", "--out", "new"]) == 0
    new = load("new/model.safetensors")
    assert new.class_names == DIGITS.class_names
    assert new.metrics["test_accuracy"] > 0.5  # chance is 0.1, layer 0 is random and frozen


def test_bad_input_is_explained_in_one_sentence(capsys, subtests):
    write_csv()
    config = jaxmlp.MLPConfig((64, 4, 1))
    params = jaxmlp.init(config, jax.random.key(0))
    save("numbers.safetensors", Model(config, params, loss="squared_error"))
    pd.DataFrame({"a": [1.0], "y": ["b"]}).to_csv("narrow.csv", index=False)
    start, csv = ["finetune", "old.safetensors"], ["parity.csv", "--target", "parity"]
    before = sorted(os.listdir("."))
    for arguments, message in [
        ([*start, *csv, "--mode", "feature"], "Did you mean 'features'"),
        ([*start, "parity.csv"], "--target NAME"),
        ([*start, "parity.csv", "--target", "partiy"], "Did you mean 'parity'"),
        ([*start, "digits", "--target", "y"], "digits has its own labels"),
        ([*start, "digits", "--classes", "8,ten"], "unknown class 'ten'"),
        ([*start, "digits", "--classes", "8"], "at least two"),
        ([*start, "digits", "--per-class", "1000"], "training examples"),
        ([*start, "digits", "--per-class", "0"], "--per-class is 0"),
        ([*start, "digits", "--layer", "2"], "hidden layers are 0 to 1"),
        ([*start, "digits", "--mode", "features", "--freeze", "1"], "in --mode finetune only"),
        ([*start, "digits", "--freeze", "3"], "all layers are frozen"),
        ([*start, "digits", "--epochs", "0"], "--epochs is 0"),
        ([*start, "digits", "--lr", "-1"], "learning_rate is -1"),
        ([*start, *csv, "--keep-head"], "needs the old classes"),
        ([*start, "nothing.csv"], "no file nothing.csv"),
        ([*start, "narrow.csv", "--target", "y"], "lacks the columns"),
        ([*start, "mnist"], "pass --data-dir"),
        (["finetune", "nowhere", "digits"], "no model file nowhere"),
        (["finetune", "numbers.safetensors", "digits"], "trained with squared_error"),
    ]:
        with subtests.test(message):
            assert run(arguments) == 2
            captured = capsys.readouterr()
            assert message in " ".join(captured.err.split())
            assert "Traceback" not in captured.err
            assert sorted(os.listdir(".")) == before
