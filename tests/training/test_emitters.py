"""Tests compile with another emitter than XLA's default one: training computes the same bits."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxmlp import MLPConfig, adam, fit, init, sgd

_NETWORKS = [
    (MLPConfig((10, 32, 16, 3), activation="tanh"), {}),
    (MLPConfig((10, 32, 3), activation="gelu", dropout=True), {"dropout_rate": 0.2}),
    (MLPConfig((10, 32, 3), activation="silu", batch_norm=True), {"l2": 1e-3}),
    (MLPConfig((10, 150, 3), activation="relu"), {"gradient": "autodiff"}),
]


def trained():
    """What each network learns in three epochs, and what was recorded, as one vector each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 10)).astype(np.float32)
    y = (x[:, 0] > 0) + (x[:, 1] * x[:, 2] > 0).astype(int)
    for (config, options), rule in zip(_NETWORKS, 2 * [adam(1e-2), sgd(0.1)], strict=True):
        result = fit(
            config, init(config, jax.random.key(0)), (x, y), loss="softmax_cross_entropy",
            optimizer=rule, epochs=3, batch_size=32, key=jax.random.key(1),
            validation_data=(x[:50], y[:50]), **options,
        )  # fmt: skip
        losses = [result.history[f"{part}_loss"] for part in ("train", "validation")]
        leaves = [*jax.tree.leaves(result.params), *losses]
        yield np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in leaves])


@pytest.mark.slow
def test_the_emitter_of_the_tests_makes_the_bits_of_the_default_one(tmp_path):
    file = tmp_path / "trained.npz"
    subprocess.run(
        [sys.executable, __file__, file], env={**os.environ, "XLA_FLAGS": ""}, check=True
    )
    with np.load(file) as users:
        for (config, _), ours, name in zip(_NETWORKS, trained(), users.files, strict=True):
            # The sums over the rows of batch normalization are added up in another order.
            tolerance = 1e-6 if config.batch_norm else 0
            np.testing.assert_allclose(ours, users[name], rtol=0, atol=tolerance)


if __name__ == "__main__":
    np.savez(sys.argv[1], *trained())
