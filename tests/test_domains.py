"""Every loss has a domain, of its targets and of its options, and every door keeps to it."""

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp import diagnostics
from jaxmlp.estimators import MLPClassifier, MLPRegressor, MLPSearchCV
from jaxmlp.losses import LOSSES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
KEY = jax.random.key(0)


RUN = {"epochs": 1, "key": KEY}


def fit(config, data, loss, **options):
    params, rule = jaxmlp.init(config, KEY), jaxmlp.optimizers.sgd(0.1)
    return jaxmlp.fit(config, params, data, loss=loss, optimizer=rule, **RUN, **options)


def sweep(config, data, loss, **options):
    return jaxmlp.sweep(config, data, loss=loss, grid={"seed": [0, 1]}, **RUN, **options)


def cross_validate(config, data, loss, **options):
    return jaxmlp.cross_validate(config, data, loss=loss, folds=2, **RUN, **options)


def ensemble(config, data, loss, **options):
    return jaxmlp.ensemble(config, data, loss=loss, n_members=2, **RUN, **options)


def evaluate(config, data, loss, **options):
    return jaxmlp.evaluate(config, jaxmlp.init(config, KEY), data, loss, **options)


def diagnose(config, data, loss, **options):
    return diagnostics.diagnose(config, jaxmlp.init(config, KEY), data, loss=loss, **options)


def validation(config, data, loss, **options):
    x, y = data
    right = np.zeros_like(y)
    right[..., :1] = 1  # a count, a yes, or the first class for sure
    return fit(config, (x, right), loss, validation_data=data, **options)


DOORS = [fit, sweep, cross_validate, ensemble, evaluate, diagnose]

BAD_TARGETS = {
    "poisson": (1, np.where(np.arange(40) == 7, -1.0, 2.0), "a count below 0: -1 at row 7"),
    "sigmoid_binary_cross_entropy": (
        1, np.where(np.arange(40) == 7, 1.5, 0.0), r"a value outside \[0, 1\]: 1.5 at row 7"
    ),
    "softmax_cross_entropy": (2, np.full((40, 2), 0.4), "soft labels that do not sum to 1"),
}  # fmt: skip


@pytest.mark.parametrize("loss", BAD_TARGETS)
@pytest.mark.parametrize("door", [*DOORS, validation])
def test_targets_outside_the_domain(door, loss):
    n_out, y, message = BAD_TARGETS[loss]
    with pytest.raises(ValueError, match=message):
        door(jaxmlp.MLPConfig((3, 4, n_out)), (X, y.astype(np.float32)), loss)


BAD_OPTIONS = [
    ("quantile", {"quantile": 1.0}, r"quantile is 1, but must lie in \(0, 1\)"),
    ("quantile", {"quantile": 0}, "quantile is 0"),
    ("huber", {"delta": 0.0}, r"delta is 0, but must lie in \(0, inf\)"),
    ("huber", {"delta": np.nan}, "delta is nan"),
    ("softmax_cross_entropy", {"label_smoothing": -0.1}, r"label_smoothing is -0.1.*\[0, 1\)"),
    ("softmax_cross_entropy", {"label_smoothing": 2}, "label_smoothing is 2"),
    ("sigmoid_binary_cross_entropy", {"label_smoothing": 1.0}, "label_smoothing is 1"),
    ("huber", {"delta": "wide"}, "delta is 'wide', but must be a number"),
]


@pytest.mark.parametrize(("loss", "options", "message"), BAD_OPTIONS)
@pytest.mark.parametrize("door", DOORS)
def test_options_outside_the_domain(door, loss, options, message):
    softmax = loss == "softmax_cross_entropy"
    y = np.arange(40) % 2 if softmax else (np.arange(40) % 2).astype(np.float32)
    with pytest.raises((ValueError, TypeError), match=message):
        door(jaxmlp.MLPConfig((3, 4, 1 + softmax)), (X, y), loss, loss_options=options)


def test_a_grid_outside_the_domain():
    with pytest.raises(ValueError, match="label_smoothing is 2"):
        jaxmlp.sweep(
            jaxmlp.MLPConfig((3, 4, 2)), (X, np.arange(40) % 2), **RUN,
            loss="softmax_cross_entropy", grid={"label_smoothing": [0.1, 2]},
        )  # fmt: skip


COUNTS = np.where(np.arange(40) == 7, -1.0, 2.0)
FITS = {
    "fit": lambda y: MLPRegressor("poisson", max_iter=1).fit(X, y),
    "lbfgs": lambda y: MLPRegressor("poisson", solver="lbfgs", max_iter=1).fit(X, y),
    "partial_fit": lambda y: MLPRegressor("poisson").partial_fit(X, y),
    "preprocessing": lambda y: MLPRegressor("poisson", preprocessing="auto", max_iter=1).fit(X, y),
    "validation": lambda y: MLPRegressor("poisson", early_stopping=True, max_iter=1).fit(
        X, abs(y), X_val=X, y_val=y
    ),
    "search": lambda y: MLPSearchCV(
        MLPRegressor("poisson", max_iter=1), {"alpha": [0, 1]}, cv=2, error_score="raise"
    ).fit(X, y),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("way", FITS)
def test_the_regressor_refuses_negative_counts(way):
    with pytest.raises(ValueError, match="a count below 0: -1 at row"):
        FITS[way](COUNTS)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (MLPRegressor("quantile", loss_options={"quantile": 1.5}), "quantile is 1.5"),
        (MLPRegressor("huber", loss_options={"delta": -1}), "delta is -1"),
        (MLPClassifier(loss_options={"label_smoothing": 1.0}), "label_smoothing is 1"),
    ],
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_estimators_refuse_options(estimator, message, solver):
    y = np.arange(40) % 2
    with pytest.raises(ValueError, match=message):
        estimator.set_params(solver=solver).fit(X, y if "Classifier" in str(estimator) else y * 1.0)


def test_every_option_has_a_range():
    logits, targets = np.ones((2, 2), np.float32), np.ones((2, 2)) / 2
    for loss in LOSSES.values():
        for name, default in loss.options:
            loss.value_and_grad(logits, targets, **{name: default})
            with pytest.raises(ValueError, match=f"{name} is -1"):
                loss.value_and_grad(logits, targets, **{name: -1.0})
