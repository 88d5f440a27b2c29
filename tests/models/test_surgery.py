"""Surgery: what the new network computes, against the old one's parts; and what stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.models import (
    Model,
    Network,
    attach_head,
    features,
    insert,
    load,
    replace_head,
    save,
    truncate,
)
from jaxmlp.types import NormState


def network(sizes=(4, 6, 5, 3), **settings):
    config = jaxmlp.MLPConfig(sizes, **settings)
    params = jaxmlp.init(config, jax.random.key(0))
    rng = np.random.default_rng(0)
    state = tuple(
        None
        if entry is None
        else NormState(
            jnp.asarray(rng.normal(size=entry.mean.shape), jnp.float32),
            jnp.asarray(rng.uniform(0.5, 2, size=entry.var.shape), jnp.float32),
        )
        for entry in jaxmlp.init_state(config)
    )
    return Network(config, params, state)


X = jnp.asarray(np.random.default_rng(1).normal(size=(7, 4)), jnp.float32)
NORMED = {"batch_norm": (True, False), "dropout": (False, True), "activation": ("tanh", "relu")}


@pytest.mark.parametrize("settings", [{}, NORMED], ids=["plain", "normalized"])
def test_features_by_hand(settings):
    config, params, state = network(**settings)
    h = np.asarray(X, np.float64)
    for l, name in enumerate(settings.get("activation", ("relu", "relu"))):
        z = h @ np.asarray(params[l].W, np.float64)
        if config.normalized[l]:
            mean, var = (np.asarray(s, np.float64) for s in state[l])
            gamma, beta = np.asarray(params[l].gamma), np.asarray(params[l].beta)
            z = (z - mean) / np.sqrt(var + config.batch_norm_eps) * gamma + beta
        else:
            z = z + np.asarray(params[l].b)
        h = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[name](z)
        found = features(config, params, X, l, state=state)
        np.testing.assert_allclose(found, h, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(features(config, params, X, state=state), found)
    W, b = params[-1].W, params[-1].b
    logits = jaxmlp.predict(config, params, X, state=state)
    np.testing.assert_allclose(found @ W + b[None], logits, rtol=1e-6, atol=1e-6)


def test_features_cost_nothing_above():
    config, params, _ = network((16, 32, 512, 512))
    x = jnp.ones((8, 16))
    compiled = jax.jit(features, static_argnums=3).lower(config, params, x, 0).compile()
    assert compiled.cost_analysis()["flops"] < 2 * 8 * 16 * 32 * 1.2


@pytest.mark.parametrize("settings", [{}, NORMED], ids=["plain", "normalized"])
@pytest.mark.parametrize("layer", [0, -1])
def test_a_new_head_keeps_the_trunk(settings, layer, tmp_path):
    old = network(**settings)
    new = replace_head(old, jax.random.key(1), 2, layer=layer, hidden=(9,))
    kept = layer % 2 + 1
    assert new.config.layer_sizes == (4, *(6, 5)[:kept], 9, 2)
    jax.tree.map(np.testing.assert_array_equal, new.params[:kept], old.params[:kept])
    jax.tree.map(np.testing.assert_array_equal, new.state[:kept], old.state[:kept])
    h = features(*old[:2], X, layer, state=old.state)
    np.testing.assert_array_equal(features(*new[:2], X, kept - 1, state=new.state), h)
    head = old.config.replace(
        layer_sizes=(h.shape[1], 9, 2), batch_norm=False, dropout=False, activation="relu"
    )
    expected = jaxmlp.predict(head, new.params[kept:], h)
    found = jaxmlp.predict(*new[:2], X, state=new.state)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    save(tmp_path / "model.safetensors", Model(*new))  # surgery keeps names that a file can hold
    assert load(tmp_path / "model.safetensors").config == new.config


def test_a_head_with_batch_normalization():
    trunk, head = network(), network((5, 6, 2), batch_norm=True)
    whole = attach_head(trunk, head)
    assert whole.state[:2] == (None, None)
    h = features(*trunk[:2], X)
    expected = jaxmlp.predict(*head[:2], h, state=head.state)
    found = jaxmlp.predict(*whole[:2], X, state=whole.state)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, NORMED], ids=["plain", "normalized"])
def test_truncation_returns_features(settings):
    old = network(**settings)
    for layer in (0, 1):
        new = truncate(old, layer)
        np.testing.assert_allclose(
            jaxmlp.predict(*new[:2], X, state=new.state),
            features(*old[:2], X, layer, state=old.state),
            rtol=1e-6,
        )


@pytest.mark.parametrize("settings", [{}, NORMED], ids=["plain", "normalized"])
def test_an_inserted_layer_changes_nothing_at_first(settings):
    old = network(**settings)
    new = insert(old, 1)
    assert new.config.layer_sizes == (4, 6, 5, 5, 3)
    assert new.config.normalized[:2] == old.config.normalized[:2]
    np.testing.assert_allclose(
        jaxmlp.predict(*new[:2], X, state=new.state),
        jaxmlp.predict(*old[:2], X, state=old.state),
        rtol=1e-6,
    )
    drawn = insert(old, 0, key=jax.random.key(0))
    assert drawn.config.layer_sizes == (4, 6, 6, 5, 3)
    assert np.isfinite(jaxmlp.predict(*drawn[:2], X, state=drawn.state)).all()


def test_what_cannot_be_cut_is_explained():
    config, params, _ = network(activation="tanh")
    with pytest.raises(ValueError, match="hidden layers are 0 to 1"):
        features(config, params, X, 2)
    with pytest.raises(ValueError, match="keeps the function only under relu"):
        insert((config, params))
    linear = network((4, 3))
    with pytest.raises(ValueError, match="no hidden layer"):
        truncate(linear)
    with pytest.raises(ValueError, match=r"layer_sizes=\(5, ...\)"):
        attach_head(Network(config, params), linear)
    other = jaxmlp.MLPConfig((5, 2), batch_norm_eps=1e-3)
    with pytest.raises(ValueError, match="batch_norm_eps is 1e-05 in the trunk"):
        attach_head(Network(config, params), Network(other, jaxmlp.init(other, jax.random.key(0))))
