"""The study of tables: every peer gets the same typed rows, and what it says is scored right."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.quality_data import TABLES, split_table
from benchmarks.table_peers import PEERS, measures, why_absent

N = 200
rng = np.random.default_rng(0)
BIKES = pd.DataFrame(
    {
        "dteday": pd.date_range("2011-01-01", periods=N).strftime("%Y-%m-%d"),
        **{name: rng.integers(1, 5, N).astype(str) for name in TABLES["bike_sharing"].codes},
        "temp": np.where(rng.random(N) < 0.1, "", rng.random(N).round(3).astype(str)),
        "cnt": rng.integers(1, 900, N).astype(str),
    }
)


def test_columns_are_typed_and_parts_are_disjoint() -> None:
    split = split_table("bike_sharing", BIKES, 0)
    numeric = split_table("bike_sharing_numeric", BIKES, 0)
    assert [len(X) for X in (split.X_train, split.X_val, split.X_test)] == [120, 40, 40]
    assert list(split.X_train.select_dtypes("category")) == list(TABLES["bike_sharing"].codes)
    assert list(numeric.X_train.select_dtypes("number")) == list(BIKES.columns[:-1])
    days = pd.concat([split.X_train, split.X_val, split.X_test])["dteday"]
    assert sorted(days) == list(range(N))
    holes = split.X_test["temp"].isna()
    assert holes.any()
    assert (BIKES.loc[split.X_test.index, "temp"][holes] == "").all()
    assert (BIKES.loc[split.X_test.index, "cnt"].astype(float) == split.y_test).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in PEERS if n != "RealMLP-TD-S"])  # half a minute
def test_peers_take_holes_and_categories(name: str) -> None:
    if why_absent(name) is not None:
        pytest.skip(str(why_absent(name)))
    split = split_table("bike_sharing", BIKES, 0)
    found = PEERS[name].run(split, 0)
    assert found.outputs.shape == (40,)
    assert found.seconds > 0
    if name == "scikit-learn boosted trees":
        model = HistGradientBoostingRegressor(early_stopping=True, random_state=0).fit(*split.rest)
        np.testing.assert_array_equal(found.outputs, model.predict(split.X_test))


def test_measures_by_hand() -> None:
    numbers = split_table("bike_sharing", BIKES, 0)._replace(y_test=np.array([1.0, 5.0]))
    assert measures(numbers, np.array([4.0, 1.0])) == {"rmse": np.sqrt((9 + 16) / 2)}
    classes = numbers._replace(y_test=np.array([0, 1]), class_names=("no", "yes"))
    found = measures(classes, np.array([[0.5, 0.5], [0.2, 0.8]]))
    assert found["accuracy"] == found["roc_auc"] == 1.0
    assert found["log_loss"] == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
