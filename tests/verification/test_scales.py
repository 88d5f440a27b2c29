"""Verdicts do not depend on the units: values, parameters and leaves of any size."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.verification import Verdict, check_gradients

W = np.array([0.7, -1.1, 0.4])
A = np.array([1.0, 2.0, -3.0])
X = np.random.default_rng(0).normal(size=(20, 3))
Y = np.random.default_rng(1).normal(size=20)


def squares(scale, offset=0.0):
    return lambda w: 0.5 * scale * jnp.sum(w**2) + offset, lambda w: scale * w


def linear(scale):
    return lambda w: scale * jnp.sum(A * w), lambda w: scale * A + 0 * w


def least_squares(scale):
    return (
        lambda w: 0.5 * scale * jnp.mean((X @ w - Y) ** 2),
        lambda w: scale * X.T @ (X @ w - Y) / len(Y),
    )


def saturating(unit):
    return (
        lambda w: jnp.sum(jnp.tanh(w / unit)),
        lambda w: (1 - jnp.tanh(w / unit) ** 2) / unit,
    )


def rectified(unit):
    return (
        lambda w: jnp.sum(jnp.where(w > 0, w / unit, 0.0)),
        lambda w: jnp.where(w > 0, 1 / unit, 0.0) + 0 * w,
    )


def in_numpy(unit):
    return (
        lambda w: float(np.sum(np.tanh(np.asarray(w) / unit))),
        lambda w: (1 - np.tanh(np.asarray(w) / unit) ** 2) / unit,
    )


CASES = {
    "a linear function scaled by 1e20": (linear(1e20), W),
    "a linear function scaled by 1e200": (linear(1e200), W),
    "squares scaled by 1e-300": (squares(1e-300), W),
    "least squares scaled by 1e200": (least_squares(1e200), W),
    "squares, parameters of 1e30": (squares(1.0), 1e30 * W),
    "squares, parameters of 1e100": (squares(1.0), 1e100 * W),
    "squares of 1e-154, which underflow": (squares(1.0), 1e-154 * W),
    "squares of 1e-30 beside 1": (squares(1.0, 1.0), 1e-30 * W),
    "least squares, parameters of 1e30": (least_squares(1.0), 1e30 * W),
    "a linear function, parameters of 1e154": (linear(1.0), 1e154 * W),
    "tanh in units of 1e30": (saturating(1e30), 1e30 * W),
    "tanh in units of 1e-100": (saturating(1e-100), 1e-100 * W),
    "ReLU in units of 1e30": (rectified(1e30), 1e30 * W),
    "numpy's tanh in units of 1e154": (in_numpy(1e154), 1e154 * W),
    "numpy's tanh in units of 1e-154": (in_numpy(1e-154), 1e-154 * W),
}


@pytest.mark.parametrize("name", CASES)
def test_right_passes_and_half_as_much_again_fails(name):
    (f, gradient), w = CASES[name]
    right = check_gradients(gradient, f, w)
    assert right.passed, str(right)
    wrong = check_gradients(lambda w: 1.5 * gradient(w), f, w)
    assert wrong.verdict is Verdict.FAIL, str(wrong)
    assert not check_gradients(lambda w: 0 * gradient(w), f, w).passed


@pytest.mark.parametrize("wrong", ["large", "small"])
def test_leaves_of_different_units_stand_side_by_side(wrong):
    params = {"large": 1e30 * W, "small": 1e-30 * W}

    def f(p):
        return jnp.sum(jnp.tanh(p["large"] / 1e30)) * jnp.sum(jnp.tanh(p["small"] / 1e-30))

    def gradient(p):
        large, small = jnp.tanh(p["large"] / 1e30), jnp.tanh(p["small"] / 1e-30)
        return {
            "large": (1 - large**2) / 1e30 * jnp.sum(small),
            "small": (1 - small**2) / 1e-30 * jnp.sum(large),
        }

    assert check_gradients(gradient, f, params).passed
    report = check_gradients(lambda p: {**gradient(p), wrong: 1.5 * gradient(p)[wrong]}, f, params)
    assert [leaf.name for leaf in report.failures] == [f"params['{wrong}']"], str(report)


@pytest.mark.parametrize("size", [1.0, 1e30])
def test_where_a_gradient_cancels_its_last_digits_are_no_failure(size):
    """At a minimum, and where slopes of both signs meet, different orders of summation differ."""
    w = size * np.array([1.0, 2.0, 3.0])
    x = np.concatenate([X, -X])
    f = lambda w: jnp.mean(jnp.abs(x @ (w + size * A)))  # noqa: E731
    forward = lambda w: x.T @ jnp.sign(x @ (w + size * A)) / len(x)  # noqa: E731
    backward = lambda w: x[::-1].T @ jnp.sign(x[::-1] @ (w + size * A)) / len(x)  # noqa: E731
    for gradient in (forward, backward):
        assert check_gradients(gradient, f, w).verdict is not Verdict.FAIL
    target = X @ w
    f = lambda w: 0.5 * jnp.sum((X @ w - target) ** 2)  # noqa: E731
    for order in (slice(None), slice(None, None, -1)):
        minimum = check_gradients(
            lambda w, o=order: X[o].T @ (X[o] @ w - target[o]), f, w * (1 + 1e-16)
        )
        assert minimum.verdict is not Verdict.FAIL, str(minimum)
