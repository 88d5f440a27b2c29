"""Shuffling without sorting: a keyed bijection of the row numbers, evaluated at every index.

`jax.random.permutation` sorts, several times; on a small network that costs as much as the
training itself. A few Feistel rounds on the row number cost a handful of integer operations a row,
run under jit and vmap, and take the number of rows as a traced value.
"""

from math import isqrt

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from jaxmlp.hashing import GOLDEN, key_words, scramble
from jaxmlp.types import Key

_ROUNDS = 16  # with 12, the order of five rows is not quite uniform (20,000 orders show it)
_BLOCK = 512  # row numbers at once
_Coordinates = tuple[UInt32[Array, " length"], UInt32[Array, " length"]]


def shuffle_words(key: Key) -> UInt32[Array, " rounds"]:
    """Derive from a key what decides the orders of all epochs: one random word a round.

    Args:
        key: random key; another key, other orders.

    Returns:
        The words, for `shuffled_rows`.

    Example:
        >>> shuffle_words(jax.random.key(0)).shape
        (16,)
    """
    data = key_words(key)
    rounds = jnp.arange(1, _ROUNDS + 1, dtype=jnp.uint32) * GOLDEN
    words = rounds
    for k in range(data.shape[-1]):  # much less to compile than jax.random.bits
        words = scramble(scramble(words ^ data[k]) + rounds)
    return words


def shuffled_rows(
    words: UInt32[Array, " rounds"],
    n_rows: Int[Array, ""] | int,
    length: int,
    epoch: Int[Array, ""] | int = 0,
) -> Int[Array, " length"]:
    """Return the numbers 0 .. n_rows - 1 in a random order, then zeros.

    The row number is written as i = left * width + right on a grid of about sqrt(n) by sqrt(n).
    Each round adds a hash of one coordinate to the other, modulo its size, which can be undone:
    the whole is a bijection of the grid. The few grid points past the last row walk on until they
    fall on a row, so that what remains is a bijection of the rows.

    Args:
        words: from `shuffle_words`.
        n_rows: number of rows, at most `length` and 2^31; may be traced.
        length: of the result, fixed at trace time.
        epoch: another epoch, another order; may be traced.

    Returns:
        int32 indices, (length,); entries past `n_rows` are 0.

    Example:
        >>> rows = shuffled_rows(shuffle_words(jax.random.key(0)), 5, 8)
        >>> sorted(rows[:5].tolist()), rows[5:].tolist()
        ([0, 1, 2, 3, 4], [0, 0, 0])

    Reference: Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (the
    generalized Feistel network and cycle walking).
    """
    n = jnp.asarray(n_rows, jnp.uint32)
    width = jnp.ceil(jnp.sqrt(n.astype(jnp.float32))).astype(jnp.uint32)
    height = jax.lax.div(n + width - 1, width)
    # A few operations on the words instead of `fold_in`, whose loops cost more than the shuffle.
    round_keys = scramble(words ^ (jnp.asarray(epoch).astype(jnp.uint32) * GOLDEN))

    def mix(number: Array) -> Array:
        left, right = _mix((number // width, number % width), (height, width), round_keys)
        return left * width + right

    # Block by block: in one piece it is work enough for the compiler to spread over threads, and
    # then all of training goes on beside its own thread pool: 77 instead of 69 us a step.
    n_past = isqrt(length) + 1  # the grid has at most width - 1 points past the last row
    n_blocks = -(-(length + n_past) // _BLOCK)
    blocks = jnp.arange(n_blocks * _BLOCK, dtype=jnp.uint32).reshape(-1, _BLOCK)
    mixed = jax.lax.map(mix, blocks).ravel()

    # A row that falls on a point past the last row goes where that point goes, and so on; twice as
    # far each time. (Points that only lead to each other are met by no row.)
    def follow(at: Array, exits: Array) -> Array:
        return jnp.where(at < n, at, jnp.take(exits, at - n, mode="clip"))

    exits = jax.lax.dynamic_slice(mixed, (n.astype(jnp.int32),), (n_past,))
    exits = jax.lax.fori_loop(0, n_past.bit_length(), lambda _, exits: follow(exits, exits), exits)
    row = follow(mixed[:length], exits)
    return jnp.where(jnp.arange(length, dtype=jnp.uint32) < n, row, 0).astype(jnp.int32)


def _mix(
    at: _Coordinates, sizes: tuple[Array, Array], round_keys: UInt32[Array, " rounds"]
) -> _Coordinates:
    """One pass of all rounds: left += hash(right), right += hash(left), and so on."""
    height, width = sizes
    keys = round_keys.reshape(-1, 2)

    def two_rounds(k: Array, at: _Coordinates) -> _Coordinates:
        left, right = at
        left = _add_modulo(left, _hash(right, keys[k, 0], height), height)
        right = _add_modulo(right, _hash(left, keys[k, 1], width), width)
        return left, right

    # A loop: in one piece the rounds take half as long again, and longer to compile.
    return jax.lax.fori_loop(0, len(keys), two_rounds, at)


def _hash(value: UInt32[Array, " n"], key: Array, size: Array) -> UInt32[Array, " n"]:
    """A number in 0 .. size - 1: mix the bits, then scale the upper 16 (no slow division)."""
    return ((scramble(value ^ key) >> 16) * size) >> 16


def _add_modulo(value: Array, addend: Array, size: Array) -> Array:
    total = value + addend
    return jnp.where(total >= size, total - size, total)
