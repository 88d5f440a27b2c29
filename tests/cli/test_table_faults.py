"""Tables that a command read wrongly, or refused; each as a user meets it."""

import json
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli.main import run
from jaxmlp.cli.prepared_table import TableOptions, load_table

QUICK = ["--epochs", "2", "--layers", "8", "--quiet", "--out", "run", "--force"]
N = 120


@pytest.fixture(scope="module", autouse=True)
def standard_promotion():
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules count on it
        yield


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def table(**columns):
    """A small table with a target that x decides."""
    x = np.random.default_rng(3).normal(size=N).round(3)
    return pd.DataFrame({"x": x, "y": np.where(x > 0, "up", "down")}).assign(**columns)


def train(frame, *options, path="a.csv", target="y", code=0):
    if frame is not None:
        frame.to_csv(path, index=False)
    assert run(["train", path, "--target", target, *QUICK, *options]) == code


def predicted(path, capsys, *options):
    capsys.readouterr()
    assert run(["predict", "run", path, *options]) == 0
    captured = capsys.readouterr()
    return captured.out.splitlines()[1:], captured.err


def test_a_flag_is_found_however_it_is_spelled(capsys):
    flags = np.random.default_rng(0).integers(0, 2, N)
    train(
        pd.DataFrame({"flag": flags, "y": np.where(flags, "up", "down")}),
        "--epochs",
        "30",
        "--lr",
        "0.05",
    )
    answers = set()
    for spelled in ("0 1", "0.0 1.0", "False True", "no yes"):
        Path("new.csv").write_text("flag,k\n" + "".join(f"{w},1\n" for w in spelled.split()))
        lines, said = predicted("new.csv", capsys)
        assert "neither" not in said
        answers.add(tuple(lines))
    pd.DataFrame({"flag": [False, True]}).to_parquet("new.parquet")
    answers.add(tuple(predicted("new.parquet", capsys)[0]))
    assert answers == {("0,down", "1,up")}


def test_missing_words_are_said_once_and_kept():
    frame = table(level=["7", "-200", "1.5", "None"] * 30, y=["None", "+", "-", "nil"] * 30)
    frame.to_csv("a.csv", index=False)
    assert load_table("a.csv", TableOptions("y"), 0).target.class_names == ("+", "-", "None", "nil")
    train(None, "--missing", "-200,nil")
    model = json.loads(Path("run/run.json").read_text())
    assert model["table"]["missing"] == "-200,nil"
    assert "nil" not in json.loads(Path("run/schema.json").read_text())["columns"]
    prepared = load_table("a.csv", TableOptions("y", missing="-200,nil"), 0)
    assert prepared.target.class_names == ("+", "-", "None")
    assert "1.5 to 7" in prepared.columns["level"].reason
    assert prepared.preprocessing.missing == ("-200", "nil")
    assert run(["diagnose", "run", "--json"]) in (0, 1)


@pytest.mark.parametrize("first", [1, 0, 1001])
def test_a_row_number_is_one_although_rows_are_left_out(first):
    frame = table(n=np.arange(first, first + N), rare=np.arange(N) // 2, user_id=np.arange(N) * 7)
    frame.loc[[5, 30, 31], "y"] = ""
    frame.loc[50, "y"] = "once"  # a class that is left out
    frame.to_csv("a.csv", index=False)
    columns = load_table("a.csv", TableOptions("y"), 0).columns
    assert columns["n"].reason == "numbers the rows"
    assert columns["user_id"].kind == "drop"
    assert columns["rare"].kind == "number"
