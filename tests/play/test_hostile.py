"""Whatever is sent to the page's engine: it is refused with a sentence, and the page goes on."""

import json
import random

import pytest

import jaxmlp.play
from jaxmlp.play.engine import Engine
from jaxmlp.play.messages import MOST_BYTES, read_message
from jaxmlp.play.settings import Settings

testclient = pytest.importorskip("starlette.testclient", reason="needs starlette and httpx")

TOKEN = "a-token-of-the-test"
KNOWN = {"x-play-token": TOKEN}
KINDS = (
    "hello", "set", "play", "step", "restart", "rewind", "walk", "apply", "diagnose", "script",
    "save",
    "", "SET", "__class__", "set\x00", None, 3, [], {},
)  # fmt: skip
ODD = (
    None, True, -1, 0, 2**31, 2**63, 10**400, 0.5, 1e308, -1e308, "", "x", "é\u202e", "a" * 300,
    "<script>alert(1)</script>", "../../etc/passwd", [], [[]], [None], {}, {"a": 1}, [1] * 500,
    {"": {}}, [["tanh", 4]], [[4, "tanh"]] * 7, [[17, "tanh"]], [[0, "relu"]], "x1\n",
)  # fmt: skip


def hostile_settings(rng):
    """Settings in which one place holds something odd."""
    settings = Settings().to_dict()
    where = rng.choice([settings, settings["data"], settings["networks"][0],
                        settings["networks"][0]["numbers"]])  # fmt: skip
    name = rng.choice([*where, "unknown", "__init__"])
    where[name] = rng.choice(ODD)
    return settings


def hostile_message(rng):
    kind = rng.choice(KINDS)
    fields = {
        rng.choice(["n", "to", "on", "rate", "network", "example", "settings", "kind2", ""]):
        rng.choice([rng.choice(ODD), hostile_settings(rng)])
        for _ in range(rng.randrange(3))
    }  # fmt: skip
    if kind == "set" and rng.random() < 0.8:
        fields = {"settings": hostile_settings(rng)}
    body = json.dumps({"kind": kind, **fields}).encode()
    spoil = rng.random()
    if spoil < 0.1:
        body = body[: rng.randrange(len(body) + 1)]
    elif spoil < 0.2:
        at = rng.randrange(len(body))
        body = body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
    elif spoil < 0.25:
        body = body.replace(b"0.1", rng.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999"]))
    return body


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_messages_are_read_or_refused_with_a_sentence(seed):
    rng, n_refused = random.Random(seed), 0
    for _ in range(2500):
        body = hostile_message(rng)
        try:
            read_message(body)
        except ValueError as error:
            n_refused += 1
            sentence = str(error)
            assert sentence, body
            assert len(sentence) < 1000
    assert n_refused > 1000


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"null", b"[]", b'"hello"',
        b'{"kind": "hello", "kind": 3}', b" " * (MOST_BYTES + 1), b"NaN",
        b'{"kind": "set"}', b'{"kind": "set", "settings": null}',
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(body):
    with pytest.raises(ValueError, match=r"\w"):
        read_message(body)


def test_infinity_and_nan_are_no_numbers():
    for number in (b"NaN", b"Infinity", b"1e999", b"-1e999"):
        body = b'{"kind": "set", "settings": {"data": {"noise": %s}}}' % number
        with pytest.raises(ValueError, match=r"noise is|no number"):
            read_message(body)


def test_a_page_that_is_sent_bad_messages_goes_on(tmp_path):
    rng = random.Random(5)
    engine = Engine(folder=tmp_path)
    app = jaxmlp.play.create_page(engine, TOKEN)
    with testclient.TestClient(app, base_url="http://127.0.0.1:8000") as client:

        def ask(body, path="/message", **headers):
            return client.post(path, content=body, headers={**KNOWN, **headers})

        before = ask(b'{"kind": "hello"}').json()
        n_refused = 0
        for _ in range(2000):
            body = hostile_message(rng)
            try:
                read_message(body)
            except ValueError:
                answer = ask(body)
                assert answer.status_code in (413, 422), body
                assert answer.json()["error"]
                n_refused += 1
        assert n_refused > 800
        assert ask(b" " * (MOST_BYTES + 1)).status_code == 413
        for path in ("/table", "/table?name=a.csv", "/table?name=../../a.exe"):
            assert ask(b"\x00\x01", path).status_code == 422
        assert ask(bytes(9 << 20), "/table?name=a.csv").status_code == 413
        for after in ("x", "-1", "1" * 50, "%00"):
            answer = client.get(f"/picture?after={after}", headers=KNOWN)
            assert answer.status_code == 422
        for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page//etc/passwd", "/engine.py"):
            assert client.get(path).status_code in (403, 404), path
        assert ask(b'{"kind": "hello"}').json()["settings"] == before["settings"]
        assert ask(b'{"kind": "step", "n": 2}').json()["networks"][0]["step"] == 2
    assert not list(tmp_path.iterdir())


def test_settings_that_fit_the_types_but_not_each_other_leave_the_page_as_it_was(tmp_path):
    engine = Engine(folder=tmp_path)
    try:
        for data in (
            {"name": "drawn", "points": [[0, 0, 1]] * 9},
            {"name": "table"},
        ):
            message = json.dumps({"kind": "set", "settings": {"data": data}}).encode()
            with pytest.raises(ValueError, match=r"draw|drop"):
                engine.ask(read_message(message)).result(60)
        answer = engine.ask(read_message(b'{"kind": "hello"}')).result(60)
        assert answer["settings"]["data"]["name"] == "xor"
    finally:
        engine.close()


@pytest.mark.slow
def test_memory_stays_flat_while_it_plays(tmp_path):
    resource = pytest.importorskip("resource", reason="needs POSIX")
    engine = Engine(folder=tmp_path)
    try:
        engine.ask(read_message(b'{"kind": "play"}')).result(60)
        version, sizes = 0, []
        for _ in range(6):
            for _ in range(100):
                content = engine.picture(version).result(60)
                version = json.loads(content[4 : 4 + int.from_bytes(content[:4], "little")])[
                    "version"
                ]
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        assert sizes[-1] - sizes[1] < 30, sizes  # MiB, of 400 pictures
    finally:
        engine.close()
