"""`jaxmlp train` on tables that are read block by block, and `jaxmlp shuffle`."""

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli import prepared_stream
from jaxmlp.cli.main import run
from jaxmlp.cli.prepared_stream import is_streamed, load_stream
from jaxmlp.cli.prepared_table import TableOptions, load_table

pytest.importorskip("grain", reason="needs grain")
pytest.importorskip("duckdb", reason="needs duckdb")
RNG = np.random.default_rng(0)
N = 4000


def make_table():
    x = RNG.normal(size=(N, 3))
    town = RNG.choice(["A", "B", "C"], N)
    score = x[:, 0] + x[:, 1] + (town == "A") * 1.5
    table = pd.DataFrame({
        "x0": x[:, 0], "x1": x[:, 1], "noise": x[:, 2], "town": town,
        "label": np.where(score > 0.5, "high", "low"), "amount": 100 + 20 * score,
    })  # fmt: skip
    table.loc[RNG.random(N) < 0.03, "x1"] = np.nan
    table.loc[RNG.random(N) < 0.02, ["label", "amount"]] = None
    return table


TABLE = make_table()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for k in range(4):
        part = TABLE.iloc[k * 1000 : (k + 1) * 1000]
        part.to_parquet(tmp_path / "in" / f"{k}.parquet", row_group_size=200, index=False)
    return tmp_path


def options(target, **more):
    return TableOptions(target, stream=True, **more)


@pytest.mark.parametrize("target", ["label", "amount"])
def test_the_stream_holds_what_the_table_does(target):
    prepared = load_stream("in", options(target), seed=0)
    order = range(len(prepared.stream.sizes))
    blocks = [prepared.stream.read(i) for i in order]
    x, y = (np.concatenate(part) for part in zip(*blocks, strict=True))
    assert [len(part) for _, part in blocks] == list(prepared.stream.sizes)
    assert len(x) == prepared.n_train
    n_held_out = len(prepared.validation.x) + len(prepared.test.x)
    assert len(x) + n_held_out == TABLE[target].notna().sum()
    whole = load_table_of_all(target)
    found = np.concatenate([x, prepared.validation.x, prepared.test.x])
    assert found.shape[1] == whole.shape[1]
    raw = TABLE.dropna(subset=[target]).drop(columns=target)
    wanted = prepared.preprocessing.transform(raw)
    np.testing.assert_allclose(
        np.sort(found.astype(np.float64).sum(axis=1)),
        np.sort(wanted.astype(np.float64).sum(axis=1)), atol=1e-5,
    )  # fmt: skip
    if target == "amount":
        assert abs(y.mean()) < 0.1
    else:
        assert set(np.unique(y)) == {0, 1}


def load_table_of_all(target):
    TABLE.to_parquet("whole.parquet", index=False)
    return load_table("whole.parquet", TableOptions(target), 0).train.x


@pytest.mark.slow
@pytest.mark.parametrize("data", ["in", "in/*.parquet", "whole.csv"])
def test_train_and_predict(data, capsys):
    if data == "whole.csv":
        TABLE.to_csv(data, index=False)
        # row groups are of 50,000 rows: a small file has one
        assert run(["train", data, "--target", "label", "--stream"]) == 2
        assert "a stream needs some to learn from" in capsys.readouterr().err
        return
    arguments = ["--target", "label", "--drop", "amount", "--epochs", "5", "--recipe", "plain"]
    assert run(["train", data, *arguments, "--out", "run"]) == 0
    said = capsys.readouterr().out
    assert "further rows without a target are left out" in said
    assert "test accuracy 9" in said
    TABLE.drop(columns="label").to_parquet("new.parquet", index=False)
    assert run(["predict", "run", "new.parquet", "--out", "p.csv"]) == 0
    labels = pd.read_csv("p.csv")["prediction"]
    known = TABLE["label"].notna().to_numpy()
    assert (labels[known] == TABLE["label"][known]).mean() > 0.9


@pytest.mark.slow
def test_the_default_recipe_learns_a_stream(capsys):
    call = ["train", "in", "--target", "amount", "--drop", "label", "--epochs", "4", "--out", "run"]
    assert run(call) == 0
    assert "recipe tabm" in capsys.readouterr().out


def test_rows_in_a_telling_order_and_unknown_classes_are_said():
    ordered = TABLE.sort_values("label")
    ordered.iloc[:, :5].to_parquet("sorted.parquet", row_group_size=200, index=False)
    said = [
        d.evidence + d.remedy for d in load_stream("sorted.parquet", options("label"), 0).doubts
    ]
    assert any("jaxmlp shuffle sorted.parquet OUT.parquet" in text for text in said)
    mixed = [d.evidence for d in load_stream("in", options("label", drop="amount"), 0).doubts]
    assert not any("order in which the rows are stored" in text for text in mixed)


def test_shuffle(capsys):
    assert run(["shuffle", "in", "out.parquet"]) == 0
    assert "wrote 4,000 rows to out.parquet" in capsys.readouterr().out
    keys = ["x0", "town"]
    pd.testing.assert_frame_equal(
        pd.read_parquet("out.parquet").sort_values(keys).reset_index(drop=True),
        TABLE.sort_values(keys).reset_index(drop=True), check_dtype=False,
    )  # fmt: skip
    assert run(["shuffle", "in", "out.parquet"]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["in", "--target", "label", "--group", "town"], "--group needs all rows at once"),
        (
            ["in", "--target", "label", "--folds", "3"],
            "--folds does not go with data",
        ),
        (
            ["in", "--target", "label", "--seeds", "2"],
            "--seeds does not go with data",
        ),
        (["in", "--target", "nothing"], "unknown column 'nothing'"),
        (["in"], "say which column of in to predict"),
        (["in", "--target", "label", "--no-stream"], "in is a folder or a pattern"),
        (["digits", "--stream"], "--stream reads Parquet and .csv files"),
        (
            ["in/0.parquet", "--target", "label", "--stream", "--budget", "9"],
            "--budget does not go",
        ),
    ],
)
def test_what_is_refused_leaves_nothing(arguments, sentence, capsys, place):
    before = sorted(place.rglob("*"))
    assert run(["train", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(place.rglob("*")) == before


def test_what_is_read_block_by_block(place):
    assert is_streamed("in", None)
    assert is_streamed("in/*.parquet", None)
    assert not is_streamed("in/0.parquet", None)
    assert is_streamed("in/0.parquet", wanted=True)
    assert not is_streamed("digits", None)


def test_no_more_row_groups_are_held_out_than_are_looked_at(monkeypatch):
    monkeypatch.setattr(prepared_stream, "_HELD_OUT", (0.1, 200))  # the rows of one of 20 groups
    prepared = load_stream("in", options("label"), seed=0)
    assert len(prepared.stream.sizes) == 18
