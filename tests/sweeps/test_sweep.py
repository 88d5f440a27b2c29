"""Sweeps: every member is its solo run, and its neighbours do not matter."""

import subprocess
import sys
import textwrap
from functools import partial

import jax
import numpy as np
import pytest
from scipy.stats import loguniform

import jaxmlp
from jaxmlp.sweeps import Executor, member_keys, sample
from jaxmlp.testing import assert_compiles
from jaxmlp.training import EarlyStopping, FitStatus

CONFIG = jaxmlp.MLPConfig((3, 8, 2), "tanh")
LOSS = "softmax_cross_entropy"
KEY = jax.random.key(5)
GRID = {"learning_rate": [1e-3, 1e-2], "seed": [0, 1, 2]}


def make_data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, (x[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int)


VALIDATION = make_data(20, 1)  # for all: six members with it are one program, a solo run another


def sweep(config=CONFIG, data=None, grid=GRID, **options):
    defaults = {"loss": LOSS, "epochs": 10, "key": KEY, "batch_size": 16}
    defaults["validation_data"] = VALIDATION
    return jaxmlp.sweep(config, data or make_data(), grid=grid, **(defaults | options))


def solo(setting, config=CONFIG, **options):
    first, second = member_keys(KEY, setting.get("seed", 0))
    defaults = {"loss": LOSS, "epochs": 10, "batch_size": 16, "key": second}
    defaults |= {"optimizer": jaxmlp.adam(setting.get("learning_rate", 1e-3))}
    defaults |= {"validation_data": VALIDATION, "params": jaxmlp.init(config, first)}
    return jaxmlp.fit(config, data=make_data(), **(defaults | options))


@pytest.fixture(scope="module")
def calm():
    """The six members that others are compared with."""
    return sweep()


def distance(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.max(np.abs(np.asarray(x) - np.asarray(y)))) for x, y in leaves)


def test_members_are_their_solo_runs(calm):
    for index in (0, 2, 5):
        alone = solo(calm.settings[index])
        member = calm.member(index)
        assert distance(member.params, alone.params) <= 1e-5
        history = calm.history(index)
        for column in ("train_loss", "validation_loss", "validation_accuracy"):
            np.testing.assert_allclose(history[column], alone.history[column], atol=1e-5)
        assert member.status is FitStatus.COMPLETED


def test_neighbours_do_not_matter(calm):
    """Bit for bit, whether they learn fast, slowly, or diverge."""
    wild = sweep(grid=[{**s, "learning_rate": 1e38 if i == 1 else s["learning_rate"]}
                       for i, s in enumerate(calm.settings)])  # fmt: skip
    assert wild.status[1] is FitStatus.DIVERGED
    assert np.isfinite(wild.scores[[0, 2, 3, 4, 5]]).all()
    assert np.isnan(wild.scores[1])
    for index in (0, 2, 3, 4, 5):
        assert distance(calm.member(index).params, wild.member(index).params) == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(wild.member(1).params))


def test_one_compilation_for_all_numbers():
    rates = np.geomspace(1e-4, 1e-1, 64)
    options = {"validation_data": None}
    with assert_compiles(1, "run_chunk"):
        result = sweep(grid={"learning_rate": rates, "seed": range(8)}, epochs=2, **options)
    assert len(result) == 512
    assert result.n_programs == 1
    grid = {"learning_rate": rates / 2, "seed": range(8, 16)}
    with assert_compiles(0):
        sweep(grid=grid, epochs=3, l2=0.1, data=make_data(40, 3), **options)


@pytest.mark.parametrize(
    "executor", ["one", "vmap", "chunks of 4", pytest.param(Executor(3), marks=pytest.mark.slow)]
)
def test_every_executor_trains_the_same(executor, calm):
    found = sweep(executor=executor)
    for index in range(6):
        assert distance(calm.member(index).params, found.member(index).params) < 1e-6


def test_measured_executor():
    found = sweep(executor="measure", epochs=2)
    assert len(found) == 6
    assert "us per member-step" in found.executor


IN_TURNS = {"memory_limit": 2 * 6 * 4 * CONFIG.n_parameters * 4, "executor": "chunks of 4"}


def test_more_members_than_memory(calm):
    """In turns, the last one not full: the same members."""
    few = sweep(**IN_TURNS, keep="best")
    np.testing.assert_allclose(few.metrics, calm.metrics, atol=1e-6)
    assert few.best_index == calm.best_index
    assert distance(few.best.params, calm.best.params) < 1e-6
    with pytest.raises(ValueError, match="were not kept"):
        few.member(0 if few.best_index else 1)


def test_early_stopping_is_each_members_own():
    stopping = EarlyStopping(patience=3, min_delta=0.005)
    options = {"early_stopping": stopping, "epochs": 60}
    result = sweep(grid={"learning_rate": [1e-3, 0.3], "seed": [0, 1, 2]}, **options)
    epochs = []
    for index in (0, 3):
        alone = solo(result.settings[index], **options)
        assert result.status[index] is alone.status
        assert result.best_epoch[index] == result.epoch[index] == alone.best_epoch
        assert result.history(index).n_epochs == alone.history.n_epochs
        assert distance(result.member(index).params, alone.params) <= 1e-4
        epochs.append(alone.history.n_epochs)
    assert len(set(epochs)) == 2


def test_shared_batches_are_shared():
    """All members see the order that the first seed's solo run sees."""
    result = sweep(shared_batches=True)
    alone = solo(result.settings[2], key=member_keys(KEY, 0)[1])
    assert distance(result.member(2).params, alone.params) <= 1e-5


@pytest.mark.parametrize("batch_norm", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_everything_that_keeps_the_shape(batch_norm):
    config = CONFIG.replace(dropout=True, batch_norm=batch_norm)
    grid = [
        {"b1": 0.9, "l2": 0.0, "label_smoothing": 0.0, "dropout_rate": 0.0, "init_scale": 1.0},
        {"b1": 0.5, "l2": 0.1, "label_smoothing": 0.2, "dropout_rate": 0.5, "init_scale": 0.1},
    ]
    result = sweep(config, grid=grid, validation_data=None)
    assert result.n_programs == 1
    params = jaxmlp.init(config, member_keys(KEY, 0)[0])
    params = tuple(layer._replace(W=layer.W * np.float32(0.1)) for layer in params)
    alone = solo(
        grid[1], config, params=params, optimizer=jaxmlp.adam(b1=0.5), l2=0.1, dropout_rate=0.5,
        loss_options={"label_smoothing": 0.2}, validation_data=None,
    )  # fmt: skip
    assert distance(result.member(1).params, alone.params) <= 1e-5
    if batch_norm:
        assert distance(result.member(1).state, alone.state) <= 1e-5


@pytest.mark.slow
def test_shapes_and_activations_make_programs():
    grid = {"hidden_layer_sizes": [(8,), (4, 4)], "activation": ["tanh", "relu"], "seed": [0, 1]}
    result = sweep(grid=grid, epochs=2)
    assert (len(result), result.n_programs) == (8, 4)
    assert result.member(5).config.layer_sizes == (3, 4, 4, 2)
    assert result.member(2).config.activation == "relu"


def test_members_of_another_shape_train_in_a_program_of_their_own():
    """The members' order is the grid's, whatever trains with what."""
    shapes = [((8,), "tanh"), ((4,), "relu"), ((8,), "tanh")]
    grid = [{"hidden_layer_sizes": sizes, "activation": phi} for sizes, phi in shapes]
    result = sweep(grid=grid, epochs=2, validation_data=None)
    assert result.n_programs == 2
    for index, (sizes, phi) in enumerate(shapes):
        member = result.member(index)
        assert (member.config.layer_sizes, member.config.activation) == ((3, *sizes, 2), phi)
        assert [layer.W.shape[1] for layer in member.params] == [*sizes, 2]


def test_decay_of_zero_is_one_value_of_many():
    """adam without decay is another rule than with; a sweep over both is still one program."""
    result = sweep(grid={"weight_decay": [0.0, 0.1]}, optimizer=partial(jaxmlp.adamw, 0.01))
    assert result.n_programs == 1
    alone = solo({"learning_rate": 0.01})
    assert distance(result.member(0).params, alone.params) <= 1e-5


def test_table_and_summary(calm):
    table = calm.table
    assert list(table["seed"]) == [0, 1, 2] * 2
    scores = table["validation_loss"].to_numpy()
    assert calm.best_index == scores.argmin()
    summary = calm.summary()
    for rate in GRID["learning_rate"]:
        own = table[table["learning_rate"] == rate]["validation_loss"]
        row = summary[summary["learning_rate"] == rate].iloc[0]
        assert row["validation_loss_mean"] == pytest.approx(own.mean())
        assert row["validation_loss_std"] == pytest.approx(own.std())
        assert row["members"] == 3
    assert summary["validation_loss_mean"].is_monotonic_increasing
    assert "6 members" in repr(calm)


def test_progress_goes_to_the_end():
    seen = []
    sweep(**IN_TURNS, progress=lambda at: seen.append(at.fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_samples_of_a_space():
    space = {"learning_rate": loguniform(1e-4, 1e-1), "activation": ["relu", "tanh"]}
    for method in ("random", "sobol"):
        drawn = sample(space, 64, seed=1, method=method)
        assert drawn == sample(space, 64, seed=1, method=method)
        logs = np.log10([s["learning_rate"] for s in drawn])
        assert -4 <= logs.min() < -3.5 < -1.5 < logs.max() <= -1
        assert {s["activation"] for s in drawn} == {"relu", "tanh"}
    evenly = np.sort(np.log10([s["learning_rate"] for s in drawn]))
    assert np.abs(np.diff(evenly)).max() < 0.1  # of 3 decades, by 64 points


BAD = {
    "unknown name": ({"grid": {"lerning_rate": [0.1]}}, "learning_rate"),
    "empty grid": ({"grid": {"seed": []}}, "empty"),
    "no list": ({"grid": {"seed": 3}}, "list of values"),
    "different names": ({"grid": [{"seed": 0}, {"l2": 0.1}]}, "different things"),
    "number out of range": ({"grid": {"learning_rate": [0.1, -1.0]}}, "learning_rate"),
    "bad l2": ({"grid": {"l2": [-1.0]}}, "l2"),
    "unknown executor": ({"executor": "pmap"}, "vmap"),
    "no epochs": ({"epochs": 0}, "epochs"),
    "keep": ({"keep": "some"}, "best"),
    "gradient": ({"gradient": "auto"}, "autodiff"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_sentence(name):
    options, match = BAD[name]
    with pytest.raises(ValueError, match=match):
        sweep(**options)


def test_unknown_method():
    with pytest.raises(ValueError, match="sobol"):
        sample({"l2": [0.1]}, 2, method="halton")
    with pytest.raises(ValueError, match=r"scipy\.stats"):
        sample({"l2": 0.1}, 2)


@pytest.mark.slow
def test_two_devices_train_the_same():
    """Members spread over two host devices; devices must be set before JAX starts."""
    program = """
        import sys, numpy as np, jax
        jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
        sys.path.insert(0, "tests/sweeps")
        from test_sweep import assert_compiles, sweep
        grid = {"learning_rate": [1e-3, 3e-3, 1e-2], "seed": [0]}
        with assert_compiles(1, "run_chunk"):  # members lie from the start where results will
            result = sweep(grid=grid, epochs=4)
        print(result.executor.split(":")[0], "|", *[repr(float(s)) for s in result.scores])
    """
    lines = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(n)],
            check=True, capture_output=True, text=True,
        ).stdout.split("|")
        for n in (1, 2)
    ]  # fmt: skip
    assert "2 devices" not in lines[0][0]
    assert "2 devices" in lines[1][0]
    one, two = (np.array(line[1].split(), float) for line in lines)
    np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("seed", [-1, 1.5, 1 << 32, True, "one"])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match=r"seed is .*; give whole numbers from 0 to 4294967295"):
        sweep(grid={"seed": [seed]}, epochs=1)
