"""`jaxmlp sweep`, as a user calls it."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli.main import run
from jaxmlp.models import load


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def sweep(*options):
    return run(
        ["sweep", "digits", "--layers", "8", "--epochs", "3", "--batch-size", "256", *options]
    )


@pytest.mark.slow
def test_sweep_shows_and_keeps_the_best(tmp_path, capsys):
    grid = ["-g", "learning_rate=1e-5,0.05", "-g", "l2=0,0.001", "--seeds", "2"]
    assert sweep(*grid) == 0
    shown = capsys.readouterr().out
    assert "8 networks" in shown
    assert shown.index("0.05") < shown.index("1e-05")  # the best first
    assert "one program" in shown
    folder = tmp_path / "runs" / "sweep-1"
    rows = read(folder / "sweep.csv")
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    setting = json.loads((folder / "sweep.json").read_text())["best"]["setting"]
    assert len(rows) == 8
    assert float(setting["learning_rate"]) == float(best["learning_rate"]) == 0.05

    names = load(folder / "model.safetensors").feature_names
    (tmp_path / "new.csv").write_text("\n".join([",".join(names), ",".join(["0"] * 64)]) + "\n")
    assert run(["predict", str(folder), "new.csv"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("way", [["--folds", "3"], ["--halving"]])
def test_folds_and_halving(way, tmp_path, capsys):
    assert sweep("-g", "learning_rate=1e-4,1e-3,1e-2", "--seeds", "1", *way) == 0
    rows = read(tmp_path / "runs" / "sweep-1" / "sweep.csv")
    assert len(rows) == (9 if "--folds" in way else 3)
    assert (tmp_path / "runs" / "sweep-1" / "model.safetensors").exists() == ("--folds" not in way)


@pytest.mark.parametrize("folds", [0, 2])
def test_a_sweep_over_a_table_speaks_its_units(folds, tmp_path, capsys):
    """Counts are judged by their deviance, amounts by errors in their units."""
    rng = np.random.default_rng(0)
    size = rng.normal(50, 10, 200)
    rides = rng.poisson(np.exp(rng.uniform(1, 7, 200)))
    table = pd.DataFrame({"size": size, "rides": rides, "price": 3e4 * size})
    table.to_csv("a.csv", index=False)
    common = ["sweep", "a.csv", "--epochs", "2", "--seeds", "1", "-g", "learning_rate=1e-3"]
    common += ["--folds", str(folds), "--layers", "8"]
    assert run([*common, "--target", "rides", "--out", "rides"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "deviance" in shown
    assert "loss" not in shown
    assert all(float(row["validation_deviance"]) > 0 for row in read(tmp_path / "rides/sweep.csv"))
    assert run([*common, "--target", "price", "--out", "price"]) == 0
    assert "e+" not in capsys.readouterr().out
    for row in read(tmp_path / "price/sweep.csv"):
        assert 1e4 < float(row["validation_rmse"]) < 1e7


BAD = {
    "unknown name": (["-g", "lerning_rate=1"], "Did you mean 'learning_rate'"),
    "no values": (["-g", "l2"], "NAME=VALUE"),
    "seeds": (["--seeds", "0"], "--seeds is 0"),
    "both": (["--folds", "3", "--halving"], "leave out --folds"),
    "executor": (["--executor", "pmap"], "unknown executor"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(name, tmp_path, capsys):
    options, sentence = BAD[name]
    assert sweep(*options) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
