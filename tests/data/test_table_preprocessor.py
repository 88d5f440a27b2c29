"""Encoding of tables, against scikit-learn, scipy and pandas; and what it keeps."""

import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, RobustScaler, StandardScaler

from jaxmlp.data import TablePreprocessor, preprocessing_from_dict, preprocessing_to_dict

RNG = np.random.default_rng(0)
N = 500
TABLE = pd.DataFrame(
    {
        "amount": np.where(RNG.random(N) < 0.1, np.nan, RNG.lognormal(3, 1, N)),
        "whole": RNG.integers(0, 50, N),
        "town": RNG.choice(["Köln", "Ulm", "Bonn", None], N, p=[0.5, 0.3, 0.15, 0.05]),
        "flag": RNG.choice(["yes", "no"], N),
        "day": pd.Timestamp("2023-01-01") + pd.to_timedelta(RNG.integers(0, 700, N), unit="D"),
        "sex": RNG.choice(["f", "m"], N),
        "name": [f"person {k}" for k in range(N)],
        "number": np.arange(N),
        "nothing": np.nan,
        "always": "same",
    }
)


@pytest.fixture(scope="module")
def fitted():
    return TablePreprocessor.fit(TABLE)


def test_what_is_dropped_and_what_is_kept(fitted):
    assert fitted.column_names == ("amount", "whole", "town", "flag", "day", "sex")
    assert fitted.feature_names == (
        "amount", "amount missing", "whole", "town=Bonn", "town=Köln", "town=Ulm",
        "town=(missing)", "flag", "day elapsed", "day sin(year)", "day cos(year)", "day sin(week)",
        "day cos(week)", "sex=m",
    )  # fmt: skip


def column(fitted, name):
    return fitted.transform(TABLE)[:, fitted.feature_names.index(name)]


def test_robust_numbers_against_scikit_learn(fitted):
    z = RobustScaler().fit_transform(TABLE[["amount"]])[:, 0]  # ignores NaN
    expected = np.nan_to_num(z / np.sqrt(1 + (z / 3) ** 2))
    np.testing.assert_allclose(column(fitted, "amount"), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(column(fitted, "amount missing"), TABLE["amount"].isna())


def test_standard_numbers_against_scikit_learn():
    table = TABLE[["whole", "amount"]]
    ours = TablePreprocessor.fit(table, scaling="standard").transform(table)[:, :2]
    theirs = np.nan_to_num(StandardScaler().fit_transform(table))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["whole", "amount"])  # with ties, and with missing values
def test_quantiles_against_scikit_learn(name):
    table = TABLE[[name]].dropna()
    theirs = QuantileTransformer(n_quantiles=257, output_distribution="normal", subsample=None)
    expected = theirs.fit_transform(table)[:, 0]
    ours = TablePreprocessor.fit(table, scaling="quantile").transform(table)[:, 0]
    inner = np.abs(expected) < 5  # the ends, where many share the smallest, are no outliers here
    np.testing.assert_allclose(ours[inner], expected[inner], atol=2e-4)
    assert inner.mean() > 0.95
    assert abs(np.std(ours) - norm.std()) < 0.1


def test_categories_against_scikit_learn(fitted):
    towns = TABLE[["town"]].fillna("(missing)")
    expected = OneHotEncoder(sparse_output=False).fit(towns)
    names = [f"town={level}" for level in expected.categories_[0]]
    ours = np.stack([column(fitted, name) for name in names], axis=1)
    np.testing.assert_array_equal(ours, expected.transform(towns))


def test_rare_levels_are_pooled_as_in_scikit_learn():
    levels = RNG.zipf(1.3, 3000).clip(max=300).astype(str)
    train, new = pd.DataFrame({"code": levels}), pd.DataFrame({"code": ["1", "unheard", "2"]})
    encoder = OneHotEncoder(
        sparse_output=False, min_frequency=10, handle_unknown="infrequent_if_exist"
    ).fit(train)
    ours = TablePreprocessor.fit(train, columns={"code": "category"})
    assert ours.feature_names[-1] == "code=(rare)"
    for table in (train, new):
        np.testing.assert_array_equal(ours.transform(table), encoder.transform(table))
    assert ours.remarks(new) == ()  # the pool takes it
    few = TablePreprocessor.fit(train, columns={"code": "category"}, max_levels=5)
    assert few.n_features == 6


def test_dates_become_angles(fitted):
    days = TABLE["day"].dt
    week = 2 * np.pi * days.day_of_week / 7
    np.testing.assert_allclose(column(fitted, "day sin(week)"), np.sin(week), atol=1e-6)
    np.testing.assert_allclose(column(fitted, "day cos(week)"), np.cos(week), atol=1e-6)
    year = np.sin(2 * np.pi * (days.day_of_year - 1) / 365.25)
    assert np.abs(column(fitted, "day sin(year)") - year).max() < 0.02  # leap days shift it a bit
    elapsed = column(fitted, "day elapsed")
    order = np.argsort(TABLE["day"], kind="stable")
    assert np.all(np.diff(elapsed[order]) >= 0)


def test_two_levels_are_one_number(fitted):
    np.testing.assert_array_equal(column(fitted, "flag"), np.where(TABLE["flag"] == "yes", 1, -1))
    np.testing.assert_array_equal(column(fitted, "sex=m"), np.where(TABLE["sex"] == "m", 1, -1))


@pytest.mark.parametrize(("kind", "kept"), [("boolean", "no"), ("date", None), ("number", None)])
def test_training_rows_may_hold_less_than_the_table(kind, kept):
    """Kinds are inferred from all rows; those that train may all say the same, or nothing."""
    rows = pd.DataFrame({"c": [kept] * 20, "x": range(20)})
    fitted = TablePreprocessor.fit(rows, columns={"c": kind, "x": "number"})
    new = pd.DataFrame({"c": ["yes", "2024-05-01", "7"], "x": [1, 2, 3]})
    assert np.isfinite(fitted.transform(new)).all()
    if kind == "boolean":
        assert fitted.transform(new)[:, 0].tolist() == [1, 0, 0]


def test_rows_are_encoded_one_by_one(fitted):
    """Alone, in blocks, as text or from polars: a row means the same."""
    whole = fitted.transform(TABLE)
    assert np.isfinite(whole).all()
    for start in (0, 7, N - 1):
        np.testing.assert_array_equal(fitted.transform(TABLE[start : start + 1])[0], whole[start])
    text = TABLE.assign(day=TABLE["day"].dt.strftime("%Y-%m-%d")).astype(object)
    text = text.where(text.notna(), "").astype(str)
    np.testing.assert_array_equal(fitted.transform(text), whole)
    np.testing.assert_array_equal(fitted.transform(pl.from_pandas(TABLE)), whole)
    shuffled = TABLE[list(reversed(TABLE.columns))].assign(extra=1)
    np.testing.assert_array_equal(fitted.transform(shuffled), whole)
    np.testing.assert_array_equal(fitted.transform(TABLE.to_numpy()), whole)


def test_large_tables_go_through_in_blocks(fitted, monkeypatch):
    from jaxmlp.data.tables import preprocessor

    whole = fitted.transform(TABLE)
    monkeypatch.setattr(preprocessor, "_BLOCK_ROWS", 64)
    np.testing.assert_array_equal(fitted.transform(TABLE), whole)


@pytest.mark.parametrize("scaling", ["robust", "standard", "quantile"])
def test_it_survives_json_and_pickle(scaling):
    fitted = TablePreprocessor.fit(TABLE, scaling=scaling)
    again = preprocessing_from_dict(json.loads(json.dumps(preprocessing_to_dict(fitted))))
    assert again == fitted == pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(TABLE), fitted.transform(TABLE))


def test_new_data_are_remarked_upon(fitted):
    new = TABLE[:3].assign(town=["Rom", "Ulm", None], whole=["12", "", "lots"], flag="perhaps")
    said = fitted.remarks(new)
    assert any("town: 'Rom' never seen in training" in line for line in said)
    assert any("whole: 2 missing or no number" in line for line in said)
    assert any("flag: 'perhaps' is neither of no, yes" in line for line in said)
    z = fitted.transform(new)
    assert np.isfinite(z).all()
    assert z[0, 3:7].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("scaling", ["robust", "standard", "quantile"])
def test_any_number_stays_finite(scaling):
    train = pd.DataFrame({"x": [1e-300, 0.0, 1e308, -1e308, np.inf, 5.0] * 5, "y": range(30)})
    fitted = TablePreprocessor.fit(train, scaling=scaling, columns={"y": "number"})
    new = pd.DataFrame({"x": [1e308, -np.inf, np.nan, 0.0], "y": ["1e400", "-1e99", "x", "1"]})
    for table in (train, new):
        assert np.isfinite(fitted.transform(table)).all()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: TablePreprocessor.fit(TABLE[:0]), "0 rows"),
        (lambda: TablePreprocessor.fit(TABLE[["always", "nothing"]]), "always: always same"),
        (lambda: TablePreprocessor.fit(TABLE, scaling="robst"), "Did you mean 'robust'"),
        (lambda: TablePreprocessor.fit(TABLE, columns={"twon": "drop"}), "Did you mean 'town'"),
        (lambda: TablePreprocessor.fit(TABLE, columns={"town": "catgory"}), "mean 'category'"),
        (lambda: TablePreprocessor.fit(TABLE, columns={"town": "boolean"}), "3 different values"),
        (lambda: TablePreprocessor.fit(TABLE, columns={"town": "date"}), "has none"),
        (lambda: TablePreprocessor.fit(np.ones(3)), r"shape \(3,\)"),
        (lambda: TablePreprocessor.fit([[1], [1, 2]]), "different lengths"),
        (lambda: TablePreprocessor.fit(TABLE).transform(TABLE[["sex"]]), "lacks the column 'am"),
        (lambda: TablePreprocessor.fit(TABLE).transform(np.ones((2, 3))), "3 columns, but 10"),
        (lambda: TablePreprocessor.from_dict({"names": []}), "incomplete"),
        (lambda: TablePreprocessor.from_dict({"names": [], "encoders": [{}]}), "kind None"),
    ],
)
def test_bad_input(action, message):
    with pytest.raises(ValueError, match=message):
        action()
