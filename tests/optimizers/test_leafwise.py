"""Rates by array, against optax.partition and against plain arithmetic."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp import FrontConfig, MLPConfig, TabularConfig, tabular_network
from jaxmlp.networks import trainable
from jaxmlp.optimizers import adam, adamw, chain, scale_by_leaf, sgd

PARAMS = {"E": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.asarray([0.25]), "s": jnp.ones(3)}
FACTORS = {"E": 0.1, "b": 0.0, "s": 2.0}


def trajectory(optimizer, steps=8):
    params, state = PARAMS, optimizer.init(PARAMS)
    for step in range(steps):
        grads = jax.tree.map(lambda p, step=step: jnp.cos(p * (1.0 + step)) + p, params)
        updates, state = optimizer.update(grads, state, params)
        params = jaxmlp.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_rates_by_array_are_optax_partition(rule, standard_promotion):
    decays = {"weight_decay": 0.3, "mask": {"E": True, "b": False, "s": False}}
    ours = {"adam": adam(1e-2), "adamw": adamw(1e-2, 0.3)}[rule]

    def theirs(name):
        if rule == "adam":
            return optax.adam(1e-2 * FACTORS[name])
        decay = decays["weight_decay"] * (name == "E")
        return optax.adamw(1e-2 * FACTORS[name], weight_decay=decay)

    partition = optax.partition(
        {name: theirs(name) for name in PARAMS}, {name: name for name in PARAMS}
    )
    found = trajectory(chain(ours, scale_by_leaf(FACTORS)))
    chex.assert_trees_all_close(found, trajectory(partition), rtol=2e-5, atol=2e-6)
    chex.assert_trees_all_equal(found["b"], PARAMS["b"])


def test_it_is_a_product():
    scaling = scale_by_leaf(FACTORS)
    scaled, _ = scaling.update(PARAMS, scaling.init(PARAMS))
    for name, factor in FACTORS.items():
        np.testing.assert_array_equal(scaled[name], np.asarray(PARAMS[name]) * np.float32(factor))


def test_one_program_serves_all_factors():
    traces = []

    @jax.jit
    def update(optimizer, grads):
        traces.append(1)
        return optimizer.update(grads, optimizer.init(grads))[0]

    for factor in (0.1, 1, np.float32(3.0)):
        update(scale_by_leaf(dict.fromkeys(PARAMS, factor)), PARAMS)
    assert len(traces) == 1


def test_vmap_over_factors():
    def scaled(factor):
        scaling = scale_by_leaf({"w": factor})
        return scaling.update({"w": jnp.ones(2)}, scaling.init({"w": jnp.ones(2)}))[0]["w"]

    found = jax.vmap(scaled)(jnp.asarray([0.0, 0.5, 2.0]))
    np.testing.assert_array_equal(found, [[0, 0], [0.5, 0.5], [2, 2]])


def test_factors_of_a_network_for_tables():
    """A factor of 0 for the input side leaves it alone, while the layers train."""
    front = FrontConfig(2, numbers=(0, 1), embedding="periodic", members=2)
    config = TabularConfig(front, MLPConfig((front.n_out, 4, 1)))
    params = tabular_network.init(config, jax.random.key(0))
    factors = jax.tree.map(lambda _: 1.0, trainable(params, ()))
    factors = factors._replace(front=jax.tree.map(lambda _: 0.0, factors.front))
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    result = jaxmlp.fit(
        config, params, (x, x[:, :1]), loss="squared_error", epochs=2, key=jax.random.key(1),
        optimizer=chain(sgd(0.01), scale_by_leaf(factors)),
    )  # fmt: skip
    chex.assert_trees_all_equal(result.params.front, params.front)
    assert np.any(np.asarray(result.params.layers[0].W) != np.asarray(params.layers[0].W))


def test_another_structure_is_explained():
    scaling = scale_by_leaf({"w": 1.0})
    with pytest.raises(ValueError, match="give one number for each array"):
        scaling.update(PARAMS, scaling.init(PARAMS))


@pytest.mark.parametrize(("factor", "error"), [(-1.0, ValueError), ("much", TypeError)])
def test_bad_factors_are_explained(factor, error):
    with pytest.raises(error, match="factors"):
        scale_by_leaf({"w": factor})
