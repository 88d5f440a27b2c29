"""Folds: which rows each member of a cross-validation trains on, and which it is measured on."""

from collections.abc import Iterable
from typing import Any

import numpy as np

Folds = int | Iterable[tuple[Any, Any]]


def make_pairs(folds: Folds, data: Any, task: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return (train, test) row numbers of each fold, checked.

    Args:
        folds: how many, or the pairs.
        data: (x, y).
        task: "classification" keeps the classes' proportions where it cuts.

    Returns:
        The pairs.

    Raises:
        ValueError: for folds that are empty, overlap, or name rows that do not exist.

    Example:
        >>> pairs = make_pairs([([0, 1], [2]), ([1, 2], [0])], (np.zeros((3, 1)), [0, 1, 0]), "")
        >>> [test.tolist() for _, test in pairs]
        [[2], [0]]
    """
    n = len(data[0])
    if isinstance(folds, int | np.integer):
        folds = _cut(int(folds), np.asarray(data[1]), n, task)
    pairs = tuple(
        (np.asarray(train, np.int32), np.asarray(test, np.int32)) for train, test in folds
    )
    if not pairs:
        raise ValueError("there are no folds; give a number >= 2, or pairs of row numbers.")
    for i, (train, test) in enumerate(pairs):
        if not len(train) or not len(test):
            raise ValueError(f"fold {i} has {len(train)} training and {len(test)} test rows.")
        rows = np.concatenate([train, test])
        if rows.min() < 0 or rows.max() >= n:
            raise ValueError(f"fold {i} names row {rows.max()}, but there are {n} rows, from 0.")
        if np.intersect1d(train, test).size:
            raise ValueError(f"fold {i} tests on rows that it trains on; leave them out of one.")
    return pairs


def _cut(n_folds: int, y: np.ndarray, n: int, task: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut rows into folds as scikit-learn's (Stratified)KFold(shuffle=True, random_state=0) does.

    By ourselves, for `sklearn.model_selection` takes longer to import than a sweep to train.
    """
    if not 2 <= n_folds <= n:
        raise ValueError(f"folds is {n_folds}; give a number from 2 to the {n} rows.")
    rng = np.random.RandomState(0)
    one_label_each = task == "classification" and y.ndim == 1
    if one_label_each and np.unique(y, return_counts=True)[1].min() >= n_folds:
        fold_of_row = _by_class(n_folds, y, rng)
    else:
        fold_of_row = np.empty(n, int)
        for fold, rows in enumerate(np.array_split(rng.permutation(n), n_folds)):
            fold_of_row[rows] = fold
    return [
        (np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold))
        for fold in range(n_folds)
    ]


def _by_class(n_folds: int, y: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """The fold of each row: rows sorted by class are dealt out, each class then shuffled."""
    _, first, code = np.unique(y, return_index=True, return_inverse=True)
    code = np.argsort(np.argsort(first))[code]  # classes in the order in which they appear
    in_order = np.sort(code)
    shares = [np.bincount(in_order[fold::n_folds], minlength=len(first)) for fold in range(n_folds)]
    fold_of_row = np.empty(len(y), int)
    for label, counts in enumerate(np.transpose(shares)):
        dealt = np.repeat(np.arange(n_folds), counts)
        rng.shuffle(dealt)
        fold_of_row[code == label] = dealt
    return fold_of_row
