"""The page's engine: its numbers are the library's, and it goes on after whatever is said."""

import jax
import numpy as np
import pytest
from played import unpack_picture

import jaxmlp
from jaxmlp.play.engine import Engine
from jaxmlp.play.examples import make_examples
from jaxmlp.play.learner import Learner, forget_shapes, suitable_loss
from jaxmlp.play.looking import look
from jaxmlp.play.messages import read_message
from jaxmlp.play.settings import (
    DATA_SETS,
    LOSSES,
    RULES,
    DataSettings,
    Layer,
    NetworkSettings,
    read_settings,
)
from jaxmlp.testing import assert_compiles
from jaxmlp.training.chunk import _first_carry, run_chunk

SMALL = DataSettings("xor", size=60)


@pytest.fixture
def engine(tmp_path):
    engine = Engine(folder=tmp_path)
    yield engine
    engine.close()


def tell(engine, text):
    return engine.ask(read_message(text.encode())).result(120)


def learner_of(**settings):
    return Learner(NetworkSettings(**settings), make_examples(SMALL))


def test_steps_are_those_of_fit():
    learner = learner_of(layers=(Layer(3, "tanh"), Layer(2, "relu")), l2=0.01, dropout=0.2)
    learner.take(2 * learner.steps_per_epoch + 1)
    learner.take(learner.steps_per_epoch - 1)
    data = learner.examples.train
    fitted = jaxmlp.fit(
        learner.config, jaxmlp.init(learner.config, jax.random.key(0)), (data.x, data.y),
        loss="sigmoid_binary_cross_entropy", optimizer=jaxmlp.adam(0.03), epochs=3, batch_size=16,
        key=jax.random.key(0), l2=0.01, dropout_rate=0.2,
    )  # fmt: skip
    for mine, theirs in zip(
        jax.tree.leaves(learner.params), jax.tree.leaves(fitted.params), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_look_is_what_the_library_computes(batch_norm):
    learner = learner_of(l2=0.05, batch_norm=batch_norm)
    learner.take(10)
    seen, config, params = learner.look(), learner.config, learner.params
    train, test = learner.examples.train, learner.examples.test
    _, grads = jaxmlp.value_and_grad(config, learner.loss)(params, train.x, train.y, l2=0.05)
    for mine, theirs in zip(jax.tree.leaves(seen.gradients), jax.tree.leaves(grads), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    for part, scores in zip((train, test), seen.scores, strict=True):
        known = jaxmlp.evaluate(config, params, (part.x, part.y), learner.loss, state=learner.state)
        np.testing.assert_allclose(scores, list(known.values()), rtol=1e-5)
    logits = jaxmlp.predict(config, params, learner.examples.grid, state=learner.state)
    np.testing.assert_allclose(
        seen.surface.ravel(), learner.loss.link(logits)[:, 0], rtol=1e-5, atol=1e-6
    )
    assert seen.units.shape == (4, 24, 24)
    assert np.abs(seen.units).max(axis=(1, 2)).min() >= 120  # each of its own largest


def test_the_units_are_marked_as_the_doctor_sees_them():
    learner = learner_of(layers=(Layer(6, "relu"),))
    dead = [layer._replace(b=layer.b - 50) for layer in learner.params[:1]]
    learner._carry = learner._carry._replace(params=(*dead, *learner.params[1:]))
    activity = jaxmlp.diagnostics.units.layer_activity(
        learner.config, learner.params, learner.examples.train.x
    )
    np.testing.assert_allclose(learner.look().flat, activity[0].flat, atol=1e-6)
    assert activity[0].dead.all()


@pytest.mark.parametrize("rule", RULES)
def test_a_number_never_recompiles(rule):
    numbers = {number.name: number.default for number in RULES[rule]}
    learner = learner_of(rule=rule, numbers=numbers, layers=(Layer(2, "tanh"),))
    learner.take(3)
    learner.look()
    changed = {
        name: (0.0 if name == "weight_decay" else value / 2) for name, value in numbers.items()
    }
    with assert_compiles(0):
        for l2 in (0.0, 0.1):
            learner.change(
                NetworkSettings(layers=(Layer(2, "tanh"),), rule=rule, numbers=changed, l2=l2)
            )
            learner.take(3)
            learner.look()
    assert learner.step == 9


def test_another_rule_keeps_the_parameters_and_another_shape_does_not():
    learner = learner_of()
    learner.take(5)
    before = learner.params
    sgd = NetworkSettings(rule="sgd", numbers={"learning_rate": 0.1})
    assert not learner.change(sgd)
    np.testing.assert_array_equal(learner.params[0].W, before[0].W)
    assert [part.step for part in learner.segments] == [0, 5]
    learner.take(1)
    assert learner.change(NetworkSettings(layers=(Layer(5, "tanh"),)))
    assert learner.step == 0


def same_bits(mine, theirs):
    for one, other in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


def on_the_way(learner):
    """Train through every kind of change; yields wherever the weights may be asked for later."""
    usual = {"layers": (Layer(3, "tanh"),)}
    sgd = {"rule": "sgd", "numbers": {"learning_rate": 0.1}}
    for change, n_steps in (
        ({}, 3), ({"l2": 0.1}, 4), (sgd, 2), ({**sgd, "dropout": 0.2}, 5), ("by hand", 1),
        ({**sgd, "dropout": 0.3}, 3), ("by hand", 1), ({"batch_size": 7}, 300), ({"seed": 0}, 2),
    ):  # fmt: skip
        if change == "by hand":
            learner.step_by_hand(5)
        else:
            learner.change(NetworkSettings(**usual, **change))
            for _ in range(n_steps):
                learner.take(1)
                yield
        if learner.step % 2:
            learner.keep()
        yield


def test_any_step_of_the_past_is_there_again_to_the_bit():
    learner = learner_of(layers=(Layer(3, "tanh"),))
    seen = {0: learner.params}
    for _ in on_the_way(learner):
        seen[learner.step] = learner.params
    learner._snapshots = learner._snapshots[::7]
    for step in sorted({*range(24), 150, 318, 319, 320, 321}, reverse=True):
        learner.rewind(step)
        assert learner.step == step
        same_bits(learner.params, seen[step])


@pytest.mark.parametrize("batch_norm", [False, True])
def test_rewinding_goes_on_to_the_same_bits(batch_norm):
    learner = learner_of(dropout=0.1, batch_norm=batch_norm)
    learner.take(7)
    learner.keep()
    learner.take(30)
    there = learner.params, learner.state, learner.optimizer_state()
    for _ in range(2):  # a snapshot is there a second time
        learner.rewind(20)
        assert learner.step == 20
        learner.take(17)
        same_bits((learner.params, learner.state, learner.optimizer_state()), there)
        learner.rewind(7)
        learner.take(30)
        same_bits((learner.params, learner.state, learner.optimizer_state()), there)


def test_snapshots_are_bounded_and_never_far_apart():
    learner = learner_of(layers=())
    for _ in range(3000):
        learner.take(1)
        learner.keep()
    steps = [snapshot.step for snapshot in learner._snapshots]
    assert steps[0] == 0
    assert len(steps) <= 256
    assert max(np.diff([*steps, 3000])) <= 3000 / 50


def test_a_step_by_hand_is_the_library_s_and_compiles_nothing():
    learner = learner_of(l2=0.1)
    learner.take(5)
    data, params = learner.examples.train, learner.params
    _, grads = jaxmlp.value_and_grad(learner.config, learner.loss)(
        params, data.x[3:4], data.y[3:4], l2=0.1
    )
    updates, moments = learner.optimizer.update(grads, learner.optimizer_state(), params)
    learner.step_by_hand(3)
    same_bits(learner.params, jaxmlp.optimizers.apply_updates(params, updates))
    same_bits(learner.optimizer_state(), moments)
    with assert_compiles(0):
        learner.take(3)
        learner.rewind(6)
        learner.rewind(5)
    same_bits(learner.params, params)


def test_of_many_shapes_no_program_is_kept():
    learner_of().take(1)
    forget_shapes()
    for function in (run_chunk, _first_carry, look):
        assert function._cache_size() <= 0  # less where jaxlib has counted a clearing twice


def test_divergence_stops_and_can_be_undone():
    learner = learner_of(
        rule="sgd", numbers={"learning_rate": 100.0}, layers=(Layer(8, "relu"), Layer(8, "relu")),
        loss="squared_error",
    )  # fmt: skip
    learner.take(500)
    assert learner.diverged
    learner.take(5)
    learner.rewind(0)
    assert not learner.diverged
    assert learner.step == 0


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name not in ("drawn", "table")])
def test_every_data_set_is_learnt(name):
    examples = make_examples(DataSettings(name, size=200, noise=0.05))
    loss = suitable_loss("sigmoid_binary_cross_entropy", examples)
    learner = Learner(NetworkSettings(layers=(Layer(8, "tanh"),), loss=loss), examples)
    before = learner.look().scores[0, 0]
    learner.take(learner.most_steps // 2)
    after = learner.look()
    assert after.scores[0, 0] < before
    assert after.surface.shape == examples.grid_shape


@pytest.mark.parametrize("loss", LOSSES["classification"])
def test_every_loss_of_two_classes_shows_an_accuracy(loss):
    learner = learner_of(loss=loss)
    learner.take(200)
    test = learner.examples.test
    logits = jaxmlp.predict(learner.config, learner.params, test.x)
    shown = learner.loss.link(logits)
    label = shown.argmax(axis=1) if shown.shape[1] > 1 else shown[:, 0] > 0.5
    assert learner.look().scores[1, 1] == pytest.approx(np.mean(np.asarray(label) == test.y))


def test_every_kind_of_message_is_answered(engine):
    fields = {
        "set": '"settings": {"data": {"name": "circle", "size": 60}}', "play": '"on": false',
        "step": '"n": 3', "rewind": '"to": 1', "apply": '"step": 1',
    }  # fmt: skip
    for kind in ("hello", "set", "play", "step", "rewind", "apply", "restart"):
        answer = tell(
            engine, f'{{"kind": "{kind}"{", " * (kind in fields)}{fields.get(kind, "")}}}'
        )
        assert answer["settings"]["networks"]
    assert read_settings(answer["settings"]).data.name == "circle"


def test_a_picture_holds_what_the_learners_have(engine):
    tell(engine, '{"kind": "step", "n": 25}')
    head, arrays = unpack_picture(engine.picture(0).result(60))
    learner = engine.learners[0]
    assert head["networks"][0]["step"] == learner.step == 25
    W, b = learner.params[0].W, learner.params[0].b
    np.testing.assert_array_equal(arrays["params0"][: W.size], W.ravel())
    np.testing.assert_array_equal(arrays["params0"][W.size : W.size + b.size], b)
    np.testing.assert_array_equal(arrays["surface0"], learner.look().surface)


def test_it_plays_until_it_is_told_to_stop(engine):
    tell(engine, '{"kind": "play"}')
    version = 0
    for _ in range(10):
        head, _ = unpack_picture(engine.picture(version).result(60))
        assert head["version"] > version
        version = head["version"]
    assert not tell(engine, '{"kind": "play", "on": false}')["playing"]
    step = engine.learners[0].step
    assert step > 10
    assert tell(engine, '{"kind": "hello"}')["networks"][0]["step"] == step


def test_what_cannot_be_done_leaves_everything_as_it_was(engine):
    before = tell(engine, '{"kind": "hello"}')
    with pytest.raises(ValueError, match="draw at least 4"):
        tell(engine, '{"kind": "set", "settings": {"data": {"name": "drawn"}}}')
    assert tell(engine, '{"kind": "hello"}')["settings"] == before["settings"]
    tell(engine, '{"kind": "step", "n": 3}')
    ill = '{"kind": "set", "settings": {"networks": [{"batch_norm": true, "batch_size": 1}]}}'
    with pytest.raises(ValueError, match="batch"):
        tell(engine, ill)
    answer = tell(engine, '{"kind": "step", "n": 2}')
    assert answer["networks"][0]["step"] == 5
    assert answer["settings"] == before["settings"]
