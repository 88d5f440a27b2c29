"""The benchmark's peers do the same work: shapes, steps and final losses."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.metrics import log_loss

import benchmarks.harness.peers as peers
from benchmarks.harness.cold import write_problem
from benchmarks.harness.peers import PEERS, Problem, available, final_loss, make
from benchmarks.harness.peers.problem import batch_tables, initial_weights


def make_problem(epochs=20, regression=False):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32) + (x[:, 1] > 0).astype(np.int32)
    y = np.tanh(x[:, :3]) if regression else y
    return Problem(x, y, (4, 16, 3), batch_size=32, epochs=epochs, learning_rate=1e-2)


def test_the_yardstick_is_scikit_learn_s():
    problem = make_problem()
    rng = np.random.default_rng(1)
    weights = [
        (rng.normal(size=(4, 16)), rng.normal(size=16)),
        (rng.normal(size=(16, 3)), np.ones(3)),
    ]
    h = np.maximum(problem.x @ weights[0][0] + weights[0][1], 0)
    logits = h @ weights[1][0] + weights[1][1]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(final_loss(problem, weights), log_loss(problem.y, p), rtol=1e-6)
    assert problem.steps == 60


def test_the_yardstick_of_regression_by_hand():
    problem = Problem(np.ones((2, 1), np.float32), np.array([[1.0], [5.0]]), (1, 1), 2, 1)
    weights = [(np.array([[2.0]]), np.array([1.0]))]  # outputs 3 and 3
    assert final_loss(problem, weights) == (2**2 + 2**2) / 2 / 2


def test_every_epoch_visits_every_row_once_in_an_order_of_its_own():
    problem = make_problem(epochs=2)
    rows, weight = batch_tables(problem, seed=0)
    assert rows.shape == weight.shape == (6, 32)
    epochs = [rows[start : start + 3].ravel()[:90] for start in (0, 3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(90))
    assert list(epochs[0]) != list(epochs[1])
    assert weight.reshape(2, 96).sum(axis=1).tolist() == [90, 90]


def test_initial_weights_are_glorot_uniform():
    (W, b), _ = initial_weights(make_problem()._replace(layer_sizes=(400, 600, 3)), seed=0)
    bound = np.sqrt(6 / 1000)
    assert np.abs(W).max() <= bound
    assert np.std(W) == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert not b.any()


def losses(name, problem, seeds):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        fit = make(name)(problem)
        found = [fit(seed) for seed in range(seeds)]
    assert [W.shape for W, _ in found[0]] == [(4, 16), (16, 3)]
    return np.array([final_loss(problem, weights) for weights in found])


@pytest.mark.slow
@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("name", sorted(set(PEERS) - {"PyTorch, compiled"}))
def test_a_peer_learns_as_numpy_does(name, regression):
    """Same weights and same orders: the same loss; own weights or orders: about the same."""
    if not available(name):
        pytest.skip(f"needs {', '.join(PEERS[name].packages)}")
    problem = make_problem(regression=regression)
    by_numpy, found = losses("numpy, by hand", problem, 8), losses(name, problem, 8)
    if name.startswith(("flax", "equinox")):
        np.testing.assert_allclose(found, by_numpy, rtol=1e-3)
    # Means of 8 seeds scatter by about 10%; an epoch more or less would be as much again.
    assert found.mean() == pytest.approx(by_numpy.mean(), rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scikit-learn", "numpy, by hand"])
def test_a_cold_process_imports_its_own_library_only(name, tmp_path):
    write_problem(tmp_path / "data.npz", make_problem(epochs=1), {})
    code = (
        "import sys, json; sys.argv = ['peers', *sys.argv[1:]]; from peers.__main__ import main;"
        "main(); print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    folder = Path(peers.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code, name, str(tmp_path / "data.npz")],
        capture_output=True, text=True, check=True, cwd=folder,
    )  # fmt: skip
    found = set(json.loads(done.stdout.splitlines()[-1]))
    assert not found & {"jax", "jaxmlp", "torch", "flax", "equinox"}
    assert ("sklearn" in found) == (name == "scikit-learn")
