"""Rows of a table by their numbers: slices are what a gather is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.training.rows import take_rows

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n_rows", [100, 20_000])  # below and above what XLA spreads over threads
@pytest.mark.parametrize("size", [1, 7, 8, 100])
def test_as_numpy_indexes(n_rows, size):
    table = RNG.normal(size=(n_rows, 20)).astype(np.float32)
    rows = RNG.integers(0, n_rows, size).astype(np.int32)
    np.testing.assert_array_equal(jax.jit(take_rows)(table, rows), table[rows])


def test_numbers_past_the_end_are_the_last():
    table = RNG.normal(size=(20_000, 20)).astype(np.float32)
    taken = jax.jit(take_rows)(table, jnp.array([20_000, 3], jnp.int32))
    np.testing.assert_array_equal(taken, table[[-1, 3]])


def test_a_small_copy_from_a_large_table_has_no_gather():
    large, small = (jax.ShapeDtypeStruct((n, 20), jnp.float32) for n in (20_000, 100))
    rows = jax.ShapeDtypeStruct((64,), jnp.int32)
    compiled = [jax.jit(take_rows).lower(t, rows).compile().as_text() for t in (large, small)]
    if jax.default_backend() == "cpu":
        assert [" gather(" in text for text in compiled] == [False, True]


@pytest.mark.parametrize("axes", [(None, 0), (0, 0)])
def test_members(axes):
    table = RNG.normal(size=(3, 10_000, 20)).astype(np.float32)
    rows = RNG.integers(0, 10_000, (3, 9)).astype(np.int32)
    given = table[0] if axes[0] is None else table
    expected = [table[0 if axes[0] is None else k][rows[k]] for k in range(3)]
    np.testing.assert_array_equal(jax.vmap(take_rows, axes)(given, rows), expected)
