"""What the page is answered is said in its language: findings, remedies and refusals."""

import json
from contextlib import suppress

import pytest

import jaxmlp.play
from jaxmlp.messages import sentence_of
from jaxmlp.play.cures import examine_learner
from jaxmlp.play.engine import Engine
from jaxmlp.play.examples import make_examples
from jaxmlp.play.fields import Fields
from jaxmlp.play.learner import Learner
from jaxmlp.play.messages import MOST_BYTES, read_message
from jaxmlp.play.settings import DataSettings, NetworkSettings, read_link
from jaxmlp.play.tables import read_dropped_table, table_examples
from jaxmlp.play.walking import step_by_hand, walk
from tests.languages import is_vietnamese, numbers, said_in, templates

testclient = pytest.importorskip("starlette.testclient", reason="needs starlette and httpx")

TOKEN = "a-token-of-the-test"
TABLE = b"x,y,word,z\n" + b"".join(b"%d,%d,w%d,%d\n" % (k, k % 7, k % 3, k % 2) for k in range(60))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    engine = Engine(folder=tmp_path_factory.mktemp("runs"))
    app = jaxmlp.play.create_page(engine, TOKEN)
    with testclient.TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


def ask(client, body, language, token=TOKEN, path="/message"):
    headers = {"x-play-token": token, "accept-language": language}
    content = body if isinstance(body, bytes) else json.dumps(body)
    return client.post(path, content=content, headers=headers)


def network(**fields):
    return {"kind": "set", "settings": {"networks": [fields]}}


def of_data(**fields):
    return {"kind": "set", "settings": {"data": fields}}


REFUSED = [
    b" " * (MOST_BYTES + 1), b"[", b"3", {"kind": "dance"}, {"kind": "qwzx"},
    {"kind": "step", "m": 1}, {"kind": "step", "n": 0}, {"kind": "play", "on": 3},
    {"kind": "play", "rate": -1}, {"kind": "walk", "example": 10**6},
    {"kind": "set", "settings": 3},
    {"kind": "walk", "network": 1}, network(layers=[3]), network(layers=[["a", "tanh"]]),
    network(layers=[[3, "tanhh"]]), network(layers=3), network(rule="adam", numbers={"q": 1}),
    network(rule="x" * 300), {"kind": "set", "settings": {"networks": [3]}}, of_data(inputs=[]),
    of_data(inputs=["x9"]), of_data(inputs=[3]), of_data(plane=["a"]), of_data(points=[3]),
    of_data(points=[["a", 0, 0]]), of_data(held=3), of_data(held={"a": None}),
    of_data(held={"a": 1e40}), of_data(held={"a" * 300: 1}), of_data(name="drawn"),
    of_data(name="table"), {"kind": "set", "settings": {"data": 3}},
]  # fmt: skip


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: str(body)[:60])
def test_a_refusal_is_said_in_the_page_s_language(client, body):
    english, vietnamese = (ask(client, body, language) for language in ("en-GB,en", "vi"))
    assert english.status_code == vietnamese.status_code >= 400
    english, vietnamese = (answer.json()["error"] for answer in (english, vietnamese))
    assert is_vietnamese(vietnamese)
    assert not is_vietnamese(english)
    assert numbers(english) == numbers(vietnamese)


def test_the_token_is_asked_for_in_the_browser_s_language(client):
    for language, words in (("vi-VN,vi;q=0.9,en;q=0.8", "mã"), ("fr,en", "token"), ("", "token")):
        refused = ask(client, {"kind": "hello"}, language, token="wrong").json()["error"]
        assert words in refused
        assert words in client.get("/", headers={"accept-language": language}).text
    assert (
        "không phải là bảng" in (ask(client, b"", "vi", path="/table?name=a.exe").json()["error"])
    )


def refusals_of_tables():
    table = read_dropped_table("a.csv", TABLE)
    yield lambda: read_dropped_table("a.csv", b" " * (9 << 20))
    yield lambda: read_dropped_table("a.exe", b"")
    yield lambda: read_dropped_table("a.csv", b"x\n1\n2\n")
    for settings in (
        DataSettings("table", target="q"),
        DataSettings("table", target="z", columns=("z",)),
        DataSettings("table", target="z", plane=("x", "word")),
    ):
        yield lambda settings=settings: table_examples(table, settings)
    many = b"x,y\n" + b"".join(b"%d,w%d\n" % (k, k % 30) for k in range(90))
    yield lambda: table_examples(read_dropped_table("b.csv", many), DataSettings("table"))


def refusals_of_others():
    yield lambda: read_link("nothing")
    normalized = Learner(NetworkSettings(batch_norm=True), make_examples(DataSettings()))
    yield lambda: walk(normalized, 0)
    yield lambda: step_by_hand([normalized], normalized, 0, 3)
    diverged = normalized.still()
    diverged.diverged = True
    yield lambda: step_by_hand([diverged], diverged, 0, 0)
    yield lambda: Fields("a", {}, ()).flag("b", 3)
    for body in REFUSED:
        yield lambda body=body: read_message(body if isinstance(body, bytes) else json.dumps(body))


def test_every_refusal_of_what_is_read_has_been_heard():
    heard = set()
    for refused in (*refusals_of_tables(), *refusals_of_others()):
        with suppress(ValueError):
            refused()
            continue
        with pytest.raises(ValueError, match=r"\w") as caught:
            refused()
        said = sentence_of(caught.value, "vi")
        assert is_vietnamese(said)
        assert numbers(said) == numbers(str(caught.value))
        heard |= templates(caught.value.args[0])
    modules = ("fields", "settings", "messages", "tables", "walking")
    known = set().union(*(said_in(f"play/{module}") for module in modules))
    assert known - heard == {
        "a layer", "a point", "example is {k}, but there are {n}, counted from 0.",
    }  # fmt: skip


def test_findings_come_in_both_languages_and_count_layers_from_one():
    ill = NetworkSettings(initializer="zeros")
    first = examine_learner(Learner(ill, make_examples(DataSettings())), DataSettings())[0]
    assert first["evidence"]["en"].startswith("All 4 units of layer 1 have the same weights")
    assert first["evidence"]["vi"].startswith("Cả 4 đơn vị của tầng 1 có cùng trọng số")
    assert first["remedy"]["vi"].startswith("Hãy lấy trọng số ngẫu nhiên: khởi tạo Xavier")
