"""Random bits by hashing counters: a handful of integer operations each, on any device.

`jax.random` is the better generator, and too slow where every step needs half a million bits: on
two cores the masks of dropout took longer than the products of the layers they belong to.
"""

from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from jaxmlp.types import Key

GOLDEN = np.uint32(0x9E3779B9)  # odd, and far from any simple fraction of 2^32


@jax.jit  # traced once instead of at every use, which a first call feels (50 ms)
def scramble(bits: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Mix 32 bits so that each depends on all: MurmurHash3's finalizer, but for its first shift."""
    bits = bits * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 13)


def key_words(key: Key) -> UInt32[Array, " words"]:
    """Return the words that a random key consists of."""
    return key if key.dtype == jnp.uint32 else jax.random.key_data(key)


def random_bits(key: Key, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Return uniform random words: the counter of each entry, hashed once with each word of a key.

    Args:
        key: a random key.
        shape: of the result.

    Returns:
        uint32, of that shape; the same key gives the same words.

    Example:
        >>> random_bits(jax.random.key(0), (2, 3)).dtype
        dtype('uint32')

    Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011 (counters);
    Appleby, MurmurHash3 (the mixing).
    """
    words = key_words(key)
    bits = jax.lax.iota(jnp.uint32, prod(shape)) * GOLDEN
    for k in range(words.shape[-1]):
        bits = scramble(scramble(bits ^ words[k]) + jnp.uint32(GOLDEN))
    return bits.reshape(shape)
