"""`--json` of the commands that use a model: what programs read is what people read."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli.main import run
from jaxmlp.cli.predictions_file import Predictions, write_to_terminal

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's folder, and rows to predict of which one is text with accents and one is empty."""
    folder = tmp_path_factory.mktemp("json")
    size = RNG.normal(50, 10, 60)
    table = pd.DataFrame({"id": [f"số {i}" for i in range(60)], "size": size})
    table["sort"] = np.where(size > 50, "large", "small")
    table.to_csv(folder / "table.csv", index=False)
    rows = folder / "rows.csv"
    table[["id", "size"]].head(5).to_csv(rows, index=False)
    options = ["--target", "sort", "--drop", "id", "--epochs", "2", "--layers", "4", "--quiet"]
    options += ["--recipe", "plain", "--out", str(folder / "run")]
    assert run(["train", str(folder / "table.csv"), *options]) == 0
    return folder / "run", rows


def output(capsys, *arguments):
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == 0
    return capsys.readouterr()


def test_an_object_a_row(trained, capsys, tmp_path):
    folder, rows = trained
    said = output(capsys, "predict", folder, rows, "--json", "--proba", "--keep", "id").out
    objects = [json.loads(line) for line in said.splitlines()]
    output(capsys, "predict", folder, rows, "--proba", "--keep", "id", "--out", tmp_path / "p.csv")
    expected = pd.read_csv(tmp_path / "p.csv")
    assert objects[0]["id"] == "số 0"
    pd.testing.assert_frame_equal(pd.DataFrame(objects), expected)


def test_a_file_of_json_lines(trained, capsys, tmp_path):
    folder, rows = trained
    out = tmp_path / "p.jsonl"
    said = output(capsys, "predict", folder, rows, "--json", "--out", out)
    assert json.loads(said.out) == {"out": str(out), "n_predictions": 5}
    assert pd.read_json(out, lines=True)["row"].tolist() == list(range(5))


def test_json_has_no_nan(capsys):
    logits = np.array([np.nan, 1.5], np.float32)
    write_to_terminal(iter([Predictions(np.array([7, 8]), [("logit", logits)])]), as_json=True)
    assert capsys.readouterr().out == '{"row": 7, "logit": null}\n{"row": 8, "logit": 1.5}\n'


def test_what_was_exported(trained, capsys, tmp_path):
    folder, _ = trained
    out = tmp_path / "p.safetensors"
    said = json.loads(output(capsys, "export", folder, "--to", "torch", "--out", out, "--json").out)
    assert said["out"] == str(out)
    assert said["to"] == "torch"
    assert said["n_bytes"] == out.stat().st_size
    assert said["notes"][0] == "weights alone; the preprocessing stays in the model file"
