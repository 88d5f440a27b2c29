"""Parametric activations against jax.grad, against numpy, and wherever layers are walked over."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import gradient_errors, make_inputs, make_targets, worst
from scipy.special import expit
from tabular_cases import fronts, make_network

import jaxmlp
from jaxmlp import ACTIVATIONS, LOSSES, Layer, MLPConfig, interchange, parametric
from jaxmlp.diagnostics import layer_activity
from jaxmlp.losses import get_loss
from jaxmlp.models import Model, Network, attach_head, features, insert, load, save, truncate
from jaxmlp.parametric import activation_backward, activation_forward
from jaxmlp.verification import check_gradients, input_side

PARAMETRIC = {"parametric_activation": True}


def with_alphas(params, seed=0):
    """Alphas are drawn: at 1, where they begin, the identity has no share."""
    rng = np.random.default_rng(seed)
    return tuple(
        layer
        if layer.alpha is None
        else layer._replace(alpha=jnp.asarray(rng.normal(1, 0.7, layer.alpha.shape), layer.W.dtype))
        for layer in params
    )


def network(sizes=(3, 5, 4, 2), seed=0, **changes):
    config = MLPConfig(sizes, **{"activation": "mish", **PARAMETRIC, **changes})
    return config, with_alphas(jaxmlp.init(config, jax.random.key(seed)), seed)


CONFIG, PARAMS = network()
X = jnp.asarray(np.random.default_rng(0).normal(size=(9, 3)), jnp.float32)


def phi_in_numpy(name, z):
    return {
        "mish": lambda: z * np.tanh(np.logaddexp(0, z)),
        "relu": lambda: np.maximum(z, 0),
        "selu": lambda: (
            1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))
        ),
        "silu": lambda: z * expit(z),
    }[name]()


@pytest.mark.parametrize("name", ["mish", "relu", "selu", "silu"])
def test_forward_is_the_formula_in_numpy(name, x64):
    config, params = network(activation=name, dtype="float64")
    h = np.asarray(X, np.float64)
    for l, layer in enumerate(params):
        z = h @ np.asarray(layer.W) + np.asarray(layer.b)
        h = z if l == 2 else z + np.asarray(layer.alpha) * (phi_in_numpy(name, z) - z)
    np.testing.assert_allclose(jaxmlp.predict(config, params, X), h, rtol=0, atol=1e-14)
    np.testing.assert_allclose(jaxmlp.forward(config, params, X)[0], h, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_is_jax_vjp_of_every_activation(name, x64):
    rng, phi = np.random.default_rng(1), ACTIVATIONS[name]
    alpha, z, G = (jnp.asarray(rng.normal(size=shape)) for shape in [4, (6, 4), (6, 4)])
    z = z.at[0, 0].set(0.0)
    h, pull_back = jax.vjp(lambda alpha, z: activation_forward(phi, alpha, z)[0], alpha, z)
    d_z, d_alpha = activation_backward(phi, alpha, activation_forward(phi, alpha, z)[1], G)
    for found, expected in zip((d_alpha.sum(axis=0), d_z), pull_back(G), strict=True):
        assert np.linalg.norm(found - expected) <= 1e-12 * np.linalg.norm(expected)
    np.testing.assert_allclose(h, z + alpha[None] * (phi.fn(z) - z), rtol=1e-14)


@pytest.mark.parametrize("n_examples", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_gradients_of_networks_agree_with_autodiff(n_examples, x64):
    """Activation x loss x which layers x penalty x weights x dropout x batch norm, drawn."""

    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(
        activation=st.sampled_from(sorted(ACTIVATIONS)),
        loss=st.sampled_from(sorted(LOSSES)),
        layers=st.sampled_from([(True, True), (True, False), (False, True)]),
        flags=st.tuples(*[st.booleans()] * 4),
        seed=st.integers(0, 2**16),
    )
    def check(activation, loss, layers, flags, seed):
        penalized, weighted, dropout, batch_norm = flags
        config, params = network(
            activation=activation, parametric_activation=layers, dtype="float64", bias_init=0.1,
            dropout=dropout, batch_norm=batch_norm, seed=seed,
        )  # fmt: skip
        rng = np.random.default_rng(seed)
        x, y = jnp.asarray(make_inputs(rng, 6, 3)), jnp.asarray(make_targets(rng, loss, 6, 2))
        y = y.astype(jnp.int32 if y.dtype.kind == "i" else jnp.float64)
        options = {"l2": 0.1 * penalized}
        options["sample_weight"] = jnp.asarray(rng.uniform(0.1, 2, 6)) if weighted else None
        if dropout:
            options |= {"key": jax.random.key(seed), "dropout_rate": 0.3}
        assert worst(gradient_errors(config, loss, params, x, y, **options)) <= 1e-12

    check()


@pytest.mark.parametrize("n_examples", [1, pytest.param(15, marks=pytest.mark.slow)])
def test_gradients_of_networks_for_tables_agree_with_autodiff(n_examples, x64):
    tame = fronts().filter(lambda case: "huge" not in case[1])

    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(case=tame, loss=st.sampled_from(sorted(LOSSES)), seed=st.integers(0, 2**16))
    def check(case, loss, seed):
        config, params, x, y = make_network(case, seed, 5, loss, **PARAMETRIC)
        params = params._replace(layers=with_alphas(params.layers, seed))
        assert worst(gradient_errors(config, loss, params, x, y)) <= 1e-12

    check()


@pytest.mark.parametrize("members", [1, 3])
def test_per_example_gradients_are_those_of_jacrev(members, x64):
    front = jaxmlp.FrontConfig(2, numbers=(0,), members=members)
    config, params, x, y = make_network((front, ("normal", "other")), 3, 7, **PARAMETRIC)
    params = params._replace(layers=with_alphas(params.layers))

    def losses(params):
        outputs, _ = jaxmlp.tabular_network.forward(config, params, x)
        values, _ = get_loss("squared_error").value_and_grad(
            outputs, jnp.concatenate([y] * members)
        )
        return jnp.mean(values.reshape(members, -1), axis=0)

    leaves = jax.tree.leaves(jax.jit(jax.jacrev(losses))(params))
    each = np.concatenate([np.asarray(leaf).reshape(7, -1) for leaf in leaves], axis=1)
    expected = np.linalg.norm(each, axis=1)
    norms = jaxmlp.per_example_grad_norms(config, "squared_error")(params, x, y)
    np.testing.assert_allclose(norms, expected, rtol=1e-12)
    limit = float(np.median(expected))
    clipped, _ = jaxmlp.clipped_grad_sum(config, "squared_error")(params, x, y, max_norm=limit)
    wanted = np.minimum(1, limit / expected) @ each
    found = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(clipped)])
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_without_the_switch_nothing_is_there():
    config = MLPConfig((3, 5, 2))
    params = jaxmlp.init(config, jax.random.key(0))
    grads = jaxmlp.value_and_grad(config, "squared_error")(params, X, X[:, :2])[1]
    assert all(layer.alpha is None for layer in (*params, *grads))
    assert "parametric_activation" not in config.to_dict()
    assert config.n_parameters == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_it_starts_as_the_plain_activation():
    config = MLPConfig((3, 5, 4, 2), "selu", **PARAMETRIC)
    params = jaxmlp.init(config, jax.random.key(0))
    plain = tuple(layer._replace(alpha=None) for layer in params)
    found = jaxmlp.predict(config, params, X)
    expected = jaxmlp.predict(config.replace(parametric_activation=False), plain, X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert config.n_parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert [layer.alpha is None for layer in params] == [False, False, True]


def test_training_moves_alpha_and_decay_does_not(x64):
    config, params = network(dtype="float64")
    rule = jaxmlp.adamw(0.1, weight_decay=0.5)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = rule.update(zeros, rule.init(params), params)
    assert not np.any(updates[0].alpha)
    assert np.any(updates[0].W)
    result = jaxmlp.fit(
        config, params, (X, X[:, :2]), loss="squared_error", optimizer=jaxmlp.adam(1e-2), epochs=3,
        key=jax.random.key(0), diagnostics=jaxmlp.Diagnostics(),
    )  # fmt: skip
    assert np.all(result.params[0].alpha != params[0].alpha)


def test_the_model_file_keeps_alpha(tmp_path):
    save(tmp_path / "m.safetensors", Network(CONFIG, PARAMS))
    model = load(tmp_path / "m.safetensors")
    assert model.config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, model.params, PARAMS)


def test_surgery_takes_alphas_along():
    plain = MLPConfig((5, 3, 2), "mish")
    head = Network(plain, jaxmlp.init(plain, jax.random.key(1)))
    joined = attach_head(Network(CONFIG, PARAMS), head, 0)
    assert joined.config.parametric == (True, False, False)
    h = features(CONFIG, PARAMS, X, 0)
    expected = jaxmlp.predict(*head[:2], h)
    np.testing.assert_allclose(jaxmlp.predict(*joined[:2], X), expected, rtol=1e-6)
    cut = truncate(Network(CONFIG, PARAMS), 0)
    np.testing.assert_allclose(jaxmlp.predict(*cut[:2], X), h, rtol=1e-6)
    relu, params = network(activation="relu")
    with pytest.raises(ValueError, match="layer 1 has parametric relu; pass key"):
        insert(Network(relu, params))
    deeper = insert(Network(relu, params), key=jax.random.key(0))
    assert deeper.config.parametric == (True, True, False, False)


def test_a_unit_that_alpha_keeps_alive_is_not_dead():
    config = MLPConfig((1, 3, 1), "relu", **PARAMETRIC)
    layer = Layer(jnp.zeros((1, 3)), -jnp.ones(3), alpha=jnp.asarray([1.0, 0.5, 0.0]))
    params = layer, Layer(jnp.ones((3, 1)), jnp.zeros(1))
    (activity,) = layer_activity(config, params, X[:, :1])
    assert activity.dead.tolist() == [True, False, False]
    np.testing.assert_allclose(activity.mean, [0.0, -0.5, -1.0])


def test_the_numpy_program_computes_it(tmp_path):
    model = Model(CONFIG, PARAMS, loss="squared_error")
    interchange.to_numpy(model, tmp_path / "parametric_predictor.py")
    command = [sys.executable, tmp_path / "parametric_predictor.py"]
    assert (
        "self-check passed"
        in subprocess.run(command, check=True, capture_output=True).stdout.decode()
    )


def test_the_onnx_graph_computes_it():
    onnxruntime = pytest.importorskip("onnxruntime")
    model = interchange.to_onnx(Model(CONFIG, PARAMS, loss="squared_error"))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(None, {"x": np.asarray(X)})[0]
    np.testing.assert_allclose(found, jaxmlp.predict(CONFIG, PARAMS, X), rtol=2e-5, atol=1e-6)


def test_the_c_header_computes_it(tmp_path):
    import shutil

    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    interchange.to_c(Model(CONFIG, PARAMS, loss="squared_error"), tmp_path / "bent.h")
    command = [compiler, "-std=c99", "-Wall", "-Werror", "-Wno-unused-function", "-DBENT_CHECK",
               "-x", "c", "bent.h", "-o", "check", "-lm"]  # fmt: skip
    subprocess.run(command, check=True, cwd=tmp_path)
    ran = subprocess.run(["./check"], check=True, cwd=tmp_path, capture_output=True)
    assert "self-check passed" in ran.stdout.decode()


def test_other_libraries_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"parametric activations.*numpy, C or ONNX"):
        interchange.to_torch(Network(CONFIG, PARAMS))
    with pytest.raises(ValueError, match="neither batch normalization nor dropout nor parametric"):
        jaxmlp.lecture.explain_backward(CONFIG, PARAMS, X, X[:, :2], "squared_error")


@pytest.mark.parametrize(
    ("config", "params", "sentence"),
    [
        (CONFIG, tuple(p._replace(alpha=None) for p in PARAMS), r"params\[0\].alpha has None"),
        (CONFIG.replace(parametric_activation=False), PARAMS, r"params\[0\] has alpha, but"),
    ],
)
def test_other_parameters_are_explained(config, params, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxmlp.predict(config, params, X)


def test_a_flag_that_is_none_is_refused():
    with pytest.raises(TypeError, match="parametric_activation=True switches it on"):
        MLPConfig((2, 3, 1), parametric_activation=0.5)


def test_verify_names_a_slip(x64, monkeypatch):
    right = parametric.activation_backward

    def forgotten_identity(phi, alpha, residual, G):
        return right(phi, alpha, residual, G)[0], G * phi.fn(residual)

    monkeypatch.setattr(parametric, "activation_backward", forgotten_identity)
    part = input_side._parametric(0)
    assert not part.alone().passed


def test_a_wrong_gradient_of_alpha_is_named(x64):
    config, params = network((3, 4, 2), dtype="float64")
    x, y = jnp.asarray(X, jnp.float64), jnp.asarray(X[:, :2], jnp.float64)

    def claim(params, x, y):
        value, grads = jaxmlp.value_and_grad(config, "squared_error")(params, x, y)
        return value, (grads[0]._replace(alpha=grads[0].alpha + 0.1 * grads[0].b), grads[1])

    report = check_gradients(
        claim, jaxmlp.objective(config, "squared_error"), params, x, y, config=config
    )
    assert not report.passed
    assert "all but alpha is right" in str(report)
