"""The first value that is not finite, against a loop that looks at every array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.diagnostics import NonFinite, locate_non_finite

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = (X @ np.ones((3, 1))).astype(np.float32)
CONFIG = jaxmlp.MLPConfig((3, 4, 1), activation="identity")


def options(rate):
    return {"loss": "squared_error", "optimizer": jaxmlp.sgd(rate), "key": jax.random.key(1)}


def by_a_loop(params, rate):
    """Gradient descent on all rows with jax.grad; (step, layer, tensor) of the first overflow."""
    J = jaxmlp.objective(CONFIG, "squared_error")

    def finite(*arrays):
        return all(bool(jnp.isfinite(a).all()) for a in arrays)

    for step in range(100):
        h = X
        for l, layer in enumerate(params):
            for name, array in (("W", layer.W), ("b", layer.b)):
                if not finite(array):
                    return NonFinite(step, l, name)
            h = h @ layer.W + layer.b[None]
            if not finite(h):
                return NonFinite(step, l, "outputs")
        if not finite(J(params, X, Y)):
            return NonFinite(step, 1, "loss")
        grads = jax.grad(J)(params, X, Y)
        for l in (1, 0):
            for name in ("W", "b"):
                if not finite(getattr(grads[l], name)):
                    return NonFinite(step, l, f"gradient of {name}")
        for l in (0, 1):
            for name in ("W", "b"):
                if not finite(rate * getattr(grads[l], name)):
                    return NonFinite(step, l, f"update of {name}")
        params = jax.tree.map(lambda p, g: p - rate * g, params, grads)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("rate", [3.0, 1e3, 1e12, 1e30])
def test_against_a_loop(rate):
    """From a climb over a dozen steps to an overflow at once."""
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    result = jaxmlp.fit(CONFIG, params, (X, Y), epochs=100, batch_size=None, **options(rate))
    assert result.status is jaxmlp.FitStatus.DIVERGED
    found = locate_non_finite(CONFIG, params, (X, Y), result, batch_size=None, **options(rate))
    expected = by_a_loop(params, rate)
    assert found == expected


@pytest.mark.slow
def test_in_the_middle_of_an_epoch_and_chunk():
    """One poisonous row: its batch is found, by the order that `fit` shuffles."""
    x, y = np.ones((64, 3), np.float32), np.ones((64, 1), np.float32)
    x[40] = 3e38  # finite, but twice that is not
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    params = (params[0]._replace(W=jnp.full((3, 4), 1.0)), params[1])
    settings = {**options(1e-3), "batch_size": 4}
    result = jaxmlp.fit(CONFIG, params, (x, y), epochs=3, **settings)
    found = locate_non_finite(CONFIG, params, (x, y), result, **settings)
    assert (found.layer, found.tensor) == (0, "outputs")
    assert str(found) == f"step {found.step}, layer 0: outputs"
    unshuffled = {**settings, "shuffle": False}
    result = jaxmlp.fit(CONFIG, params, (x, y), epochs=3, **unshuffled)
    found = locate_non_finite(CONFIG, params, (x, y), result, **unshuffled)
    assert found == NonFinite(10, 0, "outputs")  # row 40 in batches of 4


def test_a_run_that_stayed_finite():
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    result = jaxmlp.fit(CONFIG, params, (X, Y), epochs=2, **options(1e-3))
    assert locate_non_finite(CONFIG, params, (X, Y), result, **options(1e-3)) is None
