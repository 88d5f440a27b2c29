"""A data set in memory, and the checks that arrays pass before they become one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

_FloatMatrix = Shaped[np.ndarray, "rows features"]


class Dataset(NamedTuple):
    """Examples and targets, with the names that a report prints.

    Attributes:
        x: features, (rows, features), float32 or float64.
        y: class indices, (rows,), int32; or real targets, (rows,) or (rows, outputs).
        feature_names: one for each column of x.
        class_names: class k is called class_names[k]; None where y holds real targets.
    """

    x: _FloatMatrix
    y: Shaped[np.ndarray, " rows *outputs"]
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] | None = None

    def take(self, rows: Any) -> "Dataset":
        """Return the data set of these rows: an index array, a mask or a slice."""
        return self._replace(x=self.x[rows], y=self.y[rows])


def from_arrays(
    x: Any,
    y: Any,
    *,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Check arrays (or a numeric DataFrame) and make a data set of them.

    The dtype of y says what it is: integers, booleans and strings are labels, which become the
    indices 0..k-1 of the sorted classes; floats are real targets.

    Args:
        x: features, (rows, features); integers become float32.
        y: labels, (rows,); or real targets, (rows,) or (rows, outputs).
        feature_names: one for each column; by default a DataFrame's columns, else "x0", "x1", ...
        class_names: names of the classes 0..k-1, which y must then hold.

    Returns:
        The data set.

    Raises:
        TypeError: if x holds something other than real numbers.
        ValueError: for wrong shapes or lengths, no rows, NaN or infinity, or a single class.

    Example:
        >>> data = from_arrays([[1, 2], [3, 4], [5, 6]], ["cat", "dog", "cat"])
        >>> data.y.tolist(), data.class_names, data.feature_names
        ([0, 1, 0], ('cat', 'dog'), ('x0', 'x1'))
    """
    if feature_names is None:
        feature_names = [str(column) for column in getattr(x, "columns", ())] or None
    x = check_matrix("x", x, feature_names)
    names = feature_names or [f"x{column}" for column in range(x.shape[1])]
    y = np.asarray(y)
    if y.ndim == 0 or len(y) != len(x):
        got = "no rows" if y.ndim == 0 else f"{len(y)} rows"
        raise ValueError(f"x has {len(x)} rows, but y has {got}; pass one target for each row.")
    if y.dtype.kind == "f":
        return Dataset(x, _check_targets(y), tuple(names))
    labels, classes = _encode_labels(y, class_names)
    return Dataset(x, labels, tuple(names), classes)


def check_matrix(
    what: str, value: Any, feature_names: Sequence[str] | None = None, *, first_row: int = 0
) -> _FloatMatrix:
    """Return numbers as a finite float matrix, or say what is wrong with them and where.

    Args:
        what: what to call it in messages, such as "x".
        value: numbers in rows, (rows, features).
        feature_names: names of the columns, for messages.
        first_row: number of the first row, for messages about a part of a larger table.

    Returns:
        The matrix, (rows, features): float64 if it was, else float32.

    Raises:
        TypeError: if an entry is no real number.
        ValueError: for a wrong shape, no rows or columns, NaN or infinity.

    Example:
        >>> check_matrix("x", [[1, 2]]).dtype
        dtype('float32')
        >>> check_matrix("x", [[1.0, float("nan")]])
        Traceback (most recent call last):
        ...
        ValueError: x holds NaN at row 0, column 1. Fill in or drop such values first.
    """
    try:
        matrix = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{what} has rows of different lengths; make them equal.") from error
    if matrix.ndim != 2:
        fix = (
            f"{what}[:, None] makes one feature of it, {what}[None, :] one row"
            if matrix.ndim == 1
            else f"flatten each example, as in {what}.reshape(len({what}), -1)"
        )
        raise ValueError(f"{what} has shape {matrix.shape}, but must be (rows, features): {fix}.")
    if 0 in matrix.shape:
        raise ValueError(f"{what} has shape {matrix.shape}; pass at least one row and one column.")
    if feature_names is not None and len(feature_names) != matrix.shape[1]:
        raise ValueError(
            f"{what} has {matrix.shape[1]} columns, but there are {len(feature_names)} feature "
            "names; give one for each column."
        )
    if matrix.dtype.kind not in "biuf":
        matrix = _numbers(what, matrix, feature_names, first_row)
    floats = matrix.astype(np.float64 if matrix.dtype == np.float64 else np.float32, copy=False)
    _check_finite(what, floats, feature_names, first_row)
    return floats


def _numbers(
    what: str, matrix: np.ndarray, names: Sequence[str] | None, first_row: int
) -> np.ndarray:
    """Turn an object matrix, as a DataFrame of mixed columns gives it, into numbers."""
    for (row, column), entry in np.ndenumerate(matrix):
        if not isinstance(entry, int | float | np.bool_ | np.integer | np.floating):
            raise TypeError(
                f"{what} has dtype {matrix.dtype} and holds {entry!r} at row {first_row + row}, "
                f"column {_column(column, names)}; pass real numbers only."
            )
    return matrix.astype(np.float64)


def _check_finite(
    what: str, matrix: np.ndarray, names: Sequence[str] | None, first_row: int
) -> None:
    finite = np.isfinite(matrix)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    kind = "NaN" if np.isnan(matrix[row, column]) else "infinity"
    others = int(finite.size - finite.sum()) - 1
    more = f", and {others} more such value{'s' * (others > 1)}" if others else ""
    raise ValueError(
        f"{what} holds {kind} at row {first_row + row}, column "
        f"{_column(int(column), names)}{more}. Fill in or drop such values first."
    )


def _column(index: int, names: Sequence[str] | None) -> str:
    return str(index) if names is None else repr(str(names[index]))


def _check_targets(y: np.ndarray) -> np.ndarray:
    if y.ndim > 2:
        raise ValueError(f"y has shape {y.shape}, but real targets are (rows,) or (rows, outputs).")
    bad = np.argwhere(~np.isfinite(y))
    if len(bad):
        raise ValueError(f"y holds {y[tuple(bad[0])]} at row {bad[0][0]}; drop that row first.")
    return y if y.dtype == np.float64 else y.astype(np.float32, copy=False)


def _encode_labels(
    y: np.ndarray, class_names: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}, but labels must be (rows,); y.ravel() may do.")
    missing = [row for row, label in enumerate(y) if label is None or label != label]
    if missing:
        raise ValueError(f"y has no label at row {missing[0]}; drop that row first.")
    try:
        classes, indices = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise TypeError("y mixes numbers and text as labels; make all of them one type.") from error
    if len(classes) < 2:
        raise ValueError(f"y holds the single class {classes[0]}; a classifier needs two or more.")
    if class_names is None:
        return indices.astype(np.int32), tuple(str(label) for label in classes)
    if y.dtype.kind not in "iu" or classes[0] < 0 or classes[-1] >= len(class_names):
        raise ValueError(
            f"y holds labels from {classes[0]} to {classes[-1]}, but there are {len(class_names)} "
            f"class names; labels must be indices 0 to {len(class_names) - 1}."
        )
    return y.astype(np.int32), tuple(class_names)
