"""Sweeps train networks of layers alone, and say so of a network for tables."""

import jax
import numpy as np
import pytest

import jaxmlp

X = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
FRONT = jaxmlp.FrontConfig(2, members=2)
CONFIG = jaxmlp.TabularConfig(FRONT, jaxmlp.MLPConfig((2, 4, 1)))
RUN = {"loss": "squared_error", "epochs": 1, "key": jax.random.key(0)}


@pytest.mark.parametrize(
    "train",
    [
        lambda: jaxmlp.sweep(CONFIG, (X, X[:, :1]), grid={"l2": [0.0, 0.1]}, **RUN),
        lambda: jaxmlp.cross_validate(CONFIG, (X, X[:, :1]), **RUN),
        lambda: jaxmlp.ensemble(CONFIG, (X, X[:, :1]), **RUN),
        lambda: jaxmlp.successive_halving(CONFIG, (X, X[:, :1]), grid={"l2": [0.0]}, **RUN),
    ],
    ids=["sweep", "cross_validate", "ensemble", "successive_halving"],
)
def test_a_network_for_tables_is_refused_with_what_to_do(train):
    with pytest.raises(ValueError, match=r"train the points with jaxmlp\.fit"):
        train()
