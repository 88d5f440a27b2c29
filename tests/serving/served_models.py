"""A model of a table and one of numbers, behind the service."""

import jax
import numpy as np
import pytest
from served_table import TABLE

import jaxmlp
from jaxmlp.data import Standardizer, TablePreprocessor
from jaxmlp.models import Model

RNG = np.random.default_rng(1)


@pytest.fixture(scope="session")
def table_model():
    """Random weights behind the encoding of a table: three classes."""
    fitted = TablePreprocessor.fit(TABLE)
    config = jaxmlp.MLPConfig((fitted.n_features, 8, 3), "tanh")
    params = jaxmlp.init(config, jax.random.key(0))
    return Model(
        config, params, preprocessing=fitted, feature_names=fitted.column_names,
        class_names=("no", "perhaps", "yes"),
    )  # fmt: skip


@pytest.fixture(scope="session")
def number_model():
    """Random weights behind a standardization: one number."""
    x = RNG.normal(5, 2, size=(50, 4))
    config = jaxmlp.MLPConfig((4, 8, 1), "tanh")
    return Model(
        config, jaxmlp.init(config, jax.random.key(1)), loss="squared_error",
        preprocessing=Standardizer.fit(x), target_transform=Standardizer.fit(x[:, :1]),
    )  # fmt: skip
