"""Every update rule against its optax twin, step by step, and against the lecture in numpy."""

from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.data import load_digits
from jaxmlp.optimizers import (
    OPTIMIZERS,
    adagrad,
    adam,
    adamw,
    apply_updates,
    chain,
    clip_by_global_norm,
    clip_by_value,
    momentum,
    nesterov,
    rmsprop,
    sgd,
)

STEPS = 1000
RATE = 1e-3
CONFIG = jaxmlp.MLPConfig((64, 8, 10), "tanh", dtype="float32")


def decays(params):
    return jax.tree.map(lambda p: p.ndim >= 2, params)


def optax_rms(decay, eps, eps_in_sqrt):
    return optax.chain(
        optax.scale_by_rms(decay=decay, eps=eps, eps_in_sqrt=eps_in_sqrt),
        optax.scale_by_learning_rate(RATE),
    )


# ours, optax's, and how the states correspond: (ours, theirs) -> pairs of equal trees
TWINS = {
    "sgd": (lambda: sgd(RATE), lambda: optax.sgd(RATE), lambda a, b: []),
    "heavy ball": (
        lambda: momentum(RATE, 0.9, dampening=False),
        lambda: optax.sgd(RATE, momentum=0.9),
        lambda a, b: [(a.trace, b[0].trace)],
    ),
    "nesterov": (
        lambda: nesterov(RATE, 0.9),
        lambda: optax.sgd(RATE, momentum=0.9, nesterov=True),
        lambda a, b: [(a.trace, b[0].trace)],
    ),
    "lecture's momentum": (
        lambda: momentum(RATE, 0.9),
        lambda: optax.chain(optax.ema(0.9, debias=False), optax.scale_by_learning_rate(RATE)),
        lambda a, b: [(a.trace, b[0].ema)],
    ),
    "adagrad": (
        lambda: adagrad(RATE, eps=1e-7, initial_accumulator_value=0.1),
        lambda: optax.adagrad(RATE, initial_accumulator_value=0.1, eps=1e-7),
        lambda a, b: [(a.sum_of_squares, b[0].sum_of_squares)],
    ),
    "adagrad from 0": (
        lambda: adagrad(RATE),
        lambda: optax.adagrad(RATE, initial_accumulator_value=0.0, eps=1e-8),
        lambda a, b: [(a.sum_of_squares, b[0].sum_of_squares)],
    ),
    "rmsprop": (
        lambda: rmsprop(RATE, 0.9),
        lambda: optax_rms(0.9, 1e-8, True),
        lambda a, b: [(a.nu, b[0].nu)],
    ),
    "rmsprop, eps outside": (
        lambda: rmsprop(RATE, 0.99, eps_outside=True),
        lambda: optax_rms(0.99, 1e-8, False),
        lambda a, b: [(a.nu, b[0].nu)],
    ),
    "adam": (
        lambda: adam(RATE),
        lambda: optax.adam(RATE),
        lambda a, b: [(a.mu, b[0].mu), (a.nu, b[0].nu), (a.count, b[0].count)],
    ),
    "adamw": (
        lambda: adamw(RATE, 0.05),
        lambda: optax.adamw(RATE, weight_decay=0.05, mask=decays),
        lambda a, b: [(a.mu, b[0].mu), (a.nu, b[0].nu)],
    ),
    "adamw on everything": (
        lambda: adam(RATE, weight_decay=0.05, mask=lambda p: jax.tree.map(lambda _: True, p)),
        lambda: optax.adamw(RATE, weight_decay=0.05),
        lambda a, b: [(a.mu, b[0].mu), (a.nu, b[0].nu)],
    ),
    "clip by value": (
        lambda: chain(clip_by_value(1e-3), sgd(RATE)),
        lambda: optax.chain(optax.clip(1e-3), optax.sgd(RATE)),
        lambda a, b: [],
    ),
    "clip by norm": (
        lambda: chain(clip_by_global_norm(0.3), adam(RATE)),
        lambda: optax.chain(optax.clip_by_global_norm(0.3), optax.adam(RATE)),
        lambda a, b: [(a[1].mu, b[1][0].mu), (a[1].nu, b[1][0].nu)],
    ),
}


@pytest.fixture(scope="module")
def recorded():
    """A real run: parameters at the start, and the gradients of 1,000 steps, in float64."""
    with jax.enable_x64(True):
        config = CONFIG.replace(dtype="float64")
        params = jaxmlp.init(config, jax.random.key(0))
        digits = load_digits()
        x, y = jnp.asarray(digits.x / 16, jnp.float64), jnp.asarray(digits.y)
        grad = jaxmlp.value_and_grad(config, "softmax_cross_entropy")

        def step(params, start):
            rows = (start * 37 + jnp.arange(32)) % len(x)
            _, grads = grad(params, x[rows], y[rows])
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), grads

        def gradient_at(params, start):
            rows = (start * 37 + jnp.arange(32)) % len(x)
            return grad(params, x[rows], y[rows])[1]

        _, grads = jax.jit(lambda p: jax.lax.scan(step, p, jnp.arange(STEPS)))(params)
        return SimpleNamespace(params=params, grads=grads, gradient_at=gradient_at)


def relative(a, b):
    """The largest difference of two trees, relative to the norm of each leaf of the second."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    errors = [
        jnp.linalg.norm((p - q).astype(float))
        / jnp.maximum(jnp.linalg.norm(q.astype(float)), 1e-300)
        for p, q in pairs
    ]
    return jnp.max(jnp.stack(errors))


@pytest.fixture
def standard_promotion():
    """optax counts on it inside its rules."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_the_same_gradients_give_the_same_updates_and_states(
    name, recorded, x64, standard_promotion
):
    ours, theirs, states = TWINS[name]
    ours, theirs = ours(), theirs()

    @jax.jit
    def compare(params, grads):
        def step(carry, g):
            a, b = carry
            updates, a = ours.update(g, a, params)
            expected, b = theirs.update(g, b, params)
            errors = [relative(updates, expected), *(relative(p, q) for p, q in states(a, b))]
            return (a, b), jnp.stack(errors)

        return jax.lax.scan(step, (ours.init(params), theirs.init(params)), grads)[1]

    assert float(compare(recorded.params, recorded.grads).max()) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_running_free_ends_at_the_same_place(name, recorded, x64, standard_promotion):
    ours, theirs, _ = TWINS[name]

    def train(optimizer, apply):
        def step(carry, i):
            params, state = carry
            updates, state = optimizer.update(recorded.gradient_at(params, i), state, params)
            return (apply(params, updates), state), None

        start = (recorded.params, optimizer.init(recorded.params))
        return jax.jit(lambda: jax.lax.scan(step, start, jnp.arange(STEPS))[0][0])()

    got, want = train(ours(), apply_updates), train(theirs(), optax.apply_updates)
    assert float(relative(got, want)) <= 1e-12
    assert float(relative(want, recorded.params)) > 1e-4  # it went somewhere


def lecture_momentum(theta, gradients, lr=0.1, beta=0.9):
    v = np.zeros_like(theta)
    for g in gradients:
        v = beta * v + (1 - beta) * g
        theta = theta - lr * v
    return theta


def lecture_adagrad(theta, gradients, lr=0.1, eps=1e-8):
    G = np.zeros_like(theta)
    for g in gradients:
        G = G + g**2
        theta = theta - lr * g / np.sqrt(G + eps)
    return theta


def lecture_rmsprop(theta, gradients, lr=0.1, beta=0.9, eps=1e-8):
    E = np.zeros_like(theta)
    for g in gradients:
        E = beta * E + (1 - beta) * g**2
        theta = theta - lr * g / np.sqrt(E + eps)
    return theta


def lecture_adam(theta, gradients, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        theta = theta - lr * m / (np.sqrt(v) + eps)
    return theta


@pytest.mark.parametrize(
    ("optimizer", "by_hand"),
    [
        (lambda: momentum(0.1), lecture_momentum),
        (lambda: adagrad(0.1), lecture_adagrad),
        (lambda: rmsprop(0.1), lecture_rmsprop),
        (lambda: adam(0.1, bias_correction=False), lecture_adam),
    ],
)
def test_the_lecture_s_own_forms(optimizer, by_hand, x64):
    rng = np.random.default_rng(0)
    theta, gradients = rng.normal(size=(3, 2)), rng.normal(size=(50, 3, 2))
    gradients[:, 0, 0] = 0.0  # a parameter that never gets a gradient
    rule, params = optimizer(), jnp.asarray(theta)
    state = rule.init(params)
    for g in gradients:
        updates, state = rule.update(jnp.asarray(g), state, params)
        params = apply_updates(params, updates)
    np.testing.assert_allclose(params, by_hand(theta, gradients), rtol=1e-13)


def test_bias_correction_keeps_its_digits_in_float32():
    """After one step Adam's update is lr sign(g), whatever b2; 1 - b2**t in float32 is 5e-5 off."""
    g = jnp.array([3.0, -0.2], jnp.float32)
    for b2 in (0.999, 0.9999, 0.99999):
        rule = adam(1.0, b2=b2, eps=1e-30)
        updates, _ = rule.update(g, rule.init(g))
        np.testing.assert_allclose(updates, -jnp.sign(g), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_updates_look_like_the_parameters(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        params = {"w": jnp.ones((3, 2), dtype), "b": jnp.zeros(2, dtype), "s": jnp.ones((), dtype)}
        grads = jax.tree.map(lambda p: 0.5 * jnp.ones_like(p), params)
        rule = OPTIMIZERS[name](0.1)
        updates, state = rule.update(grads, rule.init(params), params)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(state, rule.init(params))
        assert all((leaf < 0).all() for leaf in jax.tree.leaves(updates))  # downhill


class TestVariants(chex.TestCase):
    """The rules with and without jit, the optimizer itself being an argument."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_jit_takes_the_optimizer(self):
        step = self.variant(lambda rule, g, s, p: rule.update(g, s, p))
        params, grads = jnp.ones((3, 2)), jnp.full((3, 2), 0.5)
        for name, factory in OPTIMIZERS.items():
            rule = factory(0.1)
            got = step(rule, grads, rule.init(params), params)
            want = rule.update(grads, rule.init(params), params)
            chex.assert_trees_all_close(got, want, rtol=1e-6, custom_message=name)
