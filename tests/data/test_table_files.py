"""Reading tables: dialects, compression, Parquet, damage; against pandas where it can."""

import gzip

import numpy as np
import pandas as pd
import pytest

from jaxmlp.data.tables import read_table, read_table_blocks

TEXT = 'name;"size;cm";note\nJörg;1,5;"says ""hi"""\n"Ann\nLee";2,5;\n'
CELLS = {"name": ["Jörg", "Ann\nLee"], "size;cm": ["1,5", "2,5"], "note": ['says "hi"', ""]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_dialects(tmp_path, encoding, delimiter, ending):
    frame = pd.DataFrame(CELLS)
    frame["name"] = frame["name"].str.replace("\n", " ")
    text = frame.to_csv(index=False, sep=delimiter, lineterminator=ending)
    for name, pack in (("a.csv", bytes), ("a.csv.gz", gzip.compress)):
        (tmp_path / name).write_bytes(pack(text.encode(encoding)))
        pd.testing.assert_frame_equal(read_table(tmp_path / name), frame, check_dtype=False)


def test_quotes_may_hold_anything(tmp_path):
    (tmp_path / "a.csv").write_text(TEXT, newline="")
    assert read_table(tmp_path / "a.csv").to_dict("list") == CELLS


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        (b"a\n1\n2\n", {"a": ["1", "2"]}),
        (b"a,b\n1\n3,4", {"a": ["1", "3"], "b": ["", "4"]}),
        (b"a,b\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"], "column 3": ["", ""]}),
        (b"1,2\n3,4\n", {"x0": ["1", "3"], "x1": ["2", "4"]}),
        (b"a,a\n1,2\n", {"a": ["1"], "a.1": ["2"]}),
        (b"\n\na,b\n\n1,2\n", {"a": ["1"], "b": ["2"]}),
        (b"a,b\r1,2\r", {"a": ["1"], "b": ["2"]}),
        (b" a , b\n1, 2\n", {"a": ["1"], "b": ["2"]}),
        (b"id,w\n007,NA\n", {"id": ["007"], "w": ["NA"]}),
    ],
)
def test_oddities(tmp_path, content, cells):
    (tmp_path / "a.csv").write_bytes(content)
    assert read_table(tmp_path / "a.csv").to_dict("list") == cells


def test_numbers_are_read_as_numbers_where_they_are_wanted(tmp_path):
    (tmp_path / "a.csv").write_text("n;f;w;007\n1;;a;3\n2;1e-3;;4\n3;.5\n")
    frame = read_table(tmp_path / "a.csv", numbers=True)
    assert list(frame) == ["n", "f", "w", "007"]
    assert [frame[name].dtype.kind for name in ("n", "f", "007")] == ["i", "f", "f"]
    np.testing.assert_array_equal(frame["f"], [np.nan, 1e-3, 0.5])
    assert frame["w"].isna().tolist() == [False, True, True]
    x = np.random.default_rng(0).normal(size=(50, 3))
    np.savetxt(tmp_path / "bare.tsv", x, fmt="%.17g", delimiter="\t")
    blocks = list(read_table_blocks(tmp_path / "bare.tsv", 20, numbers=True))
    np.testing.assert_allclose(np.concatenate(blocks), x, rtol=1e-15)
    assert not any(block.attrs["headed"] for block in blocks)


def test_blocks_are_the_whole(tmp_path):
    frame = pd.DataFrame({"a": np.arange(100), "b": ["x y"] * 100}).astype(str)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        blocks = list(read_table_blocks(tmp_path / name, 33))
        assert [len(block) for block in blocks] == [33, 33, 33, 1]
        assert blocks[-1].attrs["done"] == 1
        whole = pd.concat(blocks, ignore_index=True)
        pd.testing.assert_frame_equal(whole, frame, check_dtype=False)


def test_parquet_keeps_its_types(tmp_path):
    frame = pd.DataFrame({"when": pd.to_datetime(["2024-05-01", None]), "n": [1, 2]})
    frame["c"] = pd.Categorical(["u", "v"])
    frame.to_parquet(tmp_path / "a.parquet")
    read = read_table(tmp_path / "a.parquet")
    assert read["when"].dtype.kind == "M"
    assert read["n"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b" \n\n", "is empty"),
        ("a.csv", b"a,b\n", "no rows"),
        ("a.csv", b"a,b\n1,2\n3,4,5\n", "line 3, saw 3"),
        ("a.csv", b'a,b\n"1,2\n3,4\n', "never closed"),
        ("a.csv", b"PK\x03\x04\x00\x00", "binary data"),
        ("a.csv.gz", b"a,b\n1,2\n", "not what its name says"),
        (
            "a.csv.gz",
            gzip.compress(b"a,b\n" + b"0123456789" * 999, mtime=0)[:-9],
            "truncated",
        ),
        ("a.parquet", b"a,b\n1,2\n", "no Parquet file"),
        ("a.xlsx", b"", "no workbook"),
        ("a.xls", b"", "no table that can be read"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        read_table(tmp_path / "a.csv")
