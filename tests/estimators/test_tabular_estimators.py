"""TabularMLPClassifier and TabularMLPRegressor: tables as they are, by a recipe."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9")
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import jaxmlp
from jaxmlp.estimators import TabularMLPClassifier, TabularMLPRegressor
from jaxmlp.recipes import RECIPES


def make_table(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """A table with every kind of column, and holes."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "size": rng.normal(50, 20, n).round(1),
            "rooms": rng.integers(1, 7, n),
            "town": rng.choice([f"town {k}" for k in range(20)], n),
            "new": rng.choice(["yes", "no"], n),
            "sold": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), "D"),
        }
    )
    table.loc[rng.random(n) < 0.1, "size"] = np.nan
    table.loc[rng.random(n) < 0.1, "town"] = None
    return table


def prices(table: pd.DataFrame) -> np.ndarray:
    town = table["town"].fillna("town 0").str.removeprefix("town ").astype(int)
    return 10 * table["rooms"] + table["size"].fillna(50) + 3 * (town % 5) ** 2


FAST = {"settings": {"epochs": 12}, "random_state": 0}


def test_numbers_are_predicted_better_than_by_a_guess_and_the_members_differ() -> None:
    table, new = make_table(), make_table(seed=1)
    model = TabularMLPRegressor(random_state=0, settings={"epochs": 30}).fit(table, prices(table))
    predicted, deviation = model.predict(new, return_std=True)
    truth = prices(new)
    assert np.sqrt(np.mean((predicted - truth) ** 2)) < 0.6 * truth.std()
    members = model.predict_members(new)
    assert members.shape == (8, len(new))
    np.testing.assert_allclose(members.mean(axis=0), predicted, rtol=1e-4)
    np.testing.assert_allclose(members.std(axis=0), deviation, rtol=1e-4)
    assert (deviation > 0).all()


def test_classes_keep_their_labels_and_their_probabilities_are_the_members_mean() -> None:
    table = make_table()
    y = np.where(prices(table) > 110, "dear", "cheap")
    model = TabularMLPClassifier(**FAST).fit(table, y)
    p = model.predict_proba(table)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(model.predict_members(table).mean(axis=0), p, atol=1e-5)
    assert set(model.predict(table)) <= {"dear", "cheap"}
    assert model.score(table, y) > 0.8


def test_a_saved_model_answers_as_the_estimator_from_raw_rows(tmp_path) -> None:
    pytest.importorskip("safetensors")
    table = make_table()
    y = np.where(prices(table) > 110, "dear", "cheap")
    model = TabularMLPClassifier(**FAST).fit(table, y)
    jaxmlp.save(tmp_path / "m.safetensors", model)
    loaded = jaxmlp.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(table), model.predict_proba(table))
    assert loaded.predict(table).tolist() == model.predict(table).tolist()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(table), model.predict_proba(table))


def test_weights_of_zero_leave_rows_out() -> None:
    table = make_table()
    y = prices(table).to_numpy(copy=True)
    y[200:] = 1e6 * np.arange(200)  # rows that must not matter
    weight = np.r_[np.ones(200), np.zeros(200)]
    weighted = TabularMLPRegressor(**FAST).fit(table, y, sample_weight=weight)
    assert np.abs(weighted.predict(table[:200])).max() < 1e4


def test_counts_stay_positive_and_quantiles_are_kept() -> None:
    table = make_table()
    rng = np.random.default_rng(0)
    counts = rng.poisson(table["rooms"])
    poisson = TabularMLPRegressor(loss="poisson", **FAST).fit(table, counts)
    assert (poisson.predict(table) > 0).all()
    with pytest.raises(ValueError, match="below 0"):
        TabularMLPRegressor(loss="poisson", **FAST).fit(table, counts - 5)
    y = table["rooms"] + rng.exponential(2, len(table))
    high = TabularMLPRegressor(
        loss="quantile", loss_options={"quantile": 0.9}, settings={"epochs": 40}, random_state=0
    ).fit(table, y)
    assert 0.8 < (y <= high.predict(table)).mean() < 0.97


def test_a_validation_part_keeps_groups_together_and_given_rows_are_used() -> None:
    table = make_table()
    y = prices(table)
    seen = []
    model = TabularMLPRegressor(**FAST, callbacks=[lambda p: seen.append(p.row)])
    model.fit(table, y, groups=np.arange(400) // 10)
    assert len(seen) == 12
    assert "validation_loss" in seen[0]
    model.fit(table, y, X_val=table[:50], y_val=y[:50])
    assert model.history_["validation_loss"].min() < model.history_["train_loss"][0]
    lone = TabularMLPRegressor(**FAST, validation_fraction=0).fit(table, y)
    assert "validation_loss" not in lone.history_
    assert lone.n_iter_ == 12


def test_given_validation_rows_leave_all_others_to_train_on() -> None:
    """Weights far from 0 in the rows that only a held-out part could hide."""
    table = make_table()
    y = prices(table)
    model = TabularMLPRegressor(**FAST, callbacks=[]).fit(table, y, X_val=table[:50], y_val=y[:50])
    numbers = next(e for e in model.preprocessing_.encoders if e.name == "size")
    assert numbers.center == pytest.approx(np.nanmedian(table["size"]))  # of every row


def test_calibrated_probabilities_are_likelier_on_the_validation_part() -> None:
    table = make_table()
    y = np.where(np.random.default_rng(0).random(400) < 0.5, "a", "b")  # nothing to learn
    held = make_table(seed=1)
    y_held = np.where(np.random.default_rng(1).random(400) < 0.5, "a", "b")
    loss = {}
    for calibrated in (False, True):
        model = TabularMLPClassifier(**FAST, calibrated=calibrated, class_weight="balanced")
        model.fit(table, y, X_val=held, y_val=y_held)
        p = model.predict_proba(held)[np.arange(400), (y_held == "b").astype(int)]
        loss[calibrated] = -np.log(p).mean()
    assert loss[True] <= loss[False] + 1e-6
    assert model.temperature_ > 1


def test_it_sits_in_pipelines_and_searches() -> None:
    table = make_table(200)
    y = prices(table)
    pipeline = make_pipeline("passthrough", TabularMLPRegressor(**FAST))
    grid = {"tabularmlpregressor__recipe": ["tabm", "plain"]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(table, y)
    assert search.best_params_["tabularmlpregressor__recipe"] in ("tabm", "plain")
    assert clone(pipeline).get_params()["tabularmlpregressor__random_state"] == 0


def test_polars_and_arrow_tables_give_the_same_answers() -> None:
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    table = make_table(200).drop(columns="sold")
    y = prices(table)
    model = TabularMLPRegressor(**FAST).fit(table, y)
    for other in (polars.from_pandas(table), pyarrow.Table.from_pandas(table)):
        np.testing.assert_allclose(model.predict(other), model.predict(table), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": "tabn"}, "recipe"),
        ({"settings": {"epoch": 3}}, "epochs"),
        ({"loss": "softmax_cross_entropy"}, "regression"),
    ],
)
def test_bad_parameters_are_refused_in_a_sentence(changes, sentence) -> None:
    table = make_table(50)
    with pytest.raises(ValueError, match=sentence):
        TabularMLPRegressor(**changes).fit(table, prices(table))


def test_recipes_are_data_that_json_holds() -> None:
    import json

    for recipe in RECIPES.values():
        assert json.loads(json.dumps(recipe.to_dict()))["name"] == recipe.name


@pytest.mark.slow
def test_it_is_level_with_boosted_trees_on_a_table_of_numbers() -> None:
    from sklearn.datasets import make_friedman1
    from sklearn.metrics import root_mean_squared_error

    X, y = make_friedman1(4000, noise=1.0, random_state=0)
    model = TabularMLPRegressor(random_state=0).fit(X[:3000], y[:3000])
    trees = HistGradientBoostingRegressor(early_stopping=True, random_state=0)
    trees.fit(X[:3000], y[:3000])
    ours, theirs = (root_mean_squared_error(y[3000:], m.predict(X[3000:])) for m in (model, trees))
    assert ours < theirs


EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a repeated row is drawn twice, a weight is "
    "not: the steps differ",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@estimator_checks.parametrize_with_checks(
    [TabularMLPClassifier(), TabularMLPRegressor()],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_check(estimator, check) -> None:
    check(estimator)
