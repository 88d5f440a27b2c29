"""What the probe and the looks at all units measure, against numpy and jax.grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.activations import ACTIVATIONS
from jaxmlp.diagnostics import layer_activity, probe_layers
from jaxmlp.diagnostics.flatness import is_flat, slopes

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 2, 6).astype(np.int32)
LOSS = "softmax_cross_entropy"


@pytest.mark.slow
def test_readings_of_every_step_against_a_loop_of_jax_grad():
    """Three steps of gradient descent on all rows, redone with jax.grad and numpy."""
    config = jaxmlp.MLPConfig((3, 5, 4, 2), activation=("relu", "tanh"), bias_init=-0.5)
    params = jaxmlp.init(config, jax.random.key(0))
    params = (params[0], params[1]._replace(W=20 * params[1].W), params[2])
    result = jaxmlp.fit(
        config, params, (X, Y), loss=LOSS, optimizer=jaxmlp.sgd(0.1), epochs=3, batch_size=None,
        key=jax.random.key(1), probe=probe_layers(config), probe_every=1,
    )  # fmt: skip
    seen = result.probed
    assert result.probe_steps.tolist() == [1, 2, 3]
    gradient = jax.grad(jaxmlp.objective(config, LOSS))
    for step in range(3):
        grads = gradient(params, X, Y)
        h0 = np.maximum(X @ params[0].W + params[0].b[None], 0)
        h1 = np.tanh(h0 @ params[1].W + params[1].b[None])
        outputs = [h0, h1, h1 @ params[2].W + params[2].b[None]]
        norms = [np.linalg.norm(g.W) for g in grads]
        sizes = [np.linalg.norm(layer.W) for layer in params]
        np.testing.assert_allclose(seen.gradient_norm[step], norms, rtol=1e-4)
        np.testing.assert_allclose(seen.weight_norm[step], sizes, rtol=1e-5)
        ratios = [0.1 * n / s for n, s in zip(norms, sizes, strict=True)]
        np.testing.assert_allclose(seen.update_ratio[step], ratios, rtol=1e-4)
        means, variances = ([f(h) for h in outputs] for f in (np.mean, np.var))
        np.testing.assert_allclose(seen.activation_mean[step], means, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(seen.activation_variance[step], variances, rtol=1e-4)
        dead = np.mean(np.all(h0 == 0, axis=0))
        np.testing.assert_allclose(seen.dead_fraction[step], [dead, 0, 0], atol=1e-6)
        flat = np.mean(1 - h1**2 < 0.05)
        assert flat > 0.3
        np.testing.assert_allclose(seen.saturated_fraction[step], [0, flat, 0], atol=1e-6)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


@pytest.mark.slow
def test_frozen_layers_do_not_move():
    config = jaxmlp.MLPConfig((3, 5, 4, 2))
    result = jaxmlp.fit(
        config, jaxmlp.init(config, jax.random.key(0)), (X, Y), loss=LOSS, frozen=(1,),
        optimizer=jaxmlp.sgd(0.1), epochs=2, key=jax.random.key(1),
        probe=probe_layers(config, frozen=(1,)), probe_every=2,
    )  # fmt: skip
    assert (result.probed.update_ratio > 0).tolist() == [[True, False, True]]


@pytest.mark.slow
def test_the_probe_leaves_the_run_as_it_is():
    """Also with batch normalization, dropout and a ragged last batch, at any cadence."""
    config = jaxmlp.MLPConfig((3, 5, 4, 2), batch_norm=(True, False), dropout=(False, True))
    params = jaxmlp.init(config, jax.random.key(0))
    losses = []
    for probe in (None, probe_layers(config)):
        result = jaxmlp.fit(
            config, params, (X, Y), loss=LOSS, optimizer=jaxmlp.adam(0.01), epochs=4, batch_size=4,
            key=jax.random.key(1), probe=probe, probe_every=3,
        )  # fmt: skip
        losses.append(result.history["train_loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert result.probed.gradient_norm.shape == (2, 3)
    assert np.isfinite(jax.tree.leaves(result.probed)).all()


def test_which_activations_saturate_and_which_can_die():
    assert {name for name, phi in ACTIVATIONS.items() if slopes(phi).saturates} == {
        "sigmoid",
        "tanh",
    }
    assert {name for name, phi in ACTIVATIONS.items() if slopes(phi).dies} == {
        *("relu", "elu", "selu", "softplus", "gelu", "gelu_exact", "silu", "mish")
    }
    np.testing.assert_allclose(slopes(ACTIVATIONS["sigmoid"]).steepest, 0.25, rtol=1e-6)
    np.testing.assert_allclose(slopes(ACTIVATIONS["gelu"]).steepest, 1.129, rtol=1e-3)
    # sigmoid' is 5% of 1/4 where h (1 - h) = 1/80
    edge = 0.5 + np.sqrt(0.25 - 1 / 80)
    h = jnp.asarray([[edge - 1e-3, edge + 1e-3]])
    assert is_flat(ACTIVATIONS["sigmoid"], h).tolist() == [[False, True]]


def test_activity_over_several_blocks_against_numpy():
    """5,000 rows are two blocks of 2,048 and a ragged one."""
    x = np.random.default_rng(2).normal(size=(5000, 3)).astype(np.float32)
    config = jaxmlp.MLPConfig((3, 6, 4, 2), activation=("relu", "tanh"), dropout=True)
    first, second, third = jaxmlp.init(config, jax.random.key(0))
    first = first._replace(b=jnp.array([0, 0, 0, 0, 0, -50.0]))
    params = (first, second._replace(W=5 * second.W), third)
    h0 = np.maximum(x @ np.asarray(first.W) + np.asarray(first.b), 0)
    h1 = np.tanh(h0 @ np.asarray(params[1].W) + np.asarray(second.b))
    relu, tanh = layer_activity(config, params, x)
    assert relu.dead.tolist() == [False] * 5 + [True]
    np.testing.assert_allclose(relu.mean, h0.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(relu.variance, h0.var(axis=0), rtol=1e-3)
    np.testing.assert_allclose(relu.flat, np.mean(h0 == 0, axis=0), atol=1e-6)
    np.testing.assert_allclose(tanh.saturated_fraction, np.mean(1 - h1**2 < 0.05), atol=1e-3)
    assert not tanh.dead.any()
    assert relu.saturated_fraction == 0


def test_activity_under_batch_normalization_uses_the_batch():
    config = jaxmlp.MLPConfig((3, 6, 2), activation="tanh", batch_norm=True)
    params = jaxmlp.init(config, jax.random.key(0))
    activity = layer_activity(config, params, 1000 + 100 * X)
    assert activity[0].saturated_fraction < 0.5  # without normalization all would be
    assert np.abs(activity[0].mean).max() < 0.5


def test_a_sample_still_tells_dead_units_from_rare_ones():
    """One unit is on for a single row outside the sample, one never: only the second is dead."""
    x = np.random.default_rng(2).normal(size=(5000, 3)).astype(np.float32)
    x[:, 2], x[4711, 2] = -1, 1
    config = jaxmlp.MLPConfig((3, 6, 2))
    first, top = jaxmlp.init(config, jax.random.key(0))
    W = first.W.at[:, 4:].set(0.0).at[2, 4].set(1.0)
    params = (first._replace(W=W, b=jnp.array([0, 0, 0, 0, 0, -1.0])), top)
    (sampled,) = layer_activity(config, params, x, sample_rows=1000)
    (whole,) = layer_activity(config, params, x)
    assert sampled.flat[4] == 1  # the row is not in the sample, or this test says nothing
    assert sampled.dead.tolist() == whole.dead.tolist() == [False] * 5 + [True]
    error = np.sqrt(whole.flat * (1 - whole.flat) / 1000)
    assert np.all(np.abs(sampled.flat - whole.flat) < 5 * error + 1e-3)


def test_silent_units_are_followed_through_every_kind_of_layer():
    """A narrowed layer, below it one with silent units too, above it any; with batch statistics."""
    x = np.random.default_rng(3).normal(size=(600, 3)).astype(np.float32)
    x[:, 2], x[77, 2] = -1, 1
    config = jaxmlp.MLPConfig((3, 6, 5, 4, 2), batch_norm=(False, False, True))
    first, second, *rest = jaxmlp.init(config, jax.random.key(0))
    W = first.W.at[:, 4:].set(0.0).at[2, 4].set(1.0)
    first = first._replace(W=W, b=jnp.array([0, 0, 0, 0, 0, -1.0]))
    silenced = second._replace(b=jnp.array([0, -50.0, 0, -50, -50]))
    params = (first, silenced, *rest)
    sampled = layer_activity(config, params, x, sample_rows=40)
    whole = layer_activity(config, params, x)
    assert sampled[0].flat[4] == 1
    assert whole[0].dead.tolist() == [False] * 5 + [True]
    assert whole[1].dead[[1, 3, 4]].all()
    assert not whole[1].dead.all()
    for some, every in zip(sampled, whole, strict=True):
        assert some.dead.tolist() == every.dead.tolist()
