"""Fixtures that the tests of several commands ask for."""

import jax
import pytest


@pytest.fixture(scope="module")
def standard_promotion():
    """JAX's own promotion of dtypes, on which optax's schedules count."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, and a terminal of 120 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
