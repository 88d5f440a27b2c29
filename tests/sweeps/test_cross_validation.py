"""Folds, halving, ensembles."""

import jax
import numpy as np
import pytest
from sklearn.model_selection import KFold
from test_sweep import CONFIG, KEY, LOSS, distance, make_data

import jaxmlp
from jaxmlp.sweeps import member_keys
from jaxmlp.training import FitStatus

DATA = make_data(42)


def cross_validate(config=CONFIG, data=DATA, **options):
    defaults = {"loss": LOSS, "epochs": 6, "key": KEY, "batch_size": 16}
    return jaxmlp.cross_validate(config, data, **(defaults | options))


@pytest.fixture(scope="module")
def quarters():
    """Two rates and two seeds in each of 4 folds: 31 or 32 rows to train on, 2 steps an epoch."""
    grid = {"learning_rate": [1e-3, 1e-2], "seed": [0, 1]}
    return cross_validate(folds=list(KFold(4).split(DATA[0])), grid=grid)


@pytest.mark.parametrize(
    ("n_folds", "fold"),
    [
        (4, 0),
        pytest.param(4, 3, marks=pytest.mark.slow),
        pytest.param(6, 0, marks=pytest.mark.slow),
        pytest.param(6, 5, marks=pytest.mark.slow),
    ],
)
def test_a_fold_is_a_run_on_its_rows_alone(n_folds, fold, quarters):
    """42 rows in 4 folds: 31 or 32 to train on, 2 steps an epoch; in 6: 35, 3 steps."""
    pairs = list(KFold(n_folds).split(DATA[0]))
    result = quarters
    if n_folds != 4:
        result = cross_validate(folds=pairs, grid={"learning_rate": [1e-2], "seed": [0]})
    first, second = member_keys(KEY, 0)
    (x, y), (train, test) = DATA, pairs[fold]
    alone = jaxmlp.fit(
        CONFIG, jaxmlp.init(CONFIG, first), (x[train], y[train]), loss=LOSS, epochs=6,
        batch_size=16, optimizer=jaxmlp.adam(1e-2), key=second, validation_data=(x[test], y[test]),
    )  # fmt: skip
    index = result.settings.index({"learning_rate": 1e-2, "seed": 0, "fold": fold})
    assert distance(result.member(index).params, alone.params) <= 1e-5
    got = result.history(index)
    np.testing.assert_allclose(got["validation_loss"], alone.history["validation_loss"], atol=1e-5)


def test_folds_of_different_lengths_take_their_own_number_of_steps():
    rows = np.arange(42)
    pairs = [(rows[:33], rows[33:]), (rows[20:36], rows[:9])]  # 3 steps an epoch, and 1
    result = cross_validate(folds=pairs)
    first, second = member_keys(KEY, 0)
    alone = jaxmlp.fit(
        CONFIG, jaxmlp.init(CONFIG, first), (DATA[0][20:36], DATA[1][20:36]), loss=LOSS, epochs=6,
        batch_size=16, optimizer=jaxmlp.adam(), key=second,
    )  # fmt: skip
    assert distance(result.member(1).params, alone.params) <= 1e-5


def test_summary_averages_over_folds(quarters):
    assert len(quarters) == 16
    summary = quarters.summary()
    assert list(summary["members"]) == [8, 8]
    assert quarters.n_programs == 1


def test_regression_knows_each_folds_spread():
    x, _ = DATA
    y = x[:, 0] * 3 + 10
    config = jaxmlp.MLPConfig((3, 8, 1))
    result = cross_validate(config, (x, y), loss="squared_error", folds=3, epochs=2)
    r2, rmse = result.final[:, result.columns.index("validation_r2")], result.final[:, 4]
    assert result.columns[4] == "validation_rmse"
    spreads = (1 - r2) ** -1 * rmse**2  # the variance of the fold's targets, from R2's definition
    assert np.ptp(spreads) > 0.1


BAD = {
    "none": ([], "no folds"),
    "one": (1, "from 2"),
    "empty": ([([0, 1], [])], "0 test rows"),
    "overlap": ([([0, 1], [1, 2])], "trains on"),
    "outside": ([([0, 1], [99])], "row 99"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_folds(name):
    folds, match = BAD[name]
    with pytest.raises(ValueError, match=match):
        cross_validate(folds=folds)


@pytest.mark.parametrize(
    ("n_rates", "epochs", "expected"),
    [
        (3, 6, [2] * 2 + [6]),
        pytest.param(9, 18, [2] * 6 + [6] * 2 + [18], marks=pytest.mark.slow),
    ],
)
def test_halving_keeps_the_best_and_stops_the_rest(n_rates, epochs, expected):
    options = {
        "loss": LOSS, "epochs": epochs, "key": KEY, "batch_size": 16, "min_epochs": 2,
        "validation_data": make_data(30, 1),
        "grid": {"learning_rate": np.geomspace(1e-5, 1e-1, n_rates)},
    }  # fmt: skip
    result = jaxmlp.successive_halving(CONFIG, DATA, **options)
    full = jaxmlp.sweep(CONFIG, DATA, **{k: v for k, v in options.items() if k != "min_epochs"})
    lengths = np.isfinite(result.metrics[..., 0]).sum(axis=1)
    assert sorted(lengths.tolist()) == expected
    winner = int(np.argmax(lengths))
    assert result.status[winner] is FitStatus.COMPLETED
    assert sum(status is FitStatus.INTERRUPTED for status in result.status) == n_rates - 1
    # Those that go on go on as if nothing had happened beside them.
    assert distance(result.member(winner).params, full.member(winner).params) <= 1e-5
    best_after_two = full.metrics[:, :2, full.columns.index("validation_loss")].min(axis=1)
    assert set(np.argsort(best_after_two)[: n_rates // 3]) == set(np.flatnonzero(lengths > 2))


def test_halving_refuses_what_makes_no_sense():
    options = {"loss": LOSS, "epochs": 4, "key": KEY, "grid": {"seed": [0, 1]}}
    with pytest.raises(ValueError, match="factor"):
        jaxmlp.successive_halving(CONFIG, DATA, factor=1, **options)
    with pytest.raises(ValueError, match="min_epochs"):
        jaxmlp.successive_halving(CONFIG, DATA, min_epochs=9, **options)


def test_an_ensemble_averages_its_members():
    found = jaxmlp.ensemble(
        CONFIG, DATA, loss=LOSS, n_members=3, epochs=6, key=KEY, batch_size=16,
        optimizer=jaxmlp.adam(1e-2),
    )  # fmt: skip
    x = make_data(9, 2)[0]
    each = np.stack([
        jax.nn.softmax(jaxmlp.predict(CONFIG, found.training.member(m).params, np.float32(x)))
        for m in range(3)
    ]).astype(np.float64)  # fmt: skip
    prediction = found.predict(x)
    mean = each.mean(axis=0)
    np.testing.assert_allclose(prediction.mean, mean, atol=1e-6)
    np.testing.assert_allclose(prediction.variance, each.var(axis=0), atol=1e-6)
    entropy = -(mean * np.log(mean)).sum(axis=1)
    own = -(each * np.log(each)).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(prediction.entropy, entropy, atol=1e-5)
    np.testing.assert_allclose(prediction.disagreement, entropy - own, atol=1e-5)
    assert (prediction.disagreement > -1e-6).all()


def test_an_ensemble_without_diverged_members():
    with pytest.raises(ValueError, match="all 3 members diverged"):
        jaxmlp.ensemble(
            CONFIG, DATA, loss=LOSS, n_members=3, epochs=2, key=KEY, batch_size=16,
            optimizer=jaxmlp.adam(1e38),
        )  # fmt: skip
