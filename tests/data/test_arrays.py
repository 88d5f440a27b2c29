"""from_arrays and check_matrix: what they make of good input, and the sentence for bad input."""

import numpy as np
import pandas as pd
import pytest

from jaxmlp.data import from_arrays
from jaxmlp.data.arrays import check_matrix

X = np.arange(12, dtype=np.float64).reshape(4, 3)


def with_entry(value):
    x = X.copy()
    x[2, 1] = value
    return x


def test_integers_are_labels_and_become_indices():
    data = from_arrays(X, [7, 3, 7, 5])
    assert data.y.tolist() == [2, 0, 2, 1]
    assert data.y.dtype == np.int32
    assert data.class_names == ("3", "5", "7")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a", "b", "b"], ("a", "b")),
        (np.array(["b", "a", "b", "b"], object), ("a", "b")),
        ([True, False, True, True], ("False", "True")),
    ],
)
def test_other_labels_become_indices_too(labels, names):
    data = from_arrays(X, labels)
    assert data.y.tolist() == [1, 0, 1, 1]
    assert data.class_names == names


def test_class_names_keep_absent_classes():
    data = from_arrays(X, [0, 2, 2, 0], class_names=("zero", "one", "two"))
    assert data.y.tolist() == [0, 2, 2, 0]
    assert data.class_names == ("zero", "one", "two")


def test_floats_are_targets():
    data = from_arrays(X, [0.0, 1.0, 0.0, 1.0])
    assert data.class_names is None
    assert data.y.dtype == np.float64
    assert from_arrays(X, np.ones((4, 2), np.float32)).y.shape == (4, 2)


def test_dataframe_gives_the_feature_names():
    frame = pd.DataFrame({"age": [1, 2], "height": [1.5, 1.6]})
    data = from_arrays(frame, ["a", "b"])
    assert data.feature_names == ("age", "height")
    np.testing.assert_array_equal(data.x, [[1, 1.5], [2, 1.6]])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float64", "float64"), ("float32", "float32"), ("uint8", "float32"), ("bool", "float32")],
)
def test_dtype_of_x(dtype, expected):
    assert check_matrix("x", X.astype(dtype)).dtype == expected


def test_take_keeps_rows_together():
    part = from_arrays(X, [0, 1, 2, 1]).take([3, 0])
    np.testing.assert_array_equal(part.x, X[[3, 0]])
    assert part.y.tolist() == [1, 0]


LABELS = [0, 1, 0, 1]
BAD_INPUT = {
    "nan": (with_entry(np.nan), LABELS, {}, "x holds NaN at row 2, column 1."),
    "infinity": (with_entry(np.inf), LABELS, {}, "x holds infinity at row 2, column 1."),
    "several": (
        X * np.array([[1.0, np.nan, 1.0]]),
        LABELS,
        {},
        "NaN at row 0, column 1, and 3 more such values. Fill in or drop",
    ),
    "named column": (
        with_entry(np.nan),
        LABELS,
        {"feature_names": ("a", "b", "c")},
        "x holds NaN at row 2, column 'b'.",
    ),
    "1-D x": (X[0], LABELS, {}, "shape (3,), but must be (rows, features): x[:, None] makes one"),
    "3-D x": (X[None], LABELS, {}, "as in x.reshape(len(x), -1)"),
    "no rows": (X[:0], [], {}, "x has shape (0, 3); pass at least one row"),
    "ragged": ([[1, 2], [3]], [0, 1], {}, "x has rows of different lengths"),
    "lengths": (X, [0, 1], {}, "x has 4 rows, but y has 2 rows; pass one target for each row."),
    "scalar y": (X, 1, {}, "x has 4 rows, but y has no rows"),
    "one class": (X, [3, 3, 3, 3], {}, "y holds the single class 3; a classifier needs two"),
    "2-D labels": (X, [[0], [1], [0], [1]], {}, "y has shape (4, 1), but labels must be (rows,)"),
    "3-D targets": (X, np.ones((4, 1, 1)), {}, "real targets are (rows,) or (rows, outputs)"),
    "nan target": (X, [0.5, np.nan, 1.5, 2.5], {}, "y holds nan at row 1"),
    "missing label": (X, ["a", None, "b", "a"], {}, "y has no label at row 1"),
    "nan label": (X, np.array(["a", "b", np.nan, "a"], object), {}, "no label at row 2"),
    "names": (X, LABELS, {"feature_names": ("a",)}, "x has 3 columns, but there are 1 feature"),
    "class names": (
        X,
        [0, 1, 2, 3],
        {"class_names": ("a", "b")},
        "labels from 0 to 3, but there are 2 class names; labels must be indices 0 to 1.",
    ),
    "negative": (X, [0, -1, 1, 1], {"class_names": ("a", "b")}, "y holds labels from -1 to 1"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_values(case):
    x, y, options, message = BAD_INPUT[case]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        from_arrays(x, y, **options)
    assert message in str(caught.value)


BAD_TYPES = {
    "text in x": (
        np.array([[1, 2], [3, "old"]], object),
        [0, 1],
        "x has dtype object and holds 'old' at row 1, column 1; pass real numbers only.",
    ),
    "strings": (np.array([["1", "2"]]), [0], "holds np.str_('1') at row 0, column 0"),
    "complex": (X + 1j, LABELS, "x has dtype complex128 and holds"),
    "None in x": ([[1, None]], [0], "holds None at row 0, column 1"),
    "mixed labels": (X, np.array([1, "a", 2, "b"], object), "y mixes numbers and text as labels"),
}


@pytest.mark.parametrize("case", BAD_TYPES)
def test_bad_types(case):
    x, y, message = BAD_TYPES[case]
    with pytest.raises(TypeError) as caught:
        from_arrays(x, y)
    assert message in str(caught.value)
