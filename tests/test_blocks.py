"""Rows in blocks: the outputs are those of all rows at once, and few programs make them."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.blocks import block_size, map_blocks, row_blocks, stream_blocks
from jaxmlp.testing import assert_compiles


def test_a_block_is_a_power_of_two_within_bounds():
    sizes = {block_size(n) for n in range(5000)}
    assert sizes == {2**k for k in range(13)}
    assert all(n <= block_size(n) < 2 * n for n in range(1, 4096))
    assert block_size(3, least=32) == 32
    assert block_size(100, most=64) == 64


@given(n=st.integers(0, 40), block_rows=st.sampled_from([1, 4, 8]), whole=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_row_comes_once_and_in_order(n, block_rows, whole):
    tree = {"x": np.arange(2 * n).reshape(n, 2), "weight": None, "y": np.arange(n)}
    size = block_rows if whole else None

    def double(rows):
        assert len(rows["x"]) == len(rows["y"])
        return {"x": 2 * rows["x"], "y": (rows["y"],)}

    found = map_blocks(double, tree, size=size, block_rows=block_rows)
    np.testing.assert_array_equal(found["x"], 2 * tree["x"])
    np.testing.assert_array_equal(found["y"][0], tree["y"])
    if whole:
        assert {len(b.rows["y"]) for b in row_blocks(tree, size=size)} <= {size, 0}


def test_padding_repeats_a_row_of_the_block():
    *_, last = row_blocks(np.arange(1, 7), block_rows=4)
    assert last.n_rows == 2
    *_, last = row_blocks(np.arange(1, 6), size=4)
    assert (last.rows.tolist(), last.n_rows) == ([5, 5, 5, 5], 1)


def test_a_stream_gives_what_the_rows_at_once_give():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    parts = [rows[:7], rows[7:7], rows[7:32], rows[32:]]
    found = list(stream_blocks(np.sin, iter(parts), block_rows=8))
    np.testing.assert_array_equal(np.concatenate(found), np.sin(rows))
    assert {len(part) for part in found} == {7, 8, 1, 2}


@pytest.mark.parametrize("sizes", [range(1, 200)])
def test_two_hundred_sizes_are_nine_programs(sizes):
    double = jax.jit(lambda x: 2 * x)
    with assert_compiles(9):  # 1, 2, 4, ..., 256
        for n in sizes:
            map_blocks(double, np.ones((n, 2), np.float32))
