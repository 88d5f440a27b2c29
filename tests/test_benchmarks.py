"""The benchmark's peers do the same work: shapes, steps and final losses."""

from importlib.util import find_spec

import jax
import numpy as np
import pytest
from sklearn.metrics import log_loss

from benchmarks.harness import markdown_table
from benchmarks.peers import PEERS, Problem, final_loss


def make_problem(epochs=20):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32) + (x[:, 1] > 0).astype(np.int32)
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


def mean_loss(name, problem):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        fit = PEERS[name](problem)
        found = [fit(seed) for seed in range(8)]
    assert [W.shape for W, _ in found[0]] == [(4, 16), (16, 3)]
    return np.mean([final_loss(problem, weights) for weights in found])


@pytest.fixture(scope="module")
def reference():
    return mean_loss("scikit-learn", make_problem())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(PEERS) - {"scikit-learn"}))
def test_a_peer_learns_as_scikit_learn_does(name, reference):
    if name.startswith("PyTorch") and find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    # Means of 8 seeds scatter by about 10%; an epoch more or less would be as much again.
    assert mean_loss(name, make_problem()) == pytest.approx(reference, rel=0.2)


def test_tables_are_markdown():
    rows = [{"library": "a", "seconds": 0.12345}, {"library": "b", "seconds": 2.0}]
    assert markdown_table(rows).splitlines() == [
        "| library | seconds |",
        "| --- | --- |",
        "| a | 0.123 |",
        "| b | 2 |",
    ]
