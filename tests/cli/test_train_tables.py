"""`jaxmlp train table.csv --target y`: what is inferred, written, said and refused."""

import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli.main import run
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.models import load

QUICK = ["--epochs", "3", "--layers", "16"]
N = 300
pytestmark = pytest.mark.usefixtures("standard_promotion", "elsewhere")


def make_table(path="a.csv", **columns):
    """A table whose target depends on a number and a category; the same at every call."""
    rng = np.random.default_rng(0)
    size = rng.normal(50, 10, N)
    town = rng.choice(["Ulm", "Bonn", "Köln"], N)
    day = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 365, N)), unit="D")
    price = 3 * size + 40 * (town == "Ulm") + rng.normal(0, 5, N)
    table = pd.DataFrame(
        {
            "id": np.arange(1, N + 1),
            "size": np.where(rng.random(N) < 0.1, np.nan, size).round(2),
            "town": np.where(rng.random(N) < 0.05, "", town),
            "day": day.strftime("%d.%m.%Y"),
            "owner": rng.integers(0, 40, N),
            "price": price.round(1),
            "sold": np.where(price > 165, "yes", "no"),
        }
    ).assign(**columns)
    table.to_csv(path, index=False)
    return table


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A run of two classes: its folder, the data and the output."""
    folder = tmp_path_factory.mktemp("tables")
    table = make_table(folder / "a.csv")
    arguments = ["train", str(folder / "a.csv"), "--target", "sold", *QUICK]
    with redirect_stdout(io.StringIO()) as out:
        assert run([*arguments, "--out", str(folder / "run")]) == 0
    return folder / "run", table, out.getvalue()


def test_what_is_understood_is_printed(classified):
    out = " ".join(classified[2].split())
    for line in (
        "id left out numbers the rows",
        "town category 3 levels",
        "day date dates, read as d/m/y",
        "target sold: 2 classes",
        "split at random, by class",
        "warning: leaking column price alone predicts sold",
        "warning: time order day is a date",
        "a constant guess",
        "relies most on",
        "test accuracy",
    ):
        assert line in out


def test_the_folder_of_a_table(classified):
    folder, _, _ = classified
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "confusion.png", "curves.png", "history.csv", "model.safetensors", "report.html",
        "run.json", "schema.json",
    }  # fmt: skip
    description = json.loads((folder / "run.json").read_text())
    assert {"test_accuracy", "test_auc", "test_f1", "test_loss"} < set(description["metrics"])
    low, high = description["intervals"]["accuracy"]
    assert low < description["metrics"]["test_accuracy"] <= high
    page = (folder / "report.html").read_text()
    for text in ("<h2>Test set", "calibration: probability that it is yes", "loss of AUC when"):
        assert text in page


def test_predictions_need_neither_order_nor_target(classified, capsys):
    """New rows: reordered, with an unseen town and without the columns that are not used."""
    folder, table, _ = classified
    new = table[["price", "town", "day", "owner", "size"]][:5]
    new.to_csv("new.csv", index=False)
    new.assign(town="Rom").to_csv("rome.csv", index=False, sep=";")
    new.drop(columns="day").to_csv("lacking.csv", index=False)
    table[:5].to_parquet("whole.parquet")
    outputs = []
    for name in ("new.csv", "whole.parquet"):
        assert run(["predict", str(folder), name, "--proba"]) == 0
        captured = capsys.readouterr()
        outputs.append(captured.out)
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 6
    assert run(["predict", str(folder), "rome.csv"]) == 0
    assert "note: town: 'Rom' never seen in training" in capsys.readouterr().err
    assert run(["predict", str(folder), "lacking.csv"]) == 2
    assert "lacks the column 'day'" in capsys.readouterr().err


@pytest.mark.slow
def test_amounts_come_back_in_their_units(capsys):
    table = make_table()
    arguments = ["train", "a.csv", "--target", "price", "--drop", "sold", "--lr", "0.01"]
    assert run([*arguments, "--epochs", "20", "--layers", "32", "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "amounts from" in out
    assert run(["predict", "run", "a.csv", "--out", "p.csv"]) == 0
    predicted = pd.read_csv("p.csv")["prediction"]
    rmse = float(np.sqrt(np.mean((predicted - table["price"]) ** 2)))
    metrics = load("run/model.safetensors").metrics
    assert metrics["test_r2"] > 0.5
    assert 0.4 < rmse / metrics["test_rmse"] < 2.5
    assert Path("run/predicted.png").is_file()
    history = pd.read_csv("run/history.csv")
    spread = table["price"].std()  # 36: standardized errors would be that much smaller
    assert 0.1 * spread < history["validation_rmse"].iloc[-1] < spread


def visible(page):
    """The text of a page, its pictures' included."""
    return re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S)


def test_large_amounts_are_read_with_ease(capsys):
    """No 5.23e+04, and no 1e6 beside an axis: not on the terminal, the page, in CSV or pictures."""
    rng = np.random.default_rng(0)
    make_table(price=np.round(2e6 + 4e5 * rng.normal(size=N), 2))
    assert run(["train", "a.csv", "--target", "price", *QUICK, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"RMSE +\d\d\d,\d\d\d ", out)
    assert run(["predict", "run", "a.csv"]) == 0
    predicted = capsys.readouterr().out
    assert re.search(r"^\d+,\d{7}$", predicted, re.M)
    page = visible(Path("run/report.html").read_text())
    assert re.search(r"\d\d\d,\d\d\d \(", page)
    for text in (out, predicted, page):
        assert "e+" not in text
        assert not re.search(r"\b1e\d", text)


def test_counts_are_judged_by_their_deviance(capsys):
    """Their likelihood without its constant is negative, and means nothing to people."""
    rng = np.random.default_rng(0)
    make_table(rides=rng.poisson(np.exp(rng.uniform(1, 7, N))))
    assert run(["train", "a.csv", "--target", "rides", *QUICK, "--out", "run"]) == 0
    out, page = capsys.readouterr().out, Path("run/report.html").read_text()
    assert "val. deviance" in out
    pictures = re.findall(r"<svg.*?</svg>", page, re.S)
    (curve,) = (visible(picture) for picture in pictures if "deviance by epoch" in picture)
    words = visible(re.sub(r"<svg.*?</svg>", "", page, flags=re.S)).partition("Settings")[0]
    for text in (out, words, curve):
        assert not re.search(r"[-−]\d\d\d", text)
    history = pd.read_csv("run/history.csv")
    assert (history["validation_deviance"] > 0).all()
    differences = np.diff(history["validation_deviance"])
    np.testing.assert_allclose(differences, 2 * np.diff(history["validation_loss"]), rtol=1e-4)


def test_a_schema_is_written_and_accepted(classified):
    folder, table, _ = classified
    table.to_csv("a.csv", index=False)
    schema = json.loads((folder / "schema.json").read_text())
    assert schema["columns"]["price"]["kind"] == "number"
    schema["columns"] |= {"owner": "category", "price": "drop"}
    Path("s.json").write_text(json.dumps(schema))
    Path("s.toml").write_text('target = "sold"\n[columns]\nowner = "category"\nprice = "drop"\n')
    for name in ("s.json", "s.toml"):
        prepared = load_table("a.csv", TableOptions(schema=Path(name)), 0)
        assert prepared.target.name == "sold"
        encoders = {e.name: e.kind for e in prepared.preprocessing.encoders}
        assert encoders == {
            "size": "number",
            "town": "category",
            "day": "date",
            "owner": "category",
        }


@pytest.mark.slow
def test_diagnosis_of_a_table_run(classified, capsys):
    folder, _, _ = classified
    assert run(["diagnose", str(folder), "--json"]) in (0, 1)
    json.loads(capsys.readouterr().out)


def bad_arguments():
    table = make_table()
    for name, text in {
        "empty.csv": "",
        "heading.csv": "a,b\n",
        "one.csv": "a,b\n1,2\n",
        "class.csv": "a,b\n" + "1,yes\n2,yes\n" * 20,
        "holes.csv": "a,b\n" + ",\n,\n" * 20,
        "names.csv": "a,b\n" + "".join(f"{k},{chr(97 + k)}x\n" for k in range(20)),
        "alone.csv": "b\n1\n2\n",
        "bad.toml": "columns = 3",
        "kind.json": '{"columns": {"size": "numbr"}}',
        "field.json": '{"colums": {}}',
        "broken.json": "{",
    }.items():
        Path(name).write_text(text)
    table.head(0).to_parquet("empty.parquet")
    train = ["train", "a.csv", "--target", "sold"]
    return {
        "no target": (["train", "a.csv"], "--target NAME. It has id, size"),
        "unknown target": (["train", "a.csv", "--target", "slod"], "Did you mean 'sold'"),
        "no file": (["train", "b.csv", "--target", "a"], "no file b.csv"),
        "target of digits": (["train", "digits", "--target", "a"], "digits is none"),
        "empty": (["train", "empty.csv", "--target", "a"], "is empty"),
        "no rows": (["train", "heading.csv", "--target", "a"], "no rows"),
        "no parquet rows": (["train", "empty.parquet", "--target", "sold"], "no rows"),
        "one row": (["train", "one.csv", "--target", "a"], "is always '1'"),
        "one class": (["train", "class.csv", "--target", "b"], "always 'yes'"),
        "all missing": (["train", "holes.csv", "--target", "b"], "empty in every row"),
        "names": (["train", "names.csv", "--target", "b"], "20 different values in 20 rows"),
        "alone": (["train", "alone.csv", "--target", "b"], "no column besides"),
        "drop": ([*train, "--drop", "sice"], "Did you mean 'size'"),
        "group": ([*train, "--group", "ownr"], "Did you mean 'owner'"),
        "time": ([*train, "--time", "town"], "no dates or numbers"),
        "both": ([*train, "--time", "day", "--group", "owner"], "not by both"),
        "task": ([*train, "--task", "classify"], "Did you mean 'classification'"),
        "regression": ([*train, "--task", "regression"], "holds no numbers"),
        "smoothing": (
            ["train", "a.csv", "--target", "price", "--label-smoothing", "0.1"],
            "is for classes",
        ),
        "scaling": ([*train, "--scaling", "robst"], "Did you mean 'robust'"),
        "no schema": ([*train, "--schema", "no.json"], "no schema file"),
        "a schema's kind": ([*train, "--schema", "kind.json"], "Did you mean 'number'"),
        "a schema's field": ([*train, "--schema", "field.json"], "Did you mean 'columns'"),
        "a broken schema": ([*train, "--schema", "broken.json"], "not valid JSON"),
        "a wrong schema": ([*train, "--schema", "bad.toml"], "columns of a schema"),
    }


def test_bad_input_is_explained_in_one_sentence(capsys, subtests):
    for name, (arguments, message) in bad_arguments().items():
        with subtests.test(name):
            assert run([*arguments, "--out", "run"]) == 2
            error = " ".join(capsys.readouterr().err.split())
            assert message in error
            assert not Path("run").exists()
