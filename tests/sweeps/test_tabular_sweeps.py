"""Sweeps of a network for tables: every member is its solo run, with bins of the rows it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_sweep import KEY, distance

import jaxmlp
from jaxmlp import tabular_network
from jaxmlp.data.tables import piecewise_bins
from jaxmlp.losses import get_loss
from jaxmlp.sweeps import member_keys
from jaxmlp.sweeps.starts import training_bins
from jaxmlp.training import FitStatus
from jaxmlp.training.data import prepare_data

RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=(60, 2)), RNG.integers(0, 5, 60)]).astype(np.float32)
Y = (2 * X[:, :1] + X[:, 1:2] ** 2).astype(np.float32)
VALIDATION = (X[:15] + 0.1, Y[:15])
FRONT = jaxmlp.FrontConfig(
    3, numbers=(1, 0), categories=((2, 5),), embedding="piecewise", bins=6, width=3, members=2
)
CONFIG = jaxmlp.TabularConfig(FRONT, jaxmlp.MLPConfig((FRONT.n_out, 6, 1), dropout=True))
LOSS = "squared_error"
RUN = {"loss": LOSS, "epochs": 4, "batch_size": 16}


def sweep(config=CONFIG, **options):
    defaults = {**RUN, "key": KEY, "validation_data": VALIDATION, "optimizer": jaxmlp.adamw}
    return jaxmlp.sweep(config, (X, Y), **(defaults | options))


def start(config, seed=0, x=X):
    """Where a run alone begins: its own bins, of the rows that it is given."""
    bins = piecewise_bins(x[:, list(config.front.numbers)], config.front.bins)
    return tabular_network.init(config, member_keys(KEY, seed)[0], bins)


def solo(setting, config=CONFIG, data=(X, Y), **options):
    """The run of one member alone, by adamw, which most tests share a program of."""
    seed = setting.get("seed", 0)
    rates = {name: setting[name] for name in ("learning_rate", "weight_decay") if name in setting}
    defaults = {**RUN, "key": member_keys(KEY, seed)[1], "validation_data": VALIDATION}
    defaults |= {
        "optimizer": jaxmlp.adamw(**rates),
        "dropout_rate": setting.get("dropout_rate", 0.5),
    }
    defaults |= {"params": start(config, seed, np.asarray(data[0]))}
    return jaxmlp.fit(config, data=data, **(defaults | options))


POINTS = [
    {"learning_rate": 1e-3, "weight_decay": 0.3, "dropout_rate": 0.4, "seed": 3},
    {"learning_rate": 3e-2, "weight_decay": 0.0, "dropout_rate": 0.1, "seed": 0},
    {"learning_rate": 1e-2, "weight_decay": 0.1, "dropout_rate": 0.0, "seed": 3},
    {"learning_rate": 3e-2, "weight_decay": 0.3, "dropout_rate": 0.4, "seed": 1},
]


@pytest.fixture(scope="module")
def swept():
    """Rates, decays, dropout rates and seeds of adamw, in one program."""
    return sweep(grid=POINTS)


@pytest.mark.parametrize("index", range(4))
def test_members_are_their_solo_runs(swept, index):
    assert (len(swept), swept.n_programs) == (4, 1)
    member, alone = swept.member(index), solo(POINTS[index])
    assert distance(member.params, alone.params) <= 1e-5
    for column in ("train_loss", "validation_loss", "validation_r2"):
        np.testing.assert_allclose(swept.history(index)[column], alone.history[column], atol=1e-5)


def test_one_at_a_time_they_are_the_same(swept):
    found = sweep(grid=POINTS, executor="one")
    for index in range(4):
        assert distance(found.member(index).params, swept.member(index).params) <= 1e-6


def test_adam_trains_as_alone():
    names = ("learning_rate", "dropout_rate", "seed")
    points = [{name: point[name] for name in names} for point in POINTS]
    result = sweep(grid=points, optimizer=jaxmlp.adam)
    alone = solo(points[1], optimizer=jaxmlp.adam(points[1]["learning_rate"]))
    assert distance(result.member(1).params, alone.params) <= 1e-5


@pytest.mark.parametrize("embedding", ["periodic", pytest.param(None, marks=pytest.mark.slow)])
def test_other_embeddings_need_no_bins(embedding):
    front = jaxmlp.FrontConfig(3, numbers=(0, 1), embedding=embedding, width=3, members=2)
    config = jaxmlp.TabularConfig(front, jaxmlp.MLPConfig((front.n_out, 4, 1)))
    points = [{"learning_rate": 1e-2, "seed": seed} for seed in (0, 2)]
    result = sweep(config, grid=points, validation_data=None)
    params = tabular_network.init(config, member_keys(KEY, 2)[0])
    alone = solo(points[1], config, params=params, validation_data=None)
    assert distance(result.member(1).params, alone.params) <= 1e-5


@pytest.mark.slow
def test_sizes_make_programs_behind_the_same_input_side():
    grid = {"hidden_layer_sizes": [(6,), (4, 4)], "learning_rate": [1e-2]}
    result = sweep(grid=grid)
    assert result.n_programs == 2
    member = result.member(1)
    assert member.config.front == FRONT
    assert member.config.mlp.layer_sizes == (FRONT.n_out, 4, 4, 1)
    assert distance(member.params, solo(member.setting, member.config).params) <= 1e-5


PAIRS = [(np.arange(20, 60), np.arange(20)), (np.arange(40), np.arange(40, 60))]


def cross_validate(x):
    options = {**RUN, "key": KEY, "optimizer": jaxmlp.adamw}
    return jaxmlp.cross_validate(CONFIG, (x, Y), folds=PAIRS, **options)


def test_a_fold_is_a_run_on_its_rows_alone_with_bins_of_its_own():
    result = cross_validate(X)
    for fold, (train, test) in enumerate(PAIRS):
        alone = solo({}, data=(X[train], Y[train]), validation_data=(X[test], Y[test]))
        assert distance(result.member(fold).params, alone.params) <= 1e-5
        validation = alone.history["validation_loss"]
        np.testing.assert_allclose(result.history(fold)["validation_loss"], validation, atol=1e-5)
    bins = [result.member(fold).params.front.numbers.starts for fold in (0, 1)]
    assert np.any(np.abs(bins[0] - bins[1]) > 0.01)


def test_rows_that_a_fold_holds_out_do_not_reach_its_network():
    wild = X.copy()
    wild[:20, :2] *= 1e3
    calm, moved = (cross_validate(x) for x in (X, wild))
    assert distance(calm.member(0).params, moved.member(0).params) == 0
    assert distance(calm.member(1).params.layers, moved.member(1).params.layers) > 0


def test_rows_of_weight_0_have_no_say_in_the_bins():
    weight = np.r_[np.zeros(20), np.ones(40)]
    data = prepare_data(CONFIG, get_loss(LOSS), (X, Y), weight)
    found = training_bins(CONFIG, data)
    for got, expected in zip(found, piecewise_bins(X[20:, [1, 0]], 6), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_an_ensemble_predicts_the_mean_of_its_members():
    classes = jaxmlp.TabularConfig(FRONT, jaxmlp.MLPConfig((FRONT.n_out, 6, 3)), "softmax")
    labels = X[:, 2].astype(int) % 3
    found = jaxmlp.ensemble(
        classes, (X, labels), n_members=3, key=KEY, epochs=3, batch_size=16,
        loss="softmax_cross_entropy",
    )  # fmt: skip
    each = [found.training.member(i) for i in range(3)]
    logits = [tabular_network.predict(classes, member.params, jnp.asarray(X)) for member in each]
    probabilities = np.mean([jax.nn.softmax(o) for o in logits], axis=0)
    np.testing.assert_allclose(found.predict(X).mean, probabilities, atol=1e-6)


@pytest.mark.slow
def test_halving_goes_on_where_members_stood():
    options = {**RUN, "key": KEY, "validation_data": VALIDATION, "optimizer": jaxmlp.adamw}
    grid = {"learning_rate": [1e-5, 1e-1, 1e-4]}
    result = jaxmlp.successive_halving(CONFIG, (X, Y), grid=grid, min_epochs=2, **options)
    assert [status is FitStatus.COMPLETED for status in result.status] == [False, True, False]
    assert distance(result.member(1).params, solo({"learning_rate": 1e-1}).params) <= 1e-5


def test_weights_of_the_layers_are_scaled_at_the_start():
    scales = [1.0, 0.5, 0.25, 2.0]
    still = {"learning_rate": 0.0, "weight_decay": 0.0, "dropout_rate": 0.0}
    result = sweep(grid=[{**still, "init_scale": s} for s in scales], epochs=1)
    one, half = result.member(0).params, result.member(1).params
    assert distance(one.front, half.front) == 0
    np.testing.assert_allclose(one.layers[0].W, 2 * half.layers[0].W, rtol=1e-6)


def test_a_start_of_ones_own():
    def flat(config, key):
        params = tabular_network.init(config, key, piecewise_bins(X[:, [1, 0]], 6))
        *below, head = params.layers
        return params._replace(layers=(*below, jax.tree.map(jnp.zeros_like, head)))

    alone = solo(POINTS[0], params=flat(CONFIG, member_keys(KEY, 3)[0]))
    member = sweep(grid=POINTS, init=flat).member(0)
    assert distance(member.params, alone.params) <= 1e-5


def test_a_listener_ends_a_sweep_with_what_it_has():
    seen = []

    def enough(at):
        seen.append(at)
        return len(seen) == 2

    result = sweep(grid=POINTS, epochs=10_000, progress=enough)
    assert len(seen) == 2
    assert set(result.status) == {FitStatus.INTERRUPTED}
    assert 0 < result.metrics.shape[1] < 10_000


def test_sizes_that_leave_the_input_side_out_are_refused():
    with pytest.raises(ValueError, match=r"begin layer_sizes with front\.n_out"):
        sweep(grid={"layer_sizes": [(3, 4, 1)]})
