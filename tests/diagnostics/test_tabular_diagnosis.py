"""Diagnosis of networks for tables; behind an input side that changes nothing, of the layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import FrontConfig, MLPConfig, TabularConfig, TabularParams, tabular_network
from jaxmlp.diagnostics import (
    Diagnostics,
    FindingKind,
    Severity,
    diagnose,
    examine,
    layer_activity,
)
from jaxmlp.front import init_front
from jaxmlp.initializers import constant

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = np.argmax(X, axis=1).astype(np.int32)
DATA, HELD_OUT = (X[:40], Y[:40]), (X[40:], Y[40:])
MLP = MLPConfig((3, 8, 6, 3))
PARAMS = jaxmlp.init(MLP, jax.random.key(0))
LOSS = "softmax_cross_entropy"
RUN = {"loss": LOSS, "optimizer": jaxmlp.adam(0.01), "key": jax.random.key(1), "batch_size": 8}


def behind_nothing(members, mlp=MLP, params=PARAMS):
    """The network behind an input side that hands on what it gets, to each of its members."""
    front = FrontConfig(3, members=members, scale=members > 1)
    start = init_front(front, jax.random.key(9))
    if members > 1:
        start = start._replace(r=jnp.ones_like(start.r))
    return TabularConfig(front, mlp, "softmax"), TabularParams(start, params)


def assert_alike(found, expected, rtol=2e-4, atol=1e-6):
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 3])
def test_an_examination_is_that_of_the_layers(members):
    options = {"loss": LOSS, "optimizer": RUN["optimizer"], "validation_data": HELD_OUT}
    expected = examine(MLP, PARAMS, DATA, trial_steps=10, **options)
    found = examine(*behind_nothing(members), DATA, trial_steps=10, **options)
    assert found.config == expected.config
    assert len(found.x) == members * len(DATA[0])
    assert found.loss_value == pytest.approx(expected.loss_value, rel=1e-5)
    assert found.chance == pytest.approx(expected.chance, rel=1e-5)
    assert_alike(found.flow, expected.flow)
    assert_alike(found.activity, expected.activity)
    assert_alike(found.gap[:3], expected.gap[:3])
    if members == 1:  # signs and a scale that train learn with the layers
        assert_alike(found.conditioning, expected.conditioning)
        assert_alike(found.trial.progress, expected.trial.progress, rtol=1e-3, atol=1e-5)
        assert_alike(found.trial.update_ratio, expected.trial.update_ratio)


def test_a_watched_run_sees_the_layers():
    config, params = behind_nothing(1)
    cadence = Diagnostics(every=2, every_epochs=2)
    found = jaxmlp.fit(config, params, DATA, epochs=4, diagnostics=cadence, **RUN)
    expected = jaxmlp.fit(MLP, PARAMS, DATA, epochs=4, diagnostics=cadence, **RUN)
    assert found.diagnostics.epochs == expected.diagnostics.epochs
    assert_alike(found.diagnostics.layers, expected.diagnostics.layers)
    assert_alike(found.diagnostics.activity, expected.diagnostics.activity)
    assert found.diagnostics.first_loss == pytest.approx(expected.diagnostics.first_loss)


def embedded(**layers):
    front = FrontConfig(3, numbers=(0, 1), embedding="periodic", width=4, members=3)
    config = TabularConfig(front, MLPConfig((front.n_out, 8, 6, 3), **layers), "softmax")
    return config, tabular_network.init(config, jax.random.key(0))


def test_readings_are_those_of_the_gradient_of_the_whole_network():
    """One full batch a step: the first reading against value_and_grad and the members' rows."""
    config, params = embedded()
    run = {**RUN, "batch_size": None, "optimizer": jaxmlp.sgd(0.5)}
    cadence = Diagnostics(every=1, every_epochs=1)
    result = jaxmlp.fit(config, params, DATA, epochs=1, diagnostics=cadence, **run)
    seen = result.diagnostics
    _, grads = tabular_network.value_and_grad(config, LOSS)(params, *DATA)
    norms = [np.linalg.norm(grad.W) for grad in grads.layers]
    np.testing.assert_allclose(seen.layers.gradient_norm[0], norms, rtol=1e-4)
    sizes = [np.linalg.norm(layer.W) for layer in params.layers]
    np.testing.assert_allclose(
        seen.layers.update_ratio[0], 0.5 * np.divide(norms, sizes), rtol=1e-4
    )
    value = tabular_network.objective(config, LOSS)(params, *DATA)
    assert seen.first_loss == pytest.approx(float(value), rel=1e-5)
    h = tabular_network.layers_inputs(config, params, DATA[0])
    expected = layer_activity(config.mlp, params.layers, h)
    assert_alike(seen.activity[0], expected)


def kinds(*arguments, **options):
    found = diagnose(*arguments, loss=LOSS, **options)
    return {f.kind for f in found if f.severity >= Severity.WARNING}


@pytest.mark.slow
def test_planted_faults_are_named():
    config, params = embedded()
    assert kinds(config, params, DATA) == set()
    equal = embedded(weight_init=constant(0.1))
    assert FindingKind.SYMMETRIC_WEIGHTS in kinds(*equal, DATA)
    layers = (params.layers[0]._replace(b=params.layers[0].b - 100), *params.layers[1:])
    assert FindingKind.DEAD_UNITS in kinds(config, params._replace(layers=layers), DATA)
    assert kinds(config, params, (DATA[0] * np.nan, DATA[1])) == {FindingKind.NON_FINITE}
    broken = params._replace(front=params.front._replace(s=params.front.s * np.inf))
    found = diagnose(config, broken, DATA, loss=LOSS)
    assert [(f.kind, f.layer) for f in found] == [(FindingKind.NON_FINITE, 0)]
    fast = kinds(config, params, DATA, optimizer=jaxmlp.sgd(1e4))
    assert FindingKind.LEARNING_RATE_TOO_LARGE in fast


@pytest.mark.slow
def test_overfitting_is_that_of_the_mean_prediction():
    config, params = embedded()
    x = RNG.normal(size=(300, 3)).astype(np.float32)
    y = RNG.integers(0, 3, 300).astype(np.int32)  # nothing to be learnt
    train, held_out = (x[:40], y[:40]), (x[40:], y[40:])
    run = {**RUN, "optimizer": jaxmlp.adam(0.03)}
    result = jaxmlp.fit(config, params, train, epochs=200, validation_data=held_out, **run)
    gap = examine(config, result, train, loss=LOSS, validation_data=held_out).gap
    for found, data in ((gap.train, train), (gap.validation, held_out)):
        log_p = jax.nn.log_softmax(tabular_network.predict(config, result.params, data[0]))
        expected = -np.mean(np.asarray(log_p)[np.arange(len(data[1])), data[1]])
        assert found == pytest.approx(expected, rel=1e-4)
    assert FindingKind.OVERFITTING in kinds(config, result, train, validation_data=held_out)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e3, 1e30])
def test_the_origin_of_a_divergence_is_that_of_the_layers(rate):
    mlp = MLPConfig((3, 4, 1), activation="identity")
    layers = jaxmlp.init(mlp, jax.random.key(0))
    config = TabularConfig(FrontConfig(3, scale=False), mlp)
    params = tabular_network.init(config, jax.random.key(0))
    y = X.sum(axis=1, keepdims=True)
    run = {
        "loss": "squared_error", "optimizer": jaxmlp.sgd(rate), "key": jax.random.key(1),
        "batch_size": None, "epochs": 100, "diagnostics": Diagnostics(),
    }  # fmt: skip
    expected = jaxmlp.fit(mlp, layers, (X, y), **run).diagnostics.non_finite
    found = jaxmlp.fit(config, params, (X, y), **run).diagnostics.non_finite
    assert found == expected
    assert found is not None


def test_many_rows_of_many_members_are_a_share_of_all():
    """200,000 rows of the layers are too many to look at: every fourth row of the table is."""
    front = FrontConfig(3, members=8)
    config = TabularConfig(front, MLPConfig((3, 4, 3)), "softmax")
    params = tabular_network.init(config, jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(25_000, 3)).astype(np.float32)
    y = np.argmax(x, axis=1).astype(np.int32)
    found = examine(config, params, (x, y), loss=LOSS)
    seen = tabular_network.layers_inputs(config, params, x[::3])
    assert len(seen) <= 1.1 * 65536
    assert_alike(found.activity, layer_activity(config.mlp, params.layers, seen))
    sample = np.linspace(0, len(seen) - 1, 1024).astype(int)
    np.testing.assert_allclose(found.x, np.asarray(seen)[sample], rtol=1e-6)
    np.testing.assert_array_equal(found.targets.argmax(axis=1), np.tile(y[::3], 8)[sample])


def test_conditioning_is_that_of_a_member():
    """Signs turn axes around: of one member they change nothing, of several together all."""
    config = TabularConfig(FrontConfig(3, members=16), MLP, "softmax")
    params = tabular_network.init(config, jax.random.key(0))
    found = examine(config, params, DATA, loss=LOSS).conditioning[0]
    expected = examine(MLP, PARAMS, DATA, loss=LOSS).conditioning[0]
    assert expected.signal > 0.3
    assert_alike(found, expected, rtol=1e-3)
