"""A run that was saved goes on as if nothing had happened."""

import signal
from datetime import timedelta

import jax
import numpy as np
import pytest

from jaxmlp import Checkpoints, Diagnostics, EarlyStopping, MLPConfig, adam, fit, init

RNG = np.random.default_rng(0)
CONFIG = MLPConfig((4, 8, 3), batch_norm=True, dropout=True)
PARAMS = init(CONFIG, jax.random.key(0))
X, Y = RNG.normal(size=(90, 4)).astype(np.float32), RNG.integers(0, 3, 90)


def train(checkpoint=None, **options):
    given = {
        "loss": "softmax_cross_entropy", "optimizer": adam(1e-2), "epochs": 7, "batch_size": 32,
        "key": jax.random.key(1), "validation_data": (X[:30], Y[:30]), "dropout_rate": 0.2,
        "early_stopping": EarlyStopping(patience=50), "checkpoint": checkpoint,
    }  # fmt: skip
    return fit(CONFIG, options.pop("params", PARAMS), (X, Y), **given | options)


def stop_after(epoch):
    """A callback that ends a run with an error, as a full disk would."""

    def callback(progress):
        if progress.epoch == epoch:
            raise OSError("disk full")

    return callback


def interrupted(checkpoint, epoch, **options):
    with pytest.raises(OSError, match="disk full"):
        train(checkpoint, callbacks=[stop_after(epoch)], every=1, **options)


def assert_same(found, expected):
    for name in expected.history:
        if name != "seconds":
            np.testing.assert_array_equal(found.history[name], expected.history[name])
    jax.tree.map(np.testing.assert_array_equal, found.carry, expected.carry)
    jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)
    assert (found.status, found.best_epoch, found.n_steps) == (
        expected.status, expected.best_epoch, expected.n_steps
    )  # fmt: skip


def test_resumed_bit_for_bit(tmp_path):
    checkpoint = Checkpoints(tmp_path, every=1)
    interrupted(checkpoint, 3)
    interrupted(checkpoint, 5)
    found = train(checkpoint)
    assert len(found.history["seconds"]) == 7
    assert_same(found, train())


def test_what_was_observed_goes_on(tmp_path):
    watched = {"diagnostics": Diagnostics(every=2, every_epochs=2)}
    checkpoint = Checkpoints(tmp_path, every=2)
    interrupted(checkpoint, 5, **watched)
    found, expected = train(checkpoint, **watched), train(every=2, **watched)
    assert_same(found, expected)
    assert found.diagnostics.steps.tolist() == expected.diagnostics.steps.tolist()
    jax.tree.map(
        np.testing.assert_array_equal, found.diagnostics.layers, expected.diagnostics.layers
    )
    assert found.diagnostics.first_loss == expected.diagnostics.first_loss
    assert found.diagnostics.epochs[0] == 0


def test_a_finished_run_is_read_back(tmp_path):
    checkpoint = Checkpoints(tmp_path, every=3)
    expected = train(checkpoint)
    called = []
    assert_same(train(checkpoint, callbacks=[called.append]), expected)
    assert called == []


def test_more_epochs_go_on(tmp_path):
    train(Checkpoints(tmp_path, every=3), epochs=4)
    assert_same(train(Checkpoints(tmp_path, every=3)), train())


def test_only_the_newest_are_kept(tmp_path):
    train(Checkpoints(tmp_path, every=1, keep=3))
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [15, 18, 21]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("batch size", {"batch_size": 16}),
        ("l2: 0.0, and here 0.01", {"l2": 0.01}),
        ("optimizer", {"optimizer": adam(1e-3)}),
        ("key", {"key": jax.random.key(2)}),
        ("dropout rate", {"dropout_rate": 0.3}),
        ("early stopping", {"early_stopping": EarlyStopping(patience=2)}),
        ("validation data", {"validation_data": (X[:29], Y[:29])}),
        ("start", {"params": init(CONFIG, jax.random.key(5))}),
        ("choice of frozen layers", {"frozen": (0,)}),
        ("number of steps an epoch: 3, and here 2", {"drop_last": True}),
        ("early stopping", {"early_stopping": EarlyStopping(patience=50, latest=True)}),
    ],
)
def test_another_call_is_refused(tmp_path_factory, name, options):
    folder = tmp_path_factory.getbasetemp() / "another-call"
    if not folder.exists():
        train(Checkpoints(folder, every=1), epochs=1)
    with pytest.raises(ValueError, match=f"a run with another {name}"):
        train(Checkpoints(folder, every=1), **options)


def test_a_damaged_step_is_passed_over(tmp_path):
    checkpoint = Checkpoints(tmp_path, every=1)
    interrupted(checkpoint, 4)
    newest = max((path for path in tmp_path.iterdir()), key=lambda path: int(path.name))
    for path in newest.rglob("*"):
        if path.is_file() and path.stat().st_size > 100:
            path.write_bytes(path.read_bytes()[:50])
    with pytest.warns(UserWarning, match="cannot be read .* the one before is taken"):
        found = train(checkpoint)
    assert_same(found, train())


def test_nothing_can_be_read(tmp_path):
    train(Checkpoints(tmp_path, every=1, keep=1), epochs=1)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="cannot be read"),
        pytest.raises(ValueError, match="no ch"),
    ):
        train(Checkpoints(tmp_path, every=1))


def test_words_of_resume(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no checkpoint to go on with"):
        train(Checkpoints(tmp_path / "none", resume="must"))
    interrupted(Checkpoints(tmp_path, every=1), 3)
    epochs = []
    train(
        Checkpoints(tmp_path, every=1, resume="never"), callbacks=[lambda p: epochs.append(p.epoch)]
    )
    assert epochs == list(range(1, 8))


def test_sigterm_saves_and_leaves(tmp_path):
    def terminate(progress):
        if progress.epoch == 3:
            signal.raise_signal(signal.SIGTERM)

    checkpoint = Checkpoints(tmp_path)  # of a minute, which does not pass
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        train(checkpoint, callbacks=[terminate], every=1)
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert [path.name for path in tmp_path.iterdir()] == ["9"]
    assert_same(train(checkpoint), train())


def test_a_loss_without_options(tmp_path):
    config = MLPConfig((4, 3, 1))
    found = [
        fit(
            config, init(config, jax.random.key(0)), (X, X[:, 0]), loss="squared_error",
            optimizer=adam(1e-2), epochs=epochs, key=jax.random.key(1), batch_size=batch_size,
            checkpoint=Checkpoints(tmp_path / str(batch_size), every=1),
        )
        for batch_size in (32, None)
        for epochs in (1, 2)
    ]  # fmt: skip
    assert [result.history.n_epochs for result in found] == [1, 2, 1, 2]


def test_a_short_run_writes_nothing(tmp_path):
    train(Checkpoints(tmp_path / "a"), epochs=1)
    assert not (tmp_path / "a").exists()


def test_an_interval_of_time_is_kept_and_bounded(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("jaxmlp.training.checkpoints.time.monotonic", lambda: now[0])

    def tick(progress):
        now[0] += 10.0

    train(Checkpoints(tmp_path, every=timedelta(seconds=30), keep=9), callbacks=[tick], every=1)
    assert {path.name for path in tmp_path.iterdir()} == {"9", "18", "21"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every is 0; give a number of epochs >= 1"),
        ({"every": 2.5}, "every is 2.5"),
        ({"every": timedelta(0)}, "give a time above 0"),
        ({"keep": 0}, "keep is 0; give a number of steps >= 1"),
        ({"resume": "maybe"}, "unknown resume 'maybe'"),
    ],
)
def test_what_cannot_be_meant(options, message):
    with pytest.raises(ValueError, match=message):
        Checkpoints("a", **options)


def test_a_folder_alone_is_refused():
    with pytest.raises(TypeError, match=r"pass jaxmlp\.Checkpoints"):
        train("runs/a")
