"""How rows are cut into folds: as scikit-learn cuts them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from jaxmlp.sweeps.folds import make_pairs


def expect_scikit_learns(splitter, pairs, y):
    expected = splitter.split(np.zeros((len(y), 1)), y)
    for (train, test), (their_train, their_test) in zip(pairs, expected, strict=True):
        np.testing.assert_array_equal(train, their_train)
        np.testing.assert_array_equal(test, their_test)


@given(st.lists(st.integers(0, 4), min_size=10, max_size=60), st.integers(2, 5))
def test_classes_are_dealt_out_as_scikit_learn_does(labels, n_folds):
    y = np.concatenate([labels, np.repeat(np.unique(labels), n_folds)])  # enough of each class
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    expect_scikit_learns(splitter, make_pairs(n_folds, (y, y), "classification"), y)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.linspace(0, 1, 23), "regression"),
        (np.arange(23), "classification"),  # too few of each class to deal out
        (np.eye(23), "classification"),
    ],
)
@pytest.mark.parametrize("n_folds", [2, 5, 23])
def test_other_targets_are_cut_as_scikit_learn_does(y, task, n_folds):
    splitter = KFold(n_folds, shuffle=True, random_state=0)
    expect_scikit_learns(splitter, make_pairs(n_folds, (y, y), task), y)


@pytest.mark.parametrize("n_folds", [1, 24, -3])
def test_a_number_of_folds_that_cannot_be_is_refused(n_folds):
    with pytest.raises(ValueError, match=r"from 2 to the 23 rows"):
        make_pairs(n_folds, (np.zeros(23), np.zeros(23)), "regression")
