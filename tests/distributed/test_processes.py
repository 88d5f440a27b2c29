"""One network trained by several processes: the same result, and no one waits for the dead."""

import json
import signal
import time

import jax
import numpy as np
import pytest
from processes import run_processes  # noqa: F401  (a fixture)

import jaxmlp
from jaxmlp.training.checkpoints import Checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]
HEARTBEAT = 5

BEGIN = """
import json, sys
import jax
import numpy as np
from jaxmlp import distributed
address, n, rank, *rest = sys.argv[1:]
n, rank = int(n), int(rank)
distributed.initialize(address, n, rank, heartbeat=5)
import jaxmlp
from jaxmlp.training.checkpoints import Checkpoints

rng = np.random.default_rng(0)
X = rng.normal(size=(1000, 20)).astype(np.float32)
Y = X[:, :3].argmax(axis=1).astype(np.int32)
config = jaxmlp.MLPConfig((20, 32, 3))
params = jaxmlp.init(config, jax.random.key(0))
common = {"loss": "softmax_cross_entropy", "key": jax.random.key(1), "distributed": True}


def own(rows):
    return X[rows], Y[rows]


def say(result):
    leaves = [np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves(result.params)]
    history = {name: result.history[name].tolist() for name in result.history if name != "seconds"}
    print("said", json.dumps({"params": leaves, "history": history, "steps": result.n_steps}))
"""
ROWS = {2: [0, 430, 1000], 3: [0, 100, 101, 1000]}
X = np.random.default_rng(0).normal(size=(1000, 20)).astype(np.float32)
Y = X[:, :3].argmax(axis=1).astype(np.int32)
CONFIG = jaxmlp.MLPConfig((20, 32, 3))
PARAMS = jaxmlp.init(CONFIG, jax.random.key(0))
LOSS = "softmax_cross_entropy"


def answers(processes, n):
    """What every process said, once all have ended well."""
    assert processes.wait() == [0] * n, processes.said() + processes.said(1)
    lines = [processes.said(rank).splitlines() for rank in range(n)]
    return [json.loads(next(l for l in found if l.startswith("said "))[5:]) for found in lines]


WHOLE = """
cuts = json.loads(rest[0])
weight = None if rest[1] == "plain" else (1 + np.arange(1000) % 3.0)[cuts[rank]:cuts[rank + 1]]
rows = slice(cuts[rank], cuts[rank + 1])
result = jaxmlp.fit(
    config, params, own(rows), optimizer=jaxmlp.sgd(0.5), epochs=3, batch_size=None, l2=1e-2,
    validation_data=own(slice(rank, 400, n)), sample_weight=weight, **common,
)
say(result)
"""


@pytest.mark.parametrize(("n", "weights"), [(2, "plain"), (2, "weighted"), (3, "plain")])
def test_the_gradient_of_all_rows_is_that_of_one_process(run_processes, n, weights):
    found = answers(run_processes(BEGIN + WHOLE, n, json.dumps(ROWS[n]), weights), n)
    assert all(one == found[0] for one in found)  # replicas are equal in every bit
    weight = None if weights == "plain" else 1 + np.arange(1000) % 3.0
    wanted = jaxmlp.fit(
        CONFIG, PARAMS, (X, Y), optimizer=jaxmlp.sgd(0.5), epochs=3, batch_size=None, l2=1e-2,
        validation_data=(X[:400], Y[:400]), sample_weight=weight, loss=LOSS, key=jax.random.key(1),
    )  # fmt: skip
    for one, other in zip(found[0]["params"], jax.tree.leaves(wanted.params), strict=True):
        other = np.asarray(other).ravel()
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())
    for name, column in found[0]["history"].items():
        np.testing.assert_allclose(column, wanted.history[name], rtol=1e-5, err_msg=name)


BATCHES = """
rows = slice(0, 430) if rank == 0 else slice(430, 1000)
config = config.replace(dropout=True)
result = jaxmlp.fit(
    config, params, own(rows), optimizer=jaxmlp.adam(1e-2), epochs=40, batch_size=64,
    validation_data=own(slice(rank, 400, n)), **common,
    early_stopping=jaxmlp.EarlyStopping("validation_loss", patience=3), dropout_rate=0.1,
)
say(result)
"""


def test_batches_of_unequal_processes_are_learnt_from(run_processes):
    found = answers(run_processes(BEGIN + BATCHES, 2), 2)
    assert found[0] == found[1]
    accuracy = found[0]["history"]["validation_accuracy"]
    assert accuracy[-1] > 0.9
    assert found[0]["steps"] % 18 == 0  # 570 rows by 32: the fuller process sets the steps


ALL_REDUCES = """
import re
from jaxmlp.training.chunk import run_chunk
seen = {}
def keep(program, executor, carry, members, shared, numbers):
    text = run_chunk.lower(program, executor, carry, members, shared, numbers).compile().as_text()
    text = re.sub(r"/[*]index=[0-9]+[*]/", "", text)
    seen["n"] = len(re.findall(r" all-reduce(?:-start)?[(]", text))
    seen["others"] = len(re.findall(r" (?:all-gather|reduce-scatter|all-to-all)[(]", text))
    return run_chunk(program, executor, carry, members, shared, numbers)
import jaxmlp.training.runner as runner
runner.run_chunk = keep
result = jaxmlp.fit(
    config, params, own(slice(rank, None, n)), optimizer=jaxmlp.adam(1e-2), epochs=1,
    batch_size=64, **common,
)
print("said", json.dumps(seen))
"""


def test_a_step_has_one_all_reduce(run_processes):
    found = answers(run_processes(BEGIN + ALL_REDUCES, 2), 2)
    assert found == [{"n": 1, "others": 0}] * 2


SAVED = """
cut = np.array_split(np.arange(960), n)[rank]
result = jaxmlp.fit(
    config, params, own(cut), optimizer=jaxmlp.adam(1e-2), epochs=int(rest[1]), batch_size=64,
    checkpoint=Checkpoints(rest[0], every=1), **common,
)
say(result)
"""


def test_a_run_goes_on_with_another_number_of_processes(run_processes, tmp_path):
    folder = tmp_path / "saved"
    first = answers(run_processes(BEGIN + SAVED, 2, folder, 2), 2)
    again = answers(run_processes(BEGIN + SAVED, 4, folder, 2), 4)  # nothing is left to do
    assert again[3]["params"] == first[0]["params"]
    alone = jaxmlp.fit(
        CONFIG, PARAMS, (X[:960], Y[:960]), optimizer=jaxmlp.adam(1e-2), epochs=3, batch_size=64,
        loss=LOSS, key=jax.random.key(1), distributed=True,
        checkpoint=Checkpoints(folder, every=1, resume="must"),
    )  # fmt: skip
    assert alone.history.n_epochs == 3
    losses = alone.history["train_loss"]
    np.testing.assert_array_equal(losses[:2], first[0]["history"]["train_loss"])
    assert losses[2] < losses[1]


LONG = """
import time
def slowly(progress):
    print("epoch", progress.epoch, flush=True)
    time.sleep(0.05)
    if rest[1] == "fails" and rank == 1 and progress.epoch == 5:
        raise ValueError("a bad row")
result = jaxmlp.fit(
    config, params, own(slice(rank, 960, n)), optimizer=jaxmlp.adam(1e-3), epochs=10_000,
    batch_size=64, checkpoint=Checkpoints(rest[0], every=1), callbacks=[slowly], **common,
)
"""


def newest_step(folder):
    return max(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def test_sigterm_to_one_saves_and_ends_all(run_processes, tmp_path):
    folder = tmp_path / "saved"
    processes = run_processes(BEGIN + LONG, 2, folder, "goes on")
    processes.until("epoch 3", rank=1)
    begin = time.monotonic()
    processes.send(1, signal.SIGTERM)
    assert processes.wait(20) == [143, 143]
    assert time.monotonic() - begin < 5 + 3  # ending Python takes its time on a busy machine
    assert newest_step(folder) % 15 == 0


@pytest.mark.parametrize(
    ("rank", "number"),
    [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGSTOP), (1, None)],
    ids=["the first is killed", "the second is killed", "the second is stopped", "it raises"],
)
def test_all_end_when_one_does(run_processes, tmp_path, rank, number):
    folder = tmp_path / "saved"
    processes = run_processes(BEGIN + LONG, 2, folder, "goes on" if number else "fails")
    processes.until("epoch 5", rank=rank)
    if number:
        processes.send(rank, number)
    other = processes.processes[1 - rank]
    other.wait(HEARTBEAT + 15)
    assert other.returncode != 0
    if number == signal.SIGSTOP:
        processes.send(rank, signal.SIGKILL)
    assert processes.processes[rank].wait(5) != 0
    if number is None:
        assert "ValueError: a bad row" in processes.said(1)
    step = newest_step(folder)
    result = jaxmlp.fit(  # what is left is whole
        CONFIG, PARAMS, (X[:960], Y[:960]), optimizer=jaxmlp.adam(1e-3), epochs=step // 15,
        batch_size=64, loss=LOSS, key=jax.random.key(1), distributed=True,
        checkpoint=Checkpoints(folder, every=1, resume="must"),
    )  # fmt: skip
    assert result.history.n_epochs == step // 15
