"""Hessian-vector products, update rules, the walk-through and the list of the registry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.lecture import explain_backward
from jaxmlp.losses import LOSSES
from jaxmlp.verification import check_hvp, check_jacobian, check_vjp
from jaxmlp.verification.registry import all_cases, default_cases


def quadratic(w):
    return 0.5 * jnp.sum(w**2) + w[0] * w[1]


def d_quadratic(w):
    return quadratic(w), w + jnp.array([w[1], w[0], 0.0])


def test_hessian_vector_products():
    w = np.array([1.0, 2.0, 3.0])
    assert check_hvp(d_quadratic, quadratic, w).passed
    assert not check_hvp(lambda w: (quadratic(w), jnp.sin(w)), quadratic, w).passed


@pytest.mark.slow
def test_the_network_s_hessian_vector_product(x64):
    config = jaxmlp.MLPConfig((2, 3, 2), "tanh", dtype="float64")
    params = jaxmlp.init(config, jax.random.key(0))
    x, y = np.random.default_rng(0).normal(size=(4, 2)), np.array([0, 1, 1, 0])
    loss = "softmax_cross_entropy"
    report = check_hvp(
        jaxmlp.value_and_grad(config, loss), jaxmlp.objective(config, loss), params, x, y,
        n_vectors=1,
    )  # fmt: skip
    assert report.passed, str(report)


@pytest.mark.slow
def test_jacobians_and_vector_products():
    x = np.array([0.3, -0.7])
    f = lambda x: jnp.stack([x[0] * x[1], jnp.sin(x[0])])  # noqa: E731
    right = lambda x: jnp.array([[x[1], x[0]], [jnp.cos(x[0]), 0.0]])  # noqa: E731
    assert check_jacobian(right, f, x).passed
    assert not check_jacobian(lambda x: right(x) * 2, f, x).passed
    assert check_vjp(lambda ct, x: right(x).T @ ct, f, x).passed
    assert not check_vjp(lambda ct, x: right(x).T @ ct + 1.0, f, x).passed


def test_products_of_nothing_are_refused():
    x, empty = np.ones(2), lambda x: x[:0]
    for check in (check_jacobian, check_vjp):
        with pytest.raises(ValueError, match="has no entries to differentiate"):
            check(lambda *a: jnp.zeros((0, 2)), empty, x)
    with pytest.raises(ValueError, match="n_cotangents is 0"):
        check_vjp(lambda ct, x: ct, lambda x: x, x, n_cotangents=0)
    with pytest.raises(ValueError, match="n_vectors is 0"):
        check_hvp(d_quadratic, quadratic, np.ones(3), n_vectors=0)


@pytest.mark.slow
def test_the_walk_through_has_the_lecture_s_numbers(tmp_path):
    config = jaxmlp.MLPConfig((2, 2, 1), "relu")
    params = (
        jaxmlp.Layer(jnp.array([[0.5, 0.3], [0.2, 0.4]]), jnp.zeros(2)),
        jaxmlp.Layer(jnp.array([[0.6], [0.7]]), jnp.zeros(1)),
    )
    x, y = jnp.array([[1.0, 2.0]]), jnp.array([1.0])
    walk = explain_backward(config, params, x, y, "squared_error", show=False)
    for number in ("1.31", "0.04805", "0.279", "0.341", "0.186", "0.217", "0.372", "0.434"):
        assert number in walk.text
    for name in ("graph.svg", "graph.png", "graph.dot"):
        assert walk.graph.save(tmp_path / name).stat().st_size > 500
    assert "digraph" in walk.graph.source


def test_the_walk_through_refuses_what_the_lecture_has_not():
    config = jaxmlp.MLPConfig((2, 3, 2), batch_norm=True)
    params = jaxmlp.init(config, jax.random.key(0))
    with pytest.raises(ValueError, match="batch_norm=False"):
        explain_backward(config, params, np.ones((2, 2)), np.array([0, 1]), "softmax_cross_entropy")


def test_the_list_covers_the_registries():
    cases = default_cases()
    pairs = {(c.activation, c.loss) for c in cases if c.depth == 2 and c.dtype == "float64"}
    assert pairs == {(a, name) for a in jaxmlp.ACTIVATIONS for name in LOSSES}
    depths = {(c.activation, c.depth) for c in cases if c.dtype == "float64"}
    assert depths >= {(a, d) for a in jaxmlp.ACTIVATIONS for d in range(1, 7)}
    dtypes = {(c.activation, c.dtype) for c in cases}
    assert dtypes == {
        (a, d) for a in jaxmlp.ACTIVATIONS for d in ("float32", "float64", "bfloat16")
    }
    assert len(set(all_cases())) > 10 * len(set(cases))
