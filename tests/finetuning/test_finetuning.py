"""Fine-tuning: what stays, bit for bit; what it costs; and that caching changes nothing."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import Standardizer
from jaxmlp.finetuning import finetune, freeze, unfreeze
from jaxmlp.finetuning.finetuning import name_classes, outputs_for
from jaxmlp.models import Model, Network, detach_head, infer, load, prepare, save
from jaxmlp.testing import assert_compiles
from jaxmlp.types import NormState

SIZES = (6, 12, 10, 8, 3)
PLAIN = jaxmlp.MLPConfig(SIZES, "tanh")
NORMED = jaxmlp.MLPConfig(SIZES, batch_norm=True, dropout=(True, False, False))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32) + (X[:, 1] > 0).astype(np.int32)
KEY = jax.random.key(3)
OPTIONS = {"key": KEY, "epochs": 3, "batch_size": 16}


def pretrained(config=PLAIN):
    """A network with statistics that no batch of X has."""
    state = tuple(
        NormState(entry.mean + 0.3, entry.var * 2) for entry in jaxmlp.init_state(config) if entry
    )
    return config, jaxmlp.init(config, jax.random.key(0)), (*state, None) if state else ()


@pytest.mark.parametrize(
    "mode",
    [
        "finetune",
        pytest.param("features", marks=pytest.mark.slow),
        pytest.param("transfer", marks=pytest.mark.slow),
    ],
)
def test_frozen_leaves_are_the_same_bits(mode):
    config = NORMED
    old = pretrained(config)
    new = finetune(old, (X, Y), mode=mode, **OPTIONS)
    expected = {"features": (0, 1, 2), "finetune": (0,), "transfer": ()}[mode]
    assert new.frozen == expected
    assert len(new.results) == (2 if mode == "transfer" else 1)
    for l in range(config.n_layers - 1):
        parts = [(new.model.params[l], old[1][l])]
        if config.normalized[l]:
            parts.append((new.model.state[l], old[2][l]))
        for found, before in parts:
            if l in expected:
                chex.assert_trees_all_equal(found, before)
            else:
                moved = [
                    jnp.any(a != b)
                    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(before), strict=True)
                ]
                assert all(moved)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(new.model.params))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["features", "finetune"])
def test_cached_features_change_nothing_but_rounding(mode):
    """Batch normalization and dropout in the frozen layers included; the bits of the order too."""
    options = OPTIONS | {"l2": 0.01, "sample_weight": RNG.uniform(0, 2, len(X)), "mode": mode}
    old = pretrained(NORMED)
    cached = finetune(old, (X, Y), validation_data=(X[:9], Y[:9]), **options)
    whole = finetune(old, (X, Y), validation_data=(X[:9], Y[:9]), cache=False, **options)
    assert len(cached.results[0].params) < len(whole.results[0].params)
    chex.assert_trees_all_close(cached.model.params, whole.model.params, rtol=1e-4, atol=1e-6)
    chex.assert_trees_all_close(cached.model.state, whole.model.state, rtol=1e-4, atol=1e-6)
    for column, values in whole.results[0].history.items():
        if column != "seconds":
            np.testing.assert_allclose(cached.results[0].history[column], values, rtol=1e-4)


def test_frozen_normalization_uses_running_statistics():
    """The objective of a network with all but the head frozen is the one that predict implies."""
    config, params, state = pretrained(NORMED)
    J = jaxmlp.objective(config, "softmax_cross_entropy", frozen=freeze(config, "trunk"))
    logits = jaxmlp.predict(config, params, X, state=state)
    log_p = np.asarray(jax.nn.log_softmax(logits))
    expected = -np.mean(log_p[np.arange(len(Y)), Y])
    np.testing.assert_allclose(J(params, X, Y, state=state), expected, rtol=1e-6)


@pytest.mark.parametrize("gradient", ["manual", "autodiff"])
@pytest.mark.parametrize("frozen", [(), (0, 1, 2), (1,)])
def test_frozen_layers_cost_nothing(gradient, frozen):
    """Of a product's 2 B n_in n_out, each pass that is needed once, and no other."""
    config = jaxmlp.MLPConfig((256,) * 5)
    params, batch = jaxmlp.init(config, KEY), 64
    x, y = jnp.ones((batch, 256)), jnp.zeros(batch, jnp.int32)
    if gradient == "manual":
        make = jaxmlp.value_and_grad(config, "softmax_cross_entropy", frozen=frozen)
    else:
        J = jaxmlp.objective(config, "softmax_cross_entropy", frozen=frozen)
        make = jax.value_and_grad(J)

    def trained_gradients(params, x, y):
        return [grad for l, grad in enumerate(make(params, x, y)[1]) if l not in frozen]

    flops = jax.jit(trained_gradients).lower(params, x, y).compile().cost_analysis()["flops"]
    trains = [l for l in range(4) if l not in frozen]
    products = 4 + len(trains) + (3 - min(trains))  # forward, dW, dX
    assert flops == pytest.approx(products * 2 * batch * 256**2, rel=0.02)


def test_no_moments_for_frozen_layers():
    optimizer = jaxmlp.adam(1e-3)
    result = jaxmlp.fit(
        PLAIN, pretrained()[1], (X, Y), loss="softmax_cross_entropy", optimizer=optimizer,
        epochs=1, key=KEY, frozen=freeze(PLAIN, "trunk"),
    )  # fmt: skip
    shapes = [leaf.shape for leaf in jax.tree.leaves(result.optimizer_state)]
    assert sorted(shapes) == [(), (3,), (3,), (8, 3), (8, 3)]


@pytest.mark.slow
def test_low_layers_move_a_tenth_as_fast():
    """After one step of Adam every entry has moved by its rate."""
    options = {"epochs": 1, "batch_size": None, "key": KEY}
    new = finetune(pretrained(), (X, Y), frozen=(), learning_rate=0.01, **options)
    moves = [
        float(jnp.median(jnp.abs(a.W - b.W)))
        for a, b in zip(new.model.params[:-1], pretrained()[1][:-1], strict=True)
    ]
    np.testing.assert_allclose(moves, 0.001, rtol=1e-3)


def test_a_model_keeps_its_preprocessing(tmp_path):
    config, params, state = pretrained()
    raw = 50 + 10 * X
    standardizer = Standardizer.fit(raw)
    old = Model(config, params, state, "softmax_cross_entropy", standardizer, tuple("abcdef"))
    new = finetune(old, (raw, Y), mode="features", class_names=("no", "one", "two"), **OPTIONS)
    bare = finetune((config, params), (standardizer.transform(raw), Y), mode="features", **OPTIONS)
    chex.assert_trees_all_equal(new.model.params, bare.model.params)
    assert new.model.class_names == ("no", "one", "two")
    assert bare.model.class_names == ("0", "1", "2")
    save(tmp_path / "new.safetensors", new.model)
    again = load(tmp_path / "new.safetensors")
    np.testing.assert_array_equal(prepare(again, raw), standardizer.transform(raw))


def test_heads_that_suit_the_targets():
    """Of how many outputs, and with which names."""
    for y, loss, n_out, names in [
        (X[:, 0], "squared_error", 1, None),
        (X[:, :2], "huber", 2, None),
        (Y > 0, "sigmoid_binary_cross_entropy", 1, ("0", "1")),
        (np.zeros(40, int), "softmax_cross_entropy", 2, ("0", "1")),
        (Y, "softmax_cross_entropy", 3, ("0", "1", "2")),
    ]:
        assert outputs_for(loss, np.asarray(y)) == n_out
        assert name_classes(loss, None, n_out) == names


@pytest.mark.slow
def test_another_kind_of_targets():
    new = finetune(
        pretrained(), (X, X[:, 0]), loss="squared_error", mode="features", layer=0, hidden=(5,),
        **OPTIONS,
    )  # fmt: skip
    assert new.model.config.layer_sizes == (6, 12, 5, 1)
    assert (new.model.loss, new.model.class_names) == ("squared_error", None)
    assert new.results[0].history["train_rmse"][-1] < new.results[0].history["train_rmse"][0]


def test_going_on_with_the_old_head():
    old = pretrained()
    new = finetune(old, (X, Y), keep_head=True, mode="features", **OPTIONS | {"epochs": 0})
    chex.assert_trees_all_equal(new.model.params, old[1])
    with pytest.raises(ValueError, match="pretrained head of 3 outputs"):
        finetune(old, (X, Y), keep_head=True, n_out=2, **OPTIONS)


def test_layers_by_index_name_and_rule():
    assert freeze(PLAIN, 0) == freeze(PLAIN, "layers.0") == (0,)
    assert freeze(PLAIN, "trunk") == freeze(PLAIN, range(3)) == freeze(PLAIN, lambda l: l < 3)
    assert freeze(PLAIN, -1, (0,)) == (0, 3)
    assert unfreeze(PLAIN, "head", freeze(PLAIN, "all")) == (0, 1, 2)
    with pytest.raises(ValueError, match="Did you mean 'trunk'"):
        freeze(PLAIN, "trunc")
    with pytest.raises(ValueError, match="has layers 0 to 3"):
        freeze(PLAIN, 4)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mode": "fine"}, ValueError, "Did you mean 'finetune'"),
        ({"mode": "features", "frozen": 0}, ValueError, "leave frozen= out"),
        ({"learning_rate": 1, "optimizer": jaxmlp.adam()}, ValueError, "own learning rate"),
        ({"mode": "features", "probe": lambda *a: 0}, ValueError, "pass cache=False"),
        ({"layer": 3}, ValueError, "hidden layers are 0 to 2"),
        ({"frozen": "all"}, ValueError, "all layers are frozen"),
        ({"data": X}, TypeError, "pass a pair"),
        ({"data": (X, Y.astype(float))}, ValueError, "class indices"),
        ({"data": (X[:, :4], Y)}, ValueError, "4 features"),
        ({"class_names": ("one",)}, ValueError, "1 class names for 3 classes"),
        ({"model": "run"}, TypeError, "jaxmlp.models.load"),
    ],
)
def test_bad_input(changes, error, message):
    arguments = {"model": pretrained(), "data": (X, Y), **OPTIONS} | changes
    with pytest.raises(error, match=message):
        finetune(arguments.pop("model"), arguments.pop("data"), **arguments)


@pytest.mark.slow
def test_cached_features_run_the_head_s_own_program():
    """Training on cached features compiles nothing that training the head alone has not."""
    network = Network(*pretrained())
    head, rule = detach_head(network), jaxmlp.adam(1e-3)
    h = infer(Model(*network), X, output="embeddings")
    loss = "softmax_cross_entropy"
    alone = jaxmlp.fit(head.config, head.params, (h, Y), loss=loss, optimizer=rule, **OPTIONS)
    _, _ = jax.random.split(jax.random.key(0))  # as finetune splits its key
    with assert_compiles(0):
        new = finetune(network, (X, Y), mode="features", keep_head=True, optimizer=rule, **OPTIONS)
    assert new.results[0].n_steps == alone.n_steps
