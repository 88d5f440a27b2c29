"""`jaxmlp train` on tables: recipes, boosted trees beside them, and a search within a time."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli.main import run


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of amounts, with a category of many levels."""
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "size": rng.normal(50, 10, n).round(1),
            "town": rng.choice([f"t{k}" for k in range(12)], n),
            "price": 0.0,
        }
    )
    frame["price"] = 2 * frame["size"] + rng.normal(0, 3, n).round(2)
    path = tmp_path_factory.mktemp("recipes") / "houses.csv"
    frame.to_csv(path, index=False)
    return path


def trained(table, folder, *arguments):
    code = run(["train", str(table), "--target", "price", "--out", str(folder), *arguments])
    assert code == 0
    return json.loads((folder / "run.json").read_text())


def test_tabm_is_the_default_and_its_settings_are_kept(table, tmp_path, capsys) -> None:
    found = trained(table, tmp_path / "a", "--epochs", "3")
    options = found["options"]
    assert options["recipe"] == "tabm"
    assert options["layers"] == [128, 128]
    assert options["epochs"] == 3
    out = " ".join(capsys.readouterr().out.split())
    assert "network of recipe tabm, 8 members, 1 number embedded piecewise, 1 category" in out


def test_plain_has_layers_alone(table, tmp_path) -> None:
    import jaxmlp

    trained(table, tmp_path / "a", "--epochs", "2", "--recipe", "plain")
    assert isinstance(jaxmlp.load(tmp_path / "a").config, jaxmlp.MLPConfig)
    assert run(["diagnose", str(tmp_path / "a")]) in (0, 1)


def test_a_run_of_tabm_is_diagnosed_and_predicts(table, tmp_path, capsys) -> None:
    trained(table, tmp_path / "a", "--epochs", "2")
    assert run(["diagnose", str(tmp_path / "a")]) in (0, 1)
    assert run(["predict", str(tmp_path / "a"), str(table), "--out", str(tmp_path / "p.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "p.csv")) == 300


@pytest.mark.slow
def test_realmlp_trains_predicts_and_keeps_within_the_range_of_its_targets(
    table, tmp_path, capsys
) -> None:
    found = trained(table, tmp_path / "a", "--epochs", "3", "--recipe", "realmlp")
    assert found["options"]["recipe"] == "realmlp"
    assert found["options"]["learning_rate"] == 0.2
    out = " ".join(capsys.readouterr().out.split())
    assert "network of recipe realmlp, 1 number embedded periodically, 1 category looked up" in out
    assert run(["diagnose", str(tmp_path / "a")]) in (0, 1)
    far = pd.read_csv(table).assign(size=lambda t: 100 * t["size"])
    far.to_csv(tmp_path / "far.csv", index=False)
    made = tmp_path / "p.csv"
    assert run(["predict", str(tmp_path / "a"), str(tmp_path / "far.csv"), "--out", str(made)]) == 0
    price, predicted = pd.read_csv(table)["price"], pd.read_csv(made)
    assert len(predicted) == 300
    assert predicted.iloc[:, -1].between(price.min(), price.max()).all()


def test_another_rule_means_plain_and_a_contradiction_is_refused(table, tmp_path, capsys) -> None:
    found = trained(table, tmp_path / "a", "--epochs", "2", "--optimizer", "sgd")
    assert found["options"]["recipe"] == "plain"
    both = ["--recipe", "tabm", "--optimizer", "sgd"]
    code = run(["train", str(table), "--target", "price", "--out", str(tmp_path / "b"), *both])
    assert code == 2
    assert "trains with adamw" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_trees_are_measured_on_the_same_rows(table, tmp_path, capsys) -> None:
    found = trained(table, tmp_path / "a", "--epochs", "2", "--trees")
    assert set(found["trees"]["metrics"]) == {"rmse", "mae", "r2"}
    assert "beside boosted trees" in capsys.readouterr().out
    assert "Boosted trees on the same rows: RMSE" in (tmp_path / "a" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["digits", "--recipe", "tabm"], "--recipe goes with a table"),
        (["digits", "--trees"], "--trees goes with a table"),
        (["digits", "--budget", "5"], "--budget goes with a table"),
        (["{table}", "--target", "price", "--budget", "0"], "--budget is 0"),
        (["{table}", "--target", "price", "--recipe", "tabn"], "Did you mean 'tabm'?"),
    ],
)
def test_refused_in_a_sentence(table, tmp_path, capsys, arguments, sentence) -> None:
    said = [argument.format(table=table) for argument in arguments]
    assert run(["train", *said, "--out", str(tmp_path / "x")]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()
