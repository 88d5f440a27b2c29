"""Splitting a data set: seeded, and stratified by class."""

from typing import NamedTuple

import numpy as np

from jaxmlp.data.arrays import Dataset
from jaxmlp.optional import import_optional


class DataSplit(NamedTuple):
    """The three parts of a data set: to learn from, to decide when to stop, to measure on."""

    train: Dataset
    validation: Dataset
    test: Dataset


def train_test_split(
    data: Dataset, test_size: float | int, *, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """Split at random into two parts; each class is divided in the same proportion.

    Args:
        data: what to split.
        test_size: the second part, as a fraction of all rows (float) or as a number of rows (int).
        seed: the same seed gives the same split.

    Returns:
        The first and the second part. Real targets are split without stratification.

    Raises:
        ImportError: if scikit-learn is not installed, with the command that installs it.
        ValueError: if a part would be empty, or too small to hold every class.

    Example:
        >>> x = np.zeros((10, 2), np.float32)
        >>> data = Dataset(x, np.arange(10) % 2, ("a", "b"), ("even", "odd"))
        >>> train, test = train_test_split(data, 0.4, seed=1)
        >>> len(train.x), sorted(test.y.tolist())
        (6, [0, 0, 1, 1])
    """
    n_test = _count_rows(test_size, len(data.x))
    if data.class_names is not None:
        _check_classes(data, n_test)
    labels = None if data.class_names is None else data.y
    first, second = split_at_random(np.arange(len(data.x)), n_test, seed, labels)
    return data.take(first), data.take(second)


def split_at_random(
    rows: np.ndarray, n_second: int, seed: int, labels: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers into two parts, as scikit-learn does; by class where there are labels.

    Raises:
        ImportError: if scikit-learn is not installed, with the command that installs it.
    """
    sklearn = import_optional(
        "sklearn.model_selection", "splits are made with scikit-learn", "jaxmlp[sklearn]"
    )
    first, second = sklearn.train_test_split(
        rows, test_size=n_second, random_state=seed, stratify=labels
    )
    return first, second


def cut_at_random(
    n_rows: int,
    n_folds: int,
    seed: int,
    labels: np.ndarray | None,
    groups: np.ndarray | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut row numbers into folds, as scikit-learn does; by class where there are labels.

    Args:
        n_rows: how many rows there are.
        n_folds: at least 2, at most n_rows; or as many as there are groups.
        seed: of the folds by rows; folds by groups depend on the groups' numbers alone.
        labels: classes whose shares each fold keeps, (rows,).
        groups: numbers of groups whose rows stay in one fold, (rows,).

    Returns:
        The other rows, and those of the fold, for each.

    Raises:
        ImportError: if scikit-learn is not installed, with the command that installs it.
    """
    sklearn = import_optional(
        "sklearn.model_selection", "folds are made with scikit-learn", "jaxmlp[sklearn]"
    )
    if groups is not None:
        cut = sklearn.GroupKFold(n_folds)
    elif labels is not None:
        cut = sklearn.StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    else:
        cut = sklearn.KFold(n_folds, shuffle=True, random_state=seed)
    return list(cut.split(np.zeros(n_rows), labels, groups))


def _count_rows(test_size: float | int, n_rows: int) -> int:
    n_test = round(test_size * n_rows) if isinstance(test_size, float) else test_size
    if not 0 < n_test < n_rows:
        raise ValueError(
            f"test_size={test_size} would put {n_test} of {n_rows} rows into the second part; give "
            f"a fraction between 0.0 and 1.0, or 1 to {n_rows - 1} rows."
        )
    return n_test


def _check_classes(data: Dataset, n_test: int) -> None:
    classes, counts = np.unique(data.y, return_counts=True)
    if counts.min() < 2:
        assert data.class_names is not None
        rare = data.class_names[classes[np.argmin(counts)]]
        raise ValueError(
            f"class {rare!r} has a single row, which cannot be in both parts of a split; drop the "
            "class or add rows."
        )
    if min(n_test, len(data.y) - n_test) < len(classes):
        raise ValueError(
            f"a split into {len(data.y) - n_test} and {n_test} rows cannot hold all "
            f"{len(classes)} classes in both parts; change the size or add rows."
        )
