"""Candidates and folds in one program score as they do one by one."""

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold

from jaxmlp.estimators import MLPClassifier, MLPRegressor, MLPSearchCV
from jaxmlp.testing import assert_compiles

rng = np.random.default_rng(2)
X = rng.normal(size=(150, 4))
LABELS = (X[:, 0] + X[:, 1] ** 2 + 0.5 * rng.normal(size=150) > 1).astype(int)
Y = X @ rng.normal(size=4)
FOLDS = KFold(3, shuffle=True, random_state=0)
RATES = {"learning_rate_init": [1e-3, 1e-2, 1e-1], "alpha": [1e-4, 10.0]}


def scores(search: Any) -> np.ndarray:
    names = [f"split{fold}_test_score" for fold in range(3)]
    return np.array([search.cv_results_[name] for name in names])


def search_both(model: Any, grid: Any, y: Any, **options: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [
            kind(model, grid, cv=FOLDS, **options).fit(X, y) for kind in (MLPSearchCV, GridSearchCV)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scores_are_those_of_a_plain_loop(dtype: str) -> None:
    """Some candidates stop early, at epochs of their own; some batches are ragged."""
    options = {"hidden_layer_sizes": (6,), "max_iter": 20, "random_state": 0, "dtype": dtype}
    model = MLPClassifier(**options, tol=0.01, n_iter_no_change=2, batch_size=64)
    together, alone = search_both(model, RATES, LABELS)
    n_epochs = together.best_estimator_.n_iter_
    if dtype == "float64":
        np.testing.assert_array_equal(scores(together), scores(alone))
    else:
        off = np.abs(scores(together) - scores(alone)) * 50  # examples, in folds of 50
        assert (off > 1e-6).mean() <= 0.01
        assert off.max() <= 1 + 1e-6
    assert together.best_params_ == alone.best_params_
    assert n_epochs == alone.best_estimator_.n_iter_
    assert type(together.best_estimator_) is MLPClassifier
    np.testing.assert_array_equal(together.predict(X), alone.predict(X))


@pytest.mark.slow
def test_shapes_splits_and_weights_of_their_own() -> None:
    """Two shapes, early stopping on rows set aside in each fold, sample weights, a failure."""
    options = {"max_iter": 15, "random_state": 0, "dtype": "float64", "early_stopping": True}
    grid = [
        {"hidden_layer_sizes": [(6,), (4, 4)], "learning_rate_init": [1e-2, 1e-1]},
        {"solver": ["lbfgs"], "hidden_layer_sizes": [(6,)]},
        {"hidden_layer_sizes": [(-1,)]},
    ]
    model = MLPRegressor(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weight = {"sample_weight": rng.integers(1, 3, 150).astype(float)}
        together, alone = (
            kind(model, grid, cv=FOLDS).fit(X, Y, **weight) for kind in (MLPSearchCV, GridSearchCV)
        )
    np.testing.assert_allclose(scores(together), scores(alone), rtol=1e-9)
    assert np.isnan(scores(together)[:, -1]).all()
    assert together.best_params_ == alone.best_params_
    assert set(together.cv_results_) == set(alone.cv_results_)


def test_numbers_share_a_program() -> None:
    model = MLPRegressor(hidden_layer_sizes=(6,), max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with assert_compiles(1, "run_chunk"):
            MLPSearchCV(model, RATES, cv=FOLDS, refit=False).fit(X, Y)
        other = {"learning_rate_init": [1e-4, 2e-3, 0.5], "alpha": [1e-3, 1e-2]}
        with assert_compiles(0):
            MLPSearchCV(model, other, cv=FOLDS, refit=False).fit(X, Y)


def test_other_estimators_are_refused() -> None:
    with pytest.raises(TypeError, match="Use scikit-learn's GridSearchCV"):
        MLPSearchCV(LogisticRegression(), {"C": [1.0]}).fit(X, LABELS)
