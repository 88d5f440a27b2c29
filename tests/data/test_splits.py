"""Splits: a partition, stratified, decided by the seed alone."""

import numpy as np
import pytest

from jaxmlp.data import Dataset, from_arrays, train_test_split

ROWS = np.arange(100, dtype=np.float32)[:, None]
Y = np.repeat([0, 1, 2], [70, 20, 10])
DATA = from_arrays(ROWS, Y)


@pytest.mark.parametrize("test_size", [0.2, 20])
def test_parts_are_a_stratified_partition(test_size):
    train, test = train_test_split(DATA, test_size, seed=3)
    assert np.bincount(test.y).tolist() == [14, 4, 2]
    both = np.concatenate([train.x, test.x])[:, 0]
    assert sorted(both.tolist()) == list(range(100))
    np.testing.assert_array_equal(np.concatenate([train.y, test.y]), Y[both.astype(int)])
    assert train.class_names == test.class_names == DATA.class_names


def test_seed_decides():
    rows = [train_test_split(DATA, 0.2, seed=seed)[1].x[:, 0].tolist() for seed in (0, 0, 1)]
    assert rows[0] == rows[1]
    assert sorted(rows[0]) != sorted(rows[2])


def test_real_targets_need_no_strata():
    data = from_arrays(ROWS, np.linspace(0.0, 1.0, 100))
    train, test = train_test_split(data, 0.25)
    assert (len(train.y), len(test.y)) == (75, 25)


LONELY = Dataset(ROWS[:5], np.array([0, 0, 1, 0, 0]), ("x0",), ("cat", "dog"))


@pytest.mark.parametrize(
    ("data", "test_size", "message"),
    [
        (DATA, 0.0, "test_size=0.0 would put 0 of 100 rows into the second part"),
        (DATA, 1.0, "test_size=1.0 would put 100 of 100 rows"),
        (DATA, -3, "test_size=-3 would put -3 of 100 rows"),
        (DATA, 0.02, "a split into 98 and 2 rows cannot hold all 3 classes in both parts"),
        (LONELY, 0.4, "class 'dog' has a single row, which cannot be in both parts"),
    ],
)
def test_bad_sizes(data, test_size, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        train_test_split(data, test_size)
    assert message in str(caught.value)
