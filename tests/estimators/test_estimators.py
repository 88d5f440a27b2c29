"""What a fitted estimator is: kept, copied, fed with tables, and honest about bad input."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp import models
from jaxmlp.estimators import MLPClassifier, MLPRegressor
from jaxmlp.testing import assert_compiles
from jaxmlp.training.data import bucket

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(3)
X = rng.normal(size=(50, 4)).astype(np.float32)
LABELS = np.where(X[:, 0] > 0, "yes", "no")
Y = X @ np.array([1.0, 2.0, 0.0, -1.0], np.float32)
SMALL: dict[str, Any] = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 5}


@pytest.fixture(scope="module")
def classifier() -> MLPClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier(**SMALL).fit(X, LABELS)


@pytest.mark.parametrize("way", ["pickle", "joblib", "skops", "model file"])
def test_kept_in_files(classifier: MLPClassifier, tmp_path: Path, way: str) -> None:
    path = tmp_path / "model.safetensors"
    if way == "pickle":
        again = pickle.loads(pickle.dumps(classifier))
    elif way == "joblib":
        joblib = pytest.importorskip("joblib")
        joblib.dump(classifier, path)
        again = joblib.load(path)
    elif way == "skops":
        skops = pytest.importorskip("skops.io")
        content = skops.dumps(classifier)
        unknown = skops.get_untrusted_types(data=content)
        assert all(name.startswith("jaxmlp.") for name in unknown)
        again = skops.loads(content, trusted=unknown)
    else:
        models.save(path, classifier.to_model())
        again = MLPClassifier.from_model(models.load(path))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), classifier.predict(X))
    again.set_params(warm_start=True).fit(X, LABELS)  # and it goes on learning


def test_rows_share_a_program(classifier: MLPClassifier) -> None:
    """However many rows there are, up to the capacity, and whatever the numbers."""
    options = {**SMALL, "random_state": 1, "max_iter": 3}
    with assert_compiles(0):
        for n_rows in (33, 47, 64):
            x = rng.normal(size=(n_rows, 4))
            MLPClassifier(**options, alpha=0.1).fit(x, x[:, 0] > 0)
    assert all(n <= bucket(n) <= max(32, 2 * n) for n in range(1, 3000, 7))


def test_tables_of_pandas_and_polars(classifier: MLPClassifier) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {name: X[:, i] for i, name in enumerate("abcd")}
    for frame in (pandas.DataFrame(columns), polars.DataFrame(columns)):
        model = MLPClassifier(**SMALL).fit(frame, LABELS)
        assert model.feature_names_in_.tolist() == list("abcd")
        np.testing.assert_array_equal(model.predict(frame), classifier.predict(X))
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame[["b", "a", "c", "d"]])


def test_pipelines_and_clones(classifier: MLPClassifier) -> None:
    pipeline = make_pipeline(StandardScaler(), clone(classifier))
    assert pipeline.fit(X, LABELS).predict(X).shape == (50,)


def test_hidden_features(classifier: MLPClassifier) -> None:
    expected = np.maximum(X @ classifier.coefs_[0] + classifier.intercepts_[0], 0)
    np.testing.assert_allclose(classifier.hidden_features(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_automatic_preprocessing_survives_a_file(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"size": 1e3 * X[:, 0], "town": np.where(X[:, 1] > 0, "A", "B")})
    frame.loc[3, "size"] = np.nan
    model = MLPRegressor(**SMALL, preprocessing="auto").fit(frame, 1000 + 50 * Y)
    assert abs(model.predict(frame).mean() - 1000) < 50
    models.save(tmp_path / "m.safetensors", model.to_model())
    again = MLPRegressor.from_model(models.load(tmp_path / "m.safetensors"))
    np.testing.assert_allclose(again.predict(frame), model.predict(frame), rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "fit", "message"),
    [
        ({"activation": "rleu"}, {}, "'activation' parameter of MLPClassifier must be"),
        ({"hidden_layer_sizes": (3, 0)}, {}, "hidden_layer_sizes must be > 0"),
        ({"activation": ["relu", "tanh"]}, {}, "activation has 2 entries"),
        ({"solver": "lbfgs", "dropout": 0.1}, {}, "neither dropout nor batch_norm"),
        ({"frozen_layers": [7]}, {}, "frozen names layer 7"),
        ({"device": "abacus"}, {}, "there is no device 'abacus'"),
        ({}, {"sample_weight": np.zeros(50)}, "at least one non-zero"),
        ({}, {"sample_weight": -np.ones(50)}, "[Nn]egative"),
        ({}, {"X_val": X}, "X_val and y_val belong together"),
        ({}, {"X_val": X, "y_val": np.full(50, "maybe")}, "classes not in"),
        ({}, {"coefs_init": [np.ones((4, 8))]}, "coefs_init has 1 entries"),
        ({}, {"coefs_init": [np.ones((4, 9)), None]}, "needs \\(4, 8\\)"),
    ],
)
def test_bad_requests_get_one_sentence(
    parameters: dict[str, Any], fit: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{**SMALL, **parameters}).fit(X, LABELS, **fit)


def test_divergence_says_so() -> None:
    model = MLPRegressor(**SMALL, solver="sgd", learning_rate_init=1e3, activation="identity")
    with (
        pytest.warns(ConvergenceWarning, match="not finite in epoch"),
        pytest.raises(ValueError, match="non-finite parameter weights"),
    ):
        model.fit(1e3 * X, Y)


def test_verbose_prints_scikit_learns_lines(capsys: pytest.CaptureFixture[str]) -> None:
    model = MLPClassifier(**SMALL, verbose=True).fit(X, LABELS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"Iteration 5, loss = {model.loss_:.8f}"
    assert len(lines) == 5


@pytest.mark.slow
def test_an_ensemble_is_its_members() -> None:
    """Members trained at once are what each is alone, from its own weights and shuffles."""
    options = {**SMALL, "dtype": "float64", "batch_size": 20}
    both = MLPRegressor(**options, n_ensemble=2).fit(X, Y)
    assert both.coefs_[0].shape == (2, 4, 8)
    assert not np.allclose(both.coefs_[0][0], both.coefs_[0][1])
    with pytest.raises(ValueError, match="an ensemble is several networks"):
        both.to_model()
    with pytest.raises(ValueError, match="coefs_init"):
        both.fit(X, Y, coefs_init=both.coefs_[:1])
    halves = [
        np.maximum(X @ both.coefs_[0][m] + both.intercepts_[0][m], 0) @ both.coefs_[1][m]
        + both.intercepts_[1][m]
        for m in (0, 1)
    ]
    np.testing.assert_allclose(both.predict(X), np.mean(halves, axis=0).ravel(), rtol=1e-9)


def test_ctrl_c_keeps_what_was_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    def press(progress: Any) -> None:
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    model = MLPClassifier(**SMALL, callbacks=[press])
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, LABELS)
    assert model.n_iter_ == 2
    assert model.predict(X).shape == (50,)
