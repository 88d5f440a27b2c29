import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.linear_model import Perceptron

from jaxmlp.lecture.perceptron import fit_perceptron, threshold_unit

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def separable(x, y):
    """Whether some (w, b) has s (w x + b) >= 1 for all examples, by linear programming."""
    sign = 2.0 * y - 1
    rows = -sign[:, None] * np.column_stack([x, np.ones(len(x))])
    return linprog(np.zeros(rows.shape[1]), rows, -np.ones(len(x)), bounds=(None, None)).success


@pytest.mark.parametrize(
    ("w", "b", "truth_table"),
    [
        ([1, 1], -1.5, [0, 0, 0, 1]),  # AND
        ([1, 1], -0.5, [0, 1, 1, 1]),  # OR
        ([-1, -1], 1.5, [1, 1, 1, 0]),  # NAND
        ([-1, 0], 0.5, [1, 1, 0, 0]),  # NOT of the first input
        ([1, 1], -1.0, [0, 0, 0, 1]),  # a sum equal to the threshold does not exceed it
    ],
)
def test_threshold_unit(w, b, truth_table):
    assert threshold_unit(np.array(w), b, CORNERS).tolist() == truth_table
    one_by_one = jax.jit(jax.vmap(threshold_unit, (None, None, 0)))
    assert one_by_one(np.array(w, np.float32), b, CORNERS).tolist() == truth_table


def test_every_boolean_function_of_two_inputs():
    """14 of the 16 are separable and learnt; XOR and its complement are not, and cycle."""
    cycling = []
    for table in itertools.product((0, 1), repeat=4):
        y = np.array(table)
        result = fit_perceptron(CORNERS, y, epochs=20)
        assert bool(result.converged) == separable(CORNERS, y)
        if result.converged:
            assert threshold_unit(result.w, result.b, CORNERS).tolist() == list(table)
            assert result.period == 0
        else:
            assert result.period > 0
            cycling.append(table)
    assert cycling == [(0, 1, 1, 0), (1, 0, 0, 1)]


def test_not_of_one_input():
    x = jnp.array([[0], [1]])
    result = fit_perceptron(x, jnp.array([True, False]), epochs=10)
    assert result.converged
    assert threshold_unit(result.w, result.b, x).tolist() == [1, 0]


def test_first_epoch_of_and_by_hand():
    """Only (0, 0) and (1, 1) move the weights: after b = -1 the other two are right already."""
    result = fit_perceptron(CORNERS, np.array([0, 0, 0, 1]), epochs=1)
    assert result.w.tolist() == [1, 1]
    assert result.b == 0
    assert result.mistakes.tolist() == [2]
    assert not result.converged


@given(seed=st.integers(0, 10_000), epochs=st.sampled_from([1, 7]))
@settings(max_examples=40, deadline=None)
def test_same_steps_as_scikit_learn(seed, epochs):
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, (12, 3)).astype(np.float64)  # whole numbers: no rounding to agree on
    y = rng.integers(0, 2, 12)
    y[:2] = 0, 1
    theirs = Perceptron(shuffle=False, tol=None, max_iter=epochs).fit(x, y)
    ours = fit_perceptron(x.astype(np.float32), y, epochs=epochs)
    np.testing.assert_array_equal(ours.w, theirs.coef_[0])
    np.testing.assert_array_equal(ours.b, theirs.intercept_[0])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_novikoffs_bound(seed):
    rng = np.random.default_rng(seed)
    teacher = rng.normal(size=4)
    teacher /= np.linalg.norm(teacher)
    points = rng.normal(size=(200, 3))
    distance = np.column_stack([points, np.ones(200)]) @ teacher
    far = np.abs(distance) > 0.3
    x, y = points[far][:20], distance[far][:20] > 0
    gamma = np.abs(distance[far][:20]).min()
    bound = (np.max(np.sum(x**2, axis=1)) + 1) / gamma**2
    result = fit_perceptron(x.astype(np.float32), y, epochs=400)
    assert result.converged
    assert int(result.mistakes.sum()) <= bound
    np.testing.assert_array_equal(threshold_unit(result.w, result.b, x.astype(np.float32)), y)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_converges_exactly_on_what_linear_programming_separates(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (7, 2)).astype(np.float32)
    y = rng.integers(0, 2, 7)
    result = fit_perceptron(x, y, epochs=400)
    assert bool(result.converged) == separable(x, y)
    assert bool(result.period > 0) != bool(result.converged)


@pytest.mark.parametrize("seed", range(6))
def test_the_period_is_the_time_since_the_same_weights(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-2, 3, (6, 2)).astype(np.float32), np.array([0, 1, 0, 1, 0, 1])
    x[1] = x[0]  # one point with both labels cannot be separated
    result = fit_perceptron(x, y, epochs=300)
    weights = [tuple(row) for row in result.path.tolist()]
    period = weights[:-1][::-1].index(weights[-1]) + 1
    assert result.period == period
    # the circle closes: as many epochs before that, the same again
    assert weights[-period:] == weights[-2 * period : -period]
    assert result.mistakes[-period:].min() > 0


def test_learning_rate_only_scales_and_vmaps():
    y = np.array([0, 0, 0, 1])
    rates = jnp.array([0.5, 1.0, 2.0])
    fit = jax.vmap(lambda rate: fit_perceptron(CORNERS, y, learning_rate=rate, epochs=10))
    results = fit(rates)
    for leaf in (results.w, results.b):
        np.testing.assert_array_equal(leaf[0] * 4, leaf[2])
    np.testing.assert_array_equal(results.mistakes[0], results.mistakes[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: threshold_unit(np.ones(3), 0.0, CORNERS),
            r"^w has shape \(3,\) and x has shape \(4, 2\), but they must be \(n_in,\) and",
        ),
        (
            lambda: fit_perceptron(CORNERS[0], np.array([0, 1])),
            r"^x has shape \(2,\), but must be \(batch, n_in\): one row an example\.$",
        ),
        (lambda: fit_perceptron(CORNERS, np.zeros((4, 1))), r"^y has shape \(4, 1\), but must be"),
        (
            lambda: fit_perceptron(CORNERS, np.array([-1, 1, 1, 1])),
            r"^y has labels other than 0 and 1\. For two classes pass \(y == positive_class\)\.$",
        ),
        (
            lambda: fit_perceptron(CORNERS, np.zeros(4), epochs=0),
            r"^epochs is 0; give a whole number >= 1\.$",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
