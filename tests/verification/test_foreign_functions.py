"""Gradients that are not ours: each hand-written backward pass right once, and wrong once."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.verification import Verdict, assert_gradients, check_gradients


def logistic_problem():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 4)), rng.integers(0, 2, 12).astype(float)
    return {"w": rng.normal(size=4), "b": np.array(0.3)}, x, y


def logistic_loss(params, x, y):
    """Plain numpy: jax.grad has nothing to say here, finite differences do."""
    z = np.asarray(x) @ np.asarray(params["w"]) + np.asarray(params["b"])
    return float(np.mean(np.logaddexp(0, z) - y * z))


def logistic_backward(params, x, y, mean=True):
    z = x @ params["w"] + params["b"]
    d_z = (1 / (1 + np.exp(-z)) - y) / (len(y) if mean else 1)
    return {"w": x.T @ d_z, "b": d_z.sum()}


def convolution(params, x, y):
    kernel, bias = params
    windows = jnp.stack([x[:, i : i + 6] for i in range(3)], axis=-1)
    return 0.5 * jnp.sum((windows @ kernel + bias - y) ** 2)


def convolution_backward(params, x, y, flip=False):
    kernel, bias = params
    windows = jnp.stack([x[:, i : i + 6] for i in range(3)], axis=-1)
    d = windows @ kernel + bias - y
    d_kernel = jnp.einsum("bn,bnk->k", d, windows)
    return (d_kernel[::-1] if flip else d_kernel), jnp.sum(d)


def rnn(params, xs, y):
    """h_t = tanh(W h_{t-1} + U x_t), L = |h_T - y|^2 / 2."""
    h = jnp.zeros(3)
    for x in xs:
        h = jnp.tanh(params["W"] @ h + params["U"] @ x)
    return 0.5 * jnp.sum((h - y) ** 2)


def rnn_backward(params, xs, y, through_time=True):
    states = [jnp.zeros(3)]
    for x in xs:
        states.append(jnp.tanh(params["W"] @ states[-1] + params["U"] @ x))
    d_h, d_W, d_U = states[-1] - y, jnp.zeros((3, 3)), jnp.zeros((3, 2))
    for t in range(len(xs) - 1, -1, -1):
        d_z = d_h * (1 - states[t + 1] ** 2)
        d_W += jnp.outer(d_z, states[t])
        d_U += jnp.outer(d_z, xs[t])
        d_h = params["W"].T @ d_z if through_time else jnp.zeros(3)
    return {"W": d_W, "U": d_U}


def attention(params, x, y):
    scores = (x @ params["Q"]) @ (x @ params["K"]).T / np.sqrt(3.0)
    return 0.5 * jnp.sum((jax.nn.softmax(scores) @ (x @ params["V"]) - y) ** 2)


def attention_backward(params, x, y, scale=True):
    q, k, v = (x @ params[name] for name in "QKV")
    size = np.sqrt(3.0)
    weights = jax.nn.softmax(q @ k.T / size)
    d_out = weights @ v - y
    d_weights = d_out @ v.T
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=1, keepdims=True))
    d_scores /= size if scale else 1.0
    d_q, d_k, d_v = d_scores @ k, d_scores.T @ q, weights.T @ d_out
    return {"Q": x.T @ d_q, "K": x.T @ d_k, "V": x.T @ d_v}


def problems():
    rng = np.random.default_rng(1)
    conv = ((rng.normal(size=3), np.array(0.1)), rng.normal(size=(4, 8)), rng.normal(size=(4, 6)))
    cell = {"W": 0.7 * rng.normal(size=(3, 3)), "U": rng.normal(size=(3, 2))}
    head = {name: rng.normal(size=(4, 3)) for name in "QKV"}
    return {
        "logistic regression in numpy": (
            logistic_loss, logistic_backward, {"mean": False}, logistic_problem(),
        ),
        "convolution": (convolution, convolution_backward, {"flip": True}, conv),
        "recurrent cell": (
            rnn, rnn_backward, {"through_time": False},
            (cell, rng.normal(size=(3, 2)), rng.normal(size=3)),
        ),
        "attention head": (
            attention, attention_backward, {"scale": False},
            (head, rng.normal(size=(5, 4)), rng.normal(size=(5, 3))),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(problems()))
def test_right_passes_and_wrong_fails(name):
    loss, backward, slip, (params, *args) = problems()[name]
    right = check_gradients(backward, loss, params, *args)
    assert right.passed, str(right)
    wrong = check_gradients(lambda *a: backward(*a, **slip), loss, params, *args)
    assert wrong.verdict is Verdict.FAIL, str(wrong)


def test_the_cause_is_named():
    loss, backward, slip, (params, *args) = problems()["logistic regression in numpy"]
    report = check_gradients(lambda *a: backward(*a, **slip), loss, params, *args)
    assert {leaf.name for leaf in report.failures} == {"params['w']", "params['b']"}
    assert all("batch" in leaf.cause for leaf in report.failures), str(report)
    assert "12" in str(report)


def test_the_failure_message_is_the_report():
    loss, backward, slip, (params, *args) = problems()["convolution"]
    assert assert_gradients(backward, loss, params, *args).passed
    with pytest.raises(AssertionError, match="gradient check: FAIL"):
        assert_gradients(lambda *a: backward(*a, **slip), loss, params, *args)


def test_the_settings_of_the_caller_stay():
    before = jax.config.jax_enable_x64, jax.config.jax_numpy_rank_promotion
    check_gradients(jnp.cos, lambda w: jnp.sin(w), jnp.float32(0.3))
    assert (jax.config.jax_enable_x64, jax.config.jax_numpy_rank_promotion) == before
    assert jnp.ones(1).dtype == jnp.float32


def test_a_piecewise_linear_function_passes():
    w = np.array([1.0, -2.0, 0.5, 0.0])
    report = check_gradients(
        lambda w: jnp.where(w > 0, 1.0, 0.0), lambda w: jnp.sum(jnp.where(w > 0, w, 0.0)), w
    )
    assert report.verdict is not Verdict.FAIL
    smooth = check_gradients(lambda w: jnp.full_like(w, 3.0), lambda w: 3.0 * jnp.sum(w), w)
    assert smooth.passed


BAD = {
    "no function": ((1, jnp.sum, np.ones(2)), "value_and_grad_fn is a int"),
    "no scalar": ((lambda w: w, lambda w: 2 * w, np.ones(2)), "single number|scalar"),
    "integers": ((lambda w: w, jnp.sum, np.ones(2, int)), "float"),
    "complex parameters": ((lambda w: w, jnp.sum, 1j * np.ones(2)), "real floating"),
    "a complex value": ((lambda w: w, lambda w: 1j * w.sum(), np.ones(2)), "complex number"),
    "no number": ((lambda w: w, lambda w: None, np.ones(2)), "fn returned None"),
    "functions in the other order": (
        (lambda w: w["a"].sum(), lambda w: (w["a"].sum(), w), {"a": np.ones(2)}),
        "pass the function that returns .value, grads. first",
    ),
    "no entries": ((lambda w: w, jnp.sum, np.ones((0, 3))), "no entries"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_explained(case):
    arguments, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        check_gradients(*arguments)


@pytest.mark.parametrize("probes", [{"max_entries": -1}, {"max_entries": 0, "n_directions": 0}])
def test_without_probes_nothing_can_be_checked(probes):
    with pytest.raises(ValueError, match="one of them must be positive"):
        check_gradients(lambda w: w, jnp.sum, np.ones(2), **probes)


@pytest.mark.parametrize(
    ("grads", "words"),
    [
        (lambda w: w[:2], "shape"),
        (lambda w: jnp.full_like(w, jnp.nan), "NaN|finite|nan"),
        (lambda w: -w, "sign"),
        (lambda w: 2 * w, "factor 1/2"),
        (lambda w: jnp.zeros_like(w), "zero"),
        (lambda w: w.at[1].add(1.0), "entry|entries"),
    ],
)
def test_slips_are_named(grads, words):
    w = jnp.array([1.0, 2.0, 3.0])
    report = check_gradients(grads, lambda w: 0.5 * jnp.sum(w**2), w)
    assert report.verdict is Verdict.FAIL
    assert any(re.search(words, str(leaf)) for leaf in report.failures), str(report)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0001, "1.0001 x the true gradient in every entry"),
        (1 + 3e-7, "1.0000003 x the true gradient in every entry"),
        (2.0002, "2.0002 x the true gradient in every entry"),
        (-1.0002, "-1.0002 x the true gradient in every entry"),
        (0.37123, "0.3712 x the true gradient in every entry"),
    ],
)
def test_a_factor_near_a_round_one_is_written_with_the_digits_that_differ(factor, words):
    f = lambda w: 0.5 * jnp.sum(w**2)  # noqa: E731
    report = check_gradients(lambda w: factor * w, f, jnp.array([1.0, 2.0, 3.0, 5.0, 7.0]))
    assert report.failures[0].cause == words


def test_an_entry_that_differs_late_is_written_with_the_digits_that_differ():
    w = jnp.arange(1.0, 8.0)
    report = check_gradients(lambda w: w.at[2].add(3e-5), lambda w: 0.5 * jnp.sum(w**2), w)
    assert "[2] is 3.00003 instead of 3" in report.failures[0].cause
