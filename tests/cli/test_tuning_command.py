"""`jaxmlp train FOLDER --tune-epochs`: passes through the backbone, kept where they help."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.backbones import backbone, loading
from jaxmlp.backbones.jax_models import _JaxModel
from jaxmlp.backbones.source import Extractor
from jaxmlp.cli.main import run

RNG = np.random.default_rng(0)
FAST = ("--lr", "0.1", "--backbone-lr", "0.05")


class FileModel(_JaxModel):
    """A JAX function of the numbers that files hold."""

    def inputs(self, items):
        return np.stack([np.frombuffer(item, np.float32) for item in items])


def features(params, x):
    return jnp.tanh(jnp.tanh(x @ params["low"]["W"]) @ params["high"]["W"])


def make(source):
    keys = jax.random.split(jax.random.key(source.seed), 2)
    sizes = {"low": (6, 5), "high": (5, 3)}
    params = {
        n: {"W": jax.random.normal(k, sizes[n], jnp.float32)}
        for n, k in zip(sizes, keys, strict=True)
    }
    model = FileModel(features, params)
    return Extractor("image", model.extract, f"numbers sha256:{model.digest()}", 3, model=model)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Two classes that fixed features tell apart badly."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(loading._PROVIDERS, "numbers", make)
    monkeypatch.setattr("jaxmlp.cli.extraction._cache", lambda: tmp_path / "cache")
    backbone._loaded.cache_clear()
    backbone._TUNED.clear()
    for k in range(160):
        x = RNG.normal(size=6).astype(np.float32)
        folder = Path("photos", "above" if x[0] > x[1] else "below")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}.png").write_bytes(x.tobytes())


def train(*arguments):
    call = ["train", "photos", "--backbone", "numbers:any", "--epochs", "30", "--out", "run"]
    return run([*call, "--layers", "8", *arguments])


def test_tuned_blocks_are_kept_with_the_run(capsys, monkeypatch):
    assert train("--tune-epochs", "20", *FAST, "--freeze", "high") == 0
    said = capsys.readouterr().out
    assert "pass 20: train loss" in said
    assert "the backbone and its head of pass" in said
    record = json.loads(Path("run/run.json").read_text())["tuning"]
    assert (record["kept"], record["epochs"], record["frozen"]) == (True, 20, 1)
    model = jaxmlp.load("run")
    tuned = model.extra["backbone"]["tuned"]
    assert set(tuned) == {"low.W"}
    own = make(backbone.Source("numbers", "any")).model.parameters
    assert not np.array_equal(tuned["low.W"], own["low.W"])
    files = sorted(Path("photos").rglob("*.png"))
    backbone._TUNED.clear()  # as in another process
    assert run(["predict", "run", "photos", "--out", "p.csv"]) == 0
    assert "the backbone was" not in capsys.readouterr().err
    rows = [line.split(",") for line in Path("p.csv").read_text().splitlines()[1:]]
    assert [row[2] for row in rows] == list(model.predict(files))
    assert np.mean([row[2] == Path(row[1]).parent.name for row in rows]) > 0.9
    history = np.genfromtxt("run/history.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(history["epoch"], np.arange(1, 51))


def test_passes_that_do_not_help_change_nothing(capsys):
    assert train("--tune-epochs", "1", "--backbone-lr", "50", "--seed", "3") == 0
    assert "the validation part is no better for it" in capsys.readouterr().out
    assert "tuned" not in jaxmlp.load("run").extra["backbone"]
    assert json.loads(Path("run/run.json").read_text())["tuning"]["kept"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--freeze", "low"], "--freeze goes with --tune-epochs"),
        (["--tune-epochs", "-1"], "--tune-epochs is -1; give a whole number >= 0"),
        (["--tune-epochs", "1", "--freeze", "lo"], "Did you mean 'low'?"),
        (["--tune-epochs", "1", "--freeze", "low", "--freeze", "high"], "every block"),
        (["--tune-epochs", "1", "--backbone-lr", "0"], "--backbone-lr is 0"),
        (["--tune-epochs", "1", "--batch-norm"], "--batch-norm does not go with --tune-epochs"),
    ],
)
def test_mistakes_leave_nothing_behind(capsys, arguments, message):
    assert train(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


def test_digits_have_no_backbone_to_tune(capsys):
    assert run(["train", "--tune-epochs", "2"]) == 2
    assert "--tune-epochs goes with --backbone and a folder" in capsys.readouterr().err
