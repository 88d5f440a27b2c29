"""The compiled core: any split into calls, and any number of runs side by side."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.optimizers import adam, sgd
from jaxmlp.training import FitStatus, Program, Settings, fit_steps, initial_carry
from jaxmlp.training.data import prepare_data

CONFIG = jaxmlp.MLPConfig((3, 8, 2), "tanh", dropout=True)
PROGRAM = Program(CONFIG, jaxmlp.LOSSES["softmax_cross_entropy"], batch_size=16)
STEPS_PER_EPOCH = 4
M = 3


def make_data(n=50):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return prepare_data(CONFIG, PROGRAM.loss, (x, (x[:, 0] > 0).astype(int)))


def settings(seed=0, l2=0.0):
    options = {"label_smoothing": jnp.float32(0.0)}
    patience = np.int32(1000)
    return Settings(jax.random.key(seed), l2, jnp.float32(0.2), options, patience, np.float32(0))


def first_carry(optimizer, seed=0, data=None):
    params = jaxmlp.init(CONFIG, jax.random.key(seed))
    return initial_carry(PROGRAM, optimizer, params, ())


run_steps = jax.jit(fit_steps)


def weight_sizes(params, cache, grads, updates):
    return jnp.stack([jnp.sum(layer.W**2) for layer in params])


@pytest.mark.slow
@pytest.mark.parametrize("every", [None, 3])
def test_calls_can_be_split_anywhere(every):
    data, optimizer = make_data(), adam(1e-2)
    program = PROGRAM
    if every:
        program = replace(PROGRAM, probe=weight_sizes, probe_every=every)

    def steps(carry, first, n):
        arguments = (optimizer, carry, data, None, settings(), STEPS_PER_EPOCH, first, n)
        return run_steps(program, *arguments)

    whole, records = steps(first_carry(optimizer), 0, 12)
    carry, rows, seen, at = first_carry(optimizer), [], [], 0
    for n in (1, 5, 2, 4):
        carry, part = steps(carry, at, n)
        rows.append(part.metrics[: (at + n) // STEPS_PER_EPOCH - at // STEPS_PER_EPOCH])
        if every:
            seen.append(part.probed[: (at + n) // every - at // every])
        at += n
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(carry), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.concatenate(rows), records.metrics[:3])
    if every:
        np.testing.assert_array_equal(np.concatenate(seen), records.probed[:4])


def members(rates, seeds, data):
    """Train one network for each rate and seed, in one program."""

    def member(rate, seed, key, l2):
        optimizer = adam(rate)
        params = jaxmlp.init(CONFIG, key)
        carry = initial_carry(PROGRAM, optimizer, params, ())
        numbers = settings()._replace(key=key, l2=l2)
        return fit_steps(PROGRAM, optimizer, carry, data, None, numbers, STEPS_PER_EPOCH, 0, 20)

    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    l2 = jnp.linspace(0, 0.01, len(rates), dtype=jnp.float32)
    return jax.jit(jax.vmap(member))(jnp.asarray(rates, jnp.float32), jnp.asarray(seeds), keys, l2)


@pytest.mark.slow
def test_members_equal_their_solo_runs():
    data, rates, seeds = make_data(), [1e-3, 3e-3, 1e-2], [0, 1, 2]
    carries, records = members(rates, seeds, data)
    for m in range(M):
        optimizer = adam(rates[m])
        numbers = settings(seeds[m], l2=jnp.float32(0.005 * m))
        alone, rows = run_steps(
            PROGRAM, optimizer, first_carry(optimizer, seeds[m]), data, None, numbers,
            STEPS_PER_EPOCH, 0, 20,
        )  # fmt: skip
        for a, b in zip(
            jax.tree.leaves(carries.params), jax.tree.leaves(alone.params), strict=True
        ):
            np.testing.assert_allclose(a[m], b, atol=1e-5)
        np.testing.assert_allclose(records.metrics[m][:5], rows.metrics[:5], rtol=1e-4)


@pytest.mark.slow
def test_a_diverging_member_leaves_its_neighbours_alone():
    data, seeds = make_data(), [0, 1, 2]
    calm, _ = members([1e-3, 1e-3, 1e-2], seeds, data)
    wild, _ = members([1e-3, np.nan, 1e-2], seeds, data)
    assert wild.status.tolist() == [FitStatus.RUNNING, FitStatus.DIVERGED, FitStatus.RUNNING]
    assert wild.epochs.tolist() == [5, 0, 5]
    for a, b in zip(jax.tree.leaves(calm.params), jax.tree.leaves(wild.params), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[2], b[2])


@pytest.mark.slow
@pytest.mark.parametrize("rows", [[3, 1, 4, 15, 9, 26, 5], list(range(40))])
def test_a_fold_is_an_index_table(rows):
    """Training on a padded table of rows is training on these rows."""
    data, optimizer = make_data(), sgd(0.1)
    padded = np.zeros(48, np.int32)
    padded[: len(rows)] = rows
    fold = data._replace(rows=jnp.asarray(padded), n_rows=np.int32(len(rows)))
    steps = -(-len(rows) // 16)
    got, _ = run_steps(
        PROGRAM, optimizer, first_carry(optimizer), fold, None, settings(), steps, 0, 3 * steps
    )
    alone = data._replace(
        x=data.x[jnp.asarray(rows)], y=data.y[jnp.asarray(rows)], n_rows=np.int32(len(rows))
    )
    want, _ = run_steps(
        PROGRAM, optimizer, first_carry(optimizer), alone, None, settings(), steps, 0, 3 * steps
    )
    for a, b in zip(jax.tree.leaves(got.params), jax.tree.leaves(want.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_divergence_is_noted_at_its_step():
    """Row 37 is in the third batch of 16; wherever a call begins, and with a fresh carry or not."""
    program, optimizer, data = replace(PROGRAM, shuffle=False), adam(1e-2), make_data()

    def steps(data, first, n):
        arguments = (first_carry(optimizer), data, None, settings(), STEPS_PER_EPOCH, first, n)
        return run_steps(program, optimizer, *arguments)[0]

    bad = data._replace(x=data.x.at[37].set(jnp.nan))
    for first in (0, 1, 2):
        for n in (3 - first, 4):
            found = steps(bad, first, n)
            assert (int(found.status), int(found.stopped_at)) == (FitStatus.DIVERGED, 2)
        assert int(steps(data, first, 4).status) == FitStatus.RUNNING
    assert int(steps(bad, 0, 2).status) == FitStatus.RUNNING
    assert int(steps(bad, 3, 4).stopped_at) == 6
