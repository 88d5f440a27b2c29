"""Images and sounds sent to the service, against what the model says of them itself."""

import asyncio
import io
import threading

import numpy as np
import pytest
from served_media import NAMES, bomb, model_of, png, small_backbones, wav  # noqa: F401

from jaxmlp.backbones import backbone_of, loading
from jaxmlp.serving import Limits, create_app

pytest.importorskip("starlette", reason="needs starlette")
pytest.importorskip("python_multipart", reason="needs python-multipart")
pytest.importorskip("PIL", reason="needs Pillow")
httpx = pytest.importorskip("httpx", reason="needs httpx")


def client_of(app):
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000", timeout=60
    )


def send(app, method="POST", path="/predict", **options):
    async def run():
        async with client_of(app) as client:
            return await client.request(method, path, **options)

    return asyncio.run(run())


def form(*files):
    return [("file", file) for file in files]


def shares(said):
    """The probabilities of an answer, in the order of the classes."""
    found = {entry["label"]: entry["probability"] for entry in said["top"]}
    return [found[name] for name in NAMES]


def test_files_of_a_form_are_answered_in_their_order_with_their_names():
    model = model_of("image")
    images = [png(k) for k in range(5)]
    names = ["ünicode.png", "a b.png", "same.png", "same.png", "../../e.png"]
    answer = send(create_app(model), files=form(*zip(names, images, strict=True)))
    assert answer.status_code == 200, answer.text
    said = answer.json()["predictions"]
    assert [one["file"] for one in said] == names
    wanted = model.predict_proba(images)
    np.testing.assert_allclose([shares(one) for one in said], wanted, rtol=1e-5)
    assert [one["label"] for one in said] == list(model.predict(images))
    for one in said:
        found = [entry["probability"] for entry in one["top"]]
        assert found == sorted(found, reverse=True)
        assert one["top"][0]["label"] == one["label"]
    assert len(np.unique(np.round(wanted, 4), axis=0)) == 5  # the images are told apart


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg; q=1", "IMAGE/WEBP"])
def test_a_body_may_be_an_image(kind):
    model = model_of("image")
    image = png(1, form=kind.partition("/")[2].partition(";")[0].upper())
    answer = send(create_app(model), content=image, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    (said,) = answer.json()["predictions"]
    assert said["file"] is None
    np.testing.assert_allclose(shares(said), model.predict_proba([image])[0], rtol=1e-5)


def test_sounds_are_answered_as_a_form_and_as_a_body():
    model, sounds = model_of("sound"), [wav(k) for k in range(3)]
    app = create_app(model)
    wanted = model.predict_proba(sounds)
    answer = send(app, files=form(*((f"{k}.wav", sound) for k, sound in enumerate(sounds))))
    assert answer.status_code == 200, answer.text
    found = [shares(said) for said in answer.json()["predictions"]]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    alone = send(app, content=sounds[1], headers={"content-type": "audio/x-wav"})
    np.testing.assert_allclose(shares(alone.json()["predictions"][0]), wanted[1], rtol=1e-5)


def test_a_request_says_how_many_labels_it_wants():
    app = create_app(model_of("image"))
    for top, found in (("1", 1), ("3", 3), ("100", 4)):
        answer = send(app, params={"top": top}, files=form(("a.png", png(0))))
        assert len(answer.json()["predictions"][0]["top"]) == found
    for top in ("0", "-1", "x", "", "٣", "9" * 5_000):
        answer = send(app, params={"top": top}, files=form(("a.png", png(0))))
        assert (answer.status_code, "number of labels" in answer.json()["error"]) == (400, True)


def test_bad_files_among_good_ones_have_their_own_error():
    model, good = model_of("image"), [png(1), png(2)]
    files = form(
        ("a.png", good[0]), ("torn.png", png(3)[:400]), ("empty.png", b""), ("bomb.png", bomb()),
        ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("b.png", good[1]),
        ("program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
        ("sound.wav", b"RIFF\x24\0\0\0WAVEfmt "),
    )  # fmt: skip
    answer = send(create_app(model), files=files)
    assert answer.status_code == 200, answer.text
    said = answer.json()["predictions"]
    assert [one["file"] for one in said] == [name for _, (name, _) in files]
    wanted = model.predict_proba(good)
    np.testing.assert_allclose([shares(said[0]), shares(said[5])], wanted, rtol=1e-5)
    assert "no image that can be read" in said[1]["error"]
    assert said[2]["error"] == "the file is empty."
    assert "megapixels" in said[3]["error"]
    for k in (4, 6, 7):
        assert said[k]["error"].startswith("no image that can be read; send PNG, JPEG")
    assert all(set(said[k]) == {"file", "error"} for k in (1, 2, 3, 4, 6, 7))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\0" * 1_000, "no image that can be read"),
        (png(0)[:300], "no image that can be read"),
        (bomb(), "megapixels"),
        (bomb(200_000), "megapixels"),
        (b"GIF89a" + b"\xff" * 7 + b"," + b"\xff" * 40, "no image that can be read"),
    ],
)
def test_where_no_file_can_be_answered_the_status_says_so(content, sentence):
    app = create_app(model_of("image"))
    answer = send(app, files=form(("x.png", content)))
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]
    assert answer.json()["predictions"][0]["file"] == "x.png"
    alone = send(app, content=content, headers={"content-type": "image/png"})
    assert (alone.status_code, sentence in alone.json()["error"]) == (422, True)
    twice = send(app, files=form(("x.png", content), ("y.png", content)))
    assert "none of the 2 files can be answered; the first is" in twice.json()["error"]
    assert send(app, files=form(("a.png", png(0)))).status_code == 200  # and the service lives


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("application/json", "'application/json' is not understood; send images as a form"),
        ("text/csv", "not understood"),
        ("audio/wav", "'audio/wav' is not understood"),
        ("", "not understood"),
    ],
)
def test_bodies_of_another_kind_are_refused(kind, sentence):
    answer = send(create_app(model_of("image")), content=png(0), headers={"content-type": kind})
    assert (answer.status_code, sentence in answer.json()["error"]) == (415, True), answer.text


def test_limits_of_size_number_pixels_and_seconds():
    limits = Limits(bytes=100_000, files=3, pixels=1_000, sound_seconds=0.5)
    app = create_app(model_of("image"), limits=limits)
    large = send(app, content=b"x" * 100_001, headers={"content-type": "image/png"})
    assert (large.status_code, "larger than" in large.json()["error"]) == (413, True)
    many = send(app, files=form(*((f"{k}.png", png(k)) for k in range(4))))
    assert (many.status_code, "send 3 at most" in many.json()["error"]) == (413, True)
    together = send(app, files=form(*((f"{k}.png", png(k)) for k in range(3)))).json()
    assert ["error" in said for said in together["predictions"]] == [False, False, True]
    assert (
        "images together have 0.00144 megapixels; send 0.001 at most"
        in together["predictions"][2]["error"]
    )
    sounds = create_app(model_of("sound"), limits=limits)
    long = send(sounds, files=form(("a.wav", wav(0, 0.2)), ("b.wav", wav(1, 0.4)))).json()
    assert "sounds together have 0.6 seconds; send 0.5 at most" in long["predictions"][1]["error"]
    assert "label" in long["predictions"][0]


def endless_flac():
    """A FLAC whose head says no number of samples, as streams do."""
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile")
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(8_000, 0.1), 8_000, format="FLAC")
    content = bytearray(buffer.getvalue())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: b"no sound", "no sound that can be read"),
        (lambda: wav(0)[:30], "no sound that can be read"),
        (lambda: wav(0, 0.001), "give at least 25 ms"),
        (lambda: wav(0, 0.1, channels=9), "9 channels; give one of 8 at most"),
        (lambda: wav(0)[:24] + b"\xff\xff\xff\x7f" + wav(0)[28:], "2,147,483,647 Hz"),
        (lambda: endless_flac(), "does not say how long it is"),
    ],
)
def test_sounds_that_cannot_be_answered(content, sentence):
    pytest.importorskip("soundfile", reason="needs soundfile")
    app = create_app(model_of("sound"))
    answer = send(app, files=form(("x.wav", content())))
    assert (answer.status_code, sentence in answer.json()["error"]) == (422, True), answer.text


def test_answers_of_clients_that_ask_together_are_not_crossed():
    model, images = model_of("image"), [png(k, (10 + k, 30 - k // 2)) for k in range(32)]
    app = create_app(model)
    wanted = model.predict_proba(images)

    async def one(client, k):
        found = []
        for _ in range(5):
            answer = await client.post("/predict", files=form((f"{k}.png", images[k])))
            (said,) = answer.json()["predictions"]
            assert said["file"] == f"{k}.png"
            found.append(shares(said))
        return found

    async def run():
        async with client_of(app) as client:
            return await asyncio.gather(*(one(client, k) for k in range(32)))

    found = np.array(asyncio.run(run()))
    np.testing.assert_allclose(found, np.repeat(wanted[:, None], 5, axis=1), rtol=1e-4)


def test_requests_that_come_together_share_the_backbone_off_the_loop(monkeypatch):
    model, seen, main = model_of("image"), [], threading.get_ident()
    found = backbone_of(model.extra["backbone"], pytest.fail)
    extract = found.extract

    def watched(items):
        seen.append((len(items), threading.get_ident() == main))
        return extract(items)

    monkeypatch.setattr(found, "extract", watched)
    app = create_app(model)

    async def run():
        async with client_of(app) as client:
            bodies = [form((f"{k}.png", png(k))) for k in range(24)]
            bodies[5] = form(("torn.png", png(5)[:400]))
            return await asyncio.gather(*(client.post("/predict", files=b) for b in bodies))

    answers = asyncio.run(run())
    assert [a.status_code for a in answers] == [200] * 5 + [422] + [200] * 18
    assert not any(on_loop for _, on_loop in seen)
    assert max(count for count, _ in seen) > 1


def test_a_fault_of_the_backbone_is_told_and_the_service_lives(monkeypatch):
    model = model_of("image")
    found = backbone_of(model.extra["backbone"], pytest.fail)
    app, extract = create_app(model), found.extract

    def broken(items):
        raise MemoryError

    monkeypatch.setattr(found, "extract", broken)
    answer = send(app, files=form(("a.png", png(0))))
    assert (answer.status_code, answer.json()["error"]) == (
        422, "this image could not be computed (MemoryError).",
    )  # fmt: skip
    monkeypatch.setattr(found, "extract", extract)
    assert send(app, files=form(("a.png", png(0)))).status_code == 200


def test_health_and_schema_say_what_is_taken_and_another_backbone_is_said():
    said = []
    app = create_app(model_of("image", name="small 2"), name="pets", notify=said.append)
    assert said == ["the backbone was small 2 in training, and is small images here"]
    assert send(app, files=form(("a.png", png(0)), ("b.png", png(1)))).status_code == 200
    health = send(app, "GET", "/health").json()
    assert (health["input"], health["files"], health["notes"]) == ("image", 2, said)
    schema = send(app, "GET", "/schema").json()
    assert (schema["input"], schema["classes"]) == ("image", list(NAMES))
    assert schema["limits"] == {"bytes": 16 << 20, "files": 32, "pixels": 64_000_000}
    assert send(create_app(model_of("sound")), "GET", "/schema").json()["input"] == "sound"


def test_a_backbone_of_texts_is_refused():
    with pytest.raises(ValueError, match="takes tables, images and sounds, and this model takes"):
        create_app(model_of("text"))


def test_a_missing_library_is_named():
    loading._PROVIDERS.pop("small")
    with pytest.raises(ValueError, match="library of backbones"):
        create_app(model_of("image"))


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "ends early"),
        (b"no form", 400, "cannot be read"),
        (b"--x--\r\n", 400, "holds no file"),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--x--\r\n',
            400,
            "no file",
        ),
        (b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nxx', 400, "early"),
        (b"--x\r\n" + b"A: b\r\n" * 50_000, 400, "cannot be read"),
        (b"--x\r\n" + b"A" * 500_000, 400, "cannot be read"),
        (b"\r\n" * 500_000, 400, ""),
        (b'--x\r\nContent-Disposition: form-data; filename="b"\r\n\r\nxx\r\n--x--', 400, "read"),
    ],
)
def test_malformed_forms_get_a_sentence(body, status, sentence):
    app = create_app(model_of("image"))
    answer = send(app, content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 9_000]
)
def test_forms_without_a_boundary_get_a_sentence(kind):
    app = create_app(model_of("image"))
    answer = send(app, content=b"--x--", headers={"content-type": kind})
    assert (answer.status_code, "cannot be read" in answer.json()["error"]) == (400, True)
