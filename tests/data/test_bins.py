"""Bins of a piecewise embedding, and their place in a column."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import KBinsDiscretizer

from jaxmlp.data.tables import piecewise_bins

ABSENT = np.finfo(np.float32).max


def edges_of(column, n_bins):
    (starts,), (widths,) = piecewise_bins(np.asarray(column, float)[:, None], n_bins)
    used = starts < ABSENT
    return np.append(starts[used], starts[used][-1] + widths[used][-1])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    column=st.lists(st.one_of(st.floats(-1e6, 1e6), st.integers(-3, 3)), min_size=1, max_size=40),
    n_bins=st.integers(2, 20),
)
def test_bins_lie_end_to_end_from_the_least_to_the_greatest(column, n_bins):
    column = np.asarray(column, float)
    (starts,), (widths,) = piecewise_bins(column[:, None], n_bins)
    used = starts < ABSENT
    assert starts.shape == widths.shape == (n_bins,)
    assert 1 <= used.sum() <= n_bins
    assert np.all(np.diff(used.astype(int)) <= 0)  # those that lack are the last
    assert np.all(widths > 0)
    assert np.all(np.diff(starts[used]) > 0)
    assert starts[0] == column.min()
    spread = np.ptp(column)
    if used.sum() > 1:
        np.testing.assert_allclose(
            starts[used][:-1] + widths[used][:-1], starts[used][1:], atol=1e-12 * spread
        )
    if spread > 1e-300:
        end = starts[used][-1] + widths[used][-1]
        assert end <= column.max() + 1e-9 * spread
        assert end >= column.max() - 1.01e-6 * spread * n_bins


def test_without_ties_edges_are_quantiles_of_scikit_learn():
    column = np.random.default_rng(0).normal(size=(1000, 1))
    theirs = KBinsDiscretizer(6, strategy="quantile", quantile_method="linear").fit(column)
    np.testing.assert_allclose(edges_of(column[:, 0], 12), theirs.bin_edges_[0], rtol=1e-12)


def test_a_value_that_most_rows_share_leaves_bins_for_the_others():
    """92% zeros: quantiles of the rows alone are 0 but for the last."""
    column = np.concatenate([np.zeros(920), np.arange(1.0, 81.0)])
    edges = edges_of(column, 10)
    np.testing.assert_allclose(edges, [0, 16, 32, 48, 64, 80])


@pytest.mark.parametrize("value", [0.0, -7.5, 1e30])
def test_a_constant_column_has_one_bin_of_width_one(value):
    (starts,), (widths,) = piecewise_bins(np.full((4, 1), value), 3)
    assert starts[0] == value
    assert np.all(starts[1:] == ABSENT)
    assert np.all(widths == 1)


def test_columns_do_not_mix():
    x = np.random.default_rng(0).normal(size=(50, 3)) * [1, 100, 1e-3]
    starts, widths = piecewise_bins(x, 8)
    for k in range(3):
        alone = piecewise_bins(x[:, k : k + 1], 8)
        np.testing.assert_array_equal([starts[k], widths[k]], [alone[0][0], alone[1][0]])


@pytest.mark.parametrize(("rows", "n_bins"), [(0, 4), (5, 1)])
def test_bad_input_is_explained(rows, n_bins):
    with pytest.raises(ValueError, match="give rows, and 2 bins or more"):
        piecewise_bins(np.zeros((rows, 1)), n_bins)
