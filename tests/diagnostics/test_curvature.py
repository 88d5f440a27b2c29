"""Hessian products and eigenvalues against jax.hessian and numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxmlp
from jaxmlp.diagnostics import curvature, gauss_newton_product, hvp, lanczos

CASES = {
    "tanh, softmax": ({"activation": "tanh"}, "softmax_cross_entropy", {}),
    "gelu, squared error, l2, weights": (
        {"activation": "gelu"},
        "squared_error",
        {"l2": 0.3, "sample_weight": np.linspace(0.0, 2.0, 12)},
    ),
    "batch norm, sigmoid, binary": (
        {"activation": "sigmoid", "batch_norm": True},
        "sigmoid_binary_cross_entropy",
        {"l2": 0.1},
    ),
    "relu, poisson": ({"activation": "relu"}, "poisson", {}),
}


def draw(case, seed=0):
    """A small network in float64, its data, and its objective as a function of a flat vector."""
    settings, loss, options = CASES[case]
    config = jaxmlp.MLPConfig((4, 5, 3, 2), dtype="float64", **settings)
    rng = np.random.default_rng(seed)
    params = jaxmlp.init(config, jax.random.key(seed))
    x = jnp.asarray(rng.normal(size=(12, 4)))
    targets = {"softmax_cross_entropy": rng.integers(0, 2, 12), "squared_error": x[:, :2]}
    y = jnp.asarray(targets.get(loss, rng.integers(0, 2, (12, 2)).astype(float)))
    options = {name: jnp.asarray(value) for name, value in options.items()}
    flat, unravel = ravel_pytree(params)
    objective = jaxmlp.objective(config, loss)
    return config, loss, params, (x, y), options, flat, unravel, objective


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_hessian_product_and_extremes_against_jax_hessian(case, x64):
    config, loss, params, (x, y), options, flat, unravel, J = draw(case)
    H = jax.jit(jax.hessian(lambda v: J(unravel(v), x, y, **options)))(flat)
    v = jax.random.normal(jax.random.key(7), flat.shape)
    found = ravel_pytree(jax.jit(hvp(config, loss))(params, unravel(v), x, y, **options))[0]
    assert jnp.linalg.norm(found - H @ v) <= 1e-10 * jnp.linalg.norm(H @ v)

    l2 = options.pop("l2", 0.0)
    eigenvalues = np.linalg.eigvalsh(np.asarray(H))
    extremes = curvature(config, params, (x, y), loss, steps=60, l2=l2, **options)
    np.testing.assert_allclose(extremes.largest, eigenvalues[-1], rtol=1e-6)
    np.testing.assert_allclose(extremes.smallest, eigenvalues[0], rtol=1e-6, atol=1e-9)
    assert extremes.condition_number == float("inf") or eigenvalues[0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("case", list(CASES)[:2])
def test_gauss_newton_product_against_jacobians(case, x64):
    config, loss, params, (x, y), options, flat, unravel, _ = draw(case)
    weight = options.get("sample_weight", jnp.ones(12))
    share = weight / weight.sum()
    record = jaxmlp.LOSSES[loss]

    def logits(v):
        keep = {"sample_weight": options.get("sample_weight")}
        return jaxmlp.forward(config, unravel(v), x, **keep)[0]

    def total(o):
        return jnp.sum(share * record.value_and_grad(o, y)[0])

    jacobian = jax.jacobian(logits)(flat).reshape(24, -1)
    inner = jax.hessian(total)(logits(flat)).reshape(24, 24)
    G = jacobian.T @ inner @ jacobian
    is_weight = ravel_pytree(
        tuple(
            jax.tree.map(jnp.zeros_like, layer)._replace(W=jnp.ones_like(layer.W))
            for layer in params
        )
    )[0]
    v = jax.random.normal(jax.random.key(7), flat.shape)
    expected = G @ v + options.get("l2", 0.0) * is_weight * v
    product = gauss_newton_product(config, loss)
    found = ravel_pytree(product(params, unravel(v), x, y, **options))[0]
    assert jnp.linalg.norm(found - expected) <= 1e-10 * jnp.linalg.norm(expected)


@pytest.mark.slow
def test_float32_top_eigenvalue_of_a_thousand_parameters():
    """Within 1e-3 of the dense one, in float32, with 40 products."""
    config = jaxmlp.MLPConfig((10, 30, 20, 3), activation="tanh")
    assert 1000 <= config.n_parameters <= 1100
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(64, 10)), jnp.float32), jnp.asarray(rng.integers(0, 3, 64))
    y = y.astype(jnp.int32)
    params = jaxmlp.init(config, jax.random.key(0))
    flat, unravel = ravel_pytree(params)
    J = jaxmlp.objective(config, "softmax_cross_entropy")
    H = jax.jit(jax.hessian(lambda v: J(unravel(v), x, y)))(flat)
    eigenvalues = np.linalg.eigvalsh(np.asarray(H, np.float64))
    found = curvature(config, params, (x, y), "softmax_cross_entropy")
    np.testing.assert_allclose(found.largest, eigenvalues[-1], rtol=1e-3)
    np.testing.assert_allclose(found.largest_stable_rate, 2 / eigenvalues[-1], rtol=1e-3)
    assert found.smallest < 0 < found.largest  # indefinite, as networks are
    G = curvature(config, params, (x, y), "softmax_cross_entropy", matrix="gauss_newton")
    assert G.smallest > -1e-4 * G.largest


@pytest.mark.parametrize("kind", ["random", "repeated", "low rank", "identity"])
def test_lanczos_against_numpy(kind, x64):
    """All eigenvalues within their own error bounds; the outer ones exact."""
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.normal(size=(50, 50)))[0]
    spectrum = {
        "random": rng.normal(size=50),
        "repeated": np.repeat([-3.0, 1.0, 4.0, 9.0, 10.0], 10),
        "low rank": np.r_[np.zeros(47), 1.0, 2.0, 5.0],
        "identity": np.full(50, 2.0),
    }[kind]
    A = jnp.asarray(Q * spectrum @ Q.T)
    ritz = lanczos(lambda v: A @ v, 50, 50, jax.random.key(0), "float64")
    np.testing.assert_allclose(ritz.values[-1], spectrum.max(), rtol=1e-10)
    np.testing.assert_allclose(ritz.values[0], spectrum.min(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(ritz.weights.sum(), 1.0, rtol=1e-12)


def test_refusals():
    config = jaxmlp.MLPConfig((1, 1))
    params = jaxmlp.init(config, jax.random.key(0))
    data = jnp.ones((2, 1)), jnp.ones((2, 1))
    with pytest.raises(ValueError, match=r"unknown matrix 'hesian'. Did you mean 'hessian'"):
        curvature(config, params, data, "squared_error", matrix="hesian")
    with pytest.raises(ValueError, match=r"steps is 3, but must lie in 1..2"):
        lanczos(lambda v: v, 2, 3, jax.random.key(0))
