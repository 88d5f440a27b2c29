"""Requests that mean harm: each gets a sentence, in time and in bounds, and the service lives."""

import asyncio
import gzip
import io
import json
import lzma
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from served_models import number_model, table_model  # noqa: F401  (fixtures)
from served_table import TABLE

from jaxmlp.data.tables.values import unique_names
from jaxmlp.serving import Limits, create_app

pytest.importorskip("starlette", reason="needs starlette")
pytest.importorskip("python_multipart", reason="needs python-multipart")
httpx = pytest.importorskip("httpx", reason="needs httpx")

LINES = b"age,town,size\n" + b"31,Bonn,170\n" * 20_000


def post(app, **options):
    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/predict", timeout=60, **options)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def app(table_model):
    return create_app(table_model, limits=Limits(bytes=2_000_000, rows=100))


def zipped(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def parquet(n_rows):
    buffer = io.BytesIO()
    pd.concat([TABLE.head(1)] * n_rows).to_parquet(buffer)
    return buffer.getvalue()


def workbook(cell):
    """A workbook of one cell, far from the first."""
    openpyxl = pytest.importorskip("openpyxl", reason="needs openpyxl")
    buffer, book = io.BytesIO(), openpyxl.Workbook()
    book.active[cell] = 1
    book.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "status", "sentence"),
    [
        ("a.csv", lambda: LINES, 413, "more than 100 rows; send 100 at most"),
        ("a.csv.gz", lambda: gzip.compress(LINES * 40), 413, "unpacked, the file is larger than"),
        ("a.csv.xz", lambda: lzma.compress(LINES * 40), 413, "unpacked, the file is larger than"),
        ("a.csv.gz", lambda: gzip.compress(LINES)[:-30], 400, "damaged, or not what its name says"),
        ("a.csv.gz", lambda: LINES, 400, "damaged, or not what its name says"),
        ("a.xlsx", lambda: zipped("xl/a.xml", bytes(9_000_000)), 413, "unpacked, the file is"),
        ("a.xlsx", lambda: b"PK\3\4" + bytes(99), 400, "damaged, or not what its name says"),
        ("a.xlsx", lambda: workbook("CV1048576"), 400, "the file"),
        ("a.zip", lambda: zipped("a.csv", LINES), 415, "is no table that can be read"),
        ("a.csv.zip.gz", lambda: b"", 415, "is no table that can be read"),
        ("a.parquet.gz", lambda: b"", 415, "is no table that can be read"),
        ("a.parquet", lambda: parquet(101), 413, "more than 100 rows"),
        ("a.jsonl", lambda: b'{"age": 1}\n' * 101, 413, "more than 100 rows"),
        ("a.jsonl", lambda: b'{"age": 1}\n[1]\n', 400, "line 2 of the file is no object"),
        ("a.jsonl", lambda: b'{"age": NaN}\n', 400, "line 1 of the file is no JSON"),
        ("a.jsonl", lambda: b"\n\n", 400, "the file is empty"),
        ("a.csv", lambda: b"a," * 500_000, 413, "a line of 500,000 cells; send 4,099 at most"),
        ("a.csv", lambda: b"\n" * 1_000_000, 400, "the file is empty"),
        ("a." + "b" * 3_000, lambda: b"", 415, "is no table that can be read"),
    ],
)  # fmt: skip
def test_files_that_would_outgrow_the_limits(app, name, content, status, sentence):
    begin = time.monotonic()
    answer = post(app, files={"file": (name, content())})
    assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), answer.text
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    "name", ["a.csv.gz", "../" * 90 + "a.csv.gz", "A.CSV.GZ", "x" * 999 + ".csv.gz"]
)
def test_names_have_no_say_where_files_are_written(app, table_model, name):
    content = gzip.compress(TABLE.head(5).to_csv(index=False).encode())
    answer = post(app, files={"file": (name, content)})
    assert answer.status_code == 200, answer.text
    said = [row["label"] for row in answer.json()["predictions"]]
    assert said == list(table_model.predict(TABLE.head(5)))


def test_json_lines_are_rows(app, table_model):
    lines = TABLE.head(5).to_json(orient="records", lines=True).encode()
    for content in (lines, b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n\r\n")):
        answer = post(app, files={"file": ("a.jsonl", content)})
        assert answer.status_code == 200, answer.text
        said = [row["label"] for row in answer.json()["predictions"]]
        assert said == list(table_model.predict(TABLE.head(5)))


def test_another_name_in_every_row_makes_no_table_of_all_of_them(table_model):
    rows = [{f"k{k}_{j}": 1 for j in range(10)} for k in range(10_000)]
    for row in rows[::2]:
        row.update({"age": 31, "town": "Bonn", "size": 170})
    begin = time.monotonic()
    answer = post(create_app(table_model), json={"rows": rows})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 10_000
    assert len(answer.json()["notes"]) <= 5
    assert time.monotonic() - begin < 20
    wide = post(create_app(table_model), json=[{str(k): 1 for k in range(5_000)}])
    assert (wide.status_code, "row 0 has 5,000 cells" in wide.json()["error"]) == (413, True)


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        ("[[%s, 0, 0, 0]]" % ("9" * 400), 400, "more than 300 digits"),
        ("[[-%s, 0, 0, 0]]" % ("9" * 400), 400, "more than 300 digits"),
        ("[[%s, 0, 0, 0]]" % ("9" * 5_000), 400, "no JSON"),
        ("[[1e300, 0, 0, 0]]", 422, "no finite number"),
        ("[[1e999, 0, 0, 0]]", 422, "infinity"),
        ('[{"a": 1, "b": 2, "c": 3}]', 422, "the rows name 3 cells; the model takes 4"),
        ('[["\\ud800", 0, 0, 0]]', 400, "text that is no Unicode"),
        ('[{"\\udfff": 1}]', 400, "text that is no Unicode"),
    ],
)  # fmt: skip
def test_numbers_and_texts_beyond_all_bounds(number_model, content, status, sentence):
    model = number_model._replace(
        config=number_model.config.replace(activation="relu"), target_transform=None
    )
    app = create_app(model)
    answer = post(app, content=content)
    assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), answer.text
    assert post(app, json=[[5, 5, 5, 5]]).status_code == 200


def test_requests_in_hand_are_bounded_together(table_model):
    app = create_app(table_model, limits=Limits(held=3_000))
    row = json.dumps([{"age": 31, "town": "Bonn" + " " * 900, "size": 170}]).encode()

    async def slow():
        yield row[:-1]
        await asyncio.sleep(0.5)
        yield row[-1:]

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await asyncio.gather(
                *(client.post("/predict", content=slow()) for _ in range(5))
            )

    answers = asyncio.run(run())
    assert [answer.status_code for answer in answers] == [200, 200, 200, 503, 503]
    assert answers[4].headers["retry-after"] == "1"
    assert post(app, content=row).status_code == 200  # what was held is free


def test_names_that_repeat_are_numbered_in_no_time():
    names = unique_names(["a"] * 50_000 + ["a.3", "", "a.3"])
    assert names[:4] == ["a", "a.1", "a.2", "a.4"]
    assert names[-3:] == ["a.3", "column 50002", "a.3.1"]
    assert len(set(names)) == len(names) == 50_003
    assert np.all([name.startswith("a") for name in names[:50_000]])
