"""Rates by layer against optax.partition, the pull to the start against jax.grad of the penalty."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.optimizers import adam, adamw, chain, l2_sp, momentum, scale_by_layer, sgd

CONFIG = jaxmlp.MLPConfig((5, 4, 3, 2))
PARAMS = jaxmlp.init(CONFIG, jax.random.key(0))
X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 5)), jnp.float32)
Y = jnp.arange(8) % 2
GRADIENT = jax.jit(jax.grad(jaxmlp.objective(CONFIG, "softmax_cross_entropy")))


def trajectory(optimizer, params=PARAMS, steps=20):
    """The parameters after some steps, compiled with the optimizer as an argument or not."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(GRADIENT(params, X, Y), state, params)
        return (jaxmlp.apply_updates(params, updates), state), None

    scan = jax.jit(lambda: jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[0])
    return scan()[0]


@pytest.mark.parametrize("rule", ["adam", "adamw"])
@pytest.mark.parametrize("factors", [(0.0, 0.5, 2.0), 0.25], ids=["tuple", "decay"])
def test_rates_by_layer_are_optax_partition(rule, factors):
    ours, theirs = {
        "adam": (adam(1e-2), optax.adam),
        "adamw": (
            adamw(1e-2, 0.3),
            lambda rate: optax.adamw(
                rate, weight_decay=0.3, mask=lambda ps: jax.tree.map(lambda p: p.ndim >= 2, ps)
            ),
        ),
    }[rule]
    rates = factors if isinstance(factors, tuple) else (factors**2, factors, 1.0)
    with jax.numpy_dtype_promotion("standard"):
        partition = optax.partition(
            {str(l): theirs(1e-2 * rate) for l, rate in enumerate(rates)},
            tuple(jax.tree.map(lambda _, l=l: str(l), layer) for l, layer in enumerate(PARAMS)),
        )
        expected = trajectory(partition)
    found = trajectory(chain(ours, scale_by_layer(factors)))
    chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=2e-6)
    if isinstance(factors, tuple):
        chex.assert_trees_all_equal(found[0], PARAMS[0])


@pytest.mark.parametrize("new_layers", [0, 1, 3])
def test_the_pull_is_the_gradient_of_the_penalty(new_layers):
    alpha, beta = 0.3, 0.05
    moved = jax.tree.map(lambda p: p + 0.5, PARAMS)

    def penalty(params):
        n_old = 3 - new_layers
        old = sum(jnp.sum((p.W - p0.W) ** 2) for p, p0 in zip(params[:n_old], PARAMS, strict=False))
        new = sum(jnp.sum(p.W**2) for p in params[n_old:])
        return alpha / 2 * old + beta / 2 * new

    grads = GRADIENT(moved, X, Y)
    expected = jax.tree.map(jnp.add, grads, jax.grad(penalty)(moved))
    pull = l2_sp(alpha, beta, new_layers=new_layers)
    found, state = pull.update(grads, pull.init(PARAMS), moved)
    chex.assert_trees_all_close(found, expected, rtol=1e-6, atol=1e-6)
    chex.assert_trees_all_equal(state.start, PARAMS)


def test_a_strong_pull_holds_the_network_where_it_was():
    free = trajectory(momentum(0.1), steps=200)
    held = trajectory(chain(l2_sp(1.0, 0.0, new_layers=0), momentum(0.1)), steps=200)
    for layer, pulled, start in zip(free, held, PARAMS, strict=True):
        assert jnp.linalg.norm(pulled.W - start.W) < 0.5 * jnp.linalg.norm(layer.W - start.W)


def test_fit_resumes_with_the_first_start():
    """A run in two parts is pulled to where the first part began, bit for bit."""
    options = {"loss": "softmax_cross_entropy", "key": jax.random.key(1), "batch_size": 4}
    options["optimizer"] = chain(l2_sp(0.5), sgd(0.1), scale_by_layer((0.5, 1.0)))
    data = (np.asarray(X), np.asarray(Y))
    whole = jaxmlp.fit(CONFIG, PARAMS, data, epochs=4, frozen=(0,), **options)
    half = jaxmlp.fit(CONFIG, PARAMS, data, epochs=2, frozen=(0,), **options)
    resumed = jaxmlp.fit(CONFIG, half, data, epochs=2, frozen=(0,), **options)
    chex.assert_trees_all_equal(resumed.params, whole.params)
    chex.assert_trees_all_equal(whole.params[0], PARAMS[0])


def test_one_program_serves_all_numbers():
    traces = []

    @jax.jit
    def update(optimizer, params):
        traces.append(None)
        return optimizer.update(params, optimizer.init(params), params)[0]

    for alpha, new_layers, factor in [(0.1, 1, 0.5), (1, 2, 1)]:
        update(chain(l2_sp(alpha, new_layers=new_layers), scale_by_layer(factor)), PARAMS)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: scale_by_layer(-1), ValueError, "factors is -1"),
        (lambda: scale_by_layer("small"), TypeError, "factors is 'small'"),
        (lambda: scale_by_layer((1, 2)).update(PARAMS, ()), ValueError, "2 factors, but 3 layers"),
        (lambda: scale_by_layer(1).update(PARAMS[0], ()), TypeError, "a tuple of layers"),
        (lambda: l2_sp(-1), ValueError, "alpha is -1"),
        (lambda: l2_sp(1, new_layers=-1), ValueError, "new_layers is -1"),
        (lambda: l2_sp(1).update(PARAMS, ()), ValueError, "needs the parameters"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
