"""Training on rows that come in chunks, against the same rows at once."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.data.streams import RowStream
from jaxmlp.training import feed as feeding
from jaxmlp.training.feed import Feed

pytest.importorskip("grain", reason="needs grain")

RNG = np.random.default_rng(0)
N = 1500
X = RNG.normal(size=(N, 6)).astype(np.float32)
Y = X[:, :3].argmax(axis=1).astype(np.int32)
CUTS = [0, 200, 201, 620, 1100, N]
CONFIG = jaxmlp.MLPConfig((6, 16, 3))
CALL = {
    "loss": "softmax_cross_entropy", "batch_size": 32, "key": jax.random.key(1),
    "validation_data": (X[:99], Y[:99]),
}  # fmt: skip


def stream_of(cuts=CUTS, x=X, y=Y):
    return RowStream(
        tuple(np.diff(cuts).tolist()),
        lambda i: (x[cuts[i] : cuts[i + 1]], y[cuts[i] : cuts[i + 1]]),
        "made for a test",
    )


def train(data, epochs=3, start=None, **options):
    start = jaxmlp.init(CONFIG, jax.random.key(0)) if start is None else start
    return jaxmlp.fit(
        CONFIG, start, data, epochs=epochs, optimizer=jaxmlp.adam(1e-2), **{**CALL, **options}
    )


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 320 rows: five an epoch, the last one shorter."""
    monkeypatch.setattr(feeding, "_MOST_ROWS", 300)


def test_one_chunk_is_all_rows_at_once():
    wanted, found = train((X, Y)), train(stream_of([0, N]))
    assert_same(found.params, wanted.params)
    for name, column in wanted.history.items():
        if name != "seconds":
            np.testing.assert_array_equal(found.history[name], column)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("part", [None, (0, 2), (1, 2)])
def test_every_row_comes_once_an_epoch_in_an_order_of_its_own(part):
    stream = stream_of() if part is None else stream_of().shard(*part)
    feed = Feed(stream, CONFIG, jaxmlp.losses.get_loss(CALL["loss"]), 32, jax.random.key(4))
    blocks = range(len(CUTS) - 1) if part is None else range(part[0], len(CUTS) - 1, part[1])
    rows = np.concatenate([X[CUTS[i] : CUTS[i + 1]] for i in blocks])
    epochs = []
    for epoch in range(3):
        seen, step = [], epoch * feed.steps_per_epoch
        while step < (epoch + 1) * feed.steps_per_epoch:
            chunk = feed.at(step)
            assert chunk.begin == step
            seen.append(np.asarray(chunk.train.x)[: int(chunk.train.n_rows)])
            step = chunk.end
        epochs.append(np.concatenate(seen))
        np.testing.assert_array_equal(np.sort(epochs[-1], axis=0), np.sort(rows, axis=0))
    if part is None:  # of two or three blocks, orders may be equal
        assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.usefixtures("small_chunks")
def test_a_stream_is_learnt_from_as_well():
    wanted, found = train((X, Y), epochs=6), train(stream_of(), epochs=6)
    assert found.steps_per_epoch == wanted.steps_per_epoch
    ratio = found.history["train_loss"] / wanted.history["train_loss"]
    np.testing.assert_allclose(ratio, 1, atol=0.15)
    assert found.history["validation_accuracy"][-1] > 0.93


@pytest.mark.usefixtures("small_chunks")
def test_a_stream_goes_on_wherever_it_was_left(tmp_path):
    whole = train(stream_of(), epochs=4)
    assert_same(train(stream_of(), 2, train(stream_of(), 2)).params, whole.params)
    checkpoints = jaxmlp.Checkpoints(tmp_path, every=1)
    train(stream_of(), 1, checkpoint=checkpoints)
    assert_same(train(stream_of(), 4, checkpoint=checkpoints).carry, whole.carry)
    other = RowStream(stream_of().sizes, stream_of().read, "other rows")
    with pytest.raises(ValueError, match="a run with another training data"):
        train(other, 4, checkpoint=checkpoints)


def test_the_seconds_of_an_epoch_hold_the_wait_for_rows():
    def read(i):
        time.sleep(0.05)
        return stream_of().read(i)

    found = train(RowStream(stream_of().sizes, read, "slow"), epochs=2)
    assert (found.history["seconds"] > 0.05).all()


@pytest.mark.usefixtures("small_chunks")
def test_without_shuffling_rows_come_as_they_are_stored():
    wanted, found = train((X, Y), shuffle=False), train(stream_of(), shuffle=False)
    assert_same(found.params, wanted.params)


@pytest.mark.usefixtures("small_chunks")
def test_only_the_blocks_that_follow_are_read():
    read = []

    def note(i):
        read.append(i)
        return stream_of().read(i)

    stream = RowStream(stream_of().sizes, note, "noted")
    feed = Feed(stream, CONFIG, jaxmlp.losses.get_loss(CALL["loss"]), 32, jax.random.key(4))
    feed.at(feed.steps_per_epoch - 1)  # the last step of the first epoch
    assert len(set(read)) < len(stream.sizes)


@pytest.mark.usefixtures("small_chunks")
def test_regression_diagnostics_and_early_stopping_look_at_all_rows():
    targets = (3 * X[:, :2] + 1).astype(np.float32)
    config = jaxmlp.MLPConfig((6, 16, 2), "tanh")
    found, wanted = (
        jaxmlp.fit(
            config, jaxmlp.init(config, jax.random.key(0)), data, epochs=8, loss="squared_error",
            optimizer=jaxmlp.adam(1e-2), batch_size=32, key=jax.random.key(1),
            validation_data=(X[:99], targets[:99]), diagnostics=jaxmlp.Diagnostics(every=20),
            early_stopping=jaxmlp.EarlyStopping("validation_loss", patience=2),
        )
        for data in (stream_of(y=targets), (X, targets))
    )  # fmt: skip
    np.testing.assert_allclose(
        found.history["train_r2"][-1], wanted.history["train_r2"][-1], atol=0.02
    )
    assert found.diagnostics is not None
    assert found.best_epoch == np.argmin(found.history["validation_loss"]) + 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sample_weight": np.ones(N)}, "sample_weight does not go with a stream"),
        ({"batch_size": None}, "batch_size=None takes all rows at once"),
        ({"distributed": True}, "distributed does not go with a stream"),
        ({"drop_last": True}, "drop_last does not go with a stream"),
    ],
)
def test_what_needs_all_rows_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(stream_of(), **options)


def test_a_bad_row_in_a_later_block_is_named():
    bad = X.copy()
    bad[700, 2] = np.nan
    with pytest.raises(ValueError, match=r"a block of the stream: x\[\d+, 2\] is nan"):
        train(stream_of(x=bad))


KILLED = """
    import sys, time
    from datetime import timedelta
    import jax
    import numpy as np
    import jaxmlp
    from jaxmlp.data.streams import RowStream
    from jaxmlp.training import feed

    feed._MOST_ROWS = 300
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 6)).astype(np.float32)
    y = x[:, :3].argmax(axis=1).astype(np.int32)

    def read(i):
        time.sleep(float(sys.argv[2]))
        return x[100 * i : 100 * i + 100], y[100 * i : 100 * i + 100]

    config = jaxmlp.MLPConfig((6, 16, 3))
    result = jaxmlp.fit(
        config, jaxmlp.init(config, jax.random.key(0)), RowStream((100,) * 15, read, "rows"),
        epochs=3, loss="softmax_cross_entropy", optimizer=jaxmlp.adam(1e-2), batch_size=32,
        key=jax.random.key(1),
        checkpoint=jaxmlp.Checkpoints(sys.argv[1], every=timedelta(microseconds=1)),
    )
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result.carry)]
    np.savez(sys.argv[3], *leaves, result.history["train_loss"])
"""


@pytest.mark.slow
def test_killed_within_an_epoch_it_goes_on_bit_for_bit(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(KILLED))

    def start(folder, pause, out):
        command = [sys.executable, script, tmp_path / folder, pause, tmp_path / out]
        return subprocess.Popen(list(map(str, command)))

    assert start("whole", 0, "whole.npz").wait(120) == 0
    process, end = start("killed", 0.06, "never.npz"), time.monotonic() + 90
    folder = tmp_path / "killed"
    while time.monotonic() < end and not any(n % 47 for n in steps_in(folder)):
        time.sleep(0.02)
    process.kill()
    process.wait(10)
    assert any(n % 47 for n in steps_in(folder))  # 47 steps an epoch: it was left within one
    assert start("killed", 0, "killed.npz").wait(120) == 0
    with np.load(tmp_path / "whole.npz") as wanted, np.load(tmp_path / "killed.npz") as found:
        for name in wanted:
            np.testing.assert_array_equal(found[name], wanted[name])


def steps_in(folder: Path):
    return [int(p.name) for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
