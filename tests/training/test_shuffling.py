"""The order of the rows: a bijection, uniform, and the same program for every number of rows."""

from functools import partial
from math import factorial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from jaxmlp.training.shuffling import shuffle_words, shuffled_rows


@partial(jax.jit, static_argnums=2)
def shuffle(key, n_rows, length):
    return shuffled_rows(shuffle_words(key), n_rows, length)


shuffle_many = jax.jit(jax.vmap(partial(shuffle, length=40), in_axes=(0, None)))
shuffle_epochs = jax.jit(
    jax.vmap(lambda words, n, epoch: shuffled_rows(words, n, 40, epoch), in_axes=(None, None, 0))
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(n=st.integers(1, 3000), seed=st.integers(0, 2**31 - 1))
def test_every_row_once_then_padding(n, seed):
    rows = np.asarray(shuffle(jax.random.key(seed), n, 3000))
    np.testing.assert_array_equal(np.sort(rows[:n]), np.arange(n))
    assert (rows[n:] == 0).all()


@pytest.mark.parametrize("n", [60_000, 65_536, 65_537])
def test_large_numbers_of_rows(n):
    rows = np.asarray(shuffle(jax.random.key(0), n, 65_537))[:n]
    np.testing.assert_array_equal(np.sort(rows), np.arange(n))
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.02
    assert abs(np.mean(rows == np.arange(n))) < 1e-3


def over_keys(seed, n):
    """The first orders of runs whose keys are neighbours."""
    keys = jax.vmap(jax.random.key)(np.arange(20_000) + 20_000 * seed)
    return np.asarray(shuffle_many(keys, n))[:, :n]


def over_splits(seed, n):
    return np.asarray(shuffle_many(jax.random.split(jax.random.key(seed), 20_000), n))[:, :n]


def over_epochs(seed, n):
    """The orders that one run sees."""
    return np.asarray(shuffle_epochs(shuffle_words(jax.random.key(seed)), n, np.arange(20_000)))[
        :, :n
    ]


@pytest.mark.parametrize("draw", [over_keys, over_splits, over_epochs])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_every_order_is_equally_likely(n, draw):
    orders = draw(7, n)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == factorial(n)
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("draw", [over_keys, over_splits, over_epochs])
def test_rows_and_their_neighbours_are_uniform(draw):
    n = 37
    orders = draw(8, n)
    places = np.stack([np.bincount(orders[:, j], minlength=n) for j in range(n)])
    assert chisquare(places.ravel(), ddof=2 * n - 2).pvalue > 1e-3
    steps = np.bincount((np.diff(orders, axis=1) % n).ravel(), minlength=n)[1:]
    assert chisquare(steps).pvalue > 1e-3
