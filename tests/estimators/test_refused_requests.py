"""What scikit-learn's users asked of its MLP for ten years, and its maintainers declined.

Each request is a function of a module with MLPClassifier and MLPRegressor; it passes with ours and
fails with scikit-learn's.
"""

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

sklearn_mlp = pytest.importorskip("sklearn.neural_network")
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

import jaxmlp  # noqa: E402
from jaxmlp import estimators  # noqa: E402

pytestmark = pytest.mark.slow

rng = np.random.default_rng(1)
X = rng.normal(size=(120, 4)).astype(np.float32)
LABELS = (X[:, 0] + 0.8 * rng.normal(size=120) > 1.2).astype(int)  # one in six is 1
Y = X @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.3 * rng.normal(size=120)
SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 30}
REQUESTS: dict[str, Callable[[Any], None]] = {}


def request(threads: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Collect a request, with the threads that made it."""

    def collect(function: Callable[[Any], None]) -> Callable[[Any], None]:
        REQUESTS[f"{function.__name__} ({threads})"] = function
        return function

    return collect


@request("9113, 10588, 11723, 25326, 25646")
def class_weights(module: Any) -> None:
    def recall(**options: Any) -> float:
        model = module.MLPClassifier(**SMALL, learning_rate_init=0.01, **options).fit(X, LABELS)
        return (model.predict(X)[LABELS == 1] == 1).mean()

    assert recall(class_weight="balanced") > recall() + 0.1
    assert recall(class_weight={0: 1.0, 1: 20.0}) > recall() + 0.1


@request("18748")
def own_validation_set_for_early_stopping(module: Any) -> None:
    options = {**SMALL, "max_iter": 200}
    model = module.MLPRegressor(**options, learning_rate_init=0.05, early_stopping=True)
    model.fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    assert model.n_iter_ == len(model.validation_scores_) < 200
    assert model.score(X[80:], Y[80:]) == pytest.approx(model.best_validation_score_, abs=1e-5)


@request("18507, 34976")
def validation_loss_curve(module: Any) -> None:
    model = module.MLPRegressor(**SMALL).fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    last = 0.5 * np.mean((model.predict(X[80:]) - Y[80:]) ** 2)
    assert len(model.validation_loss_curve_) == model.n_iter_
    assert model.validation_loss_curve_[-1] == pytest.approx(last, rel=1e-4)


@request("6175, 7407")
def dropout(module: Any) -> None:
    with_it = module.MLPRegressor(**SMALL, dropout=0.5).fit(X, Y)
    without = module.MLPRegressor(**SMALL).fit(X, Y)
    assert with_it.loss_ > without.loss_
    np.testing.assert_array_equal(with_it.predict(X), with_it.predict(X))


@request("10097")
def activations_by_layer(module: Any) -> None:
    options = {**SMALL, "hidden_layer_sizes": (8, 8)}
    mixed = module.MLPRegressor(**options, activation=["gelu", "tanh"]).fit(X, Y)
    same = module.MLPRegressor(**options, activation="tanh").fit(X, Y)
    assert mixed.loss_ != same.loss_


def square(z: Any) -> Any:
    return z * z


@request("14807")
def activation_of_ones_own(module: Any) -> None:
    own = jaxmlp.Activation.from_function("square", square)
    model = module.MLPRegressor(**SMALL, activation=own).fit(X, Y)
    hidden = (X @ model.coefs_[0] + model.intercepts_[0]) ** 2
    expected = (hidden @ model.coefs_[1] + model.intercepts_[1]).ravel()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4, atol=1e-5)


@request("14571")
def mean_absolute_error(module: Any) -> None:
    spoilt = np.where(np.arange(120) % 12 == 0, 300.0, 1.0)  # the median is 1
    options = {**SMALL, "hidden_layer_sizes": (1,), "max_iter": 300, "learning_rate_init": 0.05}
    model = module.MLPRegressor("absolute_error", **options).fit(np.zeros((120, 1)), spoilt)
    assert model.predict(np.zeros((1, 1)))[0] == pytest.approx(1.0, abs=0.2)


@request("sdpython/mlinsights 20")
def quantiles(module: Any) -> None:
    options = {**SMALL, "max_iter": 300, "learning_rate_init": 0.05}
    model = module.MLPRegressor("quantile", loss_options={"quantile": 0.9}, **options).fit(X, Y)
    assert 0.82 < (model.predict(X) > Y).mean() < 0.98


def log_cosh(logits: Any, targets: Any) -> Any:
    return jnp.sum(jnp.log(jnp.cosh(logits - targets)), axis=1)


@request("14571")
def loss_of_ones_own(module: Any) -> None:
    loss = jaxmlp.Loss.from_value("log_cosh", log_cosh)
    model = module.MLPRegressor(loss, **SMALL, alpha=0.0).fit(X, Y, X_val=X, y_val=Y)
    expected = np.mean(np.log(np.cosh(model.predict(X) - Y)))
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-4)


@request("9232, 10793")
def initial_weights(module: Any) -> None:
    first = module.MLPRegressor(**SMALL).fit(X, Y)
    options = {**SMALL, "max_iter": 1, "learning_rate_init": 1e-9}
    given = {"coefs_init": first.coefs_, "intercepts_init": first.intercepts_}
    second = module.MLPRegressor(**options).fit(X, Y, **given)
    np.testing.assert_allclose(second.predict(X), first.predict(X), rtol=1e-4, atol=1e-5)


@request("12947")
def frozen_layers(module: Any) -> None:
    model = module.MLPRegressor(**SMALL, warm_start=True).fit(X, Y)
    before = [W.copy() for W in model.coefs_]
    model.set_params(frozen_layers=[0]).fit(X, -Y)
    np.testing.assert_array_equal(model.coefs_[0], before[0])
    assert not np.array_equal(model.coefs_[1], before[1])


@request("5945, NVIDIA/cuml 5895")
def choice_of_device(module: Any) -> None:
    assert module.MLPRegressor(**SMALL, device="cpu").fit(X, Y).n_iter_ == 30


@request("18507")
def callbacks(module: Any) -> None:
    losses = []

    def stop_after_five(progress: Any) -> bool:
        losses.append(progress.row["train_loss"])
        assert progress.result().predict(X[:1]).shape == (1,)
        return progress.epoch == 5

    model = module.MLPRegressor(**SMALL, callbacks=[stop_after_five]).fit(X, Y)
    assert model.n_iter_ == 5
    assert losses == model.loss_curve_


@request("33322")
def scikit_learns_callbacks(module: Any) -> None:
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="r2")
    model = module.MLPRegressor(**{**SMALL, "max_iter": 4}).set_callbacks(monitor)
    model.fit(X, Y)
    log = monitor.get_logs()
    rows = [row for row in log.data if row["task_name"] == "epoch"]
    assert len(rows) == 4
    assert rows[-1]["r2"] == pytest.approx(model.score(X, Y))


@request("skorch, optax")
def any_schedule_and_clipping(module: Any) -> None:
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.05, 10, 30)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers and floats
        model = module.MLPRegressor(**SMALL, learning_rate=schedule, clip_norm=1.0).fit(X, Y)
    assert model.score(X, Y) > 0.5


@request("skorch")
def batch_normalization(module: Any) -> None:
    options = {**SMALL, "max_iter": 100, "learning_rate_init": 0.02}
    model = module.MLPRegressor(**options, batch_norm=True).fit(1000 * X + 500, Y)
    assert model.score(1000 * X + 500, Y) > 0.8


@request("sklearn discussions: calibration")
def label_smoothing(module: Any) -> None:
    options = {**SMALL, "max_iter": 400, "learning_rate_init": 0.05, "n_iter_no_change": 400}
    smooth = module.MLPClassifier(**options, label_smoothing=0.2).fit(X, X[:, 0] > 0)
    hard = module.MLPClassifier(**options).fit(X, X[:, 0] > 0)
    sure = [(model.predict_proba(X).max(axis=1) > 0.97).mean() for model in (smooth, hard)]
    assert sure[0] < 0.2
    assert sure[1] > 0.8


@request("functorch 782, equinox 144")
def ensembles(module: Any) -> None:
    model = module.MLPRegressor(**SMALL, n_ensemble=3).fit(X, Y)
    members = []
    for m in range(3):
        hidden = np.maximum(X @ model.coefs_[0][m] + model.intercepts_[0][m], 0)
        members.append(hidden @ model.coefs_[1][m] + model.intercepts_[1][m])
    np.testing.assert_allclose(model.predict(X), np.mean(members, 0).ravel(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(members[0], members[1])


@request("every table with words in it")
def tables_as_people_have_them(module: Any) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"size": X[:, 0] * 1e4, "town": np.where(X[:, 1] > 0, "A", "B")})
    frame.loc[::7, "size"] = np.nan
    options = {**SMALL, "max_iter": 200, "learning_rate_init": 0.02}
    model = module.MLPClassifier(**options, preprocessing="auto").fit(frame, X[:, 1] > 0)
    assert model.score(frame, X[:, 1] > 0) == 1.0


def fulfil(wish: str, module: ModuleType) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        REQUESTS[wish](module)


@pytest.mark.parametrize("wish", REQUESTS)
def test_ours_does_it(wish: str) -> None:
    fulfil(wish, estimators)


@pytest.mark.parametrize("wish", REQUESTS)
def test_scikit_learn_does_not(wish: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        fulfil(wish, sklearn_mlp)
