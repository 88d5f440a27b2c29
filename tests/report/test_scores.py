"""Scores and intervals against scikit-learn and scipy; what a column is worth."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from jaxmlp.report.importance import permutation_importance
from jaxmlp.report.outcome_charts import (
    importance_bars,
    predicted_against_true,
    reliability,
    residuals,
)
from jaxmlp.report.scores import classification_scores, regression_scores, wilson_interval

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (3, 10), (970, 1000)])
def test_wilson_against_scipy(hits, n):
    theirs = binomtest(hits, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson_interval(hits, n), theirs, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_classification_against_scikit_learn(n_classes):
    y = RNG.integers(0, n_classes, 300)
    p = RNG.dirichlet(np.ones(n_classes), 300).round(2) + 0.001  # with ties
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(300), y] += 0.3
    p /= p.sum(axis=1, keepdims=True)
    scores, predicted = classification_scores(y, p), p.argmax(axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(y, predicted),
        "balanced accuracy": metrics.balanced_accuracy_score(y, predicted),
        "log loss": metrics.log_loss(y, p),
    }
    if n_classes == 2:
        expected["auc"] = metrics.roc_auc_score(y, p[:, 1])
        expected["f1"] = metrics.f1_score(y, predicted)
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)
    for score in scores.values():
        assert score.low < score.value < score.high
    assert scores["accuracy"].guess == np.bincount(y).max() / 300


def test_regression_against_scikit_learn():
    y = RNG.normal(size=500)
    predicted = y + RNG.normal(0, 0.5, 500)
    scores = regression_scores(y, predicted)
    assert scores["rmse"].value == pytest.approx(metrics.root_mean_squared_error(y, predicted))
    assert scores["mae"].value == pytest.approx(metrics.mean_absolute_error(y, predicted))
    assert scores["r2"].value == pytest.approx(metrics.r2_score(y, predicted))


def test_bootstrap_intervals_cover_the_truth():
    """Of 200 samples of 100 errors, about 95% have the true RMSE in their interval."""
    inside = 0
    for seed in range(200):
        errors = np.random.default_rng(1000 + seed).normal(size=100)
        y = np.linspace(-1, 1, 100)
        score = regression_scores(y, y + errors, seed=seed)["rmse"]
        inside += score.low <= 1 <= score.high
    assert 0.87 <= inside / 200 <= 0.99  # percentiles of the bootstrap are a bit narrow


def test_importance_is_what_shuffling_costs():
    x = RNG.normal(size=(2000, 4))
    y = 2 * x[:, 0] + x[:, 1] + x[:, 2]

    def score(x, y):
        return -float(np.mean((2 * x[:, 0] + x[:, 1] + x[:, 2] - y) ** 2))

    found = permutation_importance(score, x, y, [("a", [0]), ("bc", [1, 2]), ("d", [3])])
    assert [entry.name for entry in found] == ["a", "bc", "d"]
    # Shuffling w x_j adds 2 w^2 Var(x_j) to the squared error.
    np.testing.assert_allclose([e.loss for e in found], [8, 4, 0], rtol=0.15, atol=1e-12)


def test_charts_hold_what_was_given():
    p = np.linspace(0.01, 0.99, 400)
    figure = reliability((RNG.random(400) < p).astype(float), p, "calibration")
    said, true = figure.axes[0].lines[1].get_data()
    assert len(said) == 10
    assert np.abs(np.asarray(said) - true).max() < 0.25
    y = RNG.normal(size=50)
    assert len(predicted_against_true(y, y, "y").axes[0].lines[0].get_xdata()) == 50
    edges = residuals(y, y, "y").axes[0].patches[0].get_data().edges
    assert edges[0] < 0 < edges[-1]
    found = permutation_importance(lambda x, y: 0.0, y[:, None], y, [("a", [0])])
    labels = importance_bars(found, "loss of AUC").axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["a"]
