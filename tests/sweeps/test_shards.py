"""A sweep in parts is the sweep."""

import json
import pickle

import jax
import numpy as np
import pandas as pd
import pytest

from jaxmlp import MLPConfig
from jaxmlp.cli.main import run
from jaxmlp.sweeps import cross_validate, merge, shard, sweep

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)).astype(np.float32), RNG.integers(0, 2, 60)
CALL = {"loss": "sigmoid_binary_cross_entropy", "epochs": 3, "key": jax.random.key(0)}
GRID = {"learning_rate": [1e-1, 1e-2], "seed": range(4)}


@pytest.mark.parametrize("parts", [1, 3, 8])
@pytest.mark.parametrize("n_points", [8, 11])
def test_parts_are_the_grid(parts, n_points):
    grid = [{"l2": i} for i in range(n_points)]
    cut = [shard(grid, i, parts) for i in range(1, parts + 1)]
    assert [point for part in cut for point in part] == grid
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


@pytest.mark.parametrize(("train", "options"), [(sweep, {}), (cross_validate, {"folds": 2})])
def test_merged_parts_are_the_sweep(train, options):
    def part(i):
        result = train(
            MLPConfig((4, 4, 1)), (X, Y), grid=shard(GRID, i, 4), executor="one", **options, **CALL
        )
        return pickle.loads(pickle.dumps(result))  # as it comes from another process

    found = merge(map(part, range(1, 5)))
    whole = train(MLPConfig((4, 4, 1)), (X, Y), grid=GRID, executor="one", **options, **CALL)
    assert found.settings == whole.settings
    np.testing.assert_array_equal(found.metrics, whole.metrics)
    assert found.learnt.keys() == whole.learnt.keys()
    jax.tree.map(np.testing.assert_array_equal, found.learnt, whole.learnt)
    pd.testing.assert_frame_equal(found.table, whole.table)
    assert found.best_index == whole.best_index


def test_what_cannot_be_cut_or_merged():
    with pytest.raises(ValueError, match="3 parts of 2 points"):
        shard({"l2": [0, 1]}, 1, 3)
    with pytest.raises(ValueError, match="part 3 of 2 is none"):
        shard({"l2": [0, 1]}, 3, 2)
    with pytest.raises(ValueError, match="nothing to merge"):
        merge([])
    one = sweep(MLPConfig((4, 4, 1)), (X, Y), grid={"l2": [0]}, **CALL)
    other = sweep(MLPConfig((4, 4, 1)), (X, Y), grid={"seed": [0]}, **CALL)
    with pytest.raises(ValueError, match="different names"):
        merge([one, other])
    validated = sweep(
        MLPConfig((4, 4, 1)), (X, Y), grid={"l2": [0]}, validation_data=(X, Y), **CALL
    )
    with pytest.raises(ValueError, match="different columns"):
        merge([one, validated])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two parts of a sweep, and the whole."""
    base = tmp_path_factory.mktemp("parts")
    table = pd.DataFrame(X, columns=list("abcd")).assign(y=np.where(Y, "yes", "no"))
    table.to_csv(base / "data.csv", index=False)
    call = ["sweep", str(base / "data.csv"), "--target", "y"]
    call += ["-g", "learning_rate=0.1,0.01,1e-3,1e-4"]
    call += ["--seeds", "1", "--epochs", "2", "--layers", "4", "--executor", "one", "--json"]
    for name, more in {"p1": ["--shard", "1/2"], "p2": ["--shard", "2/2"], "whole": []}.items():
        assert run([*call, *more, "--out", str(base / name)]) == 0
    return base


def test_merged_folders_are_the_sweep(folders, capsys):
    merging = ["sweep", "--merge", str(folders / "p2"), "--merge", str(folders / "p1")]
    assert run([*merging, "--out", str(folders / "merged")]) == 0
    assert "table of 4 networks, best model" in capsys.readouterr().out
    merged, whole = folders / "merged", folders / "whole"
    for name in ("sweep.csv", "schema.json"):
        assert (merged / name).read_text() == (whole / name).read_text()
    assert (merged / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    best = [json.loads((folder / "sweep.json").read_text())["best"] for folder in (merged, whole)]
    assert best[0] == best[1]
    assert sorted(p.name for p in merged.iterdir()) == sorted(p.name for p in whole.iterdir())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["p1"], "part 2/2 of the sweep is missing"),
        (["whole"], "holds a whole sweep"),
        (["none"], "has no sweep.json"),
    ],
)
def test_folders_that_are_refused(folders, capsys, names, message):
    merging = [word for name in names for word in ("--merge", str(folders / name))]
    assert run(["sweep", *merging, "--out", str(folders / "x")]) == 2
    assert message in capsys.readouterr().err
    assert not (folders / "x").exists()


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "/"])
def test_shards_that_are_none(capsys, text):
    assert run(["sweep", "digits", "--shard", text]) == 2
    assert "write I/N" in capsys.readouterr().err


def test_rounds_of_optuna_share_a_program():
    optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {
        "learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "l2": optuna.distributions.FloatDistribution(1e-6, 1e-2, log=True),
    }
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(2):
        trials = [study.ask(space) for _ in range(4)]
        result = sweep(MLPConfig((4, 4, 1)), (X, Y), grid=[t.params for t in trials], **CALL)
        for trial, score in zip(trials, result.scores, strict=True):
            study.tell(trial, float(score))
    assert len(study.trials) == 8
    assert study.best_value == min(t.value for t in study.trials)
