"""Text files in the ways that people and programs write them."""

import gzip

import numpy as np
import pandas as pd
import pytest

from jaxmlp.data.tables import ReadingOptions, read_table, read_table_blocks


def read(folder, content, **options):
    path = folder / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, options=ReadingOptions(**options))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_latin_1_whose_first_accent_comes_late(tmp_path, pack):
    n = 40_000
    names = ["Ann Smith"] * n + ["J\xf6rg", "J\xe4rg", "Z\xfce"] * 5
    text = "name,k\n" + "".join(f"{name},{k}\n" for k, name in enumerate(names))
    path = tmp_path / ("a.csv" if pack is bytes else "a.csv.gz")
    path.write_bytes(pack(text.encode("latin-1")))
    frame = read_table(path)
    assert frame["name"].tolist() == names
    assert "read as Windows-1252" in frame.attrs["notes"][0]
    blocks = list(read_table_blocks(path, 1000))
    assert [name for block in blocks for name in block["name"]] == names
    assert blocks[-1].attrs["notes"]


def test_a_broken_letter_does_not_make_utf_8_another_encoding(tmp_path):
    text = "name,k\n" + "J\xf6rg,1\n" * 40_000
    frame = read(tmp_path, text.encode() + b"Z\xffe,2\n")
    assert frame["name"][0] == "J\xf6rg"
    assert frame["name"].iloc[-1] == "Z\ufffde"
    assert "not wholly UTF-8" in frame.attrs["notes"][0]


HEADLESS = [
    "5.1,?,a\n4.2,3,b\n1.5,2,a\n",
    "5.1,,a\n4.2,3,b\n1.5,2,a\n",
    "private,5.1\nstate,4\nprivate,6\n",
    "a,b\nb,a\na,b\n",
    "3,7,x\n4,8,y\n",
    "NA,green,?\n1.5,red,2\n2.5,blue,3\n",
    "5.1,3.5,unknown,0.2\n4.9,3,1.4,0.1\n4.7,3.2,1.3,0.2\n",
    "2020-01-01,a\n2020-01-02,b\n2020-02-13,c\n",
    "$5,a\n$16,b\n$7,c\n",
]
HEADED = [
    "size,town\n5.1,a\n4.2,b\n",
    ",name\n0,a\n1,b\n2,c\n",
    ",0,1,2\n0,5.5,6.5,1\n1,5,6,7\n",
    "country,2019,2020\na,5,6\nb,7,8\n",
    "id,y,400.5,402,403.5\n1,7,5,6,7\n2,9,7,8,9\n",
    "state,1/22/20,1/23/20\na,5,6\nb,7,8\n",
    "Q1,Q2\na,b\nc,d\n",
    "RI,Na,Mg\n1.5,13.6,4\n1.4,12,3\n",
    "town,country\nUlm,D\nBern,CH\n",
    "a,b\n,\n,\n",
    "x\n1\n2\n",
]


@pytest.mark.parametrize(
    ("text", "doubted"), [(t, True) for t in HEADLESS] + [(t, False) for t in HEADED]
)
def test_a_first_line_like_the_others_is_doubted(tmp_path, text, doubted):
    frame = read(tmp_path, text)
    assert bool(frame.attrs["notes"]) == doubted
    if doubted:
        assert "--no-header" in frame.attrs["notes"][0]
    frame = read(tmp_path, text, header=False)
    assert len(frame) == text.count("\n")
    assert not frame.attrs["notes"]
    assert frame.columns[0] == "x0"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0,1,2\n5,6,7\n8,9,1\n", ["0", "1", "2"]),
        ("0,1\n1,1\n0,1\n", ["x0", "x1"]),
        ("0,1\n2,5\n3,4\n", ["0", "1"]),
        ("0\n1\n2\n", ["x0"]),
        ("1.5,2\n3,4\n", ["x0", "x1"]),
    ],
)
def test_counted_names_are_names(tmp_path, text, names):
    assert read(tmp_path, text).columns.tolist() == names


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("x\n1\n\n-1", ["1", "", "-1"]),
        ("x\r\n1\r\n\r\n-1\r\n\r\n\r\n", ["1", "", "-1"]),
        ("\n\nx\n\n1\n", ["", "1"]),
        ('x\n1\n""\n', ["1", ""]),
        ("5\n\n6\n", ["5", "", "6"]),
    ],
)
def test_in_one_column_a_blank_line_is_an_empty_cell(tmp_path, text, cells):
    frame = read(tmp_path, text)
    assert frame.iloc[:, 0].tolist() == cells
    blocks = read_table_blocks(tmp_path / "a.csv", 2)
    assert [cell for block in blocks for cell in block.iloc[:, 0]] == cells


def test_headings_and_cells_may_be_long(tmp_path):
    names = [f"measurement {k:05}" for k in range(30_000)]
    frame = read(tmp_path, ",".join(names) + "\n" + ",".join(["1"] * 30_000) + "\n")
    assert frame.columns.tolist() == names
    story = "word " * 60_000
    frame = read(tmp_path, f"text;y\n{story};1\nshort;2\n")
    assert frame["text"].tolist() == [story, "short"]
    frame = read(tmp_path, f'text;y\n"{story}\n{story}";1\nshort;2\n')
    assert frame["y"].tolist() == ["1", "2"]


@pytest.mark.parametrize("row", ["1,2", "1"])
def test_most_lines_may_be_shorter_than_the_heading(tmp_path, row):
    frame = read(tmp_path, "a,b,c,d\n" + f"{row}\n" * 60 + "5,6,7,8\n" * 40)
    assert frame.columns.tolist() == [*"abcd"]
    assert frame.iloc[0].tolist() == (row.split(",") + [""] * 4)[:4]
    assert frame.iloc[-1].tolist() == ["5", "6", "7", "8"]


PLAIN = {
    "town": ["New York", "Ulm", "Bern", "Rom"],
    "x": ["1.5", "2", "-3", "4"],
    "y": ["a", "b", "a", "b"],
}


@pytest.mark.parametrize(
    "text",
    [
        'town x y\n"New York" 1.5 a\nUlm 2 b\nBern -3 a\nRom 4 b\n',
        '  town    x  y\n  "New York"  1.5  a\n  Ulm  2  b\n  Bern  -3  a\n  Rom 4 b\n',
        'town\t  x y\n"New York"\t1.5 a\nUlm  2\tb\nBern\t\t-3 a\nRom 4 b\n',
        "sep=,\ntown,x,y\nNew York,1.5,a\nUlm,2,b\nBern,-3,a\nRom,4,b\n",
        "sep=#\r\ntown#x#y\r\nNew York#1.5#a\r\nUlm#2#b\r\nBern#-3#a\r\nRom#4#b\r\n",
        "'town','x','y'\n'New York','1.5','a'\n'Ulm','2','b'\n'Bern','-3','a'\n'Rom','4','b'\n",
        "town;x;y\n'New York';1.5;'a'\n'Ulm';2;'b'\n'Bern';-3;'a'\n'Rom';4;'b'\n",
    ],
)
def test_dialects_are_recognized(tmp_path, text):
    assert read(tmp_path, text).to_dict("list") == PLAIN


def test_numbers_in_columns_of_spaces_and_a_tab_before_the_name(tmp_path):
    """As the UCI repository's cars are written."""
    rows = [
        '18.0   8   307.0      3504.      70  1\t"chevrolet chevelle malibu"',
        '15.0   8   350.0      3693.      70  1\t"buick skylark 320"',
        '25.0   4   98.00      ?          71  1\t"ford pinto"',
        '24.0   4   113.0      2372.      70  3\t"toyota corona mark ii"',
    ]
    frame = read(tmp_path, "\n".join(rows), header=False)
    assert frame.iloc[2].tolist() == ["25.0", "4", "98.00", "?", "71", "1", "ford pinto"]


def test_row_names_of_r(tmp_path):
    frame = read(tmp_path, '"x" "y"\n"first" 1.5 "a"\n"second" 2 "b"\n')
    assert frame.to_dict("list") == {
        "row names": ["first", "second"],
        "x": ["1.5", "2"],
        "y": ["a", "b"],
    }
    frame = read(tmp_path, '"x","y"\n"1",1.5,"a"\n"2",2,"b"\n')
    assert frame.to_dict("list") == {"row names": ["1", "2"], "x": ["1.5", "2"], "y": ["a", "b"]}


def test_a_comma_too_many_is_no_row_name(tmp_path):
    frame = read(tmp_path, "id,name\n" + "".join(f"{k},Lee, Ann\n" for k in range(9)))
    assert "row names" not in frame.columns
    text = "id,name\n1,\"Lee, Ann (called 'An')\"\n2,\"Ray, Bo (called 'B')\"\n"
    assert read(tmp_path, text)["name"].tolist() == [
        "Lee, Ann (called 'An')",
        "Ray, Bo (called 'B')",
    ]


def test_escaped_quotes(tmp_path):
    frame = read(tmp_path, 'text,y\n"says \\"hi, you\\"",1\n"plain, too",2\n')
    assert frame["text"].tolist() == ['says "hi, you"', "plain, too"]
    frame = read(tmp_path, 'path,y\n"C:\\data\\",1\n"D:\\more, less\\",2\n')
    assert frame["path"].tolist() == ["C:\\data\\", "D:\\more, less\\"]


@pytest.mark.parametrize(
    "text",
    [
        "it's,y\nit isn't,1\n'tis,2\n",
        "name,y\nO'Neil,1\nD'Arcy,2\n",
        "height,y\n5' 2',1\n6' 1',2\n",
    ],
)
def test_apostrophes_are_letters(tmp_path, text):
    frame = read(tmp_path, text)
    first = [line.split(",")[0] for line in text.splitlines()]
    assert [frame.columns[0], *frame.iloc[:, 0]] == first


def test_what_a_user_says_of_a_file(tmp_path):
    text = "Report, of May\n\nmore\na:b\n1:2\n3:4\n"
    frame = read(tmp_path, text, delimiter=":", skip=3)
    assert frame.to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}
    frame = read(tmp_path, "a b\nNew York\nNew Ulm\n", delimiter="space")
    assert frame.to_dict("list") == {"a": ["New", "New"], "b": ["York", "Ulm"]}
    with pytest.raises(ValueError, match="give one character"):
        read(tmp_path, text, delimiter="::")
    with pytest.raises(ValueError, match="below the lines skipped"):
        read(tmp_path, text, skip=9)


@pytest.mark.parametrize(
    "text", ["name\nAnn Lee\nBo Ray\n", "comment, free\nnothing\nall well\nso so\n"]
)
def test_one_column_stays_one(tmp_path, text):
    assert read(tmp_path, text).shape[1] == 1


def test_pandas_reads_the_same(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 4)).round(3))
    for sep in (",", ";", " "):
        frame.to_csv(tmp_path / "a.csv", index=False, sep=sep)
        np.testing.assert_array_equal(read_table(tmp_path / "a.csv", numbers=True), frame)
