"""`jaxmlp train` and `predict` on tables with columns that go through a backbone."""

import asyncio
import json
import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxmlp
from jaxmlp.backbones import backbone, loading
from jaxmlp.backbones.source import Extractor
from jaxmlp.cli.calls import Call
from jaxmlp.cli.main import run

RNG = np.random.default_rng(0)
N = 240
GOOD, BAD = ("lovely", "great", "perfect", "best"), ("awful", "broken", "worst", "stale")
FILLER = ("tea", "box", "order", "aunt", "Monday")
WORDS = (*GOOD, *BAD, *FILLER)


def make_texts(source):
    """A backbone of texts: how often each word is in one."""

    def extract(items):
        assert all(item.strip() for item in items), "an empty text came through"
        return np.array([[item.count(word) for word in WORDS] for item in items], np.float32)

    return Extractor("text", extract, f"counts {source.weights}", len(WORDS))


def make_files(kind):
    """A backbone of files that hold their features; b"bad" is none."""

    def make(source):
        def extract(items):
            if any(item[:3] == b"bad" for item in items):
                raise ValueError(f"no {kind} that can be read.")
            found = [np.frombuffer(item, np.float32) for item in items]
            return np.stack([[x.mean(), x.std()] for x in found])

        return Extractor(kind, extract, f"moments {source.weights}", 2)

    return make


def furnish(folder, patch):
    """Lay a table into the folder, and know libraries that read texts, images and sounds."""
    patch.setitem(loading._PROVIDERS, "counts", make_texts)
    patch.setitem(loading._PROVIDERS, "pixels", make_files("image"))
    patch.setitem(loading._PROVIDERS, "waves", make_files("sound"))
    patch.setattr("jaxmlp.cli.extraction._cache", lambda: folder / "cache")
    backbone._loaded.cache_clear()
    reviews(N).to_csv(folder / "reviews.csv", index=False)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with tables, files that one of them names, and libraries that read these."""
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run that learnt from texts, made once."""
    folder = tmp_path_factory.mktemp("trained")
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        furnish(folder, patch)
        assert train("--text", "review", "--quiet") == 0
    return folder / "run"


@pytest.fixture
def learnt(trained, place):
    """That run, copied to where the test is."""
    shutil.copytree(trained, place / "run")


def reviews(n, empty=()):
    """Texts that say a half of the label, and a number with a town that say the rest."""
    rng = np.random.default_rng(n)
    good, dear = rng.random(n) < 0.5, rng.random(n) < 0.5
    texts = [" ".join([rng.choice(GOOD if g else BAD), *rng.choice(FILLER, 2)]) for g in good]
    for row in empty:
        texts[row] = " "
    return pd.DataFrame(
        {
            "review": texts,
            "price": np.round(rng.normal(10 + 10 * dear, 1), 2),
            "town": np.where(dear, "Bonn", "Köln"),
            "label": np.where(good, np.where(dear, "fair", "cheap"), "poor"),
        }
    )


def train(*arguments, data="reviews.csv", backbone="counts:any"):
    call = ["train", data, "--target", "label", "--epochs", "30", "--out", "run", "--force"]
    return run([*call, "--backbone", backbone, "--recipe", "plain", *arguments])


def accuracy(frame, answers="p.csv"):
    found = pd.read_csv(answers)
    return np.mean(found["prediction"].to_numpy() == frame["label"].to_numpy()[found["row"]])


@pytest.mark.parametrize("recipe", ["tabm", "plain"])
def test_texts_are_learnt_beside_numbers_and_categories(capsys, recipe):
    assert train("--text", "review", "--recipe", recipe) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "review features texts through counts:any 13" in said
    new = reviews(80)
    new.drop(columns="label").to_csv("new.csv", index=False)
    assert run(["predict", "run", "new.csv", "--out", "p.csv", "--keep", "review"]) == 0
    assert accuracy(new) > 0.95  # neither the text nor the numbers alone tell three classes
    assert pd.read_csv("p.csv")["review"].tolist() == new["review"].tolist()
    found = jaxmlp.load("run").predict(new.drop(columns="label"))
    assert found.tolist() == pd.read_csv("p.csv")["prediction"].tolist()


def test_features_are_scaled_as_numbers_and_kept_with_the_model():
    assert train("--text", "review", "--scaling", "standard", "--quiet") == 0
    model = jaxmlp.load("run")
    encoder = model.preprocessing.encoders[0]
    assert (encoder.kind, encoder.scaling, len(encoder.centers)) == ("features", "standard", 13)
    said = model.extra["backbone"]
    assert (said["provider"], said["kind"], said["columns"]) == ("counts", "text", ["review"])
    schema = json.loads(Path("run/schema.json").read_text())
    assert schema["columns"]["review"]["kind"] == "features"


def test_empty_texts_are_missing_cells_and_counted(capsys):
    reviews(N, empty=range(0, 30, 2)).to_csv("reviews.csv", index=False)
    assert train("--text", "review") == 0
    assert "15 cells empty; texts through counts:any" in " ".join(capsys.readouterr().out.split())
    model = jaxmlp.load("run")
    assert model.preprocessing.feature_names[13] == "review missing"
    x = model.preprocessing.encoders[0].encode(pd.Series([None], dtype=object))
    assert x.tolist() == [[0.0] * 13 + [1.0]]
    Path("new.csv").write_text("review,price,town\n,12,Bonn\nn/a,9,Bonn\n")
    assert run(["predict", "run", "new.csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_words_for_missing_and_empty_texts_that_training_had_not(capsys):
    assert train("--text", "review", "--missing", "nothing said", "--quiet") == 0
    Path("new.csv").write_text("review,price,town\nnothing said,12,Bonn\n,9,Bonn\n")
    capsys.readouterr()
    assert run(["predict", "run", "new.csv"]) == 0
    assert "review: 2 missing, as never in training" in capsys.readouterr().err


def test_several_columns_and_each_different_text_once(place, monkeypatch):
    frame = reviews(N)
    frame["title"] = frame["review"].str.split().str[0]
    frame.to_csv("reviews.csv", index=False)
    assert train("--text", "review", "--text", "title", "--quiet") == 0
    assert jaxmlp.load("run").extra["backbone"]["columns"] == ["review", "title"]
    different = set(frame["review"]) | set(frame["title"])
    assert len(list((place / "cache").rglob("*.npy"))) == len(different)

    def refuse(source):
        return make_texts(source)._replace(extract=lambda items: pytest.fail("extracted again"))

    monkeypatch.setitem(loading._PROVIDERS, "counts", refuse)
    assert train("--text", "review", "--text", "title", "--quiet", "--folds", "2") == 0


def test_text_without_a_backbone_says_that_a_column_is_text(capsys):
    call = ["train", "reviews.csv", "--target", "label", "--epochs", "2", "--out", "run"]
    call += ["--recipe", "plain"]
    frame = reviews(N)
    frame["review"] = frame["review"].str.split().str[0]  # eight words: a category
    frame.to_csv("reviews.csv", index=False)
    assert run(call) == 0
    assert "review category" in " ".join(capsys.readouterr().out.split())
    assert run([*call, "--text", "review", "--force"]) == 0
    assert "review text" in " ".join(capsys.readouterr().out.split())
    assert jaxmlp.load("run").preprocessing.encoders[0].kind == "text"


def test_another_version_of_the_backbone_is_said(learnt, monkeypatch, capsys):
    newer = lambda source: make_texts(source)._replace(name="counts 2")  # noqa: E731
    monkeypatch.setitem(loading._PROVIDERS, "counts", newer)
    backbone._loaded.cache_clear()
    assert run(["predict", "run", "reviews.csv"]) == 0
    said = capsys.readouterr().err
    assert said.count("the backbone was counts pretrained in training, and is counts 2 here") == 1


def test_a_service_takes_texts(learnt):
    pytest.importorskip("starlette", reason="needs starlette")
    httpx = pytest.importorskip("httpx", reason="needs httpx")
    from jaxmlp.serving import create_app

    model, new = jaxmlp.load("run"), reviews(5).drop(columns="label")
    app = create_app(model, hosts=("127.0.0.1",))

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            empty = {"review": None, "price": 3, "town": "Bonn"}
            rows = [*json.loads(new.to_json(orient="records")), empty]
            table = {"content": new.to_csv(index=False), "headers": {"content-type": "text/csv"}}
            return [
                (await client.post("/predict", json={"rows": rows})).json(),
                (await client.post("/predict", **table)).json(),
            ]

    by_json, by_csv = asyncio.run(ask())
    wanted = model.predict(new).tolist()
    assert [row["label"] for row in by_csv["predictions"]] == wanted
    assert [row["label"] for row in by_json["predictions"][:-1]] == wanted
    assert by_json["notes"] == ["review: 1 missing, as never in training"]


@pytest.mark.parametrize("to", ["c", "onnx", "numpy", "sklearn"])
def test_exports_refuse_in_a_sentence(learnt, to, capsys):
    pytest.importorskip("onnx", reason="needs onnx")
    capsys.readouterr()
    assert run(["export", "run", "--to", to]) == 2
    said = capsys.readouterr().err
    assert "'review' goes through a backbone" in said or to == "sklearn"
    assert not any(path.suffix in (".h", ".onnx", ".py") for path in Path("run").iterdir())


def photos(n, folder="shots", suffix="png"):
    """A table of paths, relative to it, with a number beside; calm and wild files of each."""
    rng = np.random.default_rng(n)
    Path(folder, "files").mkdir(parents=True)
    rows = []
    for k in range(n):
        wild, dear = rng.random() < 0.5, rng.random() < 0.5
        numbers = rng.normal(wild, 0.3 + wild, 20).astype(np.float32)
        Path(folder, "files", f"{k}.{suffix}").write_bytes(numbers.tobytes())
        label = ("dear" if dear else "cheap") if wild else "calm"
        rows.append((f"files/{k}.{suffix}", round(rng.normal(10 * dear, 1), 2), label))
    frame = pd.DataFrame(rows, columns=["path", "price", "label"])
    frame.to_csv(Path(folder, "table.csv"), index=False)
    return frame


@pytest.mark.parametrize(("option", "name"), [("--image", "pixels:any"), ("--sound", "waves:any")])
def test_files_that_a_table_names_are_learnt_beside_its_numbers(option, name, capsys):
    photos(240)
    assert train(option, "path", data="shots/table.csv", backbone=name) == 0
    assert f"path features {option[2:]}s through {name}" in " ".join(
        capsys.readouterr().out.split()
    )
    new = photos(60, "new")
    assert run(["predict", "run", "new/table.csv", "--out", "p.csv", "--top", "2"]) == 0
    found = pd.read_csv("p.csv").rename(columns={"prediction_1": "prediction"})
    found.to_csv("p.csv", index=False)
    assert accuracy(new) > 0.9


def test_broken_and_missing_files_are_named_and_left_out(capsys):
    frame = photos(120)
    Path("shots/files/3.png").write_bytes(b"bad")
    Path("shots/files/5.png").unlink()
    assert train("--image", "path", data="shots/table.csv", backbone="pixels:any") == 0
    captured = capsys.readouterr()
    said = " ".join(captured.out.split())
    assert "left out: shots/files/3.png: no image that can be read" in said
    assert "left out: shots/files/5.png: no such file or directory" in said
    run_of = json.loads(Path("run/run.json").read_text())
    assert run_of["table"]["features"] == ["path"]
    call = ["predict", "run", "shots/table.csv", "--keep", "path"]
    assert run([*call, "--out", "p.csv"]) == 0
    assert "left out: shots/files/3.png" in capsys.readouterr().err
    found = pd.read_csv("p.csv")
    assert found["row"].tolist() == [k for k in range(120) if k not in (3, 5)]
    assert found["path"].tolist() == frame["path"][found["row"]].tolist()
    for form in ("jsonl", "parquet"):
        if form == "parquet":
            pytest.importorskip("pyarrow", reason="needs pyarrow")
        assert run([*call, "--out", f"p.{form}"]) == 0
    lines = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == found["row"].tolist()
    assert pd.read_parquet("p.parquet")["row"].tolist() == found["row"].tolist()


def test_empty_paths_are_missing_cells_and_a_table_of_broken_ones_is_refused(capsys):
    frame = photos(120)
    frame.loc[::6, "path"] = ""
    frame.to_csv("shots/table.csv", index=False)
    assert train("--image", "path", data="shots/table.csv", backbone="pixels:any") == 0
    assert "20 cells empty; images through pixels:any" in " ".join(capsys.readouterr().out.split())
    Path("none.csv").write_text("path,price\nno.png,3\nnone.png,4\n")
    assert run(["predict", "run", "none.csv", "--out", "p.csv"]) == 2
    assert "none of the 2 images can be read, such as no.png: no such file" in (
        capsys.readouterr().err
    )
    assert not Path("p.csv").exists()


def test_a_service_reads_no_files(capsys):
    pytest.importorskip("starlette", reason="needs starlette")
    pytest.importorskip("uvicorn", reason="needs uvicorn")
    photos(240)  # as many as above, which are compiled for
    call = ("--image", "path", "--quiet")
    assert train(*call, data="shots/table.csv", backbone="pixels:any") == 0
    capsys.readouterr()
    assert run(["serve", "run"]) == 2
    assert "takes images by their paths, and a service reads no files" in capsys.readouterr().err


def test_columns_are_kept_with_a_run_that_is_to_go_on():
    call = Call({"data": "reviews.csv", "text": ("review", "title")}, frozenset({"text"}))
    kept = call.to_dict()["parameters"]["text"]
    assert kept == json.loads(json.dumps(kept)) == ["review", "title"]  # as it is compared


def test_a_run_is_examined_and_finetuned_through_its_backbone(capsys):
    photos(120)
    Path("shots/files/3.png").write_bytes(b"bad")
    call = ("--image", "path", "--quiet")
    assert train(*call, data="shots/table.csv", backbone="pixels:any") == 0
    capsys.readouterr()
    assert run(["diagnose", "run"]) in (0, 1)
    call = ["finetune", "run", "shots/table.csv", "--target", "label", "--mode", "features"]
    assert run([*call, "--epochs", "3", "--out", "tuned"]) == 0
    assert "left out: shots/files/3.png" in capsys.readouterr().err
    assert run(["predict", "tuned", "shots/table.csv", "--out", "p.csv"]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--backbone", "counts:any"], "needs to know the column"),
        (["--image", "review"], "--image needs a backbone: --backbone package:efficientnet-lite0"),
        (["--image", "review", "--backbone", "counts:any"], "--image names images, and counts:any"),
        (["--text", "reviews", "--backbone", "counts:any"], "Did you mean 'review'?"),
        (["--text", "label", "--backbone", "counts:any"], "none is left"),
        (["--text", "review", "--backbone", "counts:any", "--stream"], "--backbone does not go"),
        (["--image", "review", "--backbone", "pixels:any"], "none of the"),
    ],
)
def test_what_is_refused_leaves_nothing(arguments, sentence, capsys):
    assert run(["train", "reviews.csv", "--target", "label", "--out", "run", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_schema_that_a_run_wrote_needs_its_backbone(learnt, capsys):
    call = ["train", "reviews.csv", "--target", "label", "--schema", "run/schema.json", "--out"]
    assert (
        run(
            [
                *call,
                "second",
                "--epochs",
                "1",
                "--quiet",
                "--backbone",
                "counts:any",
                "--recipe",
                "plain",
            ]
        )
        == 0
    )
    assert jaxmlp.load("second").extra["backbone"]["columns"] == ["review"]
    assert run([*call, "third"]) == 2
    assert "where the features of a backbone belong" in capsys.readouterr().err
