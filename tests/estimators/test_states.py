"""What a fit leaves behind: all of it where it succeeds, nothing where it fails."""

import copy
import pickle
from functools import partial

import numpy as np
import optax
import pytest
from sklearn.base import clone

from jaxmlp.estimators import MLPClassifier, MLPRegressor, MLPSearchCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
THREE = np.arange(60) % 3
WORDS = np.array(["no", "yes"])[np.arange(60) % 2]
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


def small(**options):
    return MLPClassifier(**{"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0} | options)


BREAKS = {
    "X has 2 features": lambda e: e.fit(X, THREE, X_val=X[:, :2], y_val=THREE),
    "classes not in": lambda e: e.fit(X, THREE, X_val=X, y_val=THREE + 7),
    "frozen": lambda e: e.set_params(frozen_layers=[9]).fit(X, THREE),
    "0 feature": lambda e: e.partial_fit(X[:, :0], THREE, classes=["no", "yes"]),
}


@pytest.mark.parametrize("way", BREAKS)
def test_a_failed_first_fit_leaves_nothing(way):
    estimator = small()
    with pytest.raises(ValueError, match=way):
        BREAKS[way](estimator)
    learnt = {name for name in vars(estimator) if name.endswith("_") or name.startswith("_")}
    assert learnt == {name for name in vars(small()) if name.startswith("_")}
    estimator.set_params(frozen_layers=()).fit(X, WORDS)
    assert estimator.classes_.tolist() == ["no", "yes"]
    assert set(estimator.predict(X)) <= {"no", "yes"}


@pytest.mark.parametrize("way", BREAKS)
def test_a_failed_refit_leaves_what_there_was(way):
    estimator = small().fit(X, WORDS)
    before, curve = estimator.predict_proba(X), list(estimator.loss_curve_)
    with pytest.raises(ValueError, match=way):
        BREAKS[way](estimator)
    np.testing.assert_array_equal(estimator.predict_proba(X), before)
    assert estimator.loss_curve_ == curve
    assert estimator.classes_.tolist() == ["no", "yes"]


def test_a_later_fit_sees_only_its_own_classes():
    estimator = small()
    with pytest.raises(ValueError, match="X has 2 features"):
        estimator.fit(X, THREE, X_val=X[:, :2], y_val=THREE)
    rows = THREE < 2
    assert estimator.fit(X[rows], THREE[rows]).classes_.tolist() == [0, 1]


WARM = {
    "members": ({}, {"n_ensemble": 3}, "n_ensemble was 1, is 3"),
    "fewer members": ({"n_ensemble": 3}, {"n_ensemble": 1}, "n_ensemble was 3, is 1"),
    "sizes": ({}, {"hidden_layer_sizes": (5,)}, r"sizes was \(3, 4, 3\), is \(3, 5, 3\)"),
    "normalization": ({}, {"batch_norm": True}, "batch_norm was"),
}


@pytest.mark.parametrize("change", WARM)
def test_warm_start_says_what_it_cannot_go_on_from(change):
    before, after, message = WARM[change]
    estimator = small(warm_start=True, **before).fit(X, THREE)
    with pytest.raises(ValueError, match=message):
        estimator.set_params(**after).fit(X, THREE)
    estimator.set_params(warm_start=False).fit(X, THREE)


def test_warm_start_says_that_targets_changed():
    y = RNG.normal(size=(60, 2))
    estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"sizes was \(3, 4, 2\), is \(3, 4, 1\)"):
        estimator.fit(X, y[:, 0])


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_solvers_take_turns():
    estimator = small(warm_start=True, solver="lbfgs").fit(X, THREE)
    estimator.set_params(solver="adam").fit(X, THREE)
    assert len(estimator.loss_curve_) == 2
    estimator.set_params(solver="lbfgs").fit(X, THREE)
    estimator.set_params(solver="sgd", early_stopping=True).fit(X, THREE)
    assert len(estimator.loss_curve_) == 4


@pytest.mark.parametrize(
    "estimator", [small(), MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0)]
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("scale", [1e-40, 1e-300, 1e38, 1e300])
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_weights_count_relative_to_each_other(estimator, solver, scale):
    weight = RNG.uniform(0.5, 2, 60)
    y = WORDS if isinstance(estimator, MLPClassifier) else X[:, 0].astype(float)
    options = {"solver": solver, "alpha": 0.0}
    fitted = [clone(estimator).set_params(**options).fit(X, y, w) for w in (weight, weight * scale)]
    assert np.isfinite(fitted[1].loss_)
    for known, found in zip(*(e.coefs_ for e in fitted), strict=True):
        np.testing.assert_allclose(found, known, rtol=2e-3, atol=2e-4)
        assert np.abs(known).max() > 0


def test_weights_of_the_validation_part_count():
    weight = np.zeros(60)
    weight[:3] = 1
    with pytest.raises(ValueError, match="the weights of all validation rows are 0"):
        small(early_stopping=True, random_state=3).fit(X, THREE, weight)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_rows_that_overflow_are_named(method):
    estimator = small().fit(X, THREE)
    rows = X.astype(np.float64)
    rows[5] = 1e300
    with pytest.raises(ValueError, match=r"row 5 of X has no prediction.*overflow float32"):
        getattr(estimator, method)(rows)
    assert getattr(estimator, method)(X[:5]).shape[0] == 5


def test_a_search_can_be_pickled():
    search = MLPSearchCV(small(), {"alpha": [0.1, 0.0]}, cv=2).fit(X, THREE)
    for copied in (pickle.loads(pickle.dumps(search)), copy.deepcopy(search)):
        np.testing.assert_array_equal(copied.predict(X), search.predict(X))
        assert copied.best_params_ == search.best_params_


class Shorter(MLPClassifier):
    """A subclass whose `fit` takes less."""

    def fit(self, X, y):
        self.own_ = True
        return super().fit(X, y)


def test_a_search_leaves_a_subclass_its_fit():
    search = MLPSearchCV(Shorter((4,), max_iter=2), {"alpha": [0.1, 0.0]}, cv=2).fit(X, THREE)
    assert search.best_estimator_.own_
    assert type(search.best_estimator_) is Shorter


def test_a_rule_of_optax_that_can_be_pickled():
    estimator = small(solver=partial(optax.sgd, 1e-2, momentum=0.9)).fit(X, THREE)
    copied = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copied.predict(X), estimator.predict(X))
    known = small(solver=optax.sgd(1e-2, momentum=0.9)).fit(X, THREE)
    np.testing.assert_array_equal(known.predict_proba(X), estimator.predict_proba(X))
    copied.partial_fit(X, THREE)
