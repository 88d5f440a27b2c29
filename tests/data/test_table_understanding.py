"""What is inferred of columns and targets, how rows are split, and what is doubted."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import Column, infer_columns, read_target, split_folds, split_rows
from jaxmlp.data.tables.pitfalls import leak_search, repeated_rows

RNG = np.random.default_rng(1)
N = 200
ROWS = np.arange(N)


@pytest.mark.parametrize(
    ("cells", "kind", "style"),
    [
        (RNG.normal(size=N), "number", "."),
        (RNG.integers(0, 99, N), "number", "."),
        ([f"{v:,.2f}" for v in RNG.uniform(1e3, 1e6, N)], "number", "."),
        ([f"{v:.2f}".replace(".", ",") for v in RNG.uniform(0, 9, N)], "number", ","),
        ([f"${v:.2f}" for v in RNG.uniform(0, 9, N)], "number", "."),
        (["n/a" if k % 3 else str(k) for k in ROWS], "number", "."),
        (["unknown" if k % 20 == 0 else str(k % 17) for k in ROWS], "number", "."),
        (["unknown" if k % 2 else str(k % 17) for k in ROWS], "category", ""),
        (["a", "b"] * (N // 2), "category", ""),
        (["Yes", "no"] * (N // 2), "boolean", ""),
        ([True, False] * (N // 2), "boolean", ""),
        ([0, 1] * (N // 2), "boolean", ""),
        (pd.date_range("2024-01-01", periods=N), "date", "ymd"),
        ([f"{k % 28 + 1}.{k % 12 + 1}.2020" for k in ROWS], "date", "dmy"),
        ([f"{k % 12 + 1}/{k % 28 + 1}/2020" for k in ROWS], "date", "mdy"),
        ([f"2020-03-{k % 28 + 1:02} 1{k % 10}:00:00+01:00" for k in ROWS], "date", "ymd"),
        ([f"2020{k}" for k in ROWS], "number", "."),
        ([f"word {k}" for k in ROWS], "drop", ""),
        ([f"word {k}" if k % 2 else None for k in ROWS], "text", ""),
        (ROWS, "drop", "."),
        (ROWS[::-1].astype(str), "drop", "."),
        (["x"] * N, "drop", ""),
        ([None] * N, "drop", ""),
        (["x", None] * (N // 2), "text", ""),
    ],
)
def test_kinds(cells, kind, style):
    column = infer_columns(pd.DataFrame({"c": cells}))["c"]
    assert (column.kind, column.style) == (kind, style)
    assert column.reason


@pytest.mark.parametrize(
    ("cells", "kind", "names"),
    [
        (["b", "a"] * 50, "classes", ("a", "b")),
        ([10, 9, 2] * 50, "classes", ("2", "9", "10")),
        ([True, False] * 50, "classes", ("False", "True")),
        (RNG.normal(size=100), "amounts", None),
        (RNG.geometric(0.05, 400), "counts", None),
        (RNG.integers(15000, 500000, 100), "amounts", None),
        (RNG.integers(0, 100, 400) - 50, "amounts", None),
        (np.arange(100), "counts", None),
    ],
)
def test_targets(cells, kind, names):
    target = read_target(pd.Series(cells, name="y"))
    assert (target.kind, target.class_names) == (kind, names)
    assert len(target.y) == len(cells)


def test_rows_without_a_target_and_rare_classes_are_left_out():
    target = read_target(pd.Series(["a"] * 5 + [" "] + ["b"] * 5 + ["c"], name="y"))
    assert target.rows.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert "class c left out" in target.reason
    assert "1 row without a target is left out" in target.reason


@pytest.mark.parametrize("unit", [1e-320, 1e-40, 1e40, 1e300])
def test_amounts_that_32_bits_cannot_hold_are_refused(unit):
    with pytest.raises(ValueError, match=r"another unit|nothing to predict|always '?0"):
        read_target(pd.Series(RNG.normal(size=50) * unit, name="y"), "regression")


def test_messages_stay_short():
    column = pd.Series(["long word " * 100] * 30, name="y")
    with pytest.raises(ValueError, match="is always 'long") as caught:
        read_target(column)
    assert len(str(caught.value)) < 120
    wide = pd.DataFrame(np.zeros((2, 500)), columns=[f"c{k}" for k in range(500)])
    with pytest.raises(ValueError, match="unknown column") as caught:
        infer_columns(wide, {"d": Column("d", "drop")})
    assert len(str(caught.value)) < 300


def parts_are_whole(parts, n):
    rows = np.concatenate(parts[:3])
    assert sorted(rows.tolist()) == list(range(n))
    assert min(map(len, parts[:3])) > 0


def test_classes_keep_their_shares():
    y = (RNG.random(1000) < 0.1).astype(int)
    parts = split_rows(y, stratify=True, seed=3)
    parts_are_whole(parts, 1000)
    for rows in parts[:3]:
        assert abs(y[rows].mean() - y.mean()) < 0.01
    assert not np.array_equal(parts.test, split_rows(y, stratify=True, seed=4).test)


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_together(seed):
    group = pd.Series(RNG.choice([*"abcdefghij", None], 500), name="g")
    parts = split_rows(np.zeros(500), stratify=False, seed=seed, group=group)
    parts_are_whole(parts, 500)
    seen = [set(group[rows].dropna()) for rows in parts[:3]]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert 0.1 < len(parts.test) / 500 < 0.45


def test_time_does_not_run_backwards():
    moments = pd.Series(RNG.permutation(np.repeat(np.arange(100), 5)), name="t")
    parts = split_rows(np.zeros(500), stratify=False, time=moments)
    parts_are_whole(parts, 500)
    ends = [(moments[rows].min(), moments[rows].max()) for rows in parts[:3]]
    assert ends[0][1] < ends[1][0] <= ends[1][1] < ends[2][0]
    assert len(parts.test) == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": pd.Series(["a", "b"] * 50, name="g")}, "at least 3"),
        ({"time": pd.Series(["x"] * 100, name="t")}, "no dates or numbers"),
        ({"time": pd.Series([1] * 100, name="t")}, "too few to split by"),
    ],
)
def test_splits_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        split_rows(np.zeros(100), stratify=False, **options)


def folds_are_whole(splits, n):
    """Each row tests once, and no row is in two parts of a split."""
    for split in splits:
        parts_are_whole(split, n)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(n))


def test_folds_are_those_of_scikit_learn():
    y = (RNG.random(203) < 0.2).astype(int)
    splits = split_folds(y, 5, stratify=True, seed=3)
    folds_are_whole(splits, 203)
    known = StratifiedKFold(5, shuffle=True, random_state=3).split(y, y)
    for split, (rest, test) in zip(splits, known, strict=True):
        np.testing.assert_array_equal(split.test, test)
        np.testing.assert_array_equal(np.sort([*split.train, *split.validation]), rest)


def test_a_class_of_fewer_rows_than_folds_is_not_spread():
    y = np.repeat([0, 1], [97, 3])
    folds_are_whole(split_folds(y, 5, stratify=True), 100)
    folds_are_whole(split_folds(np.arange(12.0), 12, stratify=False), 12)


def test_groups_stay_together_in_folds():
    group = pd.Series(RNG.choice([*"abcdefghij", None], 500), name="g")
    splits = split_folds(np.zeros(500), 4, stratify=False, seed=1, group=group)
    folds_are_whole(splits, 500)
    for split in splits:
        seen = [set(group[rows].dropna()) for rows in split[:3]]
        assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])
        assert 100 < len(split.test) < 150


def test_folds_by_time_learn_from_what_came_before():
    moments = pd.Series(RNG.permutation(np.repeat(np.arange(100), 5)), name="t")
    splits = split_folds(np.zeros(500), 4, stratify=False, time=moments)
    for k, split in enumerate(splits):
        train, validation, test = (moments[rows] for rows in split[:3])
        assert train.max() < validation.min() <= validation.max() < test.min()
        assert (test.min(), test.max()) == (80 - 20 * k, 99 - 20 * k)
        assert len(train) + len(validation) == 400 - 100 * k


@pytest.mark.parametrize(
    ("n_folds", "options", "message"),
    [
        (101, {}, "from 2 to the 100 usable rows"),
        (4, {"group": pd.Series(["a", "b", "c", "c"] * 25, name="g")}, "too few for 4 folds"),
        (2, {"group": pd.Series(["a", "b", "a", "a"] * 25, name="g")}, "too few for 2 folds"),
        (4, {"time": pd.Series([1, 2, 3, 4] * 25, name="t")}, "too few to split by"),
        (2, {"time": pd.Series([1] * 100, name="t")}, "too few to split by"),
    ],
)
def test_folds_that_cannot_be(n_folds, options, message):
    with pytest.raises(ValueError, match=message):
        split_folds(np.zeros(100), n_folds, stratify=False, **options)


def doubts(frame, target, y=None):
    target = read_target(pd.Series(target, name="y"))
    fitted = TablePreprocessor.fit(frame)
    return [doubt.evidence for doubt in leak_search(fitted, frame, target, target.y)()]


def test_leaks_are_found_and_honest_columns_are_not():
    x = RNG.normal(size=(N, 3))
    honest = pd.DataFrame(x, columns=list("abc"))
    noisy = np.where(x[:, 0] + RNG.normal(size=N) > 0, "yes", "no")
    assert doubts(honest, noisy) == []
    assert doubts(honest, x.sum(axis=1) + RNG.normal(size=N)) == []
    leaking = honest.assign(code=np.where(noisy == "yes", "Q", "P"))
    assert "code alone predicts y" in doubts(leaking, noisy)[0]
    total = honest.assign(a=honest["a"] * 3)[["a", "b"]].sum(axis=1)
    found = doubts(honest, total)
    assert any("a and b add up to y." in line for line in found)


def test_rows_seen_before_are_counted():
    frame = pd.DataFrame({"a": [1, 2, 3, 1, 2, 9], "y": [0, 1, 0, 0, 0, 1]})
    parts = split_rows(np.arange(20), stratify=False)._replace(
        train=np.array([0, 1]), validation=np.array([2]), test=np.array([3, 4, 5])
    )
    assert "1 of 3 test rows" in repeated_rows(frame, parts)[0].evidence


@pytest.mark.skipif(
    "JAXMLP_DATA_DIR" not in os.environ,
    reason="set JAXMLP_DATA_DIR to the folder with tabular/",
)
@pytest.mark.parametrize(
    ("name", "target", "kind", "n_inputs", "said"),
    [
        # 12 of numbers and levels, 50 of the texts in Name
        ("titanic.csv", "Survived", "classes", 62, ()),
        ("california_housing.csv", "median_house_value", "amounts", 14, ()),
        (
            "bike_sharing_hour.csv", "cnt", "counts", 19,
            ("registered alone", "casual and registered add up", "dteday is a date"),
        ),
        ("dry_bean.csv.gz", "Class", "classes", 16, ("test rows are among",)),
        ("bank_marketing.csv.gz", "y", "classes", 48, ("88.3% of the rows are 'no'",)),
        ("adult.csv.gz", "income", "classes", 107, ("test rows are among",)),
    ],
)  # fmt: skip
def test_real_tables(name, target, kind, n_inputs, said):
    path = Path(os.environ["JAXMLP_DATA_DIR"], "tabular", name)
    prepared = load_table(str(path), TableOptions(target=target), 0)
    assert prepared.target.kind == kind
    assert abs(prepared.train.x.shape[1] - n_inputs) <= 3
    doubts = [*prepared.doubts, *prepared.find_leaks()]
    text = " ".join(doubt.evidence for doubt in doubts)
    assert all(line in text for line in said)
    assert len(doubts) <= len(said) + 1


def test_a_categorical_column_is_a_category_even_of_numbers():
    codes = pd.Series([1, 2, 3, 4] * 10, name="season")
    kinds = [
        infer_columns(pd.DataFrame({"season": column}))["season"].kind
        for column in (codes, codes.astype("category"))
    ]
    assert kinds == ["number", "category"]
