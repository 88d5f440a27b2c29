"""`fit` against a loop written out with jax.grad and optax, and what it promises besides."""

import signal
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.optimizers import adam, sgd
from jaxmlp.testing import assert_compiles
from jaxmlp.training import EarlyStopping, FitStatus, fit, shuffle_words, shuffled_rows

CONFIG = jaxmlp.MLPConfig((3, 8, 2), "tanh")
KEY = jax.random.key(5)
LOSS = "softmax_cross_entropy"


def make_data(n=50, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (x[:, 0] + noise * rng.normal(size=n) > 0).astype(int)


def start(config=CONFIG, seed=0):
    return jaxmlp.init(config, jax.random.key(seed))


def run(config=CONFIG, data=None, params=None, **options):
    defaults = {"loss": LOSS, "optimizer": adam(1e-2), "epochs": 6, "batch_size": 16, "key": KEY}
    params = start(config) if params is None else params
    return fit(config, params, make_data() if data is None else data, **{**defaults, **options})


def assert_same_bits(a, b):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_a_loop_with_autodiff_and_optax(weighted, x64):
    """50 rows in batches of 16: the last batch of each epoch has 2."""
    config = CONFIG.replace(dtype="float64")
    params, (x, y) = start(config), make_data()
    weight = np.random.default_rng(1).uniform(0, 2, 50) if weighted else np.ones(50)
    result = run(config, params=params, l2=0.01, sample_weight=weight if weighted else None)

    rule, expected = optax.adam(1e-2), params
    state = rule.init(params)
    J = jaxmlp.objective(config, LOSS)
    words = shuffle_words(KEY)
    for epoch in range(6):
        order = np.asarray(shuffled_rows(words, 50, 64, epoch))[:50]
        losses = []
        for rows in np.split(order, [16, 32, 48]):
            w = jnp.asarray(weight[rows])
            arguments = (jnp.asarray(x[rows], jnp.float64), jnp.asarray(y[rows]))
            losses.append(float(J(expected, *arguments, sample_weight=w)) * weight[rows].sum())
            grads = jax.grad(J)(expected, *arguments, l2=0.01, sample_weight=w)
            with jax.numpy_dtype_promotion("standard"):  # optax counts on it
                updates, state = rule.update(grads, state, expected)
            expected = optax.apply_updates(expected, updates)
        np.testing.assert_allclose(
            result.history["train_loss"][epoch], sum(losses) / weight.sum(), rtol=1e-12
        )
    for got, want in zip(jax.tree.leaves(result.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-14)
    assert result.status is FitStatus.COMPLETED
    assert result.n_steps == 24


@pytest.mark.slow
def test_manual_and_autodiff_train_alike():
    manual, autodiff = run(epochs=30), run(epochs=30, gradient="autodiff")
    for column in ("train_loss", "train_accuracy"):
        np.testing.assert_allclose(manual.history[column], autodiff.history[column], rtol=1e-5)


NOISY = CONFIG.replace(dropout=True, batch_norm=True)


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, NOISY])
def test_going_on_is_as_if_not_stopped(config):
    options = {"validation_data": make_data(20, 1), "early_stopping": EarlyStopping(patience=50)}
    whole = run(config, epochs=7, **options)
    half = run(config, epochs=3, **options)
    rest = run(config, params=half, epochs=4, **options)
    assert_same_bits(whole.carry, rest.carry)
    assert_same_bits(whole.params, rest.params)
    np.testing.assert_array_equal(whole.history["train_loss"], rest.history["train_loss"])
    assert whole.history["epoch"].tolist() == rest.history["epoch"].tolist() == [*range(1, 8)]


def test_chunks_change_nothing():
    assert_same_bits(run(epochs=7).carry, run(epochs=7, every=1).carry)


def test_moments_and_statistics_can_be_handed_on():
    """A new run with the old moments starts a new order, but not the optimizer anew."""
    first = run(epochs=2)
    second = run(params=first.params, optimizer_state=first.optimizer_state, epochs=1)
    count = [leaf for leaf in jax.tree.leaves(second.optimizer_state) if leaf.ndim == 0]
    assert 3 * 4 in [int(c) for c in count]


@pytest.mark.slow
def test_early_stopping_against_the_history():
    x, y = make_data(60, noise=3.0)
    stopping = EarlyStopping(patience=4, min_delta=0.001)
    options = {
        "data": (x[:20], y[:20]),
        "validation_data": (x[20:], y[20:]),
        "optimizer": adam(0.05),
    }
    result = run(epochs=200, early_stopping=stopping, **options)
    best, best_epoch, stopped = np.inf, 0, None
    for epoch, loss in enumerate(result.history["validation_loss"], 1):
        if best - loss > stopping.min_delta:
            best, best_epoch = loss, epoch
        if epoch - best_epoch >= stopping.patience:
            stopped = epoch
            break
    assert result.status is FitStatus.EARLY_STOPPED
    assert result.history.n_epochs == stopped < 200
    assert result.best_epoch == best_epoch
    assert_same_bits(result.params, run(epochs=best_epoch, **options).params)


@pytest.mark.slow
def test_accuracy_can_be_watched():
    result = run(
        epochs=60,
        validation_data=make_data(30, 1),
        early_stopping=EarlyStopping("validation_accuracy", patience=60),
    )
    assert result.best_epoch == 1 + int(np.argmax(result.history["validation_accuracy"]))


@pytest.mark.parametrize("latest", [False, True])
def test_of_equally_good_epochs_the_first_or_the_latest_is_kept(latest):
    stopping = EarlyStopping("validation_accuracy", patience=9, latest=latest)
    result = run(epochs=12, validation_data=make_data(6, 1), early_stopping=stopping)
    accuracy = result.history["validation_accuracy"]
    (best,) = np.nonzero(accuracy == accuracy.max())
    assert len(best) > 1
    assert result.best_epoch == 1 + best[-1 if latest else 0]


def test_rows_that_fill_no_batch_can_be_left_out():
    x, y = make_data(50)
    cut = run(data=(x, y), batch_size=16, drop_last=True, shuffle=False)
    assert cut.n_steps == 3 * cut.history.n_epochs
    short = run(data=(x[:48], y[:48]), batch_size=16, shuffle=False)
    jax.tree.map(np.testing.assert_array_equal, cut.params, short.params)
    assert run(data=(x, y), batch_size=500, drop_last=True).steps_per_epoch == 1


def test_divergence_is_a_status():
    data = (make_data()[0], 100 * np.ones(50))
    config = jaxmlp.MLPConfig((3, 8, 1), "relu")
    result = run(config, data=data, loss="squared_error", optimizer=sgd(10.0), epochs=50)
    assert result.status is FitStatus.DIVERGED
    assert 0 <= int(result.carry.stopped_at) < result.n_steps
    assert result.history.n_epochs < 50
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))


@pytest.mark.slow
def test_weights_count_as_copies(x64):
    config = CONFIG.replace(dtype="float64")
    x, y = make_data()
    copies = np.random.default_rng(0).integers(0, 3, 50)
    repeated = (np.repeat(x, copies, axis=0), np.repeat(y, copies))
    options = {"batch_size": None, "optimizer": sgd(0.5)}
    weighted = run(config, sample_weight=copies, **options)
    longer = run(config, data=repeated, **options)
    for a, b in zip(jax.tree.leaves(weighted.params), jax.tree.leaves(longer.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_a_batch_without_weight_is_no_step():
    weight = np.ones(48)
    weight[16:32] = 0
    x, y = make_data(48)
    kept = np.r_[0:16, 32:48]
    config = NOISY.replace(dropout=False)
    skipping = run(config, data=(x, y), sample_weight=weight, shuffle=False)
    absent = run(config, data=(x[kept], y[kept]), shuffle=False)
    for a, b in zip(
        jax.tree.leaves((skipping.params, skipping.state, skipping.optimizer_state)),
        jax.tree.leaves((absent.params, absent.state, absent.optimizer_state)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_frozen_layers_keep_everything():
    config = jaxmlp.MLPConfig((3, 8, 4, 2), "tanh", batch_norm=True)
    params = start(config)
    state = jax.tree.map(lambda leaf: leaf + 0.5, jaxmlp.init_state(config))
    result = run(config, params=params, frozen=(0,), state=state, l2=0.1)
    assert_same_bits(result.params[0], params[0])
    assert_same_bits(result.state[0], state[0])
    assert np.abs(result.params[1].W - params[1].W).max() > 0
    assert np.abs(result.state[1].mean - state[1].mean).max() > 0
    sizes = {leaf.shape for leaf in jax.tree.leaves(result.optimizer_state)}
    assert params[0].W.shape not in sizes


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [(0,), (1,)])
def test_frozen_training_equals_autodiff(frozen):
    manual, autodiff = run(frozen=frozen), run(frozen=frozen, gradient="autodiff")
    for a, b in zip(jax.tree.leaves(manual.params), jax.tree.leaves(autodiff.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_callbacks_see_every_epoch_and_may_stop():
    seen = []
    result = run(epochs=9, callbacks=[lambda progress: seen.append(progress) or None])
    assert [p.epoch for p in seen] == [*range(1, 10)]
    assert seen[3].row["train_loss"] == result.history["train_loss"][3]
    early = run(epochs=9, callbacks=[lambda progress: progress.epoch == 4], every=1)
    assert early.status is FitStatus.INTERRUPTED
    assert early.history.n_epochs == 4


def test_callbacks_can_keep_what_they_see():
    kept = []
    run(epochs=3, every=1, callbacks=[lambda progress: kept.append(progress.result()) or None])
    for epochs, snapshot in enumerate(kept, 1):
        assert_same_bits(snapshot.carry.params, run(epochs=epochs).params)


def test_ctrl_c_keeps_the_best_so_far():
    handler = signal.getsignal(signal.SIGINT)

    def press(progress):
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    result = run(epochs=500, callbacks=[press], every=1)
    assert result.status is FitStatus.INTERRUPTED
    assert result.history.n_epochs == 2
    assert_same_bits(result.params, result.carry.best.params)
    assert signal.getsignal(signal.SIGINT) is handler
    assert run(params=result, epochs=1).history.n_epochs == 3


def test_nothing_compiles_twice():
    traces = []

    def counted(z):
        traces.append(z.shape)
        return jnp.tanh(z)

    activation = jaxmlp.Activation.from_function("counted", counted)
    config = jaxmlp.MLPConfig((3, 8, 2), activation)
    run(config, optimizer=sgd(0.1))
    before = len(traces)
    with assert_compiles(0):
        for rate in (1, 0.25, np.float32(0.5), np.float64(0.3)):
            run(config, optimizer=sgd(rate), data=make_data(seed=3), l2=rate, epochs=2)
        run(config, optimizer=sgd(0.1), key=jax.random.key(9), epochs=11, l2=0)
        run(config, optimizer=sgd(0.1), early_stopping=EarlyStopping(patience=3, min_delta=0.1))
    assert len(traces) == before


@pytest.fixture
def standard_promotion():
    """optax counts on it inside its rules."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_an_optax_optimizer_compiles_once(standard_promotion):
    rule = optax.adam(1e-2)
    run(optimizer=rule)
    with assert_compiles(0):
        run(optimizer=rule, epochs=3)


@pytest.mark.slow
def test_optax_and_ours_train_alike(standard_promotion):
    for a, b in zip(
        jax.tree.leaves(run(optimizer=optax.adam(1e-2)).params),
        jax.tree.leaves(run().params),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def global_norm(params, cache, grads, updates):
    return {
        "grads": optax.tree.norm(grads),
        "updates": optax.tree.norm(updates),
        "mean": jnp.stack([jnp.mean(layer.residual) for layer in cache]),
    }


@pytest.mark.slow
def test_the_probe_records_at_its_cadence():
    result = run(optimizer=sgd(0.1), probe=global_norm, probe_every=3)
    assert result.probe_steps.tolist() == [3, 6, 9, 12, 15, 18, 21, 24]
    assert result.probed["mean"].shape == (8, 2)
    np.testing.assert_allclose(result.probed["updates"], 0.1 * result.probed["grads"], rtol=1e-5)
    every = run(optimizer=sgd(0.1), probe=global_norm, probe_every=1)
    np.testing.assert_allclose(result.probed["grads"], every.probed["grads"][2::3], rtol=1e-5)
    assert_same_bits(every.params, result.params)


def test_gradient_descent_takes_all_rows():
    assert run(batch_size=None).n_steps == 6
    assert run(batch_size=1000).n_steps == 6


@pytest.mark.slow
def test_dropout_needs_no_dropped_prediction():
    config = CONFIG.replace(dropout=True)
    nothing_dropped = run(config, dropout_rate=0.0)
    for a, b in zip(
        jax.tree.leaves(nothing_dropped.params), jax.tree.leaves(run().params), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_history_reads_as_a_table():
    text = str(run(epochs=2, validation_data=make_data(20, 1)).history).splitlines()
    assert len(text) == 3
    assert text[0].split()[:3] == ["epoch", "train_loss", "train_accuracy"]


@pytest.mark.slow
def test_bfloat16_learns():
    config = CONFIG.replace(compute_dtype="bfloat16")
    result = run(config, data=make_data(noise=0.1), epochs=100)
    assert result.history["train_accuracy"][-1] > 0.9
    assert result.params[0].W.dtype == jnp.float32


X, Y = make_data()
BAD = {
    "no pair": ({"data": X}, "pass a pair"),
    "a NaN": ({"data": (np.where(X > 2, np.nan, X), Y)}, r"x\[\d+, \d+\] is nan"),
    "both infinities": (
        {"data": (np.where(X > 2, np.inf, np.where(X < -2, -np.inf, X)), Y)},
        r"x\[\d+, \d+\] is -?inf",
    ),
    "too many features": ({"data": (np.ones((50, 4)), Y)}, "starts with 3"),
    "rows differ": ({"data": (X, Y[:40])}, "y has 40 rows"),
    "no rows": ({"data": (X[:0], Y[:0])}, "no rows"),
    "label out of range": ({"data": (X, Y + 1)}, "label outside"),
    "unknown loss": ({"loss": "mse"}, "unknown loss"),
    "unknown gradient": ({"gradient": "numeric"}, "unknown gradient 'numeric'"),
    "negative l2": ({"l2": -1.0}, "l2 is -1.0"),
    "l2 in words": ({"l2": "small"}, "l2 is 'small'"),
    "rate of 1": ({"dropout_rate": 1.0}, r"in \[0, 1\)"),
    "unknown option": ({"loss_options": {"smoothing": 0.1}}, "label_smoothing"),
    "no batch": ({"batch_size": 0}, "at least 1"),
    "half a row": ({"batch_size": 0.5}, "whole number"),
    "epochs": ({"epochs": -1}, "whole number >= 0"),
    "epochs in parts": ({"epochs": 2.5}, "whole number >= 0"),
    "every": ({"every": 0}, "every is 0"),
    "seed for key": ({"key": 3}, r"jax.random.key\(3\)"),
    "weights": ({"sample_weight": -np.ones(50)}, "not negative"),
    "weights' shape": ({"sample_weight": np.ones(49)}, r"must be \(50,\)"),
    "no validation": (
        {"early_stopping": EarlyStopping("validation_loss")},
        "there is no validation data",
    ),
    "unknown column": ({"early_stopping": EarlyStopping("train_acuracy")}, "train_accuracy"),
    "validation": ({"validation_data": (X[:, :2], Y)}, "x has 2 features"),
    "frozen": ({"frozen": (2,)}, "layers 0 to 1"),
    "all frozen": ({"frozen": (0, 1)}, "nothing would train"),
    "optimizer": ({"optimizer": "adam"}, "optimizer"),
    "factory": ({"optimizer": adam}, "optimizer"),
    "foreign state": ({"optimizer_state": (np.zeros(3),)}, "optimizer_state does not belong"),
    "one row left": (
        {"config": NOISY, "batch_size": 7},
        "batch_size=6 works",
    ),
    "parameters": ({"params": start(CONFIG.replace(layer_sizes=(3, 4, 2)))}, "asks for"),
    "NaN parameters": (
        {"params": jax.tree.map(lambda leaf: leaf + np.nan, start())},
        "holds NaN or infinity",
    ),
    "float64": ({"config": replace(CONFIG, layer_sizes=(3, 8, 2)), "params": "none"}, "tuple of"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_explained(case):
    options, message = BAD[case]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        run(**options)
    assert len(str(caught.value)) < 400


def test_finite_values_whose_sum_is_not_are_taken():
    result = run(data=(np.full((50, 3), 3e38, np.float32), Y), epochs=0)
    assert result.status is FitStatus.COMPLETED


def test_bad_stopping_is_explained():
    with pytest.raises(ValueError, match="at least 1 epoch"):
        EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="finite number >= 0"):
        EarlyStopping(min_delta=-1.0)


def test_a_result_of_other_data_cannot_go_on():
    result = run(epochs=1)
    with pytest.raises(ValueError, match="keep the number of examples"):
        run(params=result, data=make_data(80))
    with pytest.raises(ValueError, match="the batch size"):
        run(params=result, batch_size=15)  # as many steps an epoch as with 16
    with pytest.raises(ValueError, match="optimizer_state does not belong"):
        run(params=result, optimizer=sgd(0.1))
    with pytest.raises(ValueError, match="brings its own state"):
        run(params=result, optimizer_state=result.optimizer_state)
