"""The service, asked as a client asks it, against what the model says itself."""

import asyncio
import io
import json
import time

import jax
import numpy as np
import pytest
from served_models import number_model, table_model  # noqa: F401  (fixtures)
from served_table import TABLE

import jaxmlp
from jaxmlp.serving import Limits, create_app
from jaxmlp.serving.batching import Batcher, BusyError

pytest.importorskip("starlette", reason="needs starlette")
pytest.importorskip("python_multipart", reason="needs python-multipart")
httpx = pytest.importorskip("httpx", reason="needs httpx")


def client_of(app, **options):
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", **options)


def ask(app, *calls):
    """Answers to (method, path, options), one after another."""

    async def run():
        async with client_of(app) as client:
            return [
                await client.request(method, path, **options) for method, path, options in calls
            ]

    return asyncio.run(run())


def post(app, content, kind="application/json", **headers):
    body = content if isinstance(content, str | bytes) else json.dumps(content)
    call = {"content": body, "headers": {"content-type": kind, **headers}}
    return ask(app, ("POST", "/predict", call))[0]


@pytest.fixture(scope="module")
def app(table_model):
    return create_app(table_model, name="towns", hosts=("127.0.0.1", "localhost"))


def rows(n=5):
    return json.loads(TABLE.head(n).to_json(orient="records"))


def test_rows_by_name_and_in_order_are_answered_as_the_model_answers(app, table_model):
    wanted = table_model.predict_proba(TABLE.head(5))
    for content in (
        {"rows": rows()}, rows(), {"rows": [list(row.values()) for row in rows()]},
    ):  # fmt: skip
        answer = post(app, content)
        assert answer.status_code == 200, answer.text
        said = answer.json()["predictions"]
        found = [list(row["probabilities"].values()) for row in said]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        assert [row["label"] for row in said] == list(table_model.predict(TABLE.head(5)))
        assert list(said[0]["probabilities"]) == ["no", "perhaps", "yes"]


@pytest.mark.parametrize("form", ["csv", "parquet", "form"])
def test_files_are_read_as_the_command_reads_them(app, table_model, form):
    if form == "parquet":
        buffer = io.BytesIO()
        TABLE.to_parquet(buffer)
        answer = post(app, buffer.getvalue(), "application/vnd.apache.parquet")
    elif form == "csv":
        answer = post(app, TABLE.to_csv(index=False), "text/csv")
    else:
        files = {"file": ("towns.csv", TABLE.to_csv(index=False).encode())}
        answer = ask(app, ("POST", "/predict", {"files": files}))[0]
    assert answer.status_code == 200, answer.text
    said = [row["label"] for row in answer.json()["predictions"]]
    assert said == list(table_model.predict(TABLE))


def test_numbers_come_in_the_targets_units(number_model):
    x = np.random.default_rng(3).normal(5, 2, size=(6, 4))
    answer = post(create_app(number_model), {"rows": x.tolist()})
    found = [row["value"] for row in answer.json()["predictions"]]
    np.testing.assert_allclose(found, number_model.predict(x), rtol=1e-5)


def test_a_model_in_float64_answers_in_its_own_digits(number_model):
    with jax.enable_x64(True):
        config = number_model.config.replace(dtype="float64")
        model = number_model._replace(
            config=config, params=jaxmlp.init(config, jax.random.key(1)), target_transform=None
        )
        x = np.random.default_rng(3).normal(5, 2, size=(6, 4))
        wanted = model.predict(x)
    answer = post(create_app(model), {"rows": x.tolist()})
    found = [row["value"] for row in answer.json()["predictions"]]
    np.testing.assert_allclose(found, wanted, rtol=1e-13)


def test_what_may_be_a_mistake_is_noted(app):
    row = {"age": 30, "town": "Paris", "size": 170}
    notes = post(app, {"rows": [row]}).json()["notes"]
    assert any("Paris" in note for note in notes)
    assert post(app, {"rows": rows(1)}).json()["notes"] == []


@pytest.mark.parametrize(
    ("content", "kind", "status", "sentence"),
    [
        ("{", "application/json", 400, "the body is no JSON"),
        ("[" * 100_000, "application/json", 400, "the body is no JSON"),
        ('{"rows": [{"age": NaN}]}', "application/json", 400, "NaN is no number of JSON"),
        ("{}", "application/json", 400, "the body holds no rows"),
        ("[]", "application/json", 400, "the body holds no rows"),
        ("[3]", "application/json", 400, "row 0 is 3; give an object or a list"),
        ('[{"age": {"a": 1}}]', "application/json", 400, "a cell is text, a number or null"),
        ('[{"age": 1}]', "application/json", 422, "lacks"),
        ("[[1, 2]]", "application/json", 422, "row 0 has 2 cells; the model takes 3 cells"),
        ('[{"age": 1, "town": "a", "size": 2}, [1, 2, 3]]', "application/json", 422, "one form"),
        ("a;b", "text/plain", 415, "'text/plain' is not understood"),
        (b"\x00\x01", "text/csv", 400, ""),
        (b"PAR1", "application/vnd.apache.parquet", 400, "the file"),
        (b"no form", "multipart/form-data; boundary=x", 400, "the upload cannot be read"),
    ],
)
def test_what_is_malformed_gets_a_sentence(app, content, kind, status, sentence):
    answer = post(app, content, kind)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]
    assert post(app, {"rows": rows(1)}).status_code == 200  # and the service lives


def test_limits_are_kept(table_model):
    app = create_app(table_model, limits=Limits(bytes=2_000, rows=3, seconds=0.3))
    assert post(app, {"rows": rows(4)}).status_code == 413
    assert post(app, {"rows": [{"age": "x" * 3_000}]}).status_code == 413

    async def endless():
        for _ in range(1_000):
            yield b"x" * 100

    async def slow():
        yield b'{"rows": '
        await asyncio.sleep(5)
        yield b"[]}"

    async def run(body):
        async with client_of(app) as client:
            return await client.post("/predict", content=body)

    large = asyncio.run(run(endless()))
    assert (large.status_code, "larger than" in large.json()["error"]) == (413, True)
    begin = time.monotonic()
    late = asyncio.run(run(slow()))
    assert late.status_code == 504
    assert time.monotonic() - begin < 4


def test_other_hosts_and_other_pages_are_not_answered(app):
    assert post(app, {"rows": rows(1)}, host="evil.example").status_code == 400
    other = post(app, {"rows": rows(1)}, origin="http://evil.example")
    assert (other.status_code, "other pages" in other.json()["error"]) == (403, True)
    assert post(app, {"rows": rows(1)}, origin="http://127.0.0.1:8000").status_code == 200


def test_health_schema_and_the_page(app):
    paths = ("/health", "/schema", "/", "/page.js", "/media.js", "/page.css", "/no")
    health, schema, page, script, media, style, missing = ask(
        app, *(("GET", path, {}) for path in paths)
    )
    assert health.json()["status"] == "ready"
    assert (health.json()["input"], schema.json()["input"]) == ("rows", "rows")
    assert health.json()["model"] == "towns"
    assert schema.json()["columns"] == ["age", "town", "size"]
    assert schema.json()["classes"] == ["no", "perhaps", "yes"]
    assert "http" not in page.text
    for code in (script, media):
        assert code.headers["content-type"].startswith("text/javascript")
        assert "innerHTML" not in code.text
        assert "http" not in code.text
    assert style.headers["content-type"].startswith("text/css")
    assert missing.status_code == 404
    for answer in (health, page, missing):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_answers_of_clients_that_ask_together_are_not_crossed(number_model):
    app = create_app(number_model)
    x = np.random.default_rng(5).normal(5, 2, size=(32, 20, 4))
    wanted = number_model.predict(x.reshape(-1, 4)).reshape(32, 20)

    async def one(client, k):
        found = []
        for row in x[k]:
            answer = await client.post("/predict", json={"rows": [row.tolist()]})
            found.append(answer.json()["predictions"][0]["value"])
        return found

    async def run():
        async with client_of(app) as client:
            return await asyncio.gather(*(one(client, k) for k in range(32)))

    np.testing.assert_allclose(asyncio.run(run()), wanted, rtol=1e-5)


def test_one_bad_request_harms_no_other(app, table_model):
    async def run():
        async with client_of(app) as client:
            bodies = [{"rows": [row]} for row in rows(6)]
            bodies[2] = {"rows": [{"age": 1}]}
            bodies[4] = {"rows": [{"age": 30, "town": "Paris", "size": 170}]}
            return await asyncio.gather(*(client.post("/predict", json=b) for b in bodies))

    answers = asyncio.run(run())
    assert [answer.status_code for answer in answers] == [200, 200, 422, 200, 200, 200]
    wanted = list(table_model.predict(TABLE.head(6)))
    for k in (0, 1, 3, 5):
        assert answers[k].json()["predictions"][0]["label"] == wanted[k]
        assert answers[k].json()["notes"] == []
    assert answers[4].json()["notes"]


def test_a_batch_takes_what_waited_and_refuses_what_is_too_much():
    seen = []

    def slow(requests):
        seen.append(len(requests))
        time.sleep(0.05)
        return [sum(request) for request in requests]

    async def run():
        batcher = Batcher(slow, size=len, most_size=8, most_waiting=12)
        results = await asyncio.gather(
            *(batcher.submit([k, k]) for k in range(9)), return_exceptions=True
        )
        batcher.close()
        return results

    results = asyncio.run(run())
    assert seen[0] <= 4
    assert max(seen) == 4  # eight rows
    assert any(isinstance(result, BusyError) for result in results)
    assert all(r == 2 * k for k, r in enumerate(results) if not isinstance(r, BusyError))


def test_a_worker_that_fails_is_told():
    def broken(requests):
        raise RuntimeError("out of memory")

    async def run():
        batcher = Batcher(broken, size=len, most_size=8, most_waiting=12)
        with pytest.raises(RuntimeError, match="out of memory"):
            await batcher.submit([1])
        batcher.close()

    asyncio.run(run())


def test_a_table_with_missing_cells_and_other_columns(app):
    row = {"age": None, "town": "", "size": "171,5", "id": 7}
    assert post(app, {"rows": [row]}).status_code == 200
