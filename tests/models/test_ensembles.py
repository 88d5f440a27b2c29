"""A model of several networks: its predictions are their mean, on disk and in memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import jaxmlp
from jaxmlp import interchange, tabular_network
from jaxmlp.data import Standardizer
from jaxmlp.data.tables import piecewise_bins
from jaxmlp.finetuning import finetune
from jaxmlp.models import Model, as_network, calibrate, infer, load, save, truncate

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
LINKS = {
    "softmax_cross_entropy": partial(scipy.special.softmax, axis=1),
    "sigmoid_binary_cross_entropy": scipy.special.expit,
    "poisson": np.exp,
    "squared_error": lambda o: o,
}


def make_ensemble(loss="softmax_cross_entropy", n_networks=3, **changes):
    n_out = 3 if loss == "softmax_cross_entropy" else 1
    config = jaxmlp.MLPConfig((3, 5, n_out), **changes)
    networks = [
        (jaxmlp.init(config, jax.random.key(seed)), jaxmlp.init_state(config))
        for seed in range(n_networks)
    ]
    return Model(config, *networks[0], loss, ensemble=tuple(networks[1:]))


def make_table_ensemble():
    front = jaxmlp.FrontConfig(3, numbers=(0, 1), embedding="piecewise", bins=4, members=2)
    layers = jaxmlp.MLPConfig((front.n_out, 5, 3))
    config = jaxmlp.TabularConfig(front, layers, "softmax")
    bins = piecewise_bins(X[:, :2], 4)
    first, *further = (tabular_network.init(config, jax.random.key(k), bins) for k in range(3))
    return Model(config, first, ensemble=tuple((params, ()) for params in further))


def alone(model):
    """Each network of an ensemble as a model of its own."""
    networks = ((model.params, model.state), *model.ensemble)
    return [model._replace(params=p, state=s, ensemble=()) for p, s in networks]


@pytest.mark.parametrize("loss", LINKS)
def test_predictions_are_the_mean_of_the_networks(loss):
    model = make_ensemble(loss)
    each = [LINKS[loss](infer(part, X, output="logits").astype(float)) for part in alone(model)]
    np.testing.assert_allclose(infer(model, X), np.mean(each, axis=0), rtol=2e-5, atol=1e-7)
    linked = LINKS[loss](infer(model, X, output="logits").astype(float))
    np.testing.assert_allclose(linked, np.mean(each, axis=0), rtol=2e-5, atol=1e-7)


def test_the_mean_is_taken_before_the_units_of_the_targets():
    model = make_ensemble("squared_error")
    transform = Standardizer.fit(np.array([[4.0], [10.0]]))
    model = model._replace(target_transform=transform)
    each = [infer(part, X) for part in alone(model)]
    np.testing.assert_allclose(infer(model, X), np.mean(each, axis=0), rtol=1e-5)


def test_networks_for_tables():
    model = make_table_ensemble()
    parts = [
        tabular_network.predict(model.config, part.params, jnp.asarray(X)) for part in alone(model)
    ]
    each = [scipy.special.softmax(np.asarray(part, float), axis=1) for part in parts]
    np.testing.assert_allclose(infer(model, X), np.mean(each, axis=0), rtol=2e-5)


@pytest.mark.parametrize(
    "make",
    [make_ensemble, partial(make_ensemble, batch_norm=True), make_table_ensemble],
    ids=["layers", "normalized", "table"],
)
def test_a_file_keeps_every_network(make, tmp_path):
    model = make()
    save(tmp_path / "m.safetensors", model)
    found = load(tmp_path / "m.safetensors")
    assert len(found.ensemble) == 2
    assert jax.tree.structure(found[1:3]) == jax.tree.structure(model[1:3])
    assert jax.tree.structure(found.ensemble) == jax.tree.structure(model.ensemble)
    for a, b in zip(jax.tree.leaves(found.ensemble), jax.tree.leaves(model.ensemble), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(infer(found, X), infer(model, X))


def test_a_single_network_keeps_the_format_that_older_readers_know(tmp_path):
    for model, version in ((make_ensemble(), 2), (make_table_ensemble(), 3)):
        for part, expected in ((model, 4), (model._replace(ensemble=()), version)):
            save(tmp_path / "m.safetensors", part)
            content = (tmp_path / "m.safetensors").read_bytes()
            assert f'\\"format_version\\": {expected},'.encode() in content


def test_networks_that_do_not_belong_are_refused(tmp_path):
    other = make_ensemble("squared_error")
    model = make_ensemble()._replace(ensemble=other.ensemble)
    with pytest.raises(ValueError, match="asks for"):
        save(tmp_path / "m.safetensors", model)
    assert not list(tmp_path.iterdir())


ONE_WANTED = {
    "as_network": as_network,
    "surgery": lambda model: truncate(model, 0),
    "calibrate": lambda model: calibrate(model, X, np.zeros(30, int)),
    "embeddings": lambda model: infer(model, X, output="embeddings"),
    "numpy": lambda model: interchange.to_numpy(model, "p.py"),
    "c": lambda model: interchange.to_c(model, "m.h"),
    "flax": interchange.to_flax,
    "torch": interchange.to_torch,
    "finetune": lambda model: finetune(model, (X, np.zeros(30, int)), key=jax.random.key(0)),
}


@pytest.mark.parametrize("name", ONE_WANTED)
def test_what_takes_one_network_says_so(name):
    with pytest.raises(ValueError, match=r"averages the predictions of 3 networks"):
        ONE_WANTED[name](make_ensemble())
