"""Workbooks, archives, JSON lines and Feather: the same table as its CSV."""

import gzip
import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.standard_input import as_file
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import ReadingOptions, infer_columns, read_table, read_table_blocks

N = 90
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(N) % 9 == 0, np.nan, RNG.normal(size=N).round(3)),
        "rooms": RNG.integers(1, 50, N),
        "town": RNG.choice(["Ulm", "Köln", "Bonn"], N),
        "zip": RNG.choice(["00501", "10001"], N),
        "day": pd.Timestamp("2024-01-31") + pd.to_timedelta(RNG.integers(0, 400, N), unit="D"),
        "y": RNG.choice(["a", "b"], N),
    }
)


def write(folder, name):
    path = folder / name
    if name.endswith(".xlsx"):
        FRAME.to_excel(path, index=False)
    elif name.endswith((".jsonl", ".ndjson", ".jsonl.gz")):
        text = FRAME.assign(day=FRAME["day"].dt.strftime("%Y-%m-%d")).to_json(
            orient="records", lines=True
        )
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    elif name.endswith(".feather"):
        FRAME.to_feather(path)
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.md", "hello")
            archive.writestr("data/t.csv", FRAME.to_csv(index=False))
    else:
        FRAME.to_csv(path, index=False, sep="\t" if name.endswith(".tsv") else ",")
    return path


NAMES = ["t.tsv", "t.xlsx", "t.jsonl", "t.ndjson", "t.jsonl.gz", "t.feather", "t.zip"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_table(tmp_path, name):
    csv = read_table(write(tmp_path, "t.csv"))
    path = write(tmp_path, name)
    frame = read_table(path)
    kinds = {c.name: c.kind for c in infer_columns(csv).values()}
    assert {c.name: c.kind for c in infer_columns(frame).values()} == kinds
    assert kinds["zip"] == "category"
    fitted = TablePreprocessor.fit(csv)
    np.testing.assert_array_equal(fitted.transform(frame), fitted.transform(csv))
    np.testing.assert_array_equal(
        TablePreprocessor.fit(frame).transform(frame), fitted.transform(csv)
    )
    blocks = list(read_table_blocks(path, 40))
    assert [len(block) for block in blocks] == [40, 40, 10]
    assert blocks[-1].attrs["done"] > 0.99
    rows = np.concatenate([fitted.transform(block) for block in blocks])
    np.testing.assert_array_equal(rows, fitted.transform(csv))
    assert load_table(str(path), TableOptions("y"), 0).target.class_names == ("a", "b")


@pytest.mark.parametrize("name", ["t.xlsx", "t.jsonl", "t.zip", "t.feather"])
def test_the_standard_input(tmp_path, monkeypatch, name):
    path = write(tmp_path, name)
    with path.open("rb") as file, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", SimpleNamespace(buffer=file))
        with as_file("-") as copy:
            assert len(read_table(copy)) == N


def test_sheets(tmp_path):
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"a": [1]}).to_excel(book, sheet_name="notes", index=False)
        FRAME.to_excel(book, sheet_name="houses", index=False, startrow=3)
        book.sheets["houses"]["A1"] = "Houses of 2024"
    frame = read_table(path)
    assert frame.columns.tolist() == FRAME.columns.tolist()
    assert len(frame) == N
    largest, above = frame.attrs["notes"]
    assert "'houses'" in largest
    assert "notes" in largest
    assert "--sheet" in largest
    assert "Houses of 2024" in above
    notes = read_table(path, options=ReadingOptions(sheet="notes"))
    assert notes.to_dict("list") == {"a": ["1"]}
    with pytest.raises(ValueError, match="no sheet 'x'; it has notes, houses"):
        read_table(path, options=ReadingOptions(sheet="x"))
    with pytest.raises(ValueError, match="no sheets; leave out --sheet"):
        read_table(write(tmp_path, "t.csv"), options=ReadingOptions(sheet="x"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a.csv": "a,b\n1,2\n", "b.tsv": "a\tb\n1\t2\n"}, "several tables (a.csv, b.tsv)"),
        ({"a.md": "x"}, "no table (a.md)"),
        ({}, "no table (nothing)"),
        ({"a.csv": ""}, "t.zip is empty"),
        (None, "no .zip file"),
    ],
)
def test_bad_archives(tmp_path, content, said):
    path = tmp_path / "t.zip"
    path.write_bytes(b"PK\x03\x04 no archive")
    if content is not None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read_table(path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{}\n", "is empty"),
        ('{"a": 1}\n{"a": \n', "line 2 of"),
        ('{"a": 1}\n[1]\n', "line 2 of"),
        ('{"a": {"b": 1}}\n', "within 'a'"),
        ('{"a": [1, 2]}\n', "within 'a'"),
        ('{"a": ' + "[" * 100_000 + "\n", "line 1 of"),
    ],
)
def test_bad_json_lines(tmp_path, text, said):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_table(tmp_path / "t.jsonl")


def test_odd_json_lines(tmp_path):
    rows = [{"a": 10**400, "b": "\ud800"}, {"b": True}, {"a": float("inf"), "c": None}]
    (tmp_path / "t.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    frame = read_table(tmp_path / "t.jsonl")
    assert frame.shape == (3, 3)
    frame.to_csv(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.xlsx", "t.feather", "t.jsonl.gz"])
def test_damaged_files(tmp_path, name):
    path = write(tmp_path, name)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="damaged"):
        read_table(path)
