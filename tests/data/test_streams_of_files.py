"""Streams of Parquet and .npy files, and how rows are shuffled on disk."""

import numpy as np
import pandas as pd
import pytest

from jaxmlp.data.streams import (
    RowStream,
    _parquet_files,
    open_npy,
    open_parquet,
    read_group,
    row_groups,
    sample_rows,
    shuffle_rows,
    tells_by_place,
)
from jaxmlp.data.tables import read_table
from jaxmlp.data.tables.values import to_word

pytest.importorskip("grain", reason="needs grain")
RNG = np.random.default_rng(0)
N = 1200


@pytest.fixture
def table():
    return pd.DataFrame({
        "x": RNG.normal(size=N).astype(np.float32),
        "town": RNG.choice(["Köln", "Bonn", None], N),
        "y": RNG.integers(0, 3, N),
    })  # fmt: skip


def write(table, folder, files=3, rows=100):
    folder.mkdir(parents=True)
    for k, rows_of_file in enumerate(np.array_split(np.arange(len(table)), files)):
        part = table.iloc[rows_of_file]
        part.to_parquet(folder / f"part-{k}.parquet", row_group_size=rows, index=False)


def test_a_file_a_folder_and_a_pattern_name_the_same_rows(table, tmp_path):
    write(table, tmp_path / "in")
    folder = tmp_path / "in"
    for source in (folder, folder / "*.parquet", str(folder / "part-*.parquet")):
        groups = row_groups(source)
        assert sum(group.n_rows for group in groups) == N
        assert len(groups) == 12
    assert len(row_groups(folder / "part-1.parquet")) == 4
    read = pd.concat([read_group(group).astype({"town": object}) for group in row_groups(folder)])
    pd.testing.assert_frame_equal(read.reset_index(drop=True), table, check_dtype=False)


def test_a_stream_of_parquet_holds_every_row_once(table, tmp_path):
    write(table, tmp_path / "in")
    stream = open_parquet(
        row_groups(tmp_path / "in"),
        lambda frame: (frame[["x"]].to_numpy(), frame["y"].to_numpy()),
    )
    order = stream.order(seed=3, epoch=0)
    assert sorted(order) == list(range(12))
    assert order != stream.order(seed=3, epoch=1)
    assert order == stream.order(seed=3, epoch=0)
    x = np.concatenate([x for x, _ in stream.blocks(order)])
    np.testing.assert_array_equal(np.sort(x[:, 0]), np.sort(table["x"]))
    parts = [stream.shard(k, 2) for k in range(2)]
    assert sum(part.n_rows for part in parts) == N
    assert parts[0].fingerprint != parts[1].fingerprint


def test_the_fingerprint_changes_with_the_files(table, tmp_path):
    write(table, tmp_path / "a")
    first = open_parquet(row_groups(tmp_path / "a"), lambda frame: (frame, frame)).fingerprint
    table["y"] += 1
    table.to_parquet(tmp_path / "a" / "part-0.parquet", row_group_size=50)
    groups = [g for g in row_groups(tmp_path / "a") if g.path.name == "part-0.parquet"]
    assert open_parquet(groups, lambda frame: (frame, frame)).fingerprint != first


def test_arrays_are_mapped_and_read_in_blocks(tmp_path):
    x, y = RNG.normal(size=(250, 3)).astype(np.float32), np.arange(250)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    stream = open_npy(tmp_path / "x.npy", tmp_path / "y.npy", block_rows=100)
    assert stream.sizes == (100, 100, 50)
    np.testing.assert_array_equal(np.concatenate([stream.read(i)[0] for i in range(3)]), x)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_rows_in_a_telling_order_are_found_out(table, tmp_path, kind):
    if kind == "numbers":
        table["y"] = RNG.normal(size=N)
    write(table, tmp_path / "mixed")
    write(table.sort_values("y"), tmp_path / "sorted")
    found = [tells_by_place(row_groups(tmp_path / name), "y") for name in ("mixed", "sorted")]
    assert found == [False, True]


def test_one_class_or_one_group_tells_nothing(table, tmp_path):
    table["y"] = 1
    write(table, tmp_path / "one")
    assert not tells_by_place(row_groups(tmp_path / "one"), "y")
    assert not tells_by_place(row_groups(tmp_path / "one")[:1], "x")


@pytest.mark.parametrize("form", ["csv", "parquet", "folder"])
def test_rows_are_shuffled_on_disk(table, tmp_path, form):
    pytest.importorskip("duckdb", reason="needs duckdb")
    table = table.sort_values("y").reset_index(drop=True)
    table["x"] = table["x"].astype(np.float64).round(3)
    source = tmp_path / f"in.{form}"
    if form == "csv":
        table.to_csv(source, index=False)
    elif form == "parquet":
        table.to_parquet(source, row_group_size=100)
    else:
        write(table, source)
    done = []
    out = shuffle_rows(source, tmp_path / "out.parquet", seed=5, progress=done.append)
    found = pd.read_parquet(out)
    assert list(found.columns) == list(table.columns)
    keys = ["x", "town", "y"]
    pd.testing.assert_frame_equal(
        found.sort_values(keys).reset_index(drop=True),
        table.sort_values(keys).reset_index(drop=True), check_dtype=False,
    )  # fmt: skip
    assert abs(np.corrcoef(np.arange(N), found["y"])[0, 1]) < 0.1
    assert list(tmp_path.glob(".*partial*")) == []
    with pytest.raises(FileExistsError, match="exists already"):
        shuffle_rows(source, out)


def test_a_quote_in_a_path_is_part_of_the_path(table, tmp_path):
    pytest.importorskip("duckdb", reason="needs duckdb")
    folder = tmp_path / "O'Brien"
    write(table, folder)
    table.to_csv(folder / "all.csv", index=False)
    for source in (folder, folder / "all.csv"):
        out = shuffle_rows(source, folder / f"{source.name} shuffled.parquet")
        assert len(pd.read_parquet(out)) == N


def test_a_cell_far_down_may_be_of_another_kind(tmp_path):
    pytest.importorskip("duckdb", reason="needs duckdb")
    cells = pd.DataFrame({"x": [*map(str, range(30_000)), "?"]})  # DuckDB looks at 20,480 rows
    cells.to_csv(tmp_path / "in.csv", index=False)
    found = pd.read_parquet(shuffle_rows(tmp_path / "in.csv", tmp_path / "out.parquet"))
    assert set(found["x"]) == set(cells["x"])


DIALECTS = {
    "codes": "zip,flag\n00501,yes\n10001,no\ncafé €,\n",
    "decimal commas": "n;x;t\n1.500;1,5;a\n900;2,25;b\n2.500;3,75;café €\n",
    "a title and a delimiter": 'sep=#\nn#x\n1#a\n2#"b#c"\n3#café €\n',
    "short lines": "a,b,c\ncafé €,2,3\n4,5\n6,7\n",
    "stamps": "when,x\n1/2/2024 10:00,1\n1/13/2024 11:00,café €\n",
    "words that mean nothing": "w,x\nNA,1\nNone,2\n-,?\ncafé €,3\n",
    "an apostrophe in a name": "it's,y\na,1\ncafé €,2\n",
    "a break in a cell": 'x,t\n1,"two\nlines"\n2,café €\n',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS)
def test_text_is_shuffled_as_it_would_be_read(tmp_path, text, encoding):
    """What is no plain number stays as it is written, whatever DuckDB would take it for."""
    pytest.importorskip("duckdb", reason="needs duckdb")
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode(encoding))
    wanted = read_table(path)
    found = pd.read_parquet(shuffle_rows(path, tmp_path / "out.parquet")).astype(object)
    found = found.where(found.notna(), "").map(to_word)
    assert list(found.columns) == list(wanted.columns)
    assert sorted(found.to_numpy().tolist()) == sorted(wanted.to_numpy().tolist())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.csv", "out.parquet"]


def test_a_letter_far_down_may_tell_the_encoding(tmp_path):
    pytest.importorskip("duckdb", reason="needs duckdb")
    path = tmp_path / "in.csv"
    path.write_bytes(b"name,x\n" + b"Ann,1\n" * 50_000 + "Jörg,2\nJärg,3\n".encode("cp1252"))
    found = pd.read_parquet(shuffle_rows(path, tmp_path / "out.parquet"))
    assert set(found["name"]) == {"Ann", "Jörg", "Järg"}


def test_a_sample_is_drawn_from_random_groups(table, tmp_path):
    write(table, tmp_path / "in")
    groups = row_groups(tmp_path / "in")
    sample = sample_rows(groups, 250, seed=1)
    assert len(sample) == 250
    assert set(sample["town"].dropna()) == {"Köln", "Bonn"}
    assert not sample.equals(sample_rows(groups, 250, seed=2))


def test_what_cannot_be_opened_is_named(table, tmp_path):
    with pytest.raises(FileNotFoundError, match="names no Parquet file"):
        _parquet_files(tmp_path / "*.parquet")
    write(table, tmp_path / "in")
    table.rename(columns={"x": "z"}).to_parquet(tmp_path / "in" / "part-9.parquet")
    with pytest.raises(ValueError, match=r"differ in the column '[xz]'"):
        row_groups(tmp_path / "in")
    (tmp_path / "in" / "part-9.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"part-9\.parquet is no Parquet file that can be read"):
        row_groups(tmp_path / "in")
    np.save(tmp_path / "x.npy", np.zeros(3))
    np.save(tmp_path / "y.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"has shape \(3,\)"):
        open_npy(tmp_path / "x.npy", tmp_path / "y.npy")
    with pytest.raises(ValueError, match="each must have some"):
        RowStream((), lambda i: (np.zeros(1), np.zeros(1)), "")
