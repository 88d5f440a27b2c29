"""Random words from hashed counters: uniform, and independent of keys and neighbours."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare, norm

from jaxmlp.hashing import random_bits
from jaxmlp.normalization import dropout_forward

N = 1 << 16
UNLIKELY = 1e-4


def words(key, n=N):
    return np.asarray(random_bits(key, (n,)))


@pytest.mark.parametrize("seed", [0, 1, 2**31])
@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_bytes_are_uniform(seed, shift):
    counts = np.bincount((words(jax.random.key(seed)) >> shift) & 255, minlength=256)
    assert chisquare(counts).pvalue > UNLIKELY


@pytest.mark.parametrize("distance", [1, 2, 64, 1024])
def test_neighbours_are_independent(distance):
    """Whether a unit is dropped tells nothing of the next, or of the row below."""
    high = words(jax.random.key(5)) >> 28
    table = np.zeros((16, 16))
    np.add.at(table, (high[:-distance], high[distance:]), 1)
    assert chi2_contingency(table).pvalue > UNLIKELY


def test_keys_are_independent():
    """Of seeds beside each other, and of what fold_in and split make of one key."""
    base = jax.random.key(0)
    keys = [*map(jax.random.key, range(4)), *(jax.random.fold_in(base, k) for k in range(4)),
            *jax.random.split(base, 4)]  # fmt: skip
    drawn = [words(key) for key in keys]
    for a, b in pairwise(drawn):
        table = np.zeros((16, 16))
        np.add.at(table, (a >> 28, b >> 28), 1)
        assert chi2_contingency(table).pvalue > UNLIKELY


def test_every_bit_is_a_fair_coin_and_depends_on_every_bit_of_the_key():
    base = np.asarray(jax.random.key_data(jax.random.key(3)))
    usual = np.unpackbits(words(jax.random.wrap_key_data(base)).view(np.uint8))
    limit = norm.isf(UNLIKELY / 64) / 2
    for word in range(2):
        for bit in range(32):
            flipped = base.copy()
            flipped[word] ^= np.uint32(1 << bit)
            other = np.unpackbits(words(jax.random.wrap_key_data(flipped)).view(np.uint8))
            share = np.mean(usual != other)
            assert abs(share - 0.5) < limit / usual.size**0.5


def test_typed_and_raw_keys_give_the_same_words():
    key = jax.random.key(9)
    np.testing.assert_array_equal(words(key, 8), words(jax.random.key_data(key), 8))


def test_shapes_only_fold_the_words():
    key = jax.random.key(4)
    flat = random_bits(key, (24,))
    np.testing.assert_array_equal(random_bits(key, (2, 3, 4)).ravel(), flat)
    assert flat.dtype == jnp.uint32
    assert random_bits(key, (0,)).shape == (0,)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999])
def test_masks_drop_their_share_and_are_equal_in_every_dtype(rate):
    masks = []
    for dtype in ("float32", "float64", "bfloat16"):
        with jax.enable_x64(dtype == "float64"):
            _, mask = dropout_forward(jax.random.key(1), jnp.ones((256, 256), dtype), rate)
            masks.append(np.asarray(mask, np.float64) > 0)
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])
    error = (rate * (1 - rate) / N) ** 0.5
    assert abs(np.mean(~masks[0]) - rate) <= 4 * error
