"""Temperature against a search by scipy, reliability against scikit-learn and numbers by hand."""

import jax
import numpy as np
import pytest
import scipy.optimize
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

import jaxmlp
from jaxmlp.models import Model, calibrate, fit_temperature, infer, reliability
from jaxmlp.report.calibration import reliability_diagram

RNG = np.random.default_rng(0)
# Labels drawn from softmax(z): logits 3 z are three times too sure of themselves.
Z = RNG.normal(size=(4000, 3))
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
Y = (P.cumsum(axis=1) < RNG.random((4000, 1))).sum(axis=1)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_the_temperature_is_the_best_one(scale):
    T = fit_temperature(scale * Z, Y)
    search = scipy.optimize.minimize_scalar(
        lambda t: log_loss(Y, softmax(scale * Z / np.exp(t)), labels=range(3)), bounds=(-4, 4),
        method="bounded", options={"xatol": 1e-10},
    )  # fmt: skip
    assert pytest.approx(np.exp(search.x), rel=1e-5) == T
    assert pytest.approx(scale, rel=0.1) == T  # by construction


def test_two_classes_with_one_logit():
    z = RNG.normal(size=(500, 1))
    y = (RNG.random(500) < 1 / (1 + np.exp(-z[:, 0]))).astype(int)
    both = np.hstack([np.zeros_like(z), 2 * z])
    assert fit_temperature(2 * z, y) == pytest.approx(fit_temperature(both, y), rel=1e-9)


def test_reliability_against_scikit_learn():
    p = RNG.uniform(0.5, 1, 1000)
    y = (RNG.random(1000) < p**2).astype(int)
    found = reliability(np.stack([1 - p, p], axis=1), y, bins=10)
    accuracy, confidence = calibration_curve(y, p, n_bins=10)
    np.testing.assert_allclose(found.accuracy, accuracy)
    np.testing.assert_allclose(found.confidence, confidence)
    assert found.rows.sum() == 1000
    sure = reliability(np.array([[1.0, 0.0], [1.0, 0.0], [0.4, 0.6]]), np.array([0, 1, 1]), bins=2)
    assert sure.rows.tolist() == [3]
    assert sure.error == pytest.approx(abs(2.6 / 3 - 2 / 3))


def test_calibration_keeps_the_classes_and_lowers_the_error():
    config = jaxmlp.MLPConfig((3, 3))
    params = jaxmlp.init(config, jax.random.key(0))
    layer = params[0]._replace(W=3.0 * np.eye(3, dtype=np.float32))
    model = Model(config, (layer,), class_names=("a", "b", "c"))
    x = Z.astype(np.float32)
    better, T = calibrate(model, x[:2000], Y[:2000])
    assert better.metrics == {"temperature": T}
    before, after = infer(model, x[2000:]), infer(better, x[2000:])
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    first, second = reliability(before, Y[2000:]), reliability(after, Y[2000:])
    assert second.error < 0.03 < 0.1 < first.error
    figure = reliability_diagram({"before": first, "after": second})
    assert [text.get_text()[:6] for text in figure.axes[0].texts] == ["before", "after:"]


@pytest.mark.parametrize(
    ("logits", "y", "message"),
    [
        (10 * np.eye(3), np.arange(3), "all right by a margin"),
        (np.eye(3), (np.arange(3) + 1) % 3, "say nothing"),
        (np.eye(3), np.ones(3), "class indices"),
        (np.eye(3), np.arange(2), "pass 3 class indices"),
    ],
)
def test_what_has_no_temperature(logits, y, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, y)


def test_what_cannot_be_calibrated():
    config = jaxmlp.MLPConfig((3, 2))
    params = jaxmlp.init(config, jax.random.key(0))
    for loss in ("squared_error", "sigmoid_binary_cross_entropy"):
        with pytest.raises(ValueError, match="needs a classifier that picks one class"):
            calibrate(Model(config, params, loss=loss), Z, Y)
    with pytest.raises(ValueError, match="y has shape"):
        reliability(P, Y[:5])
    with pytest.raises(ValueError, match="give 1 to 4"):
        reliability_diagram({})
