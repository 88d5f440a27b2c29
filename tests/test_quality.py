"""What is learnt from real data: the accuracies that the README promises."""

import os

import jax
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.cli.prepared_data import load_data_set


def accuracy(prepared, hidden, seed, *, epochs, batch_size, optimizer, gradient="manual"):
    """Train as the command does; return the accuracy on the test part and the history."""
    config = jaxmlp.MLPConfig((prepared.train.x.shape[1], *hidden, 10))
    result = jaxmlp.fit(
        config,
        jaxmlp.init(config, jax.random.key(seed)),
        (prepared.train.x, prepared.train.y),
        loss="softmax_cross_entropy",
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        key=jax.random.key(seed + 1),
        validation_data=(prepared.validation.x, prepared.validation.y),
        gradient=gradient,
    )
    test = (prepared.test.x, prepared.test.y)
    found = jaxmlp.evaluate(config, result.params, test, "softmax_cross_entropy")["accuracy"]
    return found, result.history


@pytest.mark.slow
def test_digits_with_the_defaults_of_the_command():
    """64-128-10, Adam 1e-3, batch 64, 30 epochs: mean over 5 seeds and splits."""
    found = []
    for seed in range(5):
        prepared = load_data_set("digits", None, seed)
        found.append(
            accuracy(prepared, (128,), seed, epochs=30, batch_size=64, optimizer=jaxmlp.adam(1e-3))[
                0
            ]
        )
    assert np.mean(found) >= 0.97


@pytest.mark.slow
def test_manual_and_autodiff_learn_digits_alike():
    """The same loss curve to 1e-5, in float32."""
    prepared, curves = load_data_set("digits", None, 0), []
    for gradient in ("manual", "autodiff"):
        options = {"epochs": 30, "batch_size": 64, "optimizer": jaxmlp.adam(1e-3)}
        _, history = accuracy(prepared, (128,), 0, gradient=gradient, **options)
        curves.append(history)
    for column in ("train_loss", "validation_loss"):
        np.testing.assert_allclose(curves[0][column], curves[1][column], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    "JAXMLP_DATA_DIR" not in os.environ,
    reason="set JAXMLP_DATA_DIR to the folder with mnist/ and fashion_mnist/",
)
@pytest.mark.parametrize(("name", "least"), [("mnist", 0.978), ("fashion-mnist", 0.885)])
def test_larger_images(name, least):
    """784-512-256-10; six epochs of a cosine schedule are enough."""
    prepared, epochs, batch_size = load_data_set(name, None, 0), 6, 128
    steps = epochs * -(-len(prepared.train.x) // batch_size)
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules count on it
        optimizer = jaxmlp.adam(optax.cosine_decay_schedule(1e-3, steps))
        found, _ = accuracy(
            prepared, (512, 256), 0, epochs=epochs, batch_size=batch_size, optimizer=optimizer
        )
    assert found >= least
