"""The walk by hand, the doctor, tables, scripts and run folders of the page."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.data.tables import read_table
from jaxmlp.play.cures import examine_learner
from jaxmlp.play.engine import Engine
from jaxmlp.play.examples import make_examples
from jaxmlp.play.learner import Learner
from jaxmlp.play.messages import read_message
from jaxmlp.play.scripts import make_script, write_run_folder
from jaxmlp.play.settings import DataSettings, Layer, NetworkSettings
from jaxmlp.play.tables import read_dropped_table, table_examples
from jaxmlp.play.walking import step_by_hand, walk

SMALL = DataSettings("xor", size=60)
TOWNS = b"age,income,town,paid\n" + b"".join(
    b"%d,%d,%s,%s\n"
    % (20 + k % 37, 1000 + 61 * k, b"ABC"[k % 3 : k % 3 + 1], b"no" if k % 37 < 18 else b"yes")
    for k in range(90)
).replace(b"23,", b",", 1)


def learner_of(data=SMALL, **settings):
    return Learner(NetworkSettings(**settings), make_examples(data))


@pytest.mark.parametrize(
    "layers", [(), (Layer(3, "tanh"),), (Layer(3, "relu"), Layer(2, "sigmoid"))]
)
@pytest.mark.parametrize("loss", ["sigmoid_binary_cross_entropy", "softmax_cross_entropy"])
def test_the_walk_s_numbers_are_those_of_the_library_and_of_jax_grad(layers, loss):
    learner = learner_of(layers=layers, l2=0.1, loss=loss)
    learner.take(5)
    found = walk(learner, 7)["stages"]
    backward = [stage for stage in found if stage["number"]]
    for stage in backward:
        np.testing.assert_allclose(stage["values"], stage["oracle"], atol=1e-9)
    x, y = (part[7:8] for part in (learner.examples.train.x, learner.examples.train.y))
    params = learner.params
    value, grads = jaxmlp.value_and_grad(learner.config, learner.loss)(params, x, y, l2=0.1)
    total = next(stage for stage in found if stage["key"] == "walk_loss")
    assert total["values"] == pytest.approx(float(value), rel=1e-5)
    for stage in backward:
        if stage["number"] in (2, 6):
            mine = grads[stage["layer"]].W
            np.testing.assert_allclose(np.reshape(stage["values"], mine.shape), mine, atol=1e-5)
    updates, _ = learner.optimizer.update(grads, learner.optimizer_state(), params)
    last = found[-1]
    np.testing.assert_allclose(last["change"], updates[-1].b, atol=1e-7)
    np.testing.assert_allclose(last["values"], params[-1].b + updates[-1].b, atol=1e-7)
    assert {stage["number"] for stage in backward} == (
        {1, 2, 3} if not layers else set(range(1, 8))
    )


def test_the_walk_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="there are 42"):
        walk(learner_of(), 42)
    with pytest.raises(ValueError, match="batch normalization mixes"):
        walk(learner_of(batch_norm=True), 0)


def test_the_step_that_was_gone_through_is_taken_and_taken_back():
    learners = [learner_of(rule="sgd", numbers={"learning_rate": 0.1}) for _ in range(2)]
    learners[1].change(NetworkSettings(layers=(Layer(2, "relu"),)))
    one, before = learners[0], learners[0].params
    through = walk(one, 7)["stages"]
    again = step_by_hand(learners, one, 7, 0)["walk"]
    assert again["step"] == learners[1].step == 1
    shown = [stage for stage in through if stage["key"] == "walk_update"]
    taken = [part for layer in one.params for part in (layer.W, layer.b)]
    for stage, part in zip(shown, taken, strict=True):
        np.testing.assert_array_equal(np.reshape(stage["values"], part.shape), part)
    J = [next(s["values"] for s in found if s["key"] == "walk_loss")
         for found in (through, again["stages"])]  # fmt: skip
    assert J[1] < J[0]
    with pytest.raises(ValueError, match="at step 1 by now"):
        step_by_hand(learners, one, 7, 0)
    one.rewind(0)
    for mine, theirs in zip(jax.tree.leaves(one.params), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    one.diverged = True
    with pytest.raises(ValueError, match="has diverged"):
        step_by_hand(learners, one, 7, 0)


def test_the_doctor_s_cures_are_settings_that_heal():
    learner = learner_of(initializer="zeros", layers=(Layer(4, "tanh"),))
    found = examine_learner(learner, SMALL)
    assert found[0]["cure"]["network"] == {"initializer": "auto"}
    healed = learner_of(**found[0]["cure"]["network"])
    kinds = {finding["kind"] for finding in examine_learner(healed, SMALL)}
    assert "symmetric_weights" not in kinds


def test_a_large_rate_is_found_and_made_smaller():
    learner = learner_of(rule="sgd", numbers={"learning_rate": 90.0}, layers=(Layer(8, "relu"),))
    cures = [finding["cure"] for finding in examine_learner(learner, SMALL)]
    assert {"learning_rate": 9.0} in [cure["network"].get("numbers") for cure in cures if cure]


def run_script(text):
    found = {}
    exec(compile(text, "script", "exec"), found)
    return found


def same_leaves(mine, theirs):
    for one, other in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_the_script_of_whole_epochs_calls_fit(capsys):
    learner = learner_of(layers=(Layer(3, "tanh"),), l2=0.01)
    learner.take(2 * learner.steps_per_epoch)
    text = make_script(learner, SMALL)
    assert "jaxmlp.fit(" in text
    same_leaves(run_script(text)["params"], learner.params)
    assert "training {'loss':" in capsys.readouterr().out


def test_the_script_follows_every_change(capsys):
    learner = learner_of(layers=(Layer(3, "tanh"),), batch_norm=True)
    learner.take(4)
    learner.change(NetworkSettings(layers=(Layer(3, "tanh"),), batch_norm=True, rule="rmsprop",
                                   numbers={"learning_rate": 0.02, "decay": 0.8, "eps": 1e-8},
                                   batch_size=7, dropout=0.2))  # fmt: skip
    learner.take(5)
    learner.change(NetworkSettings(layers=(Layer(3, "tanh"),), batch_norm=True, rule="rmsprop",
                                   numbers={"learning_rate": 0.01, "decay": 0.8, "eps": 1e-8},
                                   batch_size=7, dropout=0.1, l2=0.1))  # fmt: skip
    learner.take(9)
    found = run_script(make_script(learner, SMALL))
    same_leaves(found["params"], learner.params)
    same_leaves(found["state"], learner.state)


def test_the_script_follows_steps_by_hand(capsys):
    learner = learner_of(dropout=0.2, l2=0.01)
    learner.step_by_hand(3)
    same_leaves(run_script(make_script(learner, SMALL))["params"], learner.params)
    learner.take(4)
    learner.step_by_hand(0)
    learner.step_by_hand(1)
    learner.take(2)
    same_leaves(run_script(make_script(learner, SMALL))["params"], learner.params)


@pytest.mark.parametrize(
    "data", [SMALL, DataSettings("function", size=60), DataSettings("digits", size=200)]
)
def test_a_run_folder_is_what_predict_takes(tmp_path, data):
    examples = make_examples(data)
    loss = "softmax_cross_entropy" if examples.n_classes else "squared_error"
    learner = Learner(NetworkSettings(loss=loss), examples)
    folder = write_run_folder(tmp_path, learner, learner.scores(), "", {})
    assert folder.name == "play-1"
    assert write_run_folder(tmp_path, learner, {}, "", {}).name == "play-2"
    model = jaxmlp.load(folder)
    frame = read_table(folder / "data.csv", numbers=True)
    logits = jaxmlp.predict(learner.config, learner.params, examples.test.x)
    found = model.predict(frame[list(examples.feature_names)])[: len(logits)]
    if examples.n_classes:
        assert found.astype(int).tolist() == np.asarray(logits).argmax(axis=1).tolist()
    else:
        np.testing.assert_allclose(found, logits[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_command_predicts_from_a_run_folder(tmp_path):
    learner = Learner(
        NetworkSettings(),
        table_examples(read_dropped_table("towns.csv", TOWNS), DataSettings("table")),
    )
    folder = write_run_folder(tmp_path, learner, learner.scores(), "", {})
    done = subprocess.run(
        [sys.executable, "-m", "jaxmlp", "predict", folder, folder / "data.csv", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) >= 90


def test_a_table_is_encoded_by_the_library_and_held_at_its_means():
    table = read_dropped_table("towns.csv", TOWNS)
    examples = table_examples(table, DataSettings("table", target="paid"))
    assert examples.class_names == ("no", "yes")
    assert examples.axes == ("age", "income")
    assert [slider["name"] for slider in examples.sliders] == ["town"]
    assert np.isfinite(examples.train_points).all()
    moved = table_examples(
        table, DataSettings("table", held={"town": "B"}, plane=("income", "age"))
    )
    assert moved.axes == ("income", "age")
    assert moved.sliders[0]["value"] == "B"
    assert not np.array_equal(moved.grid, examples.grid)


def test_a_table_without_two_numbers_is_cut_by_its_principal_plane():
    content = b"town,kind,y\n" + b"".join(
        b"%s,%s,%d.5\n" % (b"ABC"[k % 3 : k % 3 + 1], b"pq"[k % 2 : k % 2 + 1], k * k % 41)
        for k in range(60)
    )
    examples = table_examples(read_dropped_table("a.csv", content), DataSettings("table"))
    assert examples.axes == ("PC 1", "PC 2")
    assert examples.task == "regression"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.exe", b"MZ", "no table that can be read"),
        ("a.csv", b"", "empty"),
        ("a.csv", b"x\n1\n2\n", "has 1 columns"),
        ("a.csv", b"\x00\xff" * 50, "."),
    ],
)
def test_what_is_no_table_is_refused(name, content, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_dropped_table(name, content)


def test_the_engine_takes_a_table_and_refuses_bad_choices_of_it(tmp_path):
    engine = Engine(folder=tmp_path)
    try:

        def tell(**message):
            return engine.ask(read_message(json.dumps(message).encode())).result(120)

        with pytest.raises(ValueError, match=r"drop a \.csv"):
            tell(kind="set", settings={"data": {"name": "table"}})
        answer = engine.take_table(read_dropped_table("towns.csv", TOWNS)).result(120)
        assert answer["table"]["columns"][0] == ["age", "number"]
        tell(kind="step", n=5)
        settings = answer["settings"]
        settings["data"]["held"] = {"town": "C"}
        assert tell(kind="set", settings=settings)["networks"][0]["step"] == 5  # goes on
        settings["data"]["target"] = "nothing"
        with pytest.raises(ValueError, match="unknown column"):
            tell(kind="set", settings=settings)
        settings["data"]["target"] = "income"
        answer = tell(kind="set", settings=settings)
        assert answer["data"]["task"] == "regression"
        for kind in ("walk", "diagnose", "script", "save"):
            assert tell(kind=kind)
        with pytest.raises(ValueError, match="no network 1"):
            tell(kind="script", network=1)
    finally:
        engine.close()
