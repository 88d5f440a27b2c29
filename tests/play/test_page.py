"""The page's application: who is answered, and that both languages say the same."""

import json
import re
from pathlib import Path

import pytest

import jaxmlp.play
from jaxmlp.diagnostics.finding import FindingKind, Severity
from jaxmlp.play.engine import Engine
from jaxmlp.play.settings import DATA_SETS, INITIALIZER_NAMES, LOSSES, PLANE_INPUTS, RULES

testclient = pytest.importorskip("starlette.testclient", reason="needs starlette and httpx")

PAGE = Path(jaxmlp.play.__file__).parent / "page"
TOKEN = "a-token-of-the-test"
KNOWN = {"x-play-token": TOKEN}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    engine = Engine(folder=tmp_path_factory.mktemp("runs"))
    app = jaxmlp.play.create_page(engine, TOKEN)
    with testclient.TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


def catalogue(name):
    return json.loads((PAGE / f"{name}.json").read_text(encoding="utf-8"))


def test_the_page_needs_its_token(client):
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    page = client.get(f"/?token={TOKEN}")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_messages_and_pictures_need_it_too(client):
    for headers in ({}, {"x-play-token": "wrong"}, {"x-play-token": "é".encode("latin-1")}):
        assert (
            client.post("/message", content=b'{"kind": "hello"}', headers=headers).status_code
            == 403
        )
        assert client.get("/picture?after=0", headers=headers).status_code == 403
    answer = client.post("/message", content=b'{"kind": "hello"}', headers=KNOWN)
    assert answer.json()["settings"]["data"]["name"] == "xor"
    assert client.get("/picture?after=0", headers=KNOWN).headers["content-type"] == (
        "application/octet-stream"
    )


def test_other_pages_and_other_names_are_refused(client):
    body = b'{"kind": "restart"}'
    elsewhere = {**KNOWN, "origin": "http://evil.example"}
    answer = client.post("/message", content=body, headers=elsewhere)
    assert answer.status_code == 403
    assert "other pages" in answer.json()["error"]
    rebound = {**KNOWN, "host": "evil.example"}
    assert client.post("/message", content=body, headers=rebound).status_code == 400
    same = {**KNOWN, "origin": "http://127.0.0.1:8000"}
    assert client.post("/message", content=body, headers=same).status_code == 200


def test_every_file_of_the_page_is_there_and_asks_for_nothing_elsewhere(client):
    for path in PAGE.iterdir():
        answer = client.get(f"/page/{path.name}")
        if path.suffix == ".html":
            assert answer.status_code == 404  # only with the token
        else:
            assert answer.status_code == 200, path
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}, path


def test_both_languages_have_the_same_words_to_say():
    english, vietnamese = catalogue("en"), catalogue("vi")
    assert english.keys() == vietnamese.keys()
    for key, words in english.items():
        assert words.strip(), key
        names = [sorted(re.findall(r"\{(\w+)\}", said)) for said in (words, vietnamese[key])]
        assert names[0] == names[1], key


def test_every_word_of_the_page_is_in_the_catalogue():
    known = catalogue("en")
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGE.iterdir())
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', text))
    used |= set(re.findall(r'\b(?:t|button|field|check)\("(\w+)"', text))
    assert used - known.keys() <= {"x1", "x2"}
    choices = {*RULES, *(name for some in LOSSES.values() for name in some)}
    choices |= {number.name for rule in RULES.values() for number in rule}
    assert choices - known.keys() == set()
    assert INITIALIZER_NAMES[0] in known
    choices = {*DATA_SETS, *(f"finding_{kind}" for kind in FindingKind)}
    choices |= {f"severity_{severity.name.lower()}" for severity in Severity}
    source = "\n".join(path.read_text() for path in PAGE.parent.glob("*.py"))
    choices |= set(re.findall(r'"((?:cure|walk)_\w+)"', source))
    choices |= {f"walk_{number}" for number in range(1, 8)}
    assert choices - known.keys() == set()
    assert not set(PLANE_INPUTS) & known.keys()
