"""Per-example gradients against jax.jacrev of the vector of losses."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular_cases import fronts, make_network

import jaxmlp
from jaxmlp import FrontConfig, TabularConfig, tabular_network
from jaxmlp.data.tables import piecewise_bins
from jaxmlp.losses import get_loss
from jaxmlp.networks import merge, trainable

CONFIGS = {
    "plain": (jaxmlp.MLPConfig((3, 5, 4, 2), "tanh"), "softmax_cross_entropy"),
    "dropout": (jaxmlp.MLPConfig((3, 6, 2), "gelu", dropout=True), "huber"),
    "one output": (jaxmlp.MLPConfig((3, 4, 1), "relu"), "sigmoid_binary_cross_entropy"),
}
B = 7


def make(name, seed=0):
    config, loss = CONFIGS[name]
    rng = np.random.default_rng(seed)
    params = jaxmlp.init(config, jax.random.key(seed))
    x = jnp.asarray(rng.normal(size=(B, 3)), jnp.float32)
    if loss == "huber":
        y = jnp.asarray(rng.normal(size=(B, 2)), jnp.float32)
    else:
        y = jnp.asarray(rng.integers(0, 2, B), jnp.int32)
    options = {"key": jax.random.key(9), "dropout_rate": 0.4} if any(config.dropped) else {}
    return config, loss, params, x, y, options


@cache
def each_gradient(name):
    """By automatic differentiation: one gradient a row, flattened, (B, parameters)."""
    config, loss, params, x, y, options = make(name)

    def losses(params):
        outputs, _ = jaxmlp.forward(config, params, x, **options)
        return get_loss(loss).value_and_grad(outputs, y)[0]

    leaves = jax.tree.leaves(jax.jit(jax.jacrev(losses))(params))
    return np.concatenate([np.asarray(leaf, np.float64).reshape(B, -1) for leaf in leaves], axis=1)


def flat(tree):
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("name", CONFIGS)
def test_norms(name):
    config, loss, params, x, y, options = make(name)
    norms = jax.jit(jaxmlp.per_example_grad_norms(config, loss))(params, x, y, **options)
    expected = np.linalg.norm(each_gradient(name), axis=1)
    np.testing.assert_allclose(norms, expected, rtol=2e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_clipped_sums_against_optax(name):
    config, loss, params, x, y, options = make(name)
    each = each_gradient(name)
    max_norm = float(np.sort(np.linalg.norm(each, axis=1))[3:5].mean())
    clip = jax.jit(jaxmlp.clipped_grad_sum(config, loss))
    found, norms = clip(params, x, y, max_norm=max_norm, **options)
    expected, n_clipped = optax.per_example_global_norm_clip(
        [jnp.asarray(each, jnp.float32)], max_norm
    )
    np.testing.assert_allclose(flat(found), expected[0], rtol=1e-5, atol=1e-6)
    assert int(n_clipped) == int(np.sum(norms > max_norm)) == B // 2


@settings(max_examples=30, deadline=None, derandomize=True)
@given(max_norm=st.floats(1e-3, 1e3), scale=st.floats(1e-3, 1e3))
def test_no_clipped_gradient_is_longer_than_allowed(max_norm, scale):
    _, _, params, x, y, _ = make("plain")
    total, norms = clipped(params, x * jnp.float32(scale), y, max_norm=np.float32(max_norm))
    assert np.linalg.norm(flat(total)) <= B * max_norm * (1 + 1e-5)
    assert np.linalg.norm(flat(total)) <= float(jnp.sum(norms)) * (1 + 1e-5)


clipped = jax.jit(jaxmlp.clipped_grad_sum(*CONFIGS["plain"]))


def test_without_clipping_a_step_is_a_plain_step():
    config, loss, params, x, y, _ = make("plain")
    optimizer = jaxmlp.momentum(0.1)
    step = jaxmlp.clipped_step(config, loss, optimizer)
    stepped, _, info = step(params, optimizer.init(params), x, y, max_norm=np.inf)
    value, grads = jaxmlp.value_and_grad(config, loss)(params, x, y)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_allclose(
        flat(stepped), flat(jaxmlp.apply_updates(params, updates)), rtol=1e-5
    )
    assert float(info.loss) == pytest.approx(float(value), rel=1e-6)
    assert float(info.clipped) == 0.0


def test_noise_scale_against_numpy():
    config, loss, params, x, y, _ = make("plain")
    found = jaxmlp.gradient_noise_scale(config, loss)(params, x, y)
    each = each_gradient("plain")
    variance = np.var(each, axis=0, ddof=1).sum()
    squared = np.sum(each.mean(axis=0) ** 2) - variance / B
    assert float(found.variance) == pytest.approx(variance, rel=1e-5)
    assert float(found.squared_norm) == pytest.approx(squared, rel=1e-4)
    assert float(found.scale) == pytest.approx(variance / squared, rel=1e-4)


def test_batch_norm_is_refused_with_the_reason():
    config = jaxmlp.MLPConfig((3, 4, 1), batch_norm=True)
    for make_fn in (
        jaxmlp.per_example_grad_norms,
        jaxmlp.clipped_grad_sum,
        jaxmlp.gradient_noise_scale,
    ):
        with pytest.raises(ValueError, match="other rows of its batch"):
            make_fn(config, "squared_error")
    config, loss, params, x, y, _ = make("plain")
    with pytest.raises(ValueError, match="at least 2 rows"):
        jaxmlp.gradient_noise_scale(config, loss)(params, x[:1], y[:1])


@pytest.mark.parametrize("n_examples", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_networks_for_tables(n_examples, x64):
    """Norms and clipped sums against jax.jacrev of the mean over members of each example's loss."""

    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(
        case=fronts().filter(lambda case: "huge" not in case[1]),
        loss=st.sampled_from(["softmax_cross_entropy", "huber", "poisson"]),
        dropout=st.booleans(),
        seed=st.integers(0, 2**16),
    )
    def check(case, loss, dropout, seed):
        config, params, x, y = make_network(case, seed, B, loss, dropout=dropout)
        options = {"key": jax.random.key(seed), "dropout_rate": 0.4} if dropout else {}

        def losses(moving):
            whole = merge(params, moving, ())
            outputs, _ = tabular_network.forward(config, whole, x, **options)
            repeated = jnp.concatenate([y] * config.front.members)
            values = get_loss(loss).value_and_grad(outputs, repeated)[0]
            return jnp.mean(values.reshape(-1, B), axis=0)

        leaves = jax.tree.leaves(jax.jit(jax.jacrev(losses))(trainable(params, ())))
        each = np.concatenate([np.asarray(leaf).reshape(B, -1) for leaf in leaves], axis=1)
        lengths = np.linalg.norm(each, axis=1)
        norms = jax.jit(jaxmlp.per_example_grad_norms(config, loss))(params, x, y, **options)
        np.testing.assert_allclose(norms, lengths, rtol=1e-12)
        limit = float(np.median(lengths))
        clip = jax.jit(jaxmlp.clipped_grad_sum(config, loss))
        found, _ = clip(params, x, y, max_norm=limit, **options)
        expected = np.sum(each * np.minimum(1, limit / lengths)[:, None], axis=0)
        off = np.linalg.norm(flat(trainable(found, ())) - expected)
        assert off <= 1e-12 * np.sum(np.minimum(limit, lengths))
        noise = jaxmlp.gradient_noise_scale(config, loss)(params, x, y, **options)
        variance = np.var(each, axis=0, ddof=1).sum()
        assert float(noise.variance) == pytest.approx(variance, rel=1e-10)

    check()


def test_a_clipped_step_of_a_network_for_tables():
    """Without clipping it is a plain step, and bins stay where they are."""
    front = FrontConfig(2, numbers=(0, 1), embedding="piecewise", width=3, bins=4, members=3)
    config = TabularConfig(front, jaxmlp.MLPConfig((front.n_out, 4, 1)))
    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    params = tabular_network.init(config, jax.random.key(0), piecewise_bins(x, 4))
    moving, optimizer = trainable(params, ()), jaxmlp.adamw(0.1, 0.1)
    step = jax.jit(jaxmlp.clipped_step(config, "squared_error", optimizer))
    stepped, _, info = step(params, optimizer.init(moving), x, x[:, :1], max_norm=np.inf)
    gradient = jax.jit(tabular_network.value_and_grad(config, "squared_error"))
    value, grads = gradient(params, x, x[:, :1])
    updates, _ = optimizer.update(trainable(grads, ()), optimizer.init(moving), moving)
    expected = merge(params, jaxmlp.apply_updates(moving, updates), ())
    np.testing.assert_allclose(flat(stepped), flat(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(stepped.front.numbers.starts, params.front.numbers.starts)
    assert float(info.loss) == pytest.approx(float(value), rel=1e-5)
