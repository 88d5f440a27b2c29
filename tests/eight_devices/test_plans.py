"""Networks spread over devices, against the same network on one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

import jaxmlp
from jaxmlp.sharding import plan
from jaxmlp.training.checkpoints import Checkpoints

DEVICES = np.array(jax.devices())
LINE = Mesh(DEVICES, ("data",))
SQUARE = Mesh(DEVICES.reshape(2, 4), ("data", "model"))
MESHES = {"data": LINE, "tensor": SQUARE, "fsdp": LINE}
CONFIG = jaxmlp.MLPConfig((64, 256, 256, 32))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 64)).astype(np.float32)
Y = RNG.integers(0, 32, 500).astype(np.int32)
LOSS = "softmax_cross_entropy"
CALL = {"loss": LOSS, "epochs": 3, "batch_size": 64, "key": jax.random.key(1)}


def compare(found, wanted, tolerance):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(
            np.asarray(one), np.asarray(other), atol=tolerance * np.abs(other).max()
        )


def bytes_a_device(tree):
    """The most that lies on one device."""
    held = dict.fromkeys(jax.devices(), 0)
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return max(held.values())


@pytest.mark.parametrize("kind", MESHES)
def test_loss_and_gradient_are_those_of_one_device(kind):
    spread, params = plan(CONFIG, MESHES[kind], kind), jaxmlp.init(CONFIG, jax.random.key(0))
    gradient = jax.jit(jaxmlp.value_and_grad(CONFIG, LOSS))
    value, grads = gradient(params, X[:64], Y[:64], l2=1e-3)
    with spread.in_force():
        inside = jax.jit(partial(jaxmlp.value_and_grad(CONFIG, LOSS), l2=1e-3))
        found, spread_grads = inside(spread.place(params), X[:64], Y[:64])
    assert abs(float(found) - float(value)) <= 1e-6 * float(value)
    compare(spread_grads, grads, 1e-6)


@pytest.mark.parametrize("kind", MESHES)
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        CONFIG.replace(batch_norm=True, dropout=True),
        CONFIG.replace(parametric_activation=True, layer_sizes=(64, 128, 64, 64, 32)),
    ],
    ids=["plain", "norms and dropout", "parametric"],
)
def test_fit_is_that_of_one_device(kind, config):
    params = jaxmlp.init(config, jax.random.key(0))
    options = {**CALL, "validation_data": (X[:99], Y[:99]), "l2": 1e-4}
    wanted, found = (
        jaxmlp.fit(
            config, params, (X, Y), optimizer=jaxmlp.momentum(0.05), sharding=spread, **options
        )
        for spread in (None, plan(config, MESHES[kind], kind))
    )
    for name, column in wanted.history.items():
        if name != "seconds":
            np.testing.assert_allclose(found.history[name], column, rtol=2e-5, err_msg=name)
    compare(found.params, wanted.params, 2e-5)
    compare(found.state, wanted.state, 2e-5)


@pytest.mark.parametrize(("kind", "share"), [("data", 1.0), ("tensor", 1 / 3), ("fsdp", 1 / 7)])
def test_a_device_holds_its_share_of_parameters_and_moments(kind, share):
    config = jaxmlp.MLPConfig((256, 512, 512, 512, 256))
    params, spread = jaxmlp.init(config, jax.random.key(0)), plan(config, MESHES[kind], kind)
    x = np.zeros((64, 256), np.float32)
    result = jaxmlp.fit(
        config, params, (x, x), sharding=spread, optimizer=jaxmlp.adam(1e-3),
        **{**CALL, "loss": "squared_error", "epochs": 1},
    )  # fmt: skip
    for tree in (result.params, result.carry.best.params, result.carry.optimizer_state):
        whole = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
        assert bytes_a_device(tree) <= share * whole
    for found, planned in zip(
        jax.tree.leaves(result.params), jax.tree.leaves(spread.params), strict=True
    ):
        assert found.sharding.is_equivalent_to(planned, found.ndim)


@pytest.mark.parametrize(("kind", "share"), [("tensor", 1 / 3), ("fsdp", 1 / 7)])
def test_the_compiled_step_takes_its_share(kind, share):
    config = jaxmlp.MLPConfig((1024, 2048, 2048, 1024))
    spread = plan(config, MESHES[kind], kind)
    shapes = jax.eval_shape(partial(jaxmlp.init, config), jax.random.key(0))
    placed = jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
        shapes, spread.params,
    )  # fmt: skip
    rows = jax.ShapeDtypeStruct((64, 1024), jnp.float32)
    with spread.in_force():
        function = jax.jit(lambda p, x: jaxmlp.value_and_grad(config, "squared_error")(p, x, x))
        compiled = function.lower(placed, rows).compile()
    held = compiled.memory_analysis().argument_size_in_bytes - 64 * 1024 * 4
    assert held <= share * sum(4 * leaf.size for leaf in jax.tree.leaves(shapes))
    assert "all-reduce" in compiled.as_text()


@pytest.mark.parametrize("frozen", [(0,), (1, 2)])
def test_frozen_layers_stay(frozen):
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    spread = plan(CONFIG, SQUARE, "tensor")
    result = jaxmlp.fit(
        CONFIG, params, (X, Y), optimizer=jaxmlp.adam(1e-3), frozen=frozen, sharding=spread, **CALL
    )
    for l in range(3):
        same = np.array_equal(np.asarray(result.params[l].W), np.asarray(params[l].W))
        assert same == (l in frozen)


def test_a_run_goes_on_under_another_plan(tmp_path):
    params = jaxmlp.init(CONFIG, jax.random.key(0))

    def train(epochs, spread):
        return jaxmlp.fit(
            CONFIG, params, (X, Y), optimizer=jaxmlp.adam(1e-3), sharding=spread,
            checkpoint=Checkpoints(tmp_path, every=1), **{**CALL, "epochs": epochs},
        )  # fmt: skip

    train(1, plan(CONFIG, SQUARE, "tensor"))
    train(2, plan(CONFIG, LINE, "fsdp"))
    result = train(3, plan(CONFIG, LINE, "data"))
    wanted = jaxmlp.fit(CONFIG, params, (X, Y), optimizer=jaxmlp.adam(1e-3), **CALL)
    compare(result.params, wanted.params, 2e-5)
    assert result.history.n_epochs == 3


def test_results_go_wherever_results_go(tmp_path):
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    result = jaxmlp.fit(
        CONFIG, params, (X, Y), optimizer=jaxmlp.sgd(0.1),
        sharding=plan(CONFIG, LINE, "fsdp"), **CALL,
    )  # fmt: skip
    jaxmlp.save(tmp_path / "m.safetensors", result)
    again = jaxmlp.models.load(tmp_path / "m.safetensors")
    compare(again.params, result.params, 0)
    score = jaxmlp.evaluate(CONFIG, result.params, (X, Y), LOSS)
    assert np.isfinite(score["loss"])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: plan(CONFIG, LINE, "tensors"), "tensor"),
        (lambda: plan(CONFIG, LINE, "tensor"), "needs a mesh with the axis 'model'; this one has"),
        (lambda: plan(CONFIG, DEVICES, "data"), r"pass a jax.sharding.Mesh"),
        (
            lambda: plan(CONFIG, jax.make_mesh((8,), ("data",), (AxisType.Explicit,)), "data"),
            "the axis 'data' of the mesh is not Auto, and the backward pass by hand",
        ),
        (
            lambda: plan(jaxmlp.MLPConfig((4, 250, 2)), SQUARE, "tensor"),
            "hidden layer 1 has 250 units, which 4 devices of the axis 'model' cannot share evenly",
        ),
        (lambda: plan(3, LINE), "plan takes an MLPConfig, not int"),
    ],
)
def test_plans_that_cannot_be(make, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        make()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sharding": "fsdp"}, "pass jaxmlp.sharding.plan"),
        ({"sharding": plan(jaxmlp.MLPConfig((4, 8, 2)), LINE)}, "the plan of another network"),
        ({"sharding": plan(CONFIG, LINE), "batch_size": 60}, "a batch of 60 rows does not divide"),
    ],
)
def test_plans_that_do_not_fit(options, sentence):
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    with pytest.raises((ValueError, TypeError), match=sentence):
        jaxmlp.fit(CONFIG, params, (X, Y), optimizer=jaxmlp.sgd(0.1), **{**CALL, **options})
