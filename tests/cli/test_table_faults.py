"""Tables that a command read wrongly, or refused; each as a user meets it."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from jaxmlp.cli.labelled import load_labelled
from jaxmlp.cli.main import run
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.cli.table_summary import show_table
from jaxmlp.formatting import format_exactly
from jaxmlp.models import load

QUICK = ["--epochs", "2", "--layers", "8", "--quiet", "--out", "run", "--force"]
N = 120
pytestmark = pytest.mark.usefixtures("standard_promotion", "elsewhere")


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


@pytest.mark.parametrize("place", ["first", "last"])
def test_without_a_header(place, capsys):
    frame = table(w=["?", "1.5", "2", "4"] * 30)
    frame = frame[["w", "x", "y"]] if place == "last" else frame[["y", "w", "x"]]
    frame.to_csv("a.csv", index=False, header=False)
    target = f"x{2 * (place == 'last')}"
    first = frame.iloc[0, list(frame.columns).index("y")]
    doubts = load_table("a.csv", TableOptions(first), 0).doubts
    assert doubts[0].title == "reading"
    assert "add --no-header" in doubts[0].remedy
    train(None, "--no-header", target=target)
    assert load_table("a.csv", TableOptions(target, header=False), 0).split.test.size == N // 5
    lines, said = predicted("a.csv", capsys)
    assert len(lines) == N
    assert "no-header" not in said
    assert run(["diagnose", "run", "--json"]) in (0, 1)
    assert len(predicted("a.csv", capsys, "--no-header")[0]) == N
    assert run(["predict", "run", "a.csv", "--header"]) == 2


def test_lines_above_and_a_delimiter(capsys):
    frame = table()
    text = "Report: May\n" + frame.to_csv(index=False, sep=":")
    Path("a.csv").write_text(text)
    train(None, "--skip", "1", "--delimiter", ":")
    assert len(predicted("a.csv", capsys)[0]) == N
    frame.to_csv("plain.csv", index=False)
    assert run(["predict", "run", "plain.csv"]) == 2
    assert len(predicted("plain.csv", capsys, "--delimiter", ",", "--skip", "0")[0]) == N


def test_predictions_of_one_column(capsys):
    train(table())
    Path("new.csv").write_text("x\n1\n\n-1")
    assert len(predicted("new.csv", capsys)[0]) == 3
    assert run(["predict", "run", "new.csv", "--out", "p.csv"]) == 0
    assert "wrote 3 predictions to p.csv" in capsys.readouterr().err


def test_notes_are_shown_once_a_column(capsys):
    columns = {name: [*"ab"] * 60 for name in ("total day", "total night", "total")}
    train(table(**columns))
    new = pd.DataFrame({**columns, "x": [0.5] * N}).assign(**dict.fromkeys(columns, "new"))
    pd.concat([new] * 150).to_csv("new.csv", index=False)  # more than a block
    _, said = predicted("new.csv", capsys)
    notes = [line for line in said.splitlines() if line.startswith("note: total")]
    assert sorted(note.split(":")[1].strip() for note in notes) == sorted(columns)


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.csv.gz", "p.csv.xz", "p.parquet", "p"])
def test_predictions_are_written_as_their_name_says(name, capsys):
    frame = table(y=["two\nlines", "one"] * 60)
    train(frame)
    assert run(["predict", "run", "a.csv", "--proba", "--out", name]) == 0
    assert f"wrote {N} predictions to {name}" in capsys.readouterr().err
    if name == "p.parquet":
        read = pd.read_parquet(name)
        assert read["p_one"].dtype == np.float32
    else:
        read = pd.read_csv(name, sep="\t" if name == "p.tsv" else ",")
    assert set(read["prediction"]) <= {"two\nlines", "one"}
    assert read["row"].tolist() == list(range(N))
    np.testing.assert_allclose(read["p_one"] + read["p_two\nlines"], 1, rtol=1e-5)
    assert run(["predict", "run", "a.csv", "--out", "p.xlsx"]) == 2
    assert not Path("p.xlsx").exists()


def test_a_column_whose_name_holds_a_comma(capsys):
    frame = table(**{"b, c": np.arange(N) % 7, "d": np.arange(N) % 5})
    frame.to_csv("a.csv", index=False)
    for said, dropped in (
        ("b, c", {"b, c"}), ('"b, c",d', {"b, c", "d"}), ("d", {"d"}), ("d, b, c", {"b, c", "d"}),
    ):  # fmt: skip
        columns = load_table("a.csv", TableOptions("y", drop=said), 0).columns
        assert {name for name, column in columns.items() if column.kind == "drop"} == dropped
    leak = frame.assign(**{"b, c": (frame["y"] == "up") * 2.5})
    leak.to_csv("a.csv", index=False)
    doubts = load_table("a.csv", TableOptions("y", drop="x"), 0).find_leaks()
    assert any("--drop '\"b, c\"'" in doubt.remedy for doubt in doubts)


def test_ids_are_carried_along(capsys):
    frame = table(id=[f"007{k}" for k in range(N)])
    train(frame)
    lines, _ = predicted("a.csv", capsys, "--keep", "id")
    assert [line.split(",")[1] for line in lines] == frame["id"].tolist()
    for ids, written in (([7, None, 9], ["7", "", "9"]), (["a", None, "c"], ["a", "", "c"])):
        pd.DataFrame({"id": ids, "x": [1.0, 2.0, 3.0]}).to_parquet("new.parquet")
        lines, _ = predicted("new.parquet", capsys, "--keep", "id")
        assert [line.split(",")[1] for line in lines] == written
    assert run(["predict", "run", "a.csv", "--keep", "ids"]) == 2
    assert "Did you mean 'id'" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["csv", "parquet", "gz"])
def test_data_from_the_standard_input(form, capsys, monkeypatch):
    frame = table()
    train(frame)
    content = frame.to_csv(index=False).encode()
    content = {"csv": content, "parquet": frame.to_parquet(), "gz": gzip.compress(content)}[form]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert predicted("-", capsys)[0] == predicted("a.csv", capsys)[0]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    train(None, path="-")
    assert json.loads(Path("run/run.json").read_text())["options"]["data"] == "-"
    assert run(["diagnose", "run"]) == 2
    assert "from the standard input" in capsys.readouterr().err


def test_predictions_keep_what_32_bits_hold(capsys):
    target = 1_234_500 + np.arange(77)
    train(pd.DataFrame({"x": np.arange(77) * 7 % 31, "y": target}), "--task", "regression")
    model = load("run/model.safetensors")
    for shown in (target.astype(np.float32), model.predict(pd.read_csv("a.csv")[["x"]])):
        written = [format_exactly(value) for value in shown]
        assert not any("e" in text for text in written)
        np.testing.assert_array_equal(np.float32(written), shown)
    lines, _ = predicted("a.csv", capsys)
    assert [line.split(",")[1] for line in lines] == written


@pytest.mark.parametrize("goal", ["y", "x"])
def test_a_sweep_of_a_table_is_a_run(goal, capsys):
    frame = table(n=np.arange(N), day=pd.date_range("2024-01-01", periods=N), z=[*"abc"] * 40)
    frame.to_csv("a.csv", index=False)
    Path("s.json").write_text('{"columns": {"n": "drop"}}')
    said = ["--target", goal, "--drop", "z", "--schema", "s.json", "--time", "day"]
    fast = ["--seeds", "1", "--epochs", "2", "--layers", "8", "--out", "run"]
    assert run(["sweep", "a.csv", *said, *fast, "-g", "learning_rate=0.01,0.02"]) == 0
    described = json.loads(Path("run/run.json").read_text())
    assert described["options"]["learning_rate"] in (0.01, 0.02)
    assert described["table"]["time"] == "day"
    kinds = json.loads(Path("run/schema.json").read_text())["columns"]
    assert {name for name, column in kinds.items() if column["kind"] == "drop"} == {"n", "z", "day"}
    assert run(["diagnose", "run", "--json"]) in (0, 1)
    assert len(predicted("a.csv", capsys)[0]) == N


def test_a_sweep_by_name_can_be_diagnosed():
    fast = ["--seeds", "1", "--epochs", "1", "--layers", "8", "--out", "run"]
    assert (
        run(["sweep", "digits", *fast, "-g", "dropout_rate=0,0.1", "-g", "hidden_layer_sizes=8"])
        == 0
    )
    assert json.loads(Path("run/run.json").read_text())["options"]["layers"] == [8]
    assert run(["diagnose", "run", "--json"]) in (0, 1)
    assert run(["sweep", "digits", "--target", "y", *fast]) == 2


def test_an_unknown_delimiter_is_asked_for(capsys):
    Path("a.csv").write_text("a~y\n" + "b~1\nc~2\n" * 20)
    train(None, code=2)
    assert "read as a single column, 'a~y'; say what stands" in capsys.readouterr().err
    train(None, "--delimiter", "~")


def test_a_number_that_may_mean_missing_is_doubted(capsys):
    frame = table(co=[*np.linspace(0.1, 12, N - 9).round(2), *[-200] * 9])
    frame.to_csv("a.csv", index=False)
    doubts = load_table("a.csv", TableOptions("y"), 0).doubts
    assert any(doubt.remedy.endswith("--missing -200") for doubt in doubts)
    columns = load_table("a.csv", TableOptions("y", missing="-200"), 0).columns
    assert columns["co"].reason == "0.1 to 12"
    doubts = load_table("a.csv", TableOptions("co"), 0).doubts
    assert any("all other numbers of co, but 9 rows" in doubt.evidence for doubt in doubts)
    target = load_table("a.csv", TableOptions("co", missing="-200"), 0).target
    assert target.reason == "amounts from 0.1 to 12; 9 rows without a target are left out"


def test_rows_are_ordered_by_time_as_its_column_is_read():
    """In order are only 1.000 as a thousand, and a day behind the month where that is said."""
    day = pd.date_range("2020-01-01", periods=366)
    day = day[day.day <= 12][:N]
    frame = table(
        n=[f"{k:,}".replace(",", ".") for k in range(940, 940 + N)],
        p=[f"{k / 7:.2f}".replace(".", ",") for k in range(N)],
        day=day.strftime("%m/%d/%Y"),
    )
    frame.to_csv("a.csv", index=False, sep=";")
    Path("s.json").write_text('{"columns": {"day": {"kind": "date", "style": "mdy"}}}')
    for time, said in (("n", "orders the rows"), ("day", "orders the rows, read as m/d/y")):
        prepared = load_table("a.csv", TableOptions("y", time=time, schema=Path("s.json")), 0)
        assert prepared.columns[time].reason == said
        assert prepared.split.train.max() < prepared.split.validation.min()
        assert prepared.split.validation.max() < prepared.split.test.min()


def test_the_target_tells_the_decimal_sign_too():
    frame = table(n=["1.500", "900", "800", "2.500"] * 30)
    frame["x"] = frame["x"].map(lambda x: f"{x:.3f}".replace(".", ","))
    frame[["n", "x"]].to_csv("a.csv", index=False, sep=";")
    prepared = load_table("a.csv", TableOptions("x"), 0)
    assert prepared.columns["n"].reason == "800 to 2,500, 4 whole numbers"


def test_labelled_rows_are_read_as_in_training():
    """Also what the numbers of a file, read without their column, would say."""
    frame = table(n=["1.500", "900", "800", "2.500"] * 30, y=["None", "NA", "-", "b"] * 30)
    frame["x"] = frame["x"].map(lambda x: f"{x:.3f}".replace(".", ","))
    Path("a.csv").write_text("May\n" + frame.to_csv(index=False, sep=":"))
    train(None, "--delimiter", ":", "--skip", "1", "--recipe", "plain")
    model = load("run/model.safetensors")
    said = {"data_dir": None, "classes": (), "per_class": None, "seed": 0}
    parts = load_labelled(model, "a.csv", target="y", **said)
    assert parts.train.class_names == ("-", "NA", "None", "b")
    column = model.preprocessing.feature_names.index("n")
    expected = model.preprocessing.transform(frame)[:, column]
    assert set(parts.train.x[:, column]) == set(expected)
    assert len(set(expected)) == 4
    with pytest.raises(ValueError, match="holds fractions"):
        load_labelled(model, "a.csv", target="x", **said)


def test_nothing_but_our_words_reaches_the_terminal(tmp_path):
    """scikit-learn warns of few members, classes that a sample lacks, and the like."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=90), "k": range(90), "y": rng.integers(0, 25, 90).astype(str)}
    )
    frame["y"] = "c" + frame["y"]
    frame.to_csv("a.csv", index=False)
    command = [sys.executable, "-m", "jaxmlp", "train", "a.csv", "--target", "y", *QUICK]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Warning" not in result.stderr


def summary(path, width):
    """What train prints of a table, in lines so long."""
    text = io.StringIO()
    prepared = load_table(path, TableOptions("y"), 0)
    show_table(Console(file=text, width=width, highlight=False), prepared)
    return text.getvalue()


def test_of_a_wide_table_the_telling_columns_are_shown():
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(rng.normal(size=(N, 1995)).round(2)).add_prefix("gene ")
    genes.loc[::7, "gene 1500"] = np.nan
    frame = pd.concat([genes, table(town=[*"abc"] * 40, k=np.arange(N), c=1)], axis=1)
    frame.to_csv("a.csv", index=False)
    said = summary("a.csv", 120)
    assert said.count("\n") < 30
    for part in ("gene 0 ", "gene 1500", "town", "numbers the rows", "always 1"):
        assert part in said
    assert "and more, taken as number 1,992; all are in the run's schema.json" in said


def test_no_word_is_broken_at_120_columns():
    frame = table(
        **{
            "the very long name of a column that holds numbers of rooms": np.arange(N) % 7,
            "a": [f"a long text about some thing number {k}" for k in range(N)],
            "a_name_without_any_blanks_that_is_longer_than_a_line_should_ever_be_in_a_table": 1,
            "half": ["", "a sentence that stands in half of the cells of this column"] * 60,
        }
    )
    frame["y"] = np.where(frame["y"] == "up", "a class with a long name", "another such class")
    frame.to_csv("a.csv", index=False)
    narrow, broad = summary("a.csv", 120), summary("a.csv", 10_000)
    assert max(map(len, narrow.splitlines())) <= 120
    assert narrow.split() == broad.split()
