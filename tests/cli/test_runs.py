"""Several seeds or folds, JSON for programs, and a folder of runs as a table."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

import jaxmlp
from jaxmlp.cli import diagnose, repeats
from jaxmlp.cli.main import run
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.training_run import fit_network
from jaxmlp.training import FitStatus

SMALL = ["--epochs", "2", "--layers", "8", "--recipe", "plain"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three runs on a table of amounts, the second with another rate, the third by three seeds."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("work")
    size = rng.normal(50, 10, 150)
    table = pd.DataFrame({"size": size, "kind": rng.choice(["a", "b"], 150), "price": 3e4 * size})
    table.to_csv(path / "houses.csv", index=False)
    common = ["train", str(path / "houses.csv"), "--target", "price", *SMALL, "--quiet"]
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules count on it
        for k, more in enumerate(([], ["--learning-rate", "0.1"], ["--seeds", "3"]), 1):
            assert run([*common, *more, "--out", str(path / "runs" / f"houses-{k}")]) == 0
    return path


def test_seeds(folder):
    found = json.loads((folder / "runs" / "houses-3" / "run.json").read_text())
    alone = json.loads((folder / "runs" / "houses-1" / "run.json").read_text())
    metrics, summary = found["seeds"]["metrics"], found["seeds"]["summary"]["test_rmse"]
    values = [m["test_rmse"] for m in metrics]
    assert values[0] == alone["metrics"]["test_rmse"]
    assert len(set(values)) == 3
    assert summary["mean"] == pytest.approx(np.mean(values))
    assert summary["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert (summary["least"], summary["most"]) == (min(values), max(values))


def test_each_seed_is_a_run_of_its_own(folder, tmp_path):
    with jax.numpy_dtype_promotion("standard"):
        assert not run(["train", str(folder / "houses.csv"), "--target", "price", *SMALL, "--quiet",
                        "--seed", "2", "--out", str(tmp_path / "run")])  # fmt: skip
    alone = json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]["test_rmse"]
    found = json.loads((folder / "runs" / "houses-3" / "run.json").read_text())
    assert found["seeds"]["metrics"][2]["test_rmse"] == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize(("best", "n_metrics"), [(1, 3), (0, 1)])
def test_a_seed_that_diverges_is_said(folder, tmp_path, monkeypatch, capsys, best, n_metrics):
    def diverging(*arguments, **options):
        result = fit_network(*arguments, **options)
        return replace(result, status=FitStatus.DIVERGED, best_epoch=best)

    monkeypatch.setattr(repeats, "fit_network", diverging)
    out = tmp_path / "run"
    with jax.numpy_dtype_promotion("standard"):
        assert not run(["train", str(folder / "houses.csv"), "--target", "price", *SMALL, "--quiet",
                        "--seeds", "3", "--out", str(out)])  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: 2 of 2 further trainings diverged" in said
    assert ("2 before an epoch ended" in said) == (best == 0)
    assert f"over {n_metrics} seeds" in said
    found = json.loads((out / "run.json").read_text())["seeds"]
    assert (len(found["metrics"]), found["diverged"]) == (n_metrics, 2)


@pytest.fixture(scope="module")
def folds(folder):
    """A run by three folds: its folder, and what was printed as JSON."""
    out = folder / "runs-by-folds" / "houses-1"
    with jax.numpy_dtype_promotion("standard"), redirect_stdout(io.StringIO()) as printed:
        assert not run(["train", str(folder / "houses.csv"), "--target", "price", *SMALL,
                        "--folds", "3", "--seed", "5", "--json", "--out", str(out)])  # fmt: skip
    return out, json.loads(printed.getvalue())


def test_folds(folds, folder):
    found = folds[1]
    metrics, summary = found["folds"]["metrics"], found["folds"]["summary"]["test_rmse"]
    values = [m["test_rmse"] for m in metrics]
    assert len(set(values)) == 3
    assert metrics[0] == found["metrics"]
    assert summary["mean"] == pytest.approx(np.mean(values))
    assert summary["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert "seeds" not in found


def test_the_network_kept_is_that_of_the_first_fold(folds, folder):
    out, found = folds
    table = pd.read_csv(folder / "houses.csv")
    _, rows = next(KFold(3, shuffle=True, random_state=5).split(table))
    test = table.iloc[rows]
    answers = jaxmlp.load(out).predict(test.drop(columns="price"))
    error = float(np.sqrt(np.mean((answers - test["price"]) ** 2)))
    assert error == pytest.approx(found["metrics"]["test_rmse"], rel=1e-5)


def test_a_run_by_folds_is_diagnosed_on_its_own_rows(folds, monkeypatch):
    seen = []
    monkeypatch.setattr(
        diagnose, "load_table", lambda *arguments: seen.append(load_table(*arguments)) or seen[0]
    )
    assert run(["diagnose", str(folds[0])]) in (0, 1)
    assert seen[0].split.reason.startswith("fold 1 of 3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", "3", "--seeds", "2"], "give one of them"),
        (["--folds", "1"], "give at least 2"),
        (["--folds", "151"], "from 2 to the 150 usable rows"),
    ],
)
def test_folds_that_are_refused(arguments, message, folder, tmp_path, capsys):
    out = tmp_path / "run"
    table = [str(folder / "houses.csv"), "--target", "price", "--out", str(out)]
    assert run(["train", *table, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_folds_go_with_a_table(capsys):
    assert run(["train", "digits", "--folds", "3"]) == 2
    assert "--folds goes with a table" in capsys.readouterr().err
    assert run(["train", "-", "--target", "y", "--folds", "3"]) == 2
    assert "--folds reads the data several times" in capsys.readouterr().err


def test_json_is_all_that_train_prints(folder, tmp_path, capsys):
    with jax.numpy_dtype_promotion("standard"):
        assert not run(["train", str(folder / "houses.csv"), "--target", "price", *SMALL,
                        "--json", "--out", str(tmp_path / "run")])  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "run")
    assert found["metrics"].keys() >= {"test_rmse", "test_r2"}
    assert found["layer_sizes"][1:] == [8, 1]


def test_json_is_all_that_sweep_prints(folder, tmp_path, capsys):
    assert not run(["sweep", str(folder / "houses.csv"), "--target", "price", "--layers", "8",
                    "--epochs", "2", "--json", "-g", "learning_rate=1e-3,1e-2",
                    "--out", str(tmp_path / "sweep")])  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert len(found["summary"]) == 2


def test_the_table(folder, capsys):
    assert run(["runs", str(folder / "runs"), "--sort", "test_rmse", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    errors = [row["test_rmse"] for row in rows]
    assert len(rows) == 3
    assert errors == sorted(errors)
    assert {row["data"] for row in rows} == {"houses.csv"}
    assert run(["runs", str(folder / "runs")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:]] == [f"houses-{k}" for k in (1, 2, 3)]
    assert "price" in out
    assert "e+" not in out


def test_two_compared(folder, capsys):
    one, two = (str(folder / "runs" / f"houses-{k}") for k in (1, 2))
    assert run(["runs", one, two]) == 0
    out = capsys.readouterr().out
    assert "learning rate" in out
    assert "layers" not in out
    assert run(["runs", one, two, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["learning_rate"][1] == 0.1
    assert run(["runs", one, one]) == 0
    assert "do not differ" in capsys.readouterr().out


BAD = {
    "no folder": (["nowhere"], "there is no folder nowhere"),
    "no runs": (["."], "holds no run"),
    "no run": ([".", "."], "has no run.json"),
    "three": ([".", ".", "."], "3 folders were given"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    assert run(["runs", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_column(folder, capsys):
    assert run(["runs", str(folder / "runs"), "--sort", "test_rmsf"]) == 2
    assert "Did you mean 'test_rmse'" in capsys.readouterr().err
    Path(folder / "runs" / "houses-9").mkdir()
    (folder / "runs" / "houses-9" / "run.json").write_text("{")
    assert run(["runs", str(folder / "runs")]) == 2
    assert "is no JSON" in capsys.readouterr().err


def test_no_seeds(capsys):
    assert run(["train", "--seeds", "0"]) == 2
    assert "--seeds is 0" in capsys.readouterr().err
