"""Sweeps and fine-tuning that were killed go on as if nothing had happened."""

import jax
import numpy as np
import pytest

from jaxmlp import Checkpoints, MLPConfig, init
from jaxmlp.finetuning import finetune
from jaxmlp.sweeps import cross_validate, successive_halving, sweep

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)).astype(np.float32), RNG.integers(0, 2, 60)
CALL = {"loss": "sigmoid_binary_cross_entropy", "epochs": 4, "key": jax.random.key(0)}
GRID = {"learning_rate": [1e-1, 1e-2, 1e-3], "hidden_layer_sizes": [(4,), (8,)]}


def power_cut(after):
    """Progress that ends a sweep with an error once so many members have ended."""

    def progress(seen):
        if seen.members_done >= after:
            raise RuntimeError("power cut")

    return progress


def assert_same(found, expected):
    assert found.settings == expected.settings
    np.testing.assert_array_equal(found.metrics, expected.metrics)
    assert found.learnt.keys() == expected.learnt.keys()
    jax.tree.map(np.testing.assert_array_equal, found.learnt, expected.learnt)


@pytest.mark.parametrize("train", [sweep, cross_validate])
def test_a_sweep_goes_on(tmp_path, train):
    options = {"grid": GRID} | ({"folds": 2} if train is cross_validate else {})
    checkpoint = Checkpoints(tmp_path, every=1)
    config = MLPConfig((4, 4, 1))
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, (X, Y), checkpoint=checkpoint, progress=power_cut(3), **CALL, **options)
    assert (tmp_path / "turn-0001").is_dir()
    seen = []
    found = train(config, (X, Y), checkpoint=checkpoint, progress=seen.append, **CALL, **options)
    assert_same(found, train(config, (X, Y), **CALL, **options))


def test_turns_that_ended_are_read_back(tmp_path):
    checkpoint = Checkpoints(tmp_path)
    expected = sweep(MLPConfig((4, 4, 1)), (X, Y), grid=GRID, checkpoint=checkpoint, **CALL)
    steps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    found = sweep(MLPConfig((4, 4, 1)), (X, Y), grid=GRID, checkpoint=checkpoint, **CALL)
    assert_same(found, expected)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == steps


def test_another_grid_is_refused(tmp_path):
    checkpoint = Checkpoints(tmp_path)
    sweep(MLPConfig((4, 4, 1)), (X, Y), grid={"l2": [0, 1]}, checkpoint=checkpoint, **CALL)
    with pytest.raises(ValueError, match="a run with another l2"):
        sweep(MLPConfig((4, 4, 1)), (X, Y), grid={"l2": [0, 2]}, checkpoint=checkpoint, **CALL)


def test_halving_saves_nothing(tmp_path):
    with pytest.raises(ValueError, match="leave checkpoint out"):
        successive_halving(
            MLPConfig((4, 4, 1)), (X, Y), grid={"l2": [0, 1]}, checkpoint=Checkpoints(tmp_path),
            **CALL,
        )  # fmt: skip


def test_fine_tuning_goes_on(tmp_path):
    config = MLPConfig((4, 8, 3))
    network = config, init(config, jax.random.key(0))
    call = {"key": jax.random.key(1), "mode": "transfer", "epochs": 4}
    phases = []

    def die(progress):
        phases.append(progress.epoch)
        if len(phases) == 6:  # the second of the second phase
            raise RuntimeError("power cut")

    checkpoint = Checkpoints(tmp_path, every=1)
    with pytest.raises(RuntimeError, match="power cut"):
        finetune(network, (X, Y), checkpoint=checkpoint, callbacks=[die], every=1, **call)
    found = finetune(network, (X, Y), checkpoint=checkpoint, **call)
    expected = finetune(network, (X, Y), **call)
    jax.tree.map(np.testing.assert_array_equal, found.model.params, expected.model.params)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["phase-1", "phase-2"]
