"""What makes the rules interchangeable: optax both ways, leaves, schedules, sweeps, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

import jaxmlp
from jaxmlp.optimizers import (
    OPTIMIZERS,
    adagrad,
    adam,
    adamw,
    apply_updates,
    as_optimizer,
    chain,
    clip_by_global_norm,
    clip_by_value,
    get_optimizer_factory,
    global_norm,
    momentum,
    rmsprop,
    sgd,
)

PARAMS = {"W": jnp.arange(6.0).reshape(3, 2) / 6, "b": jnp.ones(2)}
GRADS = jax.tree.map(lambda p: jnp.cos(3 * p), PARAMS)


def run(rule, steps=5, params=PARAMS, grads=GRADS):
    state = rule.init(params)
    for i in range(steps):
        updates, state = rule.update(jax.tree.map(lambda g, i=i: g / (i + 1), grads), state, params)
        params = apply_updates(params, updates)
    return params


def assert_close(a, b, rtol=1e-5):
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(p, q, rtol=rtol)


@pytest.fixture
def standard_promotion():
    """optax counts on it inside its rules."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_ours_in_optax_chain(standard_promotion):
    mixed = optax.chain(optax.clip_by_global_norm(0.5), momentum(0.1, dampening=False))
    pure = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1, momentum=0.9))
    assert_close(run(mixed), run(pure))


def test_optax_in_ours(standard_promotion):
    mixed = chain(clip_by_global_norm(0.5), optax.adam(0.1))
    pure = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.1))
    assert_close(run(mixed), run(pure))


def test_optax_wrappers_take_ours(standard_promotion):
    frozen = optax.multi_transform(
        {"train": sgd(0.1), "keep": optax.set_to_zero()}, {"W": "train", "b": "keep"}
    )
    found = run(frozen)
    assert (found["b"] == PARAMS["b"]).all()
    assert_close(found["W"], run(sgd(0.1))["W"])


SCHEDULES = {
    "optax": optax.cosine_decay_schedule(0.1, 10),
    "function": lambda step: 0.1 / (1.0 + step),
    "constant": lambda step: 0.1,
}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_schedules_set_the_rate_of_each_step(name, schedule, standard_promotion):
    schedule = SCHEDULES[schedule]
    scheduled, params = OPTIMIZERS[name](schedule), PARAMS
    state = scheduled.init(params)
    for step in range(3):
        updates, new_state = scheduled.update(GRADS, state, params)
        fixed = OPTIMIZERS[name](float(schedule(step)))
        assert_close(updates, fixed.update(GRADS, state, params)[0])
        state = new_state


def test_a_schedule_s_numbers_can_be_leaves(standard_promotion):
    """Two schedules made of the same function share one program."""
    traces = []

    def decay(rate, step):
        traces.append(1)
        return rate / (1.0 + step)

    step = jax.jit(lambda rule, g, s: rule.update(g, s))
    for rate in (0.1, 0.2, 0.3):
        rule = sgd(Partial(decay, rate))
        updates, _ = step(rule, GRADS, rule.init(PARAMS))
        assert_close(updates, jax.tree.map(lambda g, rate=rate: -rate * g, GRADS))
    assert len(traces) == 1


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_number_of_the_same_kind_is_one_program(name):
    traces = []

    @jax.jit
    def step(rule, grads, state, params):
        traces.append(1)
        return rule.update(grads, state, params)

    for rate in (1, 0.5, np.float32(0.1), np.float64(0.2), np.int32(2), np.array(0.3)):
        rule = OPTIMIZERS[name](rate)
        step(rule, GRADS, rule.init(PARAMS), PARAMS)
    assert len(traces) == 1


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_vmap_over_learning_rates(name):
    rates = jnp.array([0.01, 0.1, 0.5])
    many = jax.vmap(OPTIMIZERS[name])(rates)
    found = jax.jit(jax.vmap(run))(many)
    for m, rate in enumerate(rates):
        alone = run(OPTIMIZERS[name](float(rate)))
        assert_close(jax.tree.map(lambda leaf, m=m: leaf[m], found), alone)


@pytest.mark.slow
def test_vmap_over_other_hyperparameters():
    betas, decays = jnp.array([0.0, 0.5, 0.9]), jnp.array([0.0, 0.1, 0.2])
    many = jax.vmap(lambda b, d: adam(0.1, b1=b, weight_decay=d))(betas, decays)
    found = jax.vmap(run)(many)
    for m in range(3):
        alone = run(adamw(0.1, b1=float(betas[m]), weight_decay=float(decays[m])))
        assert_close(jax.tree.map(lambda leaf, m=m: leaf[m], found), alone)
    limits = jnp.array([0.1, jnp.inf])
    clipped = jax.vmap(lambda limit: run(chain(clip_by_global_norm(limit), sgd(0.1))))(limits)
    assert_close(jax.tree.map(lambda leaf: leaf[1], clipped), run(sgd(0.1)))


def test_the_count_of_steps_saturates():
    rule = adam(0.1)
    state = rule.init(PARAMS)._replace(count=jnp.int32(2**31 - 1))
    updates, state = rule.update(GRADS, state)
    assert int(state.count) == 2**31 - 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(updates))


def test_clipping_at_the_edges():
    zero = jax.tree.map(jnp.zeros_like, GRADS)
    infinite = {"W": GRADS["W"].at[0, 0].set(jnp.inf), "b": GRADS["b"]}
    for clip in (clip_by_value, clip_by_global_norm):
        for limit in (1.0, np.inf):
            rule = clip(limit)
            assert all((u == 0).all() for u in jax.tree.leaves(rule.update(zero, ())[0]))
        assert_close(clip(np.inf).update(GRADS, ())[0], GRADS)
        missing = clip(1.0).update({"W": GRADS["W"] * jnp.nan, "b": GRADS["b"]}, ())[0]
        assert np.isnan(missing["W"]).all()
    assert np.isnan(clip_by_global_norm(1.0).update(infinite, ())[0]["W"][0, 0])
    assert clip_by_value(1.0).update(infinite, ())[0]["W"][0, 0] == 1.0
    clipped = clip_by_global_norm(0.25).update(GRADS, ())[0]
    np.testing.assert_allclose(global_norm(clipped), 0.25, rtol=1e-6)


def test_weights_decay_and_biases_do_not():
    updates, _ = adamw(0.1, 0.5).update(
        jax.tree.map(jnp.zeros_like, GRADS), adamw(0.1).init(PARAMS), PARAMS
    )
    np.testing.assert_allclose(updates["W"], -0.05 * PARAMS["W"], rtol=1e-6)
    assert (updates["b"] == 0).all()
    masked = adam(0.1, weight_decay=0.5, mask={"W": False, "b": True})
    updates, _ = masked.update(jax.tree.map(jnp.zeros_like, GRADS), masked.init(PARAMS), PARAMS)
    assert (updates["W"] == 0).all()
    np.testing.assert_allclose(updates["b"], -0.05 * PARAMS["b"], rtol=1e-6)


BAD = {
    "negative rate": (lambda: sgd(-0.1), "learning_rate is -0.1"),
    "NaN rate": (lambda: adam(float("nan")), "learning_rate is nan"),
    "infinite rate": (lambda: adam(float("inf")), "learning_rate is inf"),
    "rate in words": (lambda: sgd("fast"), "learning_rate is 'fast'"),
    "no rate": (lambda: sgd(None), "learning_rate is None"),
    "rates in a list": (lambda: sgd([0.1, 0.2]), "give a number"),
    "a truth": (lambda: sgd(True), "learning_rate is True"),
    "complex": (lambda: sgd(1j), "learning_rate is 1j"),
    "beta of 1": (lambda: momentum(0.1, 1.0), r"beta is 1.0, but must lie in \[0, 1\)"),
    "negative beta": (lambda: momentum(0.1, -0.1), "beta is -0.1"),
    "nesterov and dampening": (lambda: momentum(0.1, nesterov=True), "dampening=False"),
    "decay": (lambda: rmsprop(0.1, 1.5), "decay is 1.5"),
    "eps of 0": (lambda: rmsprop(0.1, eps=0.0), "eps is 0.0"),
    "adagrad's eps": (lambda: adagrad(0.1, eps=-1e-8), "eps is -1e-08"),
    "accumulator": (lambda: adagrad(0.1, initial_accumulator_value=-1), "must lie in"),
    "b1": (lambda: adam(b1=1.0), "b1 is 1.0"),
    "b2": (lambda: adam(b2=2.0), "b2 is 2.0"),
    "adam's eps": (lambda: adam(eps=0.0), "eps is 0.0"),
    "weight decay": (lambda: adam(weight_decay=-0.1), "weight_decay is -0.1"),
    "decay without weights": (
        lambda: adamw().update(GRADS, adamw().init(PARAMS)),
        r"call update\(grads, state, params\)",
    ),
    "clip at 0": (lambda: clip_by_value(0.0), "limit is 0.0"),
    "negative norm": (lambda: clip_by_global_norm(-1.0), "max_norm is -1.0"),
    "a name": (lambda: as_optimizer("adam"), r"optimizer=jaxmlp.adam\(learning_rate=1e-3\)"),
    "not called": (lambda: as_optimizer(adam), r"call it, as in optimizer=jaxmlp.adam\("),
    "a number": (lambda: as_optimizer(0.1), "not an update rule"),
    "None": (lambda: as_optimizer(None), "not an update rule"),
    "in a chain": (lambda: chain(sgd(0.1), sgd), "call it"),
    "unknown": (lambda: get_optimizer_factory("adan"), "Did you mean 'adam'"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_explained(case):
    call, message = BAD[case]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert len(str(caught.value)) < 300


def test_all_rules_are_exported():
    for name, rule in OPTIMIZERS.items():
        assert getattr(jaxmlp, name) is rule
