"""Digits behind a leading zero are a code, and stay the text they are."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli.main import run
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import infer_columns, read_target

RNG = np.random.default_rng(0)
N = 300


def infer(cells):
    return infer_columns(pd.DataFrame({"c": cells}))["c"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["00501", "10001", "94110"], "category"),
        (["007", "008", ""], "category"),
        (["01", "2", "3", "12"], "category"),
        (["0", "1.5", "2"], "number"),
        (["0.5", "0", "7", "-0.25"], "number"),
        (["0,5", "1,5", "2,5"], "number"),
        ([501, 10001, 94110], "number"),
        (["0900", "1000", "1130"], "category"),
    ],
)
def test_kinds(cells, kind):
    assert infer(cells * (N // len(cells))).kind == kind


def test_many_codes_are_levels_of_which_rare_ones_are_pooled():
    codes = np.array([f"{k:05}" for k in range(0, 90000, 700)])
    column = infer(RNG.choice(codes, N))
    assert column.kind == "category"
    assert "leading zeros" in column.reason
    assert infer([f"{k:05}" for k in range(N)]).kind == "drop"


def test_one_odd_cell_makes_no_codes():
    assert infer([*map(str, range(100, 100 + N)), "05"]).kind == "number"


def test_a_target_of_codes_is_classes():
    codes = [f"{k % 12:02}" for k in range(N)]
    assert read_target(pd.Series(codes, name="y")).class_names == tuple(sorted(set(codes)))


def test_levels_stay_text_in_a_file():
    table = {"zip": ["00501", "10001", "94110"] * 20}
    fitted = TablePreprocessor.fit(table)
    again = TablePreprocessor.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again.encoders[0].levels == ("00501", "10001", "94110")


@pytest.mark.usefixtures("standard_promotion")
def test_train_and_predict_keep_codes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    zips = RNG.choice(["00501", "00502", "10001"], N)
    frame = pd.DataFrame({"zip": zips, "x": RNG.normal(size=N)})
    frame["area"] = np.where(zips == "00501", "007", "010")
    frame.to_csv("a.csv", index=False)
    small = ["--layers", "4", "--epochs", "1", "--quiet", "--out", "run"]
    assert run(["train", "a.csv", "--target", "area", *small]) == 0
    capsys.readouterr()
    assert run(["predict", "run", "a.csv", "--keep", "zip", "--out", "p.csv"]) == 0
    written = pd.read_csv("p.csv", dtype=str)
    assert written["zip"].tolist() == zips.tolist()
    assert set(written["prediction"]) <= {"007", "010"}
