"""Schedules whose numbers are leaves, against optax and against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.optimizers import adam
from jaxmlp.optimizers.schedules import (
    SCHEDULES,
    cosine,
    coslog4,
    flat_cosine,
    make_schedule,
)

STEPS = np.arange(0, 131)
N = 120


def along(schedule):
    return np.asarray(jax.vmap(schedule)(jnp.asarray(STEPS)))


def test_cosine_is_optax_s(standard_promotion):
    theirs = optax.cosine_decay_schedule(0.3, N)
    np.testing.assert_allclose(along(cosine(0.3, N)), along(theirs), rtol=1e-6, atol=1e-7)


def test_flat_cosine_is_two_of_optax_s_joined(standard_promotion):
    theirs = optax.join_schedules(
        [optax.constant_schedule(0.3), optax.cosine_decay_schedule(0.3, N // 2)], [N // 2]
    )
    np.testing.assert_allclose(along(flat_cosine(0.3, N)), along(theirs), rtol=1e-6, atol=1e-7)


def test_coslog4_is_its_formula_and_has_four_cycles():
    t = np.minimum(STEPS / N, 1)
    expected = 0.3 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2
    np.testing.assert_allclose(along(coslog4(0.3, N)), expected, atol=2e-6)
    ends = [N * (2**cycle - 1) / 15 for cycle in range(5)]
    np.testing.assert_allclose([coslog4(0.3, N)(step) for step in ends], 0, atol=1e-6)
    tops = [N * (2 ** (cycle + 0.5) - 1) / 15 for cycle in range(4)]
    np.testing.assert_allclose([coslog4(0.3, N)(step) for step in tops], 0.3, rtol=1e-5)


@pytest.mark.parametrize("make", [cosine, flat_cosine, coslog4])
def test_a_schedule_ends_at_zero_and_stays_there(make):
    """A run that goes on past its schedule learns nothing, and nothing wrong."""
    np.testing.assert_allclose(along(make(0.3, N))[STEPS >= N], 0, atol=1e-6)


@pytest.mark.parametrize("make", [cosine, flat_cosine, coslog4])
def test_one_program_serves_every_length_and_rate(make):
    traces = []

    @jax.jit
    def update(optimizer, grads):
        traces.append(1)
        return optimizer.update(grads, optimizer.init(grads), grads)[0]

    for value, n_steps in ((0.1, 10), (1, 7000), (np.float32(0.5), 33)):
        update(adam(make(value, n_steps)), jnp.ones(3))
    assert len(traces) == 1


def test_fit_follows_a_schedule():
    """Three steps of plain descent along a linear loss: the weight moves by the rates' sum."""
    config = jaxmlp.MLPConfig((1, 1))
    params = jax.tree.map(jnp.zeros_like, jaxmlp.init(config, jax.random.key(0)))
    x, y = np.zeros((4, 1), np.float32), np.full((4, 1), 100.0, np.float32)
    result = jaxmlp.fit(
        config, params, (x, y), loss="absolute_error", optimizer=jaxmlp.sgd(cosine(0.5, 3)),
        epochs=3, batch_size=4, key=jax.random.key(1),
    )  # fmt: skip
    rates = [0.5 * (1 + np.cos(np.pi * step / 3)) / 2 for step in range(3)]
    np.testing.assert_allclose(result.params[0].b, [sum(rates)], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_schedules_by_name(name, standard_promotion):
    """Each peaks at its value, and ends well below it; a constant stays."""
    schedule = make_schedule(name, 0.4, N)
    rates = along(schedule if callable(schedule) else lambda step: jnp.float32(schedule))
    assert rates.max() == pytest.approx(0.4, rel=1e-2)
    assert rates[N] <= (0.4 if name == "constant" else 0.0041)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cosin", 0.1, 10), "Did you mean 'cosine'"),
        (("cosine", -0.1, 10), "learning_rate"),
        (("cosine", 0.1, 0), "n_steps"),
    ],
)
def test_bad_input_is_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(*arguments)
