"""One network value: whatever has a network is saved, predicts, is operated on and leaves."""

import runpy

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.finetuning import finetune
from jaxmlp.interchange import (
    from_equinox,
    from_flax,
    from_sklearn,
    from_torch,
    to_c,
    to_equinox,
    to_flax,
    to_numpy,
    to_onnx,
    to_sklearn,
    to_torch,
    to_torch_module,
)
from jaxmlp.models import (
    Model,
    as_model,
    as_network,
    attach_head,
    calibrate,
    detach_head,
    infer,
    insert,
    load,
    replace_head,
    save,
    truncate,
)

CONFIG = jaxmlp.MLPConfig((4, 6, 3), "tanh")
X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
Y = np.arange(32) % 3
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def values():
    """One network in every form that it comes in."""
    pytest.importorskip("sklearn")
    from jaxmlp.estimators import MLPClassifier

    params = jaxmlp.init(CONFIG, jax.random.key(0))
    how = {"loss": "softmax_cross_entropy", "epochs": 1, "key": KEY}
    result = jaxmlp.fit(CONFIG, params, (X, Y), optimizer=jaxmlp.adam(1e-3), **how)
    model = Model(CONFIG, params, class_names=("a", "b", "c"))
    estimator = MLPClassifier((6,), activation="tanh", max_iter=1, random_state=0)
    with pytest.warns(match="Maximum iterations"):
        estimator.fit(X, Y)
    return {
        "parts": (CONFIG, params),
        "network": jaxmlp.Network(CONFIG, params),
        "model": model,
        "result": result,
        "member": jaxmlp.sweep(CONFIG, (X, Y), grid={"seed": [0]}, **how).best,
        "finetuned": finetune(model, (X, Y), key=KEY, keep_head=True, epochs=1),
        "estimator": estimator,
    }


FORMS = ("parts", "network", "model", "result", "member", "finetuned", "estimator")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_goes_everywhere(values, form, tmp_path):
    value = values[form]
    network = as_network(value)
    logits = np.asarray(jaxmlp.predict(network.config, network.params, X))
    save(tmp_path / "m.safetensors", value)
    again = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(infer(again, X, output="logits"), logits)
    np.testing.assert_array_equal(infer(value, X, output="logits"), logits)
    assert replace_head(value, KEY, 2).config.layer_sizes == (4, 6, 2)
    assert insert((network.config.replace(activation="relu"), network.params)).config.n_layers == 3
    whole = attach_head(value, detach_head(value))
    jax.tree.map(np.testing.assert_array_equal, whole.params, network.params)
    assert truncate(value).config.layer_sizes == (4, 6, 6)
    np.testing.assert_array_equal(to_torch(value)["0.weight"], np.asarray(network.params[0].W).T)
    y = logits.argmax(axis=1)
    y[::4] = (y[::4] + 1) % 3  # some answers wrong: a temperature suits them
    calibrated, temperature = calibrate(value, X, y)
    np.testing.assert_allclose(
        infer(calibrated, X, output="logits") * temperature, logits, 1e-5, atol=1e-6
    )
    tuned = finetune(value, (X, Y), mode="features", key=KEY, epochs=1)
    np.testing.assert_array_equal(tuned.network.params[0].W, network.params[0].W)


def test_a_result_knows_its_loss(tmp_path):
    """A regression is saved as one, and its predictions are not squeezed into probabilities."""
    config = jaxmlp.MLPConfig((4, 6, 2), "tanh")
    params = jaxmlp.init(config, jax.random.key(0))
    how = {"loss": "poisson", "epochs": 1, "key": KEY}
    targets = np.stack([Y, Y], axis=1).astype(np.float32)
    result = jaxmlp.fit(config, params, (X, targets), optimizer=jaxmlp.sgd(1e-3), **how)
    save(tmp_path / "m.safetensors", result)
    model = load(tmp_path / "m.safetensors")
    assert model.loss == "poisson"
    rates = np.exp(np.asarray(jaxmlp.predict(config, result.params, X)))
    np.testing.assert_allclose(infer(model, X), rates, rtol=1e-6)
    assert jaxmlp.sweep(config, (X, targets), grid={"seed": [0]}, **how).best.loss.name == "poisson"


def test_a_model_keeps_what_is_its_own(values):
    assert as_model(values["model"]) is values["model"]
    assert as_model(values["finetuned"]).class_names == ("a", "b", "c")
    assert as_model(values["estimator"]).class_names == ("0", "1", "2")
    single = CONFIG.replace(layer_sizes=(4, 1))
    assert as_model((single, jaxmlp.init(single, KEY))).loss == "squared_error"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_exported(values, form, tmp_path):
    """To files that run elsewhere: their own logits are those of the network."""
    network = as_network(values[form])
    logits = np.asarray(jaxmlp.predict(network.config, network.params, X))
    to_numpy(values[form], tmp_path / "predictor.py")
    found = runpy.run_path(str(tmp_path / "predictor.py"))["logits"](X)
    np.testing.assert_allclose(found, logits, rtol=1e-5, atol=1e-6)
    assert "static inline void net_predict" in to_c(values[form], tmp_path / "net.h")
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(to_onnx(values[form]).SerializeToString())
    (found,) = session.run(["logits"], {"x": X})
    np.testing.assert_allclose(found, logits, rtol=1e-5, atol=1e-6)


class TestThereAndBack:
    """What a converter returns goes into the next one; the other library's outputs stay."""

    def test_torch(self):
        torch = pytest.importorskip("torch")
        linear = torch.nn.Linear
        module = torch.nn.Sequential(linear(4, 6), torch.nn.Tanh(), linear(6, 3))
        x = torch.from_numpy(X)
        with torch.no_grad():
            before = module(x).numpy()
            weights = to_torch(from_torch(module))
            module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
            np.testing.assert_array_equal(module(x).numpy(), before)
            normed = torch.nn.Sequential(linear(4, 6), torch.nn.BatchNorm1d(6), linear(6, 3)).eval()
            again = to_torch_module(from_torch(normed))  # biases went into the running means
            np.testing.assert_allclose(again(x).numpy(), normed(x).numpy(), rtol=1e-5, atol=1e-6)

    def test_flax(self):
        linen = pytest.importorskip("flax.linen")
        module = linen.Sequential([linen.Dense(6), linen.tanh, linen.Dense(3)])
        variables = module.init(KEY, X)
        names = ("layers_0", "layers_2")
        again = to_flax(from_flax(variables, activation="tanh"))["params"]
        renamed = {name: again[f"Dense_{l}"] for l, name in enumerate(names)}
        np.testing.assert_array_equal(
            module.apply({"params": renamed}, X), module.apply(variables, X)
        )

    def test_equinox(self):
        eqx = pytest.importorskip("equinox")
        module = eqx.nn.MLP(4, 3, 6, 2, jax.numpy.tanh, key=KEY)
        again = to_equinox(from_equinox(module))
        np.testing.assert_array_equal(jax.vmap(again)(X), jax.vmap(module)(X))

    def test_scikit_learn(self):
        neural = pytest.importorskip("sklearn.neural_network")
        estimator = neural.MLPClassifier((6,), "tanh", max_iter=1, random_state=0)
        with pytest.warns(match="Maximum iterations"):
            estimator.fit(X, Y)
        again = to_sklearn(from_sklearn(estimator))
        np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))


@pytest.mark.parametrize("use", [as_network, as_model, to_torch, lambda v: save("never", v)])
@pytest.mark.parametrize("value", [None, 3, (1, 2), {"W": X}, "model.safetensors"])
def test_what_is_no_network_is_refused_in_a_sentence(use, value):
    with pytest.raises(TypeError, match=r"is no network; pass jaxmlp\.Network\("):
        use(value)
