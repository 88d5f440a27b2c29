"""The deviance of counts, against scikit-learn's."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance

from jaxmlp.losses import LOSSES
from jaxmlp.losses.deviance import exact_losses, to_deviance


def exact(y):
    return exact_losses(LOSSES["poisson"], y).mean()


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("mean", [0.3, 5.0, 400.0])
def test_deviance_of_a_loss(mean):
    y = RNG.poisson(mean, 200).astype(np.float32)  # 0 among them
    log_rates = np.log(mean) + RNG.normal(0, 0.2, 200).astype(np.float32)
    values, _ = LOSSES["poisson"].value_and_grad(jnp.asarray(log_rates[:, None]), jnp.asarray(y))
    loss = float(np.mean(np.asarray(values, np.float64)))
    expected = mean_poisson_deviance(y, np.exp(log_rates.astype(np.float64)))
    assert to_deviance(loss, exact(y)) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_an_exact_prediction_has_none():
    y = np.array([0.0, 1.0, 7.0])
    assert exact(y) == pytest.approx(np.mean([0.0, 1.0, 7 - 7 * np.log(7)]), rel=1e-12)
    assert to_deviance(exact(y), exact(y)) == 0


def test_of_several_outputs_and_of_other_losses():
    y = np.array([[1.0, 7.0], [0.0, 2.0]])
    alone = [exact_losses(LOSSES["poisson"], column) for column in y.T]
    np.testing.assert_allclose(exact_losses(LOSSES["poisson"], y), sum(alone))
    assert exact_losses(LOSSES["squared_error"], y).tolist() == [0.0, 0.0]
