"""`jaxmlp train` on tables that are read block by block, and `jaxmlp shuffle`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli import prepared_stream
from jaxmlp.cli.main import run
from jaxmlp.cli.prepared_stream import is_streamed, load_stream
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.data import streams

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


LARGE = pd.concat([TABLE] * 4, ignore_index=True)


@pytest.fixture
def small_groups(monkeypatch):
    monkeypatch.setattr(streams, "_BLOCK_ROWS", 2048)


def test_a_file_is_read_as_the_user_says(small_groups):
    """Also if it was read in another way before."""
    LARGE[["x0", "noise", "label"]].to_csv("a.csv", index=False, header=False, sep=":")
    prepared = load_stream("a.csv", options("x2", header=False, delimiter=":"), 0)
    assert prepared.target.class_names == ("high", "low")
    assert list(prepared.columns) == ["x0", "x1"]
    with pytest.raises(ValueError, match="add --no-header"):
        load_stream("a.csv", options("x2", delimiter=":"), 0)
    text = pd.read_csv("a.csv", sep=":", names=["a", "b", "c"]).to_csv(index=False)
    Path("a.csv").write_text(f"Report, of May\n{text}")
    assert list(load_stream("a.csv", options("c", skip=1), 0).columns) == ["a", "b"]


def test_a_row_number_is_one_in_a_sample_too(monkeypatch):
    monkeypatch.setattr(prepared_stream, "_SAMPLE", 1500)
    counts = np.arange(N)
    frame = TABLE.assign(k=counts, odd=2 * counts, some=RNG.integers(0, N, N))
    frame.to_parquet("k.parquet", row_group_size=200)
    columns = load_stream("k.parquet", options("label"), seed=0).columns
    assert columns["k"].reason == "numbers the rows"
    assert {columns[name].kind for name in ("odd", "some", "x0")} == {"number"}
    columns = load_stream("k.parquet", options("label", number="k"), seed=0).columns
    assert columns["k"].kind == "number"


def test_row_numbers_of_a_text_file(small_groups):
    LARGE.assign(k=np.arange(1, len(LARGE) + 1)).to_csv("k.csv", index=False)
    assert load_stream("k.csv", options("label"), seed=0).columns["k"].reason == "numbers the rows"


def test_targets_are_read_with_the_tables_decimal_sign(small_groups):
    frame = pd.DataFrame({"x": LARGE["x0"]})
    frame["x"] = frame["x"].map(lambda x: f"{x:.3f}".replace(".", ","))
    frame["y"] = RNG.choice(["1.500", "900", "2.500"], len(LARGE))
    frame.to_csv("d.csv", index=False, sep=";")
    prepared = load_stream("d.csv", options("y", task="regression"), 0)
    assert prepared.target.reason.startswith("amounts from 900 to 2,500")
    _, y = prepared.stream.read(0)
    back = prepared.target_transform.inverse_transform(y[:, None])
    assert set(np.round(back[:, 0])) == {900, 1500, 2500}


def test_classes_are_found_as_numbers_in_other_files(place):
    """0 and 1 of one file are False and True, or 0.0 and 1.0, of another."""
    flag = TABLE["x0"] > 0
    for k, dtype in enumerate((int, float, int, float)):
        part = TABLE[["x1", "noise"]].assign(y=flag.astype(dtype)).iloc[k * 1000 :][:1000]
        part.astype({"y": str if k == 3 else dtype}).to_parquet(
            f"in/{k}.parquet", row_group_size=200
        )
    prepared = load_stream("in", options("y"), seed=0)
    assert prepared.target.class_names == ("0", "1")
    assert sum(prepared.stream.sizes) == 3200
