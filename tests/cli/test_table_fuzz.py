"""Any file: a problem that can be trained on, or one clear sentence."""

import csv
import io

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxmlp.cli.main import run
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions

CELLS = {
    "numbers": st.floats(allow_nan=True, allow_infinity=True).map(repr),
    "small": st.integers(-3, 3).map(str),
    "huge": st.sampled_from(["1e400", "-1e308", "9" * 400, "1e-320", "0x1F", "1_000", "1,234.5"]),
    "words": st.text(max_size=6),
    "levels": st.sampled_from(["a", "b", "ä", "A ", 'q"', "x,y", "l1\nl2"]),
    "dates": st.sampled_from(["2024-02-29", "31/12/1999", "2024-01-01T10:00Z", "99-99-9999"]),
    "missing": st.sampled_from(["", "NA", "?", "null", "-"]),
    "truths": st.sampled_from(["yes", "no", "True", "0"]),
}
NAMES = st.sampled_from(["y", "a", "a", "b", "", " ", "date", "id", "1", "ü", 'q"u', "x;y"])


@st.composite
def files(draw):
    """The bytes of a CSV of columns of mixed kinds, in some dialect, perhaps damaged."""
    n_columns, n_rows = draw(st.integers(1, 5)), draw(st.integers(0, 40))
    header = draw(st.lists(NAMES, min_size=n_columns, max_size=n_columns))
    header[draw(st.integers(0, n_columns - 1))] = "y"
    columns = []
    for _ in range(n_columns):
        kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=3))
        cell = st.one_of(*(CELLS[kind] for kind in kinds))
        distinct = draw(st.lists(cell, min_size=1, max_size=8))
        picks = draw(st.lists(st.integers(0, 7), min_size=n_rows, max_size=n_rows))
        columns.append([distinct[k % len(distinct)] for k in picks])
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=draw(st.sampled_from(",;\t|")),
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
    )
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"]))
    content = text.getvalue().encode(encoding, "replace")
    damage = draw(st.sampled_from(["none", "none", "none", "cut", "bytes"]))
    if damage == "cut":
        return content[: draw(st.integers(0, len(content)))]
    if damage == "bytes":
        place = draw(st.integers(0, len(content)))
        return content[:place] + draw(st.binary(max_size=5)) + content[place:]
    return content


def fuzz(examples):
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=checks
    )


def check(folder, content):
    path = folder / "a.csv"
    path.write_bytes(content)
    try:
        prepared = load_table(str(path), TableOptions(target="y"), 0)
    except ValueError as error:
        said = str(error)
        assert said.endswith(".")
        assert "\n" not in said.replace("\\n", "")
        assert len(said) < 700
        return
    for part in (prepared.train, prepared.validation, prepared.test):
        assert len(part.x) == len(part.y) > 0
        assert np.isfinite(part.x).all()
        assert np.isfinite(part.y).all()


@fuzz(100)
@given(content=files())
def test_any_csv(tmp_path, content):
    check(tmp_path, content)


@fuzz(100)
@given(content=st.binary(max_size=200))
def test_any_bytes(tmp_path, content):
    check(tmp_path, b"y" + content)


@pytest.mark.slow
@fuzz(1000)
@given(content=files())
def test_many_csvs(tmp_path, content):
    check(tmp_path, content)


@pytest.mark.slow
@fuzz(12)
@given(content=files())
def test_any_csv_goes_through_training(tmp_path, content, capsys):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules count on it
        arguments = ["train", str(path), "--target", "y", "--epochs", "1", "--layers", "4"]
        code = run([*arguments, "--out", str(tmp_path / "run"), "--force", "--quiet"])
    captured = capsys.readouterr()
    assert code in (0, 2)
    assert "Traceback" not in captured.err
