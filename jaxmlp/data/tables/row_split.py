"""Which rows train, validate and test: at random by class, by group, or by time."""

from typing import NamedTuple

import numpy as np

from jaxmlp.data.splits import split_at_random
from jaxmlp.data.tables.dates import to_days
from jaxmlp.data.tables.inference import infer_column
from jaxmlp.data.tables.values import Series, Words, to_levels, to_numbers

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
    if group is not None and time is not None:
        raise ValueError("rows are split by a group or by time, not by both; choose one.")
    if len(y) < _MIN_ROWS:
        raise ValueError(
            f"the table has {len(y)} usable row{'s' * (len(y) != 1)}, too few to learn from and to "
            f"test on; it needs at least {_MIN_ROWS}."
        )
    if time is not None:
        return _by_time(time, test_share, validation_share)
    if group is not None:
        return _by_group(to_levels(group), str(group.name), seed, test_share, validation_share)
    rows = np.arange(len(y))
    rest, test = _halves(rows, y, stratify, test_share, seed)
    train, validation = _halves(rest, y, stratify, validation_share, seed)
    return RowSplit(train, validation, test, "at random" + ", by class" * stratify)


def _halves(
    rows: np.ndarray, y: np.ndarray, stratify: bool, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    size = max(1, round(share * len(rows)))
    if stratify:
        classes, counts = np.unique(y[rows], return_counts=True)
        size = max(size, len(classes))
        stratify = counts.min() >= 2 and len(rows) - size >= len(classes)
    return split_at_random(rows, size, seed, y[rows] if stratify else None)


def _by_group(words: Words, name: str, seed: int, test: float, validation: float) -> RowSplit:
    """Draw groups until their rows reach each share; a row without a group is one of its own."""
    codes = words.codes.copy()
    alone = codes < 0
    codes[alone] = len(words.levels) + np.arange(alone.sum())
    groups, inverse, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    if len(groups) < 3:
        raise ValueError(
            f"the group {name!r} has {len(groups)} different values; a split by group needs at "
            "least 3."
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    ends = np.cumsum(sizes[order])
    n_test = int(np.clip(1 + np.searchsorted(ends, test * len(codes)), 1, len(groups) - 2))
    rest = len(codes) - ends[n_test - 1]
    wanted = ends[n_test - 1] + validation * rest
    n_both = int(np.clip(1 + np.searchsorted(ends, wanted), n_test + 1, len(groups) - 1))
    part = np.zeros(len(groups), int)
    part[order[n_test:n_both]], part[order[:n_test]] = 1, 2
    reason = f"by {name}: {len(groups):,} groups, each in one part"
    train, middle, last = (np.flatnonzero(part[inverse] == k) for k in range(3))
    return RowSplit(train, middle, last, reason)


def _by_time(column: Series, test: float, validation: float) -> RowSplit:
    kind = infer_column(column)
    times = (
        to_days(column, kind.style)
        if kind.kind == "date"
        else to_numbers(column, kind.style or ".")
    )
    if np.isnan(times).any():
        bad = int(np.isnan(times).sum())
        raise ValueError(
            f"{bad} of {len(times)} cells of the time {column.name!r} are no dates or numbers; "
            "fill them in, or split otherwise."
        )
    order = np.argsort(times, kind="stable")
    moments = times[order]
    first = _cut(moments, len(order) - round(test * len(order)))
    middle = _cut(moments[:first], first - max(1, round(validation * first)))
    if not 0 < middle < first < len(order):
        raise ValueError(
            f"the time {column.name!r} has {len(np.unique(times))} different values, too few to "
            "split by."
        )
    reason = f"by time: {column.name} up to a point trains, what follows validates and tests"
    return RowSplit(order[:middle], order[middle:first], order[first:], reason)


def _cut(moments: np.ndarray, place: int) -> int:
    """Move a cut to the nearest change of the moment at or before it, else after it."""
    if not 0 < place < len(moments):
        return place
    start = int(np.searchsorted(moments, moments[place]))
    return start or int(np.searchsorted(moments, moments[place], side="right"))
