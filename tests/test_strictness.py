"""The library in a strict process, and in several threads at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.estimators import MLPClassifier, MLPRegressor

X = np.random.default_rng(0).normal(size=(80, 4))
STRICT = {
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_CHECK_TRACER_LEAKS": "1",
    "JAX_DEBUG_NANS": "1",
    "JAX_DEBUG_INFS": "1",
}
ESTIMATORS = """
import warnings
import numpy as np
from jaxmlp.estimators import MLPClassifier, MLPRegressor, MLPSearchCV

warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(80, 4))
y, labels = X[:, 0], np.arange(80) % 3
options = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
for more in (
    {}, {"solver": "sgd", "learning_rate": "adaptive"}, {"solver": "lbfgs"},
    {"solver": "sgd", "learning_rate": "invscaling"}, {"early_stopping": True},
    {"n_ensemble": 2}, {"batch_norm": True},
    {"dropout": 0.2, "learning_rate": "cosine"}, {"dtype": "float64"}, {"clip_norm": 1.0},
):
    model = MLPClassifier(**options, **more).fit(X, labels, np.arange(1, 81.0))
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(MLPRegressor(**options, **more).fit(X, y).predict(X)).all()
MLPClassifier(**options).partial_fit(X, labels, classes=[0, 1, 2]).partial_fit(X, labels)
MLPSearchCV(MLPRegressor(**options), {"alpha": [0.0, 0.1]}, cv=2).fit(X, y).predict(X)
"""


@pytest.mark.slow
@pytest.mark.parametrize("setting", STRICT)
def test_the_estimators_in_a_strict_process(setting):
    environment = {**os.environ, setting: STRICT[setting]}
    done = subprocess.run(
        [sys.executable, "-c", ESTIMATORS], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]


def fit(seed):
    config = jaxmlp.MLPConfig((4, 8, 1))
    result = jaxmlp.fit(
        config, jaxmlp.init(config, jax.random.key(seed)), (X.astype(np.float32), X[:, 0]),
        loss="squared_error", optimizer=jaxmlp.optimizers.adam(1e-2), epochs=20,
        key=jax.random.key(seed),
    )  # fmt: skip
    return jax.tree.leaves(jax.device_get(result.params))


def classify(dtype):
    model = MLPClassifier((8,), max_iter=20, random_state=0, dtype=dtype)
    return model.fit(X, np.arange(80) % 3).coefs_


def regress(solver):
    model = MLPRegressor(
        hidden_layer_sizes=(8,), solver=solver, max_iter=20, random_state=0, dtype="float64"
    )
    return model.fit(X, X[:, 0]).coefs_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_threads_are_equal_to_one_after_another():
    work = [
        (fit, 0), (classify, "float64"), (classify, "float32"), (regress, "adam"), (fit, 1),
        (regress, "lbfgs"),
    ]  # fmt: skip
    expected = [function(argument) for function, argument in work]
    with ThreadPoolExecutor(len(work)) as pool:
        for _ in range(3):
            futures = [pool.submit(function, argument) for function, argument in work]
            for future, known in zip(futures, expected, strict=True):
                for found, leaf in zip(future.result(timeout=300), known, strict=True):
                    assert found.dtype == leaf.dtype
                    np.testing.assert_array_equal(found, leaf)
