"""The ablation of the recipe tabm: its variants, its differences, and what its page shows."""

import argparse
import json

import numpy as np
import pytest
from scipy import stats

from benchmarks import tables_ablation
from benchmarks.tables_ablation import (
    FULL,
    NAMES,
    RESULTS,
    VARIANTS,
    differences,
    summarize,
    verdict,
)
from jaxmlp.recipes import get_recipe


def splits(*values, measure="log_loss"):
    return {
        str(seed): {measure: value, "processor_seconds": 2.0 + seed}
        for seed, value in enumerate(values)
    }


SCORES = {
    "a": {FULL: splits(0.2, 0.3, 0.1), "no scale": splits(0.25, 0.32, 0.16)},
    "b": {FULL: splits(50.0, 52.0, measure="rmse"), "no scale": splits(49.0, measure="rmse")},
}


def options(tmp_path, **changes):
    asked = {"tables": ["diabetes"], "variants": [FULL, "last epoch"], "seeds": [0, 1], "rows": 60}
    return argparse.Namespace(**{**asked, "out": tmp_path / "r.json", **changes})


def test_differences_are_those_of_a_paired_t_test():
    found = differences(SCORES)
    assert list(found) == ["a"]  # one split in common has no error
    told = found["a"]["no scale"]
    a, b = (
        [split["log_loss"] for split in SCORES["a"][name].values()] for name in (FULL, "no scale")
    )
    paired = stats.ttest_rel(b, a)
    assert told["difference"] / told["error"] == pytest.approx(paired.statistic, rel=1e-12)
    assert told["difference"] == pytest.approx(np.mean(b) - np.mean(a), rel=1e-12)


def test_verdicts_are_beyond_two_standard_errors():
    scores = {
        "c": {FULL: splits(0.2, 0.2), "far": splits(0.3, 0.31), "near": splits(0.1, 0.31)},
        "d": {FULL: splits(0.2, 0.2), "far": splits(0.1, 0.11)},
    }
    assert verdict(SCORES | scores) == {
        "worse than the recipe": ["a: no scale", "c: far"],
        "better than the recipe": ["d: far"],
    }


def test_a_row_is_a_variant():
    first, second = summarize(SCORES)
    assert first["a, log loss"] == "0.2000 ± 0.1000"
    assert first["a, difference"] == first["b, difference"] == second["b, difference"] == ""
    assert second["a, difference"] == "+0.0433 ± 0.0120"
    assert second["b, rmse"] == "49.00 ± 0.00"
    assert (first["a, s"], second["b, s"]) == ("3.0", "2.0")


def test_every_variant_but_the_last_epoch_is_another_record():
    records = {name: variant.recipe for name, variant in VARIANTS.items()}
    assert records[FULL] == records["last epoch"] == get_recipe("tabm")
    assert not VARIANTS["last epoch"].best_epoch
    assert len(set(records.values())) == len(VARIANTS) - 1


def test_what_is_there_already_is_not_fitted_again(tmp_path, monkeypatch):
    fitted = []

    def fit_one(table, variant, seed, rows):
        fitted.append((variant, seed))
        return {"rmse": 50.0 + seed, "processor_seconds": 1.0}

    monkeypatch.setattr(tables_ablation, "fit_one", fit_one)
    tables_ablation.run(options(tmp_path, seeds=[1]))
    scores = tables_ablation.run(options(tmp_path))["scores"]
    assert fitted == [(FULL, 1), ("last epoch", 1), (FULL, 0), ("last epoch", 0)]
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["scores"] == scores
    assert written["differences"]["diabetes"]["last epoch"] == {"difference": 0.0, "error": 0.0}


@pytest.mark.slow  # it compiles two programs
def test_a_sample_gives_the_same_scores_again(tmp_path):
    first = tables_ablation.run(options(tmp_path))["scores"]["diabetes"]
    again = tables_ablation.run(options(tmp_path, out=tmp_path / "again.json"))
    for name, found in first.items():
        for seed, split in found.items():
            assert split["rows"] == 60
            assert split["rmse"] == again["scores"]["diabetes"][name][seed]["rmse"]
    # The mean of all targets misses by about 77: the networks learnt something from 60 rows.
    assert max(split["rmse"] for found in first.values() for split in found.values()) < 77
    assert any(first[FULL][seed]["rmse"] != first["last epoch"][seed]["rmse"] for seed in "01")


def test_the_page_has_what_it_shows():
    study = json.loads(RESULTS.read_text())
    assert list(study["scores"]) == list(NAMES)
    for variants in study["scores"].values():
        assert list(variants) == list(VARIANTS)
        assert {tuple(found) for found in variants.values()} == {tuple(map(str, range(10)))}
    assert study["differences"] == differences(study["scores"])
    full = get_recipe(FULL).to_dict()
    for name, variant in VARIANTS.items():
        fields = variant.recipe.to_dict()
        assert study["changes"][name] == {k: v for k, v in fields.items() if v != full[k]}
    assert verdict(study["scores"]) == {  # of which its sentences tell
        "worse than the recipe": [
            "diabetes: one member, without signs", "diabetes: last epoch",
            "breast_cancer: no weight decay", "breast_cancer: last epoch",
        ],
        "better than the recipe": ["breast_cancer: periodic embedding"],
    }  # fmt: skip
    assert [row["variant"] for row in summarize(study["scores"])] == list(VARIANTS)
    assert all(cell for row in summarize(study["scores"])[1:] for cell in row.values())
