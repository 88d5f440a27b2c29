"""Standardization against scikit-learn's StandardScaler, its corners, and its JSON."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from jaxmlp.data import Standardizer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)) * [1.0, 1e-3, 1e3, 1.0] + [0.0, 5.0, -1e4, 2.0]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 3e-7)])
def test_equals_scikit_learn(dtype, tolerance):
    x = X.astype(dtype)
    ours = Standardizer.fit(x).transform(x)
    expected = StandardScaler().fit_transform(x.astype(np.float64))
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_one_mean_and_scale_for_all():
    standardizer = Standardizer.fit(X, per_feature=False)
    z = standardizer.transform(X)
    assert standardizer.mean.shape == ()
    assert z.mean() == pytest.approx(0, abs=1e-14)
    assert z.std() == pytest.approx(1, rel=1e-14)
    # One affine map for all entries: their order is kept.
    np.testing.assert_array_equal(np.argsort(X, axis=None), np.argsort(z, axis=None))


def test_offset_does_not_eat_the_digits_of_float32():
    """1e6 + {0, 1/4}: float32 holds the data, but not the sums of their squares."""
    x = (1e6 + RNG.integers(0, 2, size=(1000, 1)) / 4).astype(np.float32)
    z = Standardizer.fit(x).transform(x)
    ones = np.mean(x > 1e6)
    expected = np.sqrt([(1 - ones) / ones, ones / (1 - ones)]) * [1, -1]
    np.testing.assert_allclose([z.max(), z.min()], expected, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e30])  # the mean of seven 0.1 is not 0.1
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_columns_become_zero(value, dtype):
    x = np.full((7, 2), value, dtype)
    x[:, 1] = range(7)
    standardizer = Standardizer.fit(x)
    z = standardizer.transform(x)
    assert standardizer.scale[0] == 1.0
    np.testing.assert_array_equal(z[:, 0], 0)
    np.testing.assert_allclose(z[:, 1], (np.arange(7) - 3) / 2, rtol=1e-7)


def test_blocks_make_no_difference():
    x = RNG.normal(size=((1 << 19) + 3, 3)).astype(np.float32)  # two blocks, the last one ragged
    z = Standardizer.fit(x).transform(x)
    np.testing.assert_allclose(z, StandardScaler().fit_transform(x), atol=1e-5)


def test_integers_are_welcome():
    z = Standardizer.fit(np.array([[0], [2]], np.uint8)).transform(np.array([[255]], np.uint8))
    assert z.tolist() == [[254.0]]


@pytest.mark.parametrize("per_feature", [True, False])
def test_json_is_exact(per_feature):
    standardizer = Standardizer.fit(X / 3, per_feature=per_feature)
    again = Standardizer.from_dict(json.loads(json.dumps(standardizer.to_dict())))
    for ours, theirs in zip(standardizer, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(standardizer.transform(X), again.transform(X))


def test_other_units_are_noticed():
    standardizer = Standardizer.fit(np.array([[0.0], [1.0]]))
    assert standardizer.foreign_range(np.array([[-0.9], [1.9]])) is None
    assert "span 0 to 255, but the training data 0 to 1" in standardizer.foreign_range(
        np.array([[0.0], [255.0]])
    )


GOOD = Standardizer.fit(X).to_dict()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Standardizer.fit(X[0]), r"x has shape \(4,\), but must be \(rows, features\)"),
        (lambda: Standardizer.fit(X[:0]), "not empty"),
        (lambda: Standardizer.fit(X).transform(X[:, :3]), "the training data had 4 columns; pass"),
        (lambda: Standardizer.from_dict({}), "incomplete: 'mean'"),
        (lambda: Standardizer.from_dict(GOOD | {"mean": [1.0]}), r"mean of shape \(1,\) and scale"),
        (lambda: Standardizer.from_dict(GOOD | {"scale": [0.0] * 4}), "positive scales"),
    ],
)
def test_bad_input(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_with_bounds_no_value_leaves_the_training_range():
    x = np.array([[1.0, -5.0], [3.0, 5.0]])
    bounded = Standardizer.fit(x, clamp=True)
    free = Standardizer.fit(x)
    outputs = np.array([[0.5, 9.0], [-9.0, 0.1], [9.0, np.nan]])
    expected = np.clip(free.inverse_transform(outputs), [1.0, -5.0], [3.0, 5.0])
    np.testing.assert_array_equal(bounded.inverse_transform(outputs), expected)
    np.testing.assert_array_equal(bounded.transform(9 * x), free.transform(9 * x))
    again = Standardizer.from_dict(json.loads(json.dumps(bounded.to_dict())))
    np.testing.assert_array_equal(again.bounds, bounded.bounds)
    assert "bounds" not in free.to_dict()
    with pytest.raises(ValueError, match=r"for 2 columns they must be \(2, 2\)"):
        Standardizer.from_dict({**bounded.to_dict(), "bounds": [1.0, 2.0]})
