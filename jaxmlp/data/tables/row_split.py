"""Which rows train, validate and test: at random, by group or by time; once, or in folds."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from jaxmlp.data.splits import cut_at_random, split_at_random
from jaxmlp.data.tables.dates import to_days
from jaxmlp.data.tables.inference import infer_column
from jaxmlp.data.tables.values import Series, to_levels, to_numbers

_TEST_SHARE, _VALIDATION_SHARE = 0.2, 0.15  # of all rows; of the rows that are left
_MIN_ROWS = 10


class RowSplit(NamedTuple):
    """Numbers of the rows of each part.

    Attributes:
        train: rows that the network learns from, (rows,).
        validation: rows that decide when to stop.
        test: rows that the scores are measured on.
        reason: how the rows were chosen, for people.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    reason: str


def split_rows(
    y: np.ndarray,
    *,
    stratify: bool,
    seed: int = 0,
    group: Series | None = None,
    time: Series | None = None,
    test_share: float = _TEST_SHARE,
    validation_share: float = _VALIDATION_SHARE,
) -> RowSplit:
    """Split rows into training, validation and test.

    Args:
        y: targets, (rows,).
        stratify: keep the shares of the classes in y.
        seed: of random splits.
        group: a pandas Series of y's length; the rows of a group stay together.
        time: a pandas Series of dates or numbers; the last rows test, those before them validate,
            and rows of one time stay together.
        test_share: of all rows.
        validation_share: of the rows that are left.

    Returns:
        The parts, none of them empty.

    Raises:
        ImportError: if scikit-learn is not installed, with the command that installs it.
        ValueError: for too few rows or groups, unreadable times, or both a group and a time.

    Example:
        >>> parts = split_rows(np.arange(100) % 2, stratify=True)
        >>> [len(rows) for rows in parts[:3]]
        [68, 12, 20]
    """
    _check(y, group, time)
    if time is not None:
        return _by_time(time, test_share, validation_share)
    if group is not None:
        return _by_group(group, seed, test_share, validation_share)
    rows = np.arange(len(y))
    rest, test = _halves(rows, y, stratify, test_share, seed)
    train, validation = _halves(rest, y, stratify, validation_share, seed)
    return RowSplit(train, validation, test, "at random" + ", by class" * stratify)


def split_folds(
    y: np.ndarray,
    n_folds: int,
    *,
    stratify: bool,
    seed: int = 0,
    group: Series | None = None,
    time: Series | None = None,
    validation_share: float = _VALIDATION_SHARE,
) -> tuple[RowSplit, ...]:
    """Split rows for a cross-validation: each fold tests once, and the other rows train.

    With `time`, rows are cut into n_folds + 1 blocks; a fold tests on a block and learns from what
    came before, so the first block only trains. The first split tests on the last block.

    Args:
        y: targets, (rows,).
        n_folds: at least 2.
        stratify: keep the shares of the classes in y, where each has n_folds rows.
        seed: of random splits.
        group: as in `split_rows`.
        time: as in `split_rows`.
        validation_share: of the rows that are not tested on.

    Returns:
        A split for each fold, no part of it empty.

    Raises:
        ImportError: if scikit-learn is not installed, with the command that installs it.
        ValueError: as in `split_rows`, and for more folds than there are rows, groups or times.

    Example:
        >>> splits = split_folds(np.arange(100) % 2, 5, stratify=True)
        >>> [len(rows) for rows in splits[0][:3]]
        [68, 12, 20]
    """
    _check(y, group, time)
    if not 2 <= n_folds <= len(y):
        raise ValueError(f"there are {n_folds} folds; give from 2 to the {len(y)} usable rows.")
    if time is not None:
        splits = _folds_by_time(time, n_folds, validation_share)
    elif group is not None:
        splits = _folds_by_group(group, n_folds, seed, validation_share)
    else:
        stratify = stratify and bool(np.unique(y, return_counts=True)[1].min() >= n_folds)
        splits = []
        for rest, test in cut_at_random(len(y), n_folds, seed, y if stratify else None):
            train, validation = _halves(rest, y, stratify, validation_share, seed)
            splits.append(RowSplit(train, validation, test, "at random" + ", by class" * stratify))
    return tuple(
        split._replace(reason=f"fold {k} of {n_folds}, {split.reason}")
        for k, split in enumerate(splits, 1)
    )


def _check(y: np.ndarray, group: Series | None, time: Series | None) -> None:
    if group is not None and time is not None:
        raise ValueError("rows are split by a group or by time, not by both; choose one.")
    if len(y) < _MIN_ROWS:
        raise ValueError(
            f"the table has {len(y)} usable row{'s' * (len(y) != 1)}, too few to learn from and to "
            f"test on; it needs at least {_MIN_ROWS}."
        )


def _halves(
    rows: np.ndarray, y: np.ndarray, stratify: bool, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    size = max(1, round(share * len(rows)))
    if stratify:
        classes, counts = np.unique(y[rows], return_counts=True)
        size = max(size, len(classes))
        stratify = counts.min() >= 2 and len(rows) - size >= len(classes)
    return split_at_random(rows, size, seed, y[rows] if stratify else None)


def _by_group(column: Series, seed: int, test: float, validation: float) -> RowSplit:
    """Draw groups until their rows reach each share."""
    groups = _Groups.of(column)
    if len(groups.sizes) < 3:
        raise ValueError(
            f"the group {column.name!r} has {len(groups.sizes)} different values; a split by group "
            "needs at least 3."
        )
    order = np.random.default_rng(seed).permutation(len(groups.sizes))
    tested, rest = groups.draw(order, test, leave=2)
    return groups.split(tested, rest, validation, str(column.name))


def _folds_by_group(column: Series, n_folds: int, seed: int, validation: float) -> list[RowSplit]:
    """Deal groups out to folds of similar size."""
    groups = _Groups.of(column)
    order = np.random.default_rng(seed).permutation(len(groups.sizes))
    splits = []
    if n_folds <= len(groups.sizes):
        for _, rows in cut_at_random(len(groups.of_row), n_folds, seed, None, order[groups.of_row]):
            tested = np.unique(groups.of_row[rows])
            rest = order[~np.isin(order, tested)]
            if len(rest) > 1:
                splits.append(groups.split(tested, rest, validation, str(column.name)))
    if len(splits) < n_folds:
        raise ValueError(
            f"the group {column.name!r} has {len(groups.sizes)} different values, too few for "
            f"{n_folds} folds that each leave groups to learn from and to stop by."
        )
    return splits


class _Groups(NamedTuple):
    """Rows that stay together: the group of each row, and the rows of each group."""

    of_row: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, column: Series) -> "_Groups":
        """Number the levels of a column; a row without one is a group of its own."""
        words = to_levels(column)
        codes = words.codes.copy()
        alone = codes < 0
        codes[alone] = len(words.levels) + np.arange(alone.sum())
        _, of_row, sizes = np.unique(codes, return_inverse=True, return_counts=True)
        return cls(of_row, sizes)

    def draw(self, order: np.ndarray, share: float, leave: int) -> tuple[np.ndarray, np.ndarray]:
        """Take groups from the front until they hold a share of the rows; leave some."""
        ends = np.cumsum(self.sizes[order])
        n = 1 + np.searchsorted(ends, share * ends[-1])
        n = int(np.clip(n, 1, len(order) - leave))
        return order[:n], order[n:]

    def split(self, tested: np.ndarray, rest: np.ndarray, validation: float, name: str) -> RowSplit:
        """Test on some groups; of the others, some validate and the rest train."""
        middle, train = self.draw(rest, validation, leave=1)
        reason = f"by {name}: {len(self.sizes):,} groups, each in one part"
        first, second, last = (
            np.flatnonzero(np.isin(self.of_row, part)) for part in (train, middle, tested)
        )
        return RowSplit(first, second, last, reason)


def _by_time(column: Series, test: float, validation: float) -> RowSplit:
    line = _Timeline.of(column)
    n = len(line.order)
    return line.split(_cut(line.moments, n - round(test * n)), n, validation)


def _folds_by_time(column: Series, n_folds: int, validation: float) -> list[RowSplit]:
    line = _Timeline.of(column)
    n = len(line.order)
    edges = [_cut(line.moments, n * k // (n_folds + 1)) for k in range(1, n_folds + 1)]
    blocks = list(pairwise([*edges, n]))
    return [line.split(first, last, validation) for first, last in reversed(blocks)]


class _Timeline(NamedTuple):
    """Rows by time: their order, and the sorted times."""

    order: np.ndarray
    moments: np.ndarray
    name: str

    @classmethod
    def of(cls, column: Series) -> "_Timeline":
        """Read a column of dates or numbers."""
        kind = infer_column(column)
        times = (
            to_days(column, kind.style)
            if kind.kind == "date"
            else to_numbers(column, kind.style or ".", kind.unit)
        )
        if np.isnan(times).any():
            bad = int(np.isnan(times).sum())
            raise ValueError(
                f"{bad} of {len(times)} cells of the time {column.name!r} are no dates or numbers; "
                "fill them in, or split otherwise."
            )
        order = np.argsort(times, kind="stable")
        return cls(order, times[order], str(column.name))

    def split(self, first: int, last: int, validation: float) -> RowSplit:
        """Test on the places from first to last; the end of what came before validates."""
        middle = _cut(self.moments[:first], first - max(1, round(validation * first)))
        if not 0 < middle < first < last:
            raise ValueError(
                f"the time {self.name!r} has {len(np.unique(self.moments))} different values, too "
                "few to split by."
            )
        order = self.order
        reason = f"by time: {self.name} up to a point trains, what follows validates and tests"
        return RowSplit(order[:middle], order[middle:first], order[first:last], reason)


def _cut(moments: np.ndarray, place: int) -> int:
    """Move a cut to the nearest change of the moment at or before it, else after it."""
    if not 0 < place < len(moments):
        return place
    start = int(np.searchsorted(moments, moments[place]))
    return start or int(np.searchsorted(moments, moments[place], side="right"))
