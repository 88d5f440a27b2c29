"""Callbacks: the guide's trackers write what their tools read; one that raises loses nothing."""

import json
import re
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.estimators import MLPRegressor
from jaxmlp.training import EarlyStopping, FitStatus

GUIDE = Path(__file__).parent.parent / "docs" / "guide" / "tracking.md"
CONFIG = jaxmlp.MLPConfig((2, 4, 1))
X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
DATA = X, X[:, 0]
EPOCHS = 5


def fit(*callbacks, epochs=EPOCHS, **options):
    return jaxmlp.fit(
        CONFIG, jaxmlp.init(CONFIG, jax.random.key(0)), DATA, loss="squared_error", epochs=epochs,
        optimizer=jaxmlp.optimizers.sgd(0.1), key=jax.random.key(1), callbacks=callbacks, **options,
    )  # fmt: skip


def snippet(caption):
    """Execute one of the guide's pieces of code, and return what it defines."""
    code = re.search(rf":caption: {caption}\n(.*?)```", GUIDE.read_text(), re.S)
    names = {}
    exec(code[1], names)
    return names


def losses_of(content):
    """Yield the training losses that a file of TensorFlow's records holds, with their steps."""
    from tensorboardX.proto.event_pb2 import Event

    while content:  # length, its check, data, their check
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        for value in event.summary.value:
            if value.tag == "train_loss":
                yield event.step, value.simple_value
        content = content[16 + size :]


@pytest.mark.filterwarnings("ignore")
def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    result = fit(snippet("TensorBoard")["tensorboard"](str(tmp_path)))
    path, found = next(tmp_path.glob("events*")), []
    deadline = time.monotonic() + 10
    while len(found) < EPOCHS and time.monotonic() < deadline:  # a thread writes
        time.sleep(0.1)
        found = list(losses_of(path.read_bytes()))
    assert [step for step, _ in found] == list(range(1, EPOCHS + 1))
    np.testing.assert_allclose([v for _, v in found], result.history["train_loss"], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    result = fit(snippet("MLflow")["mlflow_run"](tmp_path.as_uri()))
    mlflow.end_run()
    lines = next(tmp_path.rglob("metrics/train_loss")).read_text().splitlines()
    _, values, steps = zip(*(map(float, line.split()) for line in lines), strict=True)
    assert list(steps) == list(range(1, EPOCHS + 1))
    np.testing.assert_allclose(values, result.history["train_loss"], rtol=1e-6)


def losses_in_log(content, record_type):
    """The losses in LevelDB's log, here of one block: checksum, length, type 1 (whole), data."""
    found = []
    while content:
        assert content[6] == 1
        size = int.from_bytes(content[4:6], "little")
        record = record_type.FromString(content[7 : 7 + size])
        items = {item.key or ".".join(item.nested_key): item for item in record.history.item}
        if "train_loss" in items:
            found.append(json.loads(items["train_loss"].value_json))
        content = content[7 + size :]
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases(tmp_path):
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    make = snippet("Weights & Biases")["weights_and_biases"]
    result = fit(make(str(tmp_path), mode="offline", project="jaxmlp"))
    path = next(tmp_path.rglob("*.wandb"))
    for _ in range(100):  # another process of theirs writes the file
        found = losses_in_log(path.read_bytes()[7:], Record)
        if len(found) == len(result.history["train_loss"]):
            break
        time.sleep(0.1)
    np.testing.assert_allclose(found, result.history["train_loss"], rtol=1e-6)


def raising(progress):
    if progress.epoch == 3:
        raise ConnectionError("the tracker is away")


@pytest.mark.parametrize("early_stopping", [None, EarlyStopping(patience=100)])
def test_a_callback_that_raises_leaves_the_best_so_far(early_stopping):
    with pytest.raises(ConnectionError, match="the tracker is away") as caught:
        fit(raising, epochs=200, every=1, validation_data=DATA, early_stopping=early_stopping)
    result = caught.value.result
    whole = fit(epochs=3, validation_data=DATA)
    assert result.status is FitStatus.INTERRUPTED
    assert result.history.n_epochs == 3
    assert result.epoch == result.best_epoch == int(np.argmin(whole.history["validation_loss"])) + 1
    assert jaxmlp.evaluate(CONFIG, result.params, DATA, "squared_error")["loss"] == pytest.approx(
        whole.history["validation_loss"].min(), rel=1e-5
    )
    longer = jaxmlp.fit(
        CONFIG, result, DATA, loss="squared_error", optimizer=jaxmlp.optimizers.sgd(0.1), epochs=1,
        key=jax.random.key(1), validation_data=DATA,
    )  # fmt: skip
    assert longer.history.n_epochs == 4


def test_an_estimator_s_callback_that_raises_reaches_the_caller():
    model = MLPRegressor(callbacks=[raising], max_iter=5, random_state=0)
    with pytest.raises(ConnectionError):
        model.fit(*DATA)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("callbacks", [print, 3, [print, 3], None])
def test_what_is_no_list_of_functions_is_refused(callbacks):
    with pytest.raises(TypeError, match="callbacks"):
        jaxmlp.fit(
            CONFIG, jaxmlp.init(CONFIG, jax.random.key(0)), DATA, loss="squared_error", epochs=1,
            optimizer=jaxmlp.optimizers.sgd(0.1), key=jax.random.key(1), callbacks=callbacks,
        )  # fmt: skip


def test_a_batch_of_keys_is_refused():
    with pytest.raises(ValueError, match=r"key has shape \(3,\): it is 3 keys.*keys\[0\]"):
        jaxmlp.init(CONFIG, jax.random.split(jax.random.key(0), 3))
    members = jax.vmap(jaxmlp.init, (None, 0))(CONFIG, jax.random.split(jax.random.key(0), 3))
    assert members[0].W.shape == (3, 2, 4)
