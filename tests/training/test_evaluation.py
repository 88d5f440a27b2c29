"""Metrics against scikit-learn's."""

import jax
import numpy as np
import pytest
from sklearn import metrics

import jaxmlp
from jaxmlp.training import evaluate
from jaxmlp.training.metrics import finish, metric_sums, target_spread, total

predict = jax.jit(jaxmlp.predict)


def network(n_out, seed=0):
    config = jaxmlp.MLPConfig((4, 8, n_out), "tanh", weight_init="xavier_normal")
    return config, jaxmlp.init(config, jax.random.key(seed))


@pytest.mark.parametrize("n_rows", [1, 37, 9000])
@pytest.mark.parametrize("weighted", [False, True])
def test_classification(n_rows, weighted):
    rng = np.random.default_rng(0)
    config, params = network(3)
    x, y = rng.normal(size=(n_rows, 4)).astype(np.float32), rng.integers(0, 3, n_rows)
    weight = rng.uniform(0.5, 2, n_rows) if weighted else None
    found = evaluate(config, params, (x, y), "softmax_cross_entropy", sample_weight=weight)
    logits = np.asarray(predict(config, params, x), np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = metrics.log_loss(y, p, sample_weight=weight, labels=[0, 1, 2])
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
    expected = metrics.accuracy_score(y, p.argmax(axis=1), sample_weight=weight)
    np.testing.assert_allclose(found["accuracy"], expected, rtol=1e-6)


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_regression(n_out, weighted):
    rng = np.random.default_rng(1)
    config, params = network(n_out)
    x = rng.normal(size=(50, 4)).astype(np.float32)
    y = 1000 + rng.normal(size=(50, n_out))
    weight = rng.uniform(0.5, 2, 50) if weighted else None
    found = evaluate(config, params, (x, y), "squared_error", sample_weight=weight)
    outputs = np.asarray(predict(config, params, x), np.float64)
    mse = metrics.mean_squared_error(y, outputs, sample_weight=weight)
    np.testing.assert_allclose(found["rmse"], np.sqrt(mse), rtol=1e-5)
    np.testing.assert_allclose(found["loss"], n_out * mse / 2, rtol=1e-5)
    r2 = metrics.r2_score(y, outputs, sample_weight=weight)
    np.testing.assert_allclose(found["r2"], r2, rtol=1e-4)


def test_poisson_is_measured_on_rates():
    rng = np.random.default_rng(2)
    config, params = network(1)
    x, y = rng.normal(size=(40, 4)).astype(np.float32), rng.poisson(2.0, 40).astype(float)
    found = evaluate(config, params, (x, y), "poisson")
    rates = np.exp(np.asarray(predict(config, params, x), np.float64))[:, 0]
    np.testing.assert_allclose(found["rmse"], metrics.root_mean_squared_error(y, rates), rtol=1e-5)


def test_several_questions_a_row():
    rng = np.random.default_rng(3)
    config, params = network(3)
    x, y = rng.normal(size=(40, 4)).astype(np.float32), rng.integers(0, 2, (40, 3))
    found = evaluate(config, params, (x, y), "sigmoid_binary_cross_entropy")
    right = (np.asarray(predict(config, params, x)) > 0) == y
    np.testing.assert_allclose(found["accuracy"], right.mean(), rtol=1e-6)


def test_soft_labels_count_their_largest():
    rng = np.random.default_rng(4)
    config, params = network(3)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    y = rng.dirichlet(np.ones(3), 40)
    found = evaluate(config, params, (x, y), "softmax_cross_entropy")
    right = np.asarray(predict(config, params, x)).argmax(1) == y.argmax(1)
    np.testing.assert_allclose(found["accuracy"], right.mean(), rtol=1e-6)


def test_the_first_of_equal_outputs_wins():
    """As numpy's argmax has it; an untrained network with zero weights is right by chance only."""
    loss = jaxmlp.LOSSES["softmax_cross_entropy"]
    outputs = np.array([[1, 1, 0], [1, 1, 0], [0, 2, 2], [0, 2, 2], [3, 1, 2]], np.float32)
    labels = np.array([0, 1, 1, 2, 0], np.int32)
    weight = np.ones(5, np.float32)
    sums = total(metric_sums(loss, outputs, labels, weight, {"label_smoothing": 0.0}))
    assert float(sums.score[0]) == np.sum(outputs.argmax(axis=1) == labels) == 3


def test_batch_norm_uses_the_running_statistics():
    config = jaxmlp.MLPConfig((4, 8, 3), batch_norm=True)
    params, state = jaxmlp.init(config, jax.random.key(0)), jaxmlp.init_state(config)
    x, y = np.ones((5, 4), np.float32), np.zeros(5, int)
    found = evaluate(config, params, (x, y), "softmax_cross_entropy", state=state)
    logits = np.asarray(predict(config, params, x, state=state), np.float64)
    expected = (np.log(np.exp(logits).sum(1)) - logits[:, 0]).mean()
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)


def test_no_weight_is_no_metric():
    loss = jaxmlp.LOSSES["squared_error"]
    zero = np.zeros(3, np.float32)
    ones = np.ones((3, 1), np.float32)
    sums = total(metric_sums(loss, ones, ones, zero, {}))
    assert np.isnan(finish(loss, sums, np.ones(1, np.float32))).all()


def test_spread_is_the_variance():
    y = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_array_equal(target_spread(jaxmlp.LOSSES["huber"], y), [1.0, 0.0])
