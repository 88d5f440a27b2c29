"""The doctor: planted faults are named, healthy networks are left alone."""

import os

import jax
import numpy as np
import pytest

import jaxmlp
from benchmarks.planted_faults import HEALTHY, PLANTS, SMALL, alarms, draw_data, healthy, trained
from jaxmlp.data import Standardizer, load_digits, load_idx
from jaxmlp.diagnostics import FindingKind, Severity, diagnose, examine
from jaxmlp.initializers import constant, normal

SEED = 4242  # neither tried nor reported in the study


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.fault)
def test_planted_fault_is_named(plant):
    """One network and seed of each; the study has all."""
    named = alarms(plant.make(plant.networks[0], SEED))
    assert plant.kind in {finding.kind for finding in named}
    for finding in named:
        assert finding.evidence.endswith((".", ".)"))
        assert finding.remedy.endswith(".")


@pytest.mark.slow
@pytest.mark.parametrize("network", HEALTHY[:6], ids=str)
def test_healthy_network_is_left_alone(network):
    case = healthy(network, SEED)
    assert alarms(case) == []
    longer = case._replace(data=draw_data(network, SEED, rows=900))
    assert alarms(trained(longer, SEED, epochs=8)) == []


def kinds(*arguments, **options):
    found = diagnose(*arguments, **options)
    return {f.kind for f in found if f.severity >= Severity.WARNING}


def test_one_network_in_several_states():
    """One program for all: fresh, with equal weights, dead, badly fed, with NaN."""
    case = healthy(SMALL[0], SEED)
    config, params, (x, y) = case.config, case.params, case.data
    options = {"loss": case.loss}
    assert kinds(config, params, (x, y), **options) == set()
    equal = jaxmlp.init(config.replace(weight_init=constant(0.2)), jax.random.key(0))
    assert kinds(config, equal, (x, y), **options) == {FindingKind.SYMMETRIC_WEIGHTS}
    dead = (params[0]._replace(b=params[0].b - 30), params[1])
    found = diagnose(config, dead, (x, y), **options)[0]
    assert (found.kind, found.layer) == (FindingKind.DEAD_UNITS, 0)
    assert found.severity is Severity.CRITICAL
    assert "32 of 32 units" in found.evidence
    assert FindingKind.UNSCALED_INPUTS in kinds(config, params, (50 * x, y), **options)
    assert kinds(config, params, (x * np.nan, y), **options) == {FindingKind.NON_FINITE}
    bad = (params[0], params[1]._replace(W=params[1].W.at[3, 1].set(np.inf)))
    found = diagnose(config, bad, (x, y), **options)
    assert [(f.kind, f.layer) for f in found] == [(FindingKind.NON_FINITE, 1)]
    assert "W" in found[0].evidence


def test_the_numbers_behind_it():
    case = healthy(SMALL[0], SEED)
    exam = examine(case.config, case.params, case.data, loss=case.loss)
    x, y = case.data
    J = jaxmlp.objective(case.config, case.loss)
    value, grads = jax.value_and_grad(J)(case.params, x, y)
    np.testing.assert_allclose(exam.loss_value, value, rtol=1e-5)
    counts = np.bincount(y) / len(y)
    np.testing.assert_allclose(exam.chance, -np.sum(counts * np.log(counts)), rtol=1e-5)
    norms = [np.linalg.norm(grad.W) for grad in grads]
    np.testing.assert_allclose(exam.flow.gradient_norm, norms, rtol=1e-4)
    length = np.sqrt(np.mean(np.sum(x**2, axis=1)))
    np.testing.assert_allclose(exam.flow.signal[0], norms[0] / length, rtol=1e-4)


@pytest.mark.slow
def test_vanishing_gradients_below_the_smallest_square_of_float32():
    """Fifteen sigmoid layers of N(0, 0.01): gradients of 1e-28, whose squares are 0."""
    sizes = (8, *(32,) * 15, 3)
    config = jaxmlp.MLPConfig(sizes, activation="sigmoid", weight_init=normal(0.01))
    rng = np.random.default_rng(0)
    data = rng.normal(size=(64, 8)).astype(np.float32), rng.integers(0, 3, 64)
    params = jaxmlp.init(config, jax.random.key(0))
    found = diagnose(config, params, data, loss="softmax_cross_entropy")
    assert found[0].kind is FindingKind.VANISHING_GRADIENT
    assert found[0].layer == 0
    assert "sigmoid units and weights of standard deviation 0.0" in found[0].evidence
    assert " is 0e+00 of" not in found[0].evidence
    assert "Xavier" in found[0].remedy
    assert "batch normalization" in found[0].remedy


@pytest.mark.slow
def test_digits_before_and_after_training():
    """The README's network on real data, with the command's defaults."""
    digits = load_digits()
    x = Standardizer.fit(digits.x, per_feature=False).transform(digits.x)
    config = jaxmlp.MLPConfig((64, 128, 10))
    params = jaxmlp.init(config, jax.random.key(0))
    train, held_out = (x[:1400], digits.y[:1400]), (x[1400:], digits.y[1400:])
    options = {"loss": "softmax_cross_entropy", "optimizer": jaxmlp.adam(1e-3)}
    assert kinds(config, params, train, **options) == set()
    result = jaxmlp.fit(
        config, params, train, epochs=20, key=jax.random.key(1), validation_data=held_out, **options
    )
    assert kinds(config, result, train, validation_data=held_out, **options) == set()


@pytest.mark.slow
@pytest.mark.skipif(
    "JAXMLP_DATA_DIR" not in os.environ,
    reason="set JAXMLP_DATA_DIR to the folder with mnist/ and fashion_mnist/",
)
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_larger_images_before_and_after_training(name):
    data, test = load_idx(os.environ["JAXMLP_DATA_DIR"], name)
    config = jaxmlp.MLPConfig((784, 128, 10))
    params = jaxmlp.init(config, jax.random.key(0))
    options = {"loss": "softmax_cross_entropy", "optimizer": jaxmlp.adam(1e-3)}
    train, held_out = (data.x, data.y), (test.x, test.y)
    assert kinds(config, params, train, **options) == set()
    result = jaxmlp.fit(
        config, params, train, epochs=3, batch_size=128, key=jax.random.key(1),
        validation_data=held_out, **options,
    )  # fmt: skip
    assert kinds(config, result, train, validation_data=held_out, **options) == set()


@pytest.mark.slow
@pytest.mark.parametrize("dtypes", [("bfloat16", None), ("float32", "bfloat16"), ("float64", None)])
def test_every_precision_with_batch_normalization_and_dropout(dtypes):
    """A healthy network is healthy in all of them, under strict promotion."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(900, 5))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    train, held_out = (x[:600], y[:600]), (x[600:], y[600:])
    options = {"loss": "softmax_cross_entropy", "optimizer": jaxmlp.adam(1e-2)}
    with jax.enable_x64(dtypes[0] == "float64"):
        config = jaxmlp.MLPConfig(
            (5, 16, 2), batch_norm=True, dropout=True, dtype=dtypes[0], compute_dtype=dtypes[1]
        )
        result = jaxmlp.fit(
            config, jaxmlp.init(config, jax.random.key(0)), train, epochs=5,
            key=jax.random.key(1), validation_data=held_out, **options,
        )  # fmt: skip
        assert kinds(config, result, train, validation_data=held_out, **options) == set()


@pytest.mark.parametrize("trials", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_frozen_layers_are_not_judged(trials):
    """What is wrong in a frozen layer is how it was learnt; the trials leave it as it is."""
    case = healthy(SMALL[1], SEED)
    config, params, data = case.config, case.params, case.data
    options = {"loss": case.loss, "optimizer": case.optimizer if trials else None}
    saturated = (params[0]._replace(W=20 * params[0].W), *params[1:])
    assert FindingKind.SATURATED_UNITS in kinds(config, saturated, data, loss=case.loss)
    assert kinds(config, saturated, data, frozen=(0,), **options) == set()
    if trials:
        exam = examine(config, params, data, frozen=(0,), trial_steps=5, **options)
        assert exam.trial.update_ratio.shape == (2,)  # of the layers that train


def test_sample_weights_count_rows():
    """A row of weight 2 is two rows; one of weight 0 is none."""
    case = healthy(SMALL[0], SEED)
    x, y = (part[:60] for part in case.data)
    weight = np.arange(60) % 3
    repeated = np.repeat(np.arange(60), weight)
    bad = x.copy()
    bad[weight == 0] = 1e6
    weighted = examine(case.config, case.params, (bad, y), loss=case.loss, sample_weight=weight)
    counted = examine(case.config, case.params, (x[repeated], y[repeated]), loss=case.loss)
    np.testing.assert_allclose(weighted.loss_value, counted.loss_value, rtol=1e-5)
    np.testing.assert_allclose(weighted.chance, counted.chance, rtol=1e-5)
    for a, b in zip(weighted.flow, counted.flow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)
    for a, b in zip(weighted.conditioning, counted.conditioning, strict=True):
        np.testing.assert_allclose(a.signal, b.signal, rtol=0.1)
    assert weighted.activity[0].dead.tolist() == counted.activity[0].dead.tolist()
    found = diagnose(case.config, case.params, (bad, y), loss=case.loss, sample_weight=weight)
    assert FindingKind.UNSCALED_INPUTS not in {f.kind for f in found}


@pytest.mark.slow
@pytest.mark.parametrize("depth", [3, 4])
def test_a_sigmoid_network_that_no_rate_gets_below_chance(depth):
    """A hundredth of the gradient arrives below: it stays at 10% correct, fresh and trained."""
    digits = load_digits()
    data = (digits.x / 16).astype(np.float32), digits.y
    sizes = (64, *(32,) * depth, 10)
    config = jaxmlp.MLPConfig(sizes, activation="sigmoid", weight_init="xavier_uniform")
    params, optimizer = jaxmlp.init(config, jax.random.key(0)), jaxmlp.sgd(0.1)
    options = {"loss": "softmax_cross_entropy", "optimizer": optimizer}
    [found] = diagnose(config, params, data, **options)
    assert found.kind is FindingKind.VANISHING_GRADIENT
    assert "chance level" in found.evidence
    relu = jaxmlp.MLPConfig(sizes)
    assert diagnose(relu, jaxmlp.init(relu, jax.random.key(0)), data, **options) == []
    if depth == 4:
        result = jaxmlp.fit(config, params, data, epochs=10, key=jax.random.key(1), **options)
        assert result.history["train_accuracy"][-1] < 0.15
        kinds_after = {f.kind for f in diagnose(config, result, data, **options)}
        assert FindingKind.VANISHING_GRADIENT in kinds_after
