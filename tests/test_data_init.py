"""The start from the data: what it promises, measured on the rows in numpy."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from tabular_cases import fronts, make_network

import jaxmlp
from jaxmlp import MLPConfig, data_init
from jaxmlp.data_init import init_from_data
from jaxmlp.networks import layers_inputs

RNG = np.random.default_rng(0)
X = RNG.lognormal(size=(200, 3)) * [1.0, 100.0, 0.01] + [0.0, 5.0, -1.0]
PHI = {
    "silu": lambda z: z * expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
}


def layers_on_rows(config, layers, h):
    """Pre-activations of each layer without its bias, in numpy."""
    for l, layer in enumerate(layers):
        z = h @ np.asarray(layer.W, np.float64)
        yield z, np.asarray(layer.b)
        h = PHI[config.activations[l].name](z + np.asarray(layer.b)) if l < len(layers) - 1 else z


def check_promises(config, layers, h):
    for z, b in layers_on_rows(config, layers, np.asarray(h, np.float64)):
        varies = np.ptp(z, axis=0) > 1e-4 * np.abs(z).max()
        np.testing.assert_allclose(z.var(axis=0)[varies], 1, rtol=1e-9)
        slack = 1e-12 * np.abs(z).max()
        assert np.all(-b >= z.min(axis=0) - slack)  # z + b = 0 lies among the rows
        assert np.all(-b <= z.max(axis=0) + slack)


@pytest.mark.parametrize("n_examples", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_every_unit_has_variance_1_and_its_kink_among_the_rows(n_examples, x64):
    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(
        activation=st.sampled_from(sorted(PHI)),
        sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
        parametric=st.booleans(),
        seed=st.integers(0, 2**16),
    )
    def check(activation, sizes, parametric, seed):
        config = MLPConfig(
            (3, *sizes), activation, dtype="float64",
            parametric_activation=parametric if len(sizes) > 1 else False,
        )  # fmt: skip
        params = init_from_data(
            config, jaxmlp.init(config, jax.random.key(0)), jax.random.key(seed), X
        )
        check_promises(config, params, X)

    check()


@pytest.mark.parametrize("n_examples", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_layers_behind_an_input_side_are_fitted_to_what_they_see(n_examples, x64):
    tame = fronts().filter(lambda case: "huge" not in case[1])

    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(case=tame, seed=st.integers(0, 2**16))
    def check(case, seed):
        config, params, x, _ = make_network(case, seed, 30, activation="mish")
        started = init_from_data(config, params, jax.random.key(seed), x)
        check_promises(config.mlp, started.layers, layers_inputs(config, params, x))
        jax.tree.map(np.testing.assert_array_equal, started.front, params.front)

    check()


def test_it_is_a_function_of_the_key():
    config = MLPConfig((3, 4, 2))
    params = jaxmlp.init(config, jax.random.key(0))
    first, again, other = (
        init_from_data(config, params, jax.random.key(seed), X.astype(np.float32))
        for seed in (1, 1, 2)
    )
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.any(np.asarray(first[0].W) == np.asarray(other[0].W))
    deeper = MLPConfig((3, 4, 2, 5))
    below = init_from_data(
        deeper, jaxmlp.init(deeper, jax.random.key(0)), jax.random.key(1), X.astype(np.float32)
    )
    np.testing.assert_array_equal(below[0].W, first[0].W)


def test_directions_and_biases_are_spread_as_drawn(x64):
    """Directions of W are uniform; -b is a mean of five rows with weights of mean square 1/3."""
    config = MLPConfig((3, 4000), dtype="float64")
    x = RNG.normal(size=(5000, 3))
    (layer,) = init_from_data(config, jaxmlp.init(config, jax.random.key(0)), jax.random.key(1), x)
    assert np.abs(np.mean(layer.W, axis=1)).max() < 4 / np.sqrt(4000)
    assert abs(np.mean(layer.b)) < 4 * np.sqrt(1 / 3 / 4000)
    np.testing.assert_allclose(np.var(layer.b), 1 / 3, rtol=0.1)  # sum p_i^2 is 2 / 6 in the mean


def test_constant_rows_keep_weights_of_size_1():
    config = MLPConfig((3, 50, 2))
    x = np.full((20, 3), 0.1, np.float32)
    params = init_from_data(config, jaxmlp.init(config, jax.random.key(0)), jax.random.key(1), x)
    assert 0.5 < np.std(params[0].W) < 1.5
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_of_many_rows_some_are_drawn(monkeypatch):
    monkeypatch.setattr(data_init, "_MOST_ROWS", 64)
    config = MLPConfig((3, 4))
    params = jaxmlp.init(config, jax.random.key(0))
    x = X.astype(np.float32)
    (layer,) = init_from_data(config, params, jax.random.key(0), x)
    z = x @ np.asarray(layer.W)
    assert np.all(np.abs(z.std(axis=0) - 1) > 1e-4)  # not of all rows
    rows_key = jax.random.fold_in(jax.random.key(0), 1)
    kept = x[np.asarray(jax.random.choice(rows_key, 200, (64,), replace=False))]
    np.testing.assert_allclose((kept @ np.asarray(layer.W)).std(axis=0), 1, rtol=1e-4)


def test_what_does_not_fit_is_refused():
    config = MLPConfig((3, 4, 1), batch_norm=True)
    params = jaxmlp.init(config, jax.random.key(0))
    with pytest.raises(ValueError, match="config without batch_norm"):
        init_from_data(config, params, jax.random.key(0), X)
    plain = MLPConfig((3, 4, 1))
    with pytest.raises(TypeError, match="key"):
        init_from_data(plain, jaxmlp.init(plain, jax.random.key(0)), 3, X)
