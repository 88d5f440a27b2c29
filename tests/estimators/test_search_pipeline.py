"""A search over a Pipeline scores as GridSearchCV does, and prepares each fold once."""

import pickle
import warnings
from typing import Any, ClassVar

import numpy as np
import optax
import pandas as pd
import pytest

pytest.importorskip("sklearn")
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from jaxmlp.estimators import MLPClassifier, MLPRegressor, MLPSearchCV
from jaxmlp.estimators.base import BaseMLP
from jaxmlp.testing import assert_compiles

rng = np.random.default_rng(4)
N = 121  # folds of unequal sizes
X = rng.normal(size=(N, 4)) * [1.0, 10.0, 100.0, 0.1] + 5.0
LABELS = (X[:, 0] + rng.normal(size=N) > 5).astype(int)
WEIGHTS = rng.integers(1, 4, N).astype(float)
COLOURS = rng.choice(["red", "green", "blue"], N)
COLOURS[:2] = ["rare", "rarer"]  # absent from the training rows of some fold
FRAME = pd.DataFrame({"size": X[:, 1], "colour": COLOURS, "age": X[:, 2]}, index=np.arange(N) + 7)
FOLDS = KFold(3, shuffle=True, random_state=0)
GRID = {"mlpclassifier__alpha": [1e-4, 10.0], "mlpclassifier__learning_rate_init": [1e-3, 0.1]}
SHORT = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0}


def network(**options: Any) -> MLPClassifier:
    return MLPClassifier(**{**SHORT, "dtype": "float64", **options})


def search_both(
    model: Any,
    grid: Any,
    x: Any = X,
    y: Any = LABELS,
    *,
    cv: Any = FOLDS,
    alone: int = 0,
    **params: Any,
) -> list[Any]:
    """Search together and one by one; `alone` fits of the former are none of the joint ones."""
    found, fitted = [], []

    def fit(self: Any, *args: Any, **how: Any) -> Any:
        fitted.append(self)
        return original(self, *args, **how)

    original = BaseMLP._fit
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", ConvergenceWarning)
        patch.setattr(BaseMLP, "_fit", fit)
        for kind in (MLPSearchCV, GridSearchCV):
            search = kind(model, grid, cv=cv, return_train_score=True)
            found.append(search.fit(x, y, **params))
            if kind is MLPSearchCV:
                assert len(fitted) == alone + 1  # the refit
    return found


def scores(search: Any) -> np.ndarray:
    """Return all scores, (folds of training and test, candidates)."""
    names = sorted(name for name in search.cv_results_ if name.startswith("split"))
    return np.array([search.cv_results_[name] for name in names])


def assert_equal(together: Any, alone: Any, x: Any = X) -> None:
    np.testing.assert_array_equal(scores(together), scores(alone))
    assert together.cv_results_["params"] == alone.cv_results_["params"]
    assert together.best_params_ == alone.best_params_
    np.testing.assert_array_equal(together.predict(x), alone.predict(x))


class Recording(StandardScaler):
    """A scaler that keeps what it is fitted on."""

    seen: ClassVar[list[np.ndarray]] = []

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "Recording":
        self.seen.append(np.asarray(X))
        return super().fit(X, y, sample_weight)


@pytest.mark.slow
def test_scores_are_those_of_a_plain_loop() -> None:
    """Widths of two kinds, weights for two steps, rows set aside in each fold."""
    model = make_pipeline(StandardScaler(), PCA(), network(early_stopping=True, batch_size=16))
    weights = {f"{step}__sample_weight": WEIGHTS for step in ("standardscaler", "mlpclassifier")}
    grid = {**GRID, "pca__n_components": [2, 4]}
    together, alone = search_both(model, grid, **weights)
    assert_equal(together, alone)
    assert together.score(X, LABELS) == alone.score(X, LABELS)
    best = together.best_estimator_
    assert type(best) is Pipeline
    assert type(best[-1]) is MLPClassifier
    np.testing.assert_array_equal(best[0].mean_, alone.best_estimator_[0].mean_)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(together)).predict(X), best.predict(X))
    assert clone(together).get_params()["estimator__mlpclassifier__max_iter"] == 4


def test_preparation_is_fitted_once_a_fold_on_its_training_rows() -> None:
    model = make_pipeline(Recording(), network())
    grid = {**GRID, "recording__with_mean": [True, False]}
    Recording.seen.clear()
    search_both(model, grid)
    together = Recording.seen[: 2 * 3 + 1]  # two settings, three folds, and the refit
    for kept, (train, _) in zip(together, [*FOLDS.split(X)] * 2, strict=False):
        np.testing.assert_array_equal(kept, X[train])
    assert len(together[-1]) == N
    assert len(Recording.seen) == len(together) + 8 * 3 + 1


@pytest.mark.slow
def test_folds_share_a_program() -> None:
    model = make_pipeline(StandardScaler(), MLPRegressor(**SHORT))
    named = {name.replace("classifier", "regressor"): values for name, values in GRID.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with assert_compiles(1, "run_chunk"):
            MLPSearchCV(model, named, cv=FOLDS, refit=False).fit(X, X[:, 0])
        other = {**named, "mlpregressor__alpha": [1e-3, 1e-2]}
        with assert_compiles(0):
            MLPSearchCV(model, other, cv=FOLDS, refit=False).fit(X, X[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("output", ["default", "pandas"])
def test_tables_with_categories(output: str) -> None:
    """Folds differ in their categories, hence in their widths; sparse or not."""
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=output == "default")
    table = make_column_transformer(
        (StandardScaler(), ["size"]), (encoder, ["colour"]), sparse_threshold=1.0
    )
    model = make_pipeline(table, network()).set_output(transform=output)
    assert_equal(*search_both(model, GRID, FRAME, COLOURS == "red"), FRAME)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:One or more of the", "ignore::sklearn.exceptions.FitFailedWarning"
)
def test_groups_and_steps_in_the_grid() -> None:
    """A step left out, networks in the grid, and a preparation that fails."""
    model = make_pipeline(StandardScaler(), PCA(3), network())
    grid = [
        {"pca": ["passthrough"], **GRID},
        {"mlpclassifier": [network(hidden_layer_sizes=(3,)), network(solver="lbfgs")]},
        {"pca__n_components": [9]},
    ]
    together, alone = search_both(model, grid, cv=GroupKFold(3), groups=np.arange(N) // 5, alone=3)
    np.testing.assert_array_equal(scores(together), scores(alone))
    assert np.isnan(scores(together)[:, -1]).all()
    assert str(together.best_params_) == str(alone.best_params_)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "alone"),
    [
        (Pipeline([("mlpclassifier", network())]), 0),
        (make_pipeline(FunctionTransformer(lambda x: x / 10), network()), 12),
        (make_pipeline(StandardScaler(), network(solver=lambda: optax.sgd(0.01))), 12),
    ],
    ids=["no preparation", "a lambda prepares", "a lambda trains"],
)
def test_other_pipelines(model: Any, alone: int) -> None:
    """What has no fingerprint is fitted one by one."""
    assert_equal(*search_both(model, GRID, alone=alone))


@pytest.mark.slow
def test_sparse_features_and_lambdas_without_a_pipeline() -> None:
    grid = {"alpha": [1e-4, 10.0]}
    rows = sparse.csr_array(X)
    assert_equal(*search_both(network(), grid, rows), rows)
    assert_equal(*search_both(network(learning_rate=lambda step: 0.01), grid, alone=6))


@pytest.mark.slow
def test_metadata_that_is_routed() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(StandardScaler(), network().set_fit_request(sample_weight=True))
        model[0].set_fit_request(sample_weight=False)
        model[1].set_score_request(sample_weight=True)
        together, alone = search_both(model, GRID, sample_weight=WEIGHTS, alone=12)
    assert_equal(together, alone)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [(LogisticRegression(), "a LogisticRegression"),
     (make_pipeline(StandardScaler(), LogisticRegression()), "ends in a LogisticRegression")],
)  # fmt: skip
def test_other_estimators_are_refused(estimator: Any, named: str) -> None:
    with pytest.raises(TypeError, match=rf"{named}\. Use scikit-learn's GridSearchCV"):
        MLPSearchCV(estimator, {}).fit(X, LABELS)
