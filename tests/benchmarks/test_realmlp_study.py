"""The study of RealMLP: what it cuts, sums up and concludes."""

import argparse
import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import realmlp_study
from benchmarks.quality_data import TableSplit
from benchmarks.realmlp_study import cut, save, summarize, verdict


def splits(*values, measure="accuracy"):
    return {
        str(seed): {measure: value, "processor_seconds": 2.0 + seed, "rows": 9}
        for seed, value in enumerate(values)
    }


SCORES = {
    "a": {
        "jaxmlp realmlp": splits(0.8, 0.9),
        "pytabkit TD": splits(0.85, 0.87),
        "jaxmlp realmlp-s": splits(0.1, 0.2),
        "pytabkit TD-S": splits(0.85, 0.87),
    },
    "b": {
        "pytabkit TD": splits(50_000.0, 50_002.0, measure="rmse"),
        "jaxmlp realmlp": splits(49_000.0, 49_002.0, measure="rmse"),
    },
}


def test_verdicts_are_of_the_means_and_the_larger_deviation():
    assert verdict(SCORES) == {
        "TD: within one deviation": ["a, accuracy"],
        "TD-S: worse": ["a, accuracy"],
        "TD: better": ["b, rmse"],
    }


def test_rows_are_means_with_deviations_and_seconds():
    first, second = summarize(SCORES)
    assert first["jaxmlp realmlp"] == "0.8500 ± 0.0707 (2 s)"
    assert second == {
        "table": "b", "measure": "rmse", "pytabkit TD": "50,001 ± 1 (2 s)",
        "jaxmlp realmlp": "49,001 ± 1 (2 s)",
    }  # fmt: skip


def test_a_random_part_of_the_training_rows_is_kept():
    X, y = pd.DataFrame({"x": np.arange(100)}), np.arange(100)
    split = TableSplit(X, y, X[:3], y[:3], X[:2], y[:2], None)
    kept = cut(split, 20, 0)
    assert len(kept.y_train) == 20
    assert kept.X_train["x"].tolist() == kept.y_train.tolist() != list(range(20))
    assert cut(split, 20, 1).y_train.tolist() != kept.y_train.tolist()
    assert cut(split, 100, 0) is split
    assert kept.y_test is split.y_test


@pytest.mark.slow  # new processes
def test_what_is_there_already_is_not_fitted_again(tmp_path):
    save(tmp_path / "r.json", {"scores": SCORES})
    options = argparse.Namespace(
        out=tmp_path / "r.json", tables=["a"], seeds=[0, 1], rows=10, cores=1, data_dir=tmp_path
    )
    assert realmlp_study.run(options)["scores"] == SCORES
    written = json.loads((tmp_path / "r.json").read_text())
    assert list(written["scores"]["b"]) == ["jaxmlp realmlp", "pytabkit TD"]
    assert written["verdict"] == verdict(SCORES)
