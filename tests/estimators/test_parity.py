"""The same weights, the same batches: scikit-learn's trajectories, step by step, in float64."""

import warnings
from typing import Any

import numpy as np
import pytest

sklearn_mlp = pytest.importorskip("sklearn.neural_network")
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

from jaxmlp import estimators  # noqa: E402

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 5))
TARGETS = {
    "MLPRegressor": X @ rng.normal(size=5) + 0.1 * rng.normal(size=60),
    "MLPClassifier": np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)],
}
WEIGHT = rng.integers(1, 4, 60).astype(float)
SLOW = pytest.mark.slow


def fit_both(kind: str, y: Any = None, sample_weight: Any = None, **parameters: Any) -> list[Any]:
    """Fit ours and theirs, both from scikit-learn's initial weights for seed 3."""
    defaults = {"hidden_layer_sizes": (7, 4), "alpha": 0.1, "max_iter": 12, "random_state": 3}
    parameters = {**defaults, "shuffle": False, **parameters}
    y = TARGETS[kind] if y is None else y
    models = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for module, extra in ((estimators, {"dtype": "float64"}), (sklearn_mlp, {})):
            model = getattr(module, kind)(**parameters, **extra)
            models.append(model.fit(X, y, sample_weight=sample_weight))
    return models


def assert_equal_paths(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    """Losses of all epochs and the last weights; an equal loss at each step is an equal step."""
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=tolerance)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours._no_improvement_count == theirs._no_improvement_count


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("MLPClassifier", {"solver": "sgd", "learning_rate_init": 0.05}),
        ("MLPRegressor", {"solver": "adam", "learning_rate_init": 0.01}),
        pytest.param("MLPClassifier", {"solver": "adam", "batch_size": 25}, marks=SLOW),
        pytest.param("MLPRegressor", {"solver": "sgd", "batch_size": 25}, marks=SLOW),
        pytest.param("MLPRegressor", {"solver": "sgd", "nesterovs_momentum": False}, marks=SLOW),
        pytest.param("MLPClassifier", {"solver": "sgd", "learning_rate": "invscaling"}, marks=SLOW),
        pytest.param("MLPRegressor", {"loss": "poisson"}, marks=SLOW),
    ],
)
def test_steps_are_scikit_learns(kind: str, parameters: dict[str, Any]) -> None:
    y = np.abs(TARGETS[kind]) if parameters.get("loss") == "poisson" else None
    ours, theirs = fit_both(kind, y, **parameters)
    if y is None:
        assert_equal_paths(ours, theirs)
    else:  # their loss has a constant more
        differences = np.subtract(theirs.loss_curve_, ours.loss_curve_)
        np.testing.assert_allclose(differences, differences[0], rtol=1e-10)
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=0, atol=1e-10)


def test_adaptive_rates_are_divided_at_the_same_epochs() -> None:
    options = {"learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.02, "max_iter": 40}
    ours, theirs = fit_both("MLPClassifier", solver="sgd", learning_rate_init=0.05, **options)
    assert_equal_paths(ours, theirs)
    assert ours._optimizer.learning_rate == theirs._optimizer.learning_rate < 0.05


def test_plateau_ends_training_at_the_same_epoch() -> None:
    options = {"solver": "sgd", "learning_rate_init": 0.05, "tol": 0.01, "n_iter_no_change": 3}
    ours, theirs = fit_both("MLPClassifier", max_iter=200, **options)
    assert ours.n_iter_ < 200
    assert_equal_paths(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_early_stopping_splits_scores_and_restores_alike(kind: str) -> None:
    ours, theirs = fit_both(
        kind, early_stopping=True, validation_fraction=0.2, learning_rate_init=0.02, max_iter=60
    )
    assert_equal_paths(ours, theirs)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-10)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)


@pytest.mark.slow
def test_sample_weights_in_one_batch() -> None:
    assert_equal_paths(*fit_both("MLPClassifier", sample_weight=WEIGHT))


@pytest.mark.slow
def test_partial_fit_keeps_the_moments() -> None:
    y = TARGETS["MLPRegressor"]
    ours = estimators.MLPRegressor(
        hidden_layer_sizes=(7, 4), random_state=0, shuffle=False, dtype="float64"
    )
    theirs = sklearn_mlp.MLPRegressor(hidden_layer_sizes=(7, 4), random_state=0, shuffle=False)
    for rows in (slice(0, 40), slice(20, 60), slice(10, 50)):
        for model in (ours, theirs):
            model.partial_fit(X[rows], y[rows])
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=0, atol=1e-10)


def test_lbfgs_is_scipys_on_our_gradient() -> None:
    ours, theirs = fit_both("MLPRegressor", solver="lbfgs", max_iter=20)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-8)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)
