"""Rows divided among the devices of one process; what is refused."""

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp import distributed
from jaxmlp.training.devices import predicted_gain
from jaxmlp.training.parallel import digest_of_rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)).astype(np.float32)
Y = X[:, :3].argmax(axis=1).astype(np.int32)
CONFIG = jaxmlp.MLPConfig((6, 16, 3), batch_norm=False)
CALL = {"loss": "softmax_cross_entropy", "epochs": 3, "key": jax.random.key(1)}


def train(config=CONFIG, y=Y, **options):
    params = jaxmlp.init(config, jax.random.key(0))
    return jaxmlp.fit(config, params, (X, y), optimizer=jaxmlp.sgd(0.3), **{**CALL, **options})


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "squared_error"])
def test_one_device_of_one_process_learns_as_without(loss):
    y = Y if loss.startswith("soft") else X[:, :3] ** 2
    options = {"loss": loss, "batch_size": None, "validation_data": (X[:50], y[:50])}
    wanted, found = (train(y=y, distributed=d, **options) for d in (False, True))
    for one, other in zip(
        jax.tree.leaves(found.params), jax.tree.leaves(wanted.params), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=2e-6)
    for name, column in wanted.history.items():
        if name != "seconds":
            np.testing.assert_allclose(found.history[name], column, rtol=2e-5)


def test_a_result_goes_on_and_a_run_that_diverges_says_so():
    first = train(distributed=True, batch_size=50)
    params = first
    again = jaxmlp.fit(
        CONFIG, params, (X, Y), optimizer=jaxmlp.sgd(0.3), distributed=True, batch_size=50,
        **CALL,
    )  # fmt: skip
    whole = train(distributed=True, batch_size=50, epochs=6)
    for one, other in zip(
        jax.tree.leaves(again.params), jax.tree.leaves(whole.params), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    huge = train(distributed=True, batch_size=50, loss="squared_error", y=X[:, :3] * 1e15, epochs=9)
    assert huge.status is jaxmlp.FitStatus.DIVERGED


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"config": CONFIG.replace(batch_norm=True)}, "batch normalization looks at a whole batch"),
        ({"diagnostics": jaxmlp.Diagnostics()}, "probe and diagnostics look at one device"),
    ],
)
def test_what_looks_at_a_whole_batch_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(distributed=True, **options)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("127.0.0.1:1", 2), "give coordinator, processes and process_id together"),
        (("127.0.0.1:1", 2, 2), "process_id is 2; give 0 to 1"),
    ],
)
def test_processes_that_cannot_meet(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        distributed.initialize(*arguments)


def test_what_is_predicted_is_what_was_measured():
    wide, middle, small = 8_396_800, 669_706, 9_610
    measured = {(wide, 4096): 1.82, (wide, 512): 1.14, (middle, 2048): 1.53}
    for (size, rows), gain in measured.items():  # between two processes of one machine
        np.testing.assert_allclose(predicted_gain(size, rows, 2), gain, rtol=0.05)
    assert max(predicted_gain(small, rows, 2) for rows in (32, 256, 4096)) < 0.7


def test_a_digest_of_rows_knows_rows_and_not_their_order():
    order = RNG.permutation(len(X))
    whole = digest_of_rows(X, Y, None)
    assert digest_of_rows(X[order], Y[order], None) == whole
    changed = X.copy()
    changed[7, 3] += 1e-3
    others = {
        digest_of_rows(changed, Y), digest_of_rows(X, Y[order]), digest_of_rows(X[:-1], Y[:-1]),
        digest_of_rows(X[:, ::-1], Y), digest_of_rows(X), whole,
    }  # fmt: skip
    assert len(others) == 6


def test_numbers_go_through_as_they_are():
    values = np.array([1e-300, 1 / 3, -np.inf])
    np.testing.assert_array_equal(distributed.gathered(values), values[None])
    assert distributed.agreed(3, True) == (3.0, 1.0)
