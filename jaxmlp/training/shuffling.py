"""Shuffling without sorting: a keyed bijection of the row numbers, evaluated at every index.

`jax.random.permutation` sorts, several times; on a small network that costs as much as the
training itself. A few Feistel rounds on the row number cost a handful of integer operations a row,
run under jit and vmap, and take the number of rows as a traced value.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from jaxmlp.types import Key

ROUNDS = 12  # with 8, the order of five rows is visibly not uniform
Coordinates = tuple[UInt32[Array, " length"], UInt32[Array, " length"]]


def shuffled_rows(key: Key, n_rows: Int[Array, ""] | int, length: int) -> Int[Array, " length"]:
    """Return the numbers 0 .. n_rows - 1 in a random order, then zeros.

    The row number is written as i = left * width + right on a grid of about sqrt(n) by sqrt(n).
    Each round adds a hash of one coordinate to the other, modulo its size, which can be undone:
    the whole is a bijection of the grid. The few grid points past the last row walk on until they
    fall on a row, so that what remains is a bijection of the rows.

    Args:
        key: random key; another key, another order.
        n_rows: number of rows, at most `length` and 2^31; may be traced.
        length: of the result, fixed at trace time.

    Returns:
        int32 indices, (length,); entries past `n_rows` are 0.

    Example:
        >>> rows = shuffled_rows(jax.random.key(0), 5, 8)
        >>> sorted(rows[:5].tolist()), rows[5:].tolist()
        ([0, 1, 2, 3, 4], [0, 0, 0])

    Reference: Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (the
    generalized Feistel network and cycle walking).
    """
    n = jnp.asarray(n_rows, jnp.uint32)
    width = jnp.ceil(jnp.sqrt(n.astype(jnp.float32))).astype(jnp.uint32)
    height = (n + width - 1) // width
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)
    index = jnp.arange(length, dtype=jnp.uint32)
    inside = index < n

    def walk_on(at: Coordinates) -> Array:
        return jnp.any(inside & (at[0] * width + at[1] >= n))

    def walk(at: Coordinates) -> Coordinates:
        outside = inside & (at[0] * width + at[1] >= n)
        left, right = _mix(at, (height, width), round_keys)
        return jnp.where(outside, left, at[0]), jnp.where(outside, right, at[1])

    start = (index // width, index % width)
    left, right = jax.lax.while_loop(walk_on, walk, _mix(start, (height, width), round_keys))
    return jnp.where(inside, left * width + right, 0).astype(jnp.int32)


def _mix(
    at: Coordinates, sizes: tuple[Array, Array], round_keys: UInt32[Array, "..."]
) -> Coordinates:
    """One pass of all rounds: left += hash(right), right += hash(left), and so on."""
    left, right = at
    height, width = sizes
    for r in range(0, ROUNDS, 2):
        left = _add_modulo(left, _hash(right, round_keys[r], height), height)
        right = _add_modulo(right, _hash(left, round_keys[r + 1], width), width)
    return left, right


def _hash(value: UInt32[Array, " n"], key: Array, size: Array) -> UInt32[Array, " n"]:
    """A number in 0 .. size - 1: mix the bits, then scale the upper 16 (no slow division)."""
    bits = (value ^ key) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0xC2B2AE35)
    bits ^= bits >> 13
    return ((bits >> 16) * size) >> 16


def _add_modulo(value: Array, addend: Array, size: Array) -> Array:
    total = value + addend
    return jnp.where(total >= size, total - size, total)
