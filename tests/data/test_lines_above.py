"""Comments and titles above a table are skipped; a missing heading is told."""

import pandas as pd
import pytest

from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.data.tables import ReadingOptions, read_table

PLAIN = {"a": ["1", "2", "3"], "b": ["x", "y", "x"], "c": ["0.5", "1.5", "2"]}
TABLE = pd.DataFrame(PLAIN).to_csv(index=False)


def read(folder, text, **options):
    (folder / "t.csv").write_text(text)
    return read_table(folder / "t.csv", options=ReadingOptions(**options))


@pytest.mark.parametrize(
    "above",
    [
        "# made by X\n",
        "# made by X, with Y, on Z\n",
        "% a\n% b, c\n\n",
        '"# made by X"\n',
        "Report of May\n",
        "Report of May\n\nall towns\n",
        "Report of May,,\n",
        "\n# made by X\nReport\n",
        "# no line of the file but this one, is, long, and, has, commas\n#\n",
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_is_above_is_skipped(tmp_path, above, delimiter):
    if delimiter != "," and ",," in above:
        above = above.replace(",", delimiter)
    frame = read(tmp_path, above + TABLE.replace(",", delimiter))
    assert frame.to_dict("list") == PLAIN
    (note,) = frame.attrs["notes"]
    assert "skipped" in note
    assert above.strip().strip('"')[:3] in note


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("# a,b\n1,2\n3,4\n", ["a", "b"]),
        ("# made by X\n# a b\n1 2\n3 4\n", ["a", "b"]),
        ("#name,town\nBob,Ulm\nAnn,Bonn\n", ["name", "town"]),
        ("# a\n1\n2\n", ["a"]),
    ],
)
def test_a_comment_that_names_the_columns(tmp_path, text, names):
    frame = read(tmp_path, text)
    assert frame.columns.tolist() == names
    assert len(frame) == 2
    assert "names the columns" in frame.attrs["notes"][0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("text\nhello, you\nbye, you\n", ["text"]),
        ("tag\n#a\n#b\n", ["tag"]),
        ("#a\n#b\n#c\n", ["#a"]),
        ('"x"\n"Mazda",21\n"Fiat",32\n', ["row names", "x"]),
        ("name,\nBob,5\nAnn,6\n", ["name", "column 2"]),
        ("a,b,c\n1,2,3\n", ["a", "b", "c"]),
    ],
)
def test_what_is_no_line_above(tmp_path, text, names):
    assert read(tmp_path, text).columns.tolist() == names


def test_a_missing_heading_is_told_where_the_target_is_unknown(tmp_path):
    for text in ("1,2\n3,4\n5,6\n", "3,7,x\n4,8,y\n5,9,x\n"):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(ValueError, match=r"unknown column 'y'.*--no-header"):
            load_table(str(tmp_path / "t.csv"), TableOptions("y"), 0)
    frame = read(tmp_path, "# made by X\n3,7,x\n4,8,y\n", header=False)
    assert frame.columns.tolist() == ["x0", "x1", "x2"]
    assert len(frame) == 2
