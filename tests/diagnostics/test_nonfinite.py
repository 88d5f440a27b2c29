"""The first value that is not finite, against a loop that looks at every array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import by_a_loop

import jaxmlp
from jaxmlp.diagnostics import Diagnostics, NonFinite

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = (X @ np.ones((3, 1))).astype(np.float32)
CONFIG = jaxmlp.MLPConfig((3, 4, 1), activation="identity")


def options(rate):
    return {"loss": "squared_error", "optimizer": jaxmlp.sgd(rate), "key": jax.random.key(1)}


def located(params, data, epochs=100, **settings):
    """What diagnostics say of a run, and the run."""
    result = jaxmlp.fit(CONFIG, params, data, epochs=epochs, diagnostics=Diagnostics(), **settings)
    return result.diagnostics.non_finite, result


@pytest.mark.slow
@pytest.mark.parametrize("rate", [3.0, 1e3, 1e12, 1e30])
def test_against_a_loop(rate):
    """From a climb over a dozen steps to an overflow at once."""
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    found, result = located(params, (X, Y), batch_size=None, **options(rate))
    assert result.status is jaxmlp.FitStatus.DIVERGED
    assert found == by_a_loop(CONFIG, params, X, Y, rate)


@pytest.mark.slow
def test_in_the_middle_of_an_epoch_and_chunk():
    """One poisonous row: its batch is found, by the order that `fit` shuffles."""
    x, y = np.ones((64, 3), np.float32), np.ones((64, 1), np.float32)
    x[40] = 3e38  # finite, but twice that is not
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    params = (params[0]._replace(W=jnp.full((3, 4), 1.0)), params[1])
    settings = {**options(1e-3), "batch_size": 4, "epochs": 3}
    found, _ = located(params, (x, y), **settings)
    assert (found.layer, found.tensor) == (0, "outputs")
    assert str(found) == f"step {found.step}, layer 0: outputs"
    found, _ = located(params, (x, y), shuffle=False, **settings)
    assert found == NonFinite(10, 0, "outputs")  # row 40 in batches of 4


def test_a_run_that_stayed_finite():
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    assert located(params, (X, Y), epochs=2, **options(1e-3))[0] is None
