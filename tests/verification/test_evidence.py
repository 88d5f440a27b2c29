"""What check_gradients makes of kinks, noise, hidden derivatives and functions it cannot trace."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.verification import Verdict, check_gradients
from jaxmlp.verification.measurement.differences import Probes, central_differences
from jaxmlp.verification.measurement.functions import ManyPoints, float64_arithmetic, make_point
from jaxmlp.verification.measurement.noise import SAMPLES, gradient_noise
from jaxmlp.verification.measurement.precision import Precision, traced_precision

X = np.random.default_rng(0).normal(size=(20, 3))
W = np.array([0.7, -1.1, 0.4])


def relu_sum(w):
    return jnp.sum(jnp.where(X @ w > 0, X @ w, 0.0))


def d_relu_sum(w):
    return X.T @ jnp.where(X @ w > 0, 1.0, 0.0)


def only(report):
    (leaf,) = report.leaves
    return leaf


# Kinks


def test_kinks_are_set_aside_not_failed():
    at_kink = W - X[0] * (X[0] @ W) / (X[0] @ X[0])  # X[0] @ w is 0 but for rounding
    leaf = only(check_gradients(d_relu_sum, relu_sum, at_kink))
    assert leaf.verdict is Verdict.PASS, str(leaf)
    assert leaf.n_set_aside > 0


def test_a_piecewise_linear_function_has_a_remainder_at_rounding_level():
    leaf = only(check_gradients(d_relu_sum, relu_sum, W))
    assert leaf.verdict is Verdict.PASS
    assert leaf.n_set_aside < leaf.n_probes
    assert leaf.taylor_order == np.inf


def test_the_wrong_side_of_a_kink_fails_where_jax_grad_defines_it():
    def relu(w):
        return jnp.sum(jnp.where(w > 0, w, 0.0))

    w = jnp.array([1.0, 0.0, -2.0])
    leaf = only(check_gradients(lambda w: jnp.where(w >= 0, 1.0, 0.0), relu, w))
    assert leaf.verdict is Verdict.FAIL
    assert "[1]" in leaf.cause


def test_without_jax_grad_both_sides_of_a_kink_are_accepted():
    def relu(w):
        return float(np.sum(np.maximum(np.asarray(w), 0.0)))

    w = np.array([1.0, 0.0, -2.0, 3.0])
    for inclusive in (np.greater, np.greater_equal):
        report = check_gradients(lambda w, side=inclusive: side(w, 0).astype(float), relu, w)
        assert report.verdict is not Verdict.FAIL, str(report)
        assert only(report).n_set_aside > 0
    wrong = check_gradients(lambda w: np.array([1.0, 0.0, 1.0, 1.0]), relu, w)
    assert wrong.verdict is Verdict.FAIL


# Precision


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_a_function_that_casts_down_inside_raises_no_alarm(dtype):
    def f(w):
        return jnp.sum(jnp.tanh(jnp.asarray(X, dtype) @ w.astype(dtype))).astype(jnp.float32)

    def d_f(w):
        h = jnp.tanh(jnp.asarray(X, dtype) @ w.astype(dtype))
        return (jnp.asarray(X, dtype).T @ (1 - h * h)).astype(w.dtype)

    report = check_gradients(d_f, f, W)
    assert report.verdict is not Verdict.FAIL, str(report)
    assert report.noise > (1e-8 if dtype == jnp.float32 else 1e-4)
    wrong = check_gradients(lambda w: 2 * d_f(w), f, W)
    assert wrong.verdict is Verdict.FAIL, str(wrong)


def test_a_numpy_function_in_float32_raises_no_alarm():
    x = X.astype(np.float32)

    def f(w):
        return float(np.mean(np.tanh(x @ np.asarray(w, np.float32))))

    def d_f(w):
        return x.T @ (1 - np.tanh(x @ np.asarray(w, np.float32)) ** 2) / np.float32(len(x))

    report = check_gradients(d_f, f, W)
    assert report.passed, str(report)
    assert report.noise > 1e-9
    assert check_gradients(lambda w: 1.1 * d_f(w), f, W).verdict is Verdict.FAIL


def test_a_float32_gradient_of_a_float64_function_passes():
    def cut(w):
        return jnp.cos(w).astype(jnp.float32).astype(w.dtype)

    assert check_gradients(cut, lambda w: jnp.sum(jnp.sin(w)), W).passed


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_a_gradient_rounded_to_16_bits_fails_where_the_function_has_more(dtype):
    w = np.linspace(0.1, 1.4, 12)

    def rounded(w):
        return jnp.cos(w).astype(dtype).astype(w.dtype)

    leaf = only(check_gradients(rounded, lambda w: jnp.sum(jnp.sin(w)), w))
    assert leaf.verdict is Verdict.FAIL
    assert f"rounded to {jnp.dtype(dtype).name}" in leaf.cause
    # where it is not the finished gradient that is rounded, its digits are what 16 bits give
    inside = lambda w: jnp.cos(w.astype(dtype)).astype(w.dtype)  # noqa: E731
    f = lambda w: jnp.sum(jnp.sin(w.astype(dtype))).astype(w.dtype)  # noqa: E731
    assert check_gradients(inside, f, w).verdict is not Verdict.FAIL


def test_a_relative_error_of_a_millionth_is_found_in_float64():
    f = lambda w: jnp.sum(jnp.sin(w))  # noqa: E731
    assert check_gradients(lambda w: jnp.cos(w) * (1 + 1e-6), f, W).verdict is Verdict.FAIL


def test_precision_follows_the_parameters_only():
    """A mask drawn in float32 does not make a float64 function coarser; loops are looked into."""

    def masked(w):
        mask = jax.random.bernoulli(jax.random.key(0), jnp.float32(0.5), w.shape)
        return jnp.sum(w * mask.astype(w.dtype))

    def looped(w):
        body = lambda c, _: (c * w.astype(jnp.float32).sum(), None)  # noqa: E731
        return jax.lax.scan(body, jnp.float32(1.0), None, length=3)[0]

    with float64_arithmetic():
        w = jnp.asarray(W)
        assert traced_precision(masked, w) is Precision.DOUBLE
        assert traced_precision(looped, w) is Precision.SINGLE
        assert traced_precision(jax.jit(lambda w: w.astype(jnp.bfloat16).sum()), w) is (
            Precision.HALF
        )
        assert traced_precision(lambda w: float(w[0]), w) is None


# Conflicting evidence


def test_a_stop_gradient_does_not_hide_the_truth():
    f = lambda w: jnp.sum(w**2 + jax.lax.stop_gradient(w**3))  # noqa: E731
    leaf = only(check_gradients(lambda w: 2 * w, f, W))
    assert leaf.verdict is Verdict.FAIL
    assert "stop_gradient" in leaf.cause
    leaf = only(check_gradients(lambda w: 2 * w + 3 * w**2, f, W))
    assert leaf.verdict is Verdict.PASS
    assert "jax.grad differs" in leaf.evidence


def test_a_wrong_custom_derivative_in_fn_is_not_believed():
    @jax.custom_jvp
    def square(w):
        return w**2

    square.defjvp(lambda primals, tangents: (square(*primals), 3 * primals[0] * tangents[0]))
    f = lambda w: jnp.sum(square(w))  # noqa: E731
    assert check_gradients(lambda w: 2 * w, f, W).passed
    assert check_gradients(lambda w: 3 * w, f, W).verdict is Verdict.FAIL


def test_where_jax_grad_is_nan_the_differences_decide():
    f = lambda w: jnp.sum(jnp.where(w > 0, jnp.sqrt(w), 0.0))  # noqa: E731
    w = jnp.array([1.0, 4.0, -1.0, 0.0])
    assert jnp.isnan(jax.grad(f)(w)).any()
    smooth = w[:3]
    right = check_gradients(
        lambda w: jnp.where(w > 0, 0.5 / jnp.sqrt(jnp.where(w > 0, w, 1.0)), 0.0), f, smooth
    )
    assert right.passed, str(right)
    assert check_gradients(jnp.ones_like, f, smooth).verdict is Verdict.FAIL


def test_a_function_that_is_nan_is_inconclusive():
    report = check_gradients(lambda w: w, lambda w: jnp.sum(jnp.log(w)), -jnp.ones(2))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert not report.passed
    json.dumps(report.to_dict(), allow_nan=False)


# One wrong entry


@pytest.mark.parametrize("traced", [True, False])
def test_one_wrong_entry_in_a_large_leaf_is_found(traced):
    sqrt = jnp.sqrt if traced else np.sqrt
    w = np.random.default_rng(1).uniform(1.0, 2.0, (90, 70))

    def f(w):
        return sqrt(w if traced else np.asarray(w)).sum()

    def d_f(w):
        grad = 0.5 / np.sqrt(np.asarray(w))
        grad[61, 33] *= 1.01
        return grad

    assert check_gradients(lambda w: 0.5 / np.sqrt(np.asarray(w)), f, w).passed
    leaf = only(check_gradients(d_f, f, w))
    assert leaf.verdict is Verdict.FAIL, str(leaf)
    if traced:
        assert "1 of 6300 entries wrong: [61, 33]" in leaf.cause


# What callers bring along


def test_strict_settings_of_the_caller_are_relaxed_inside_and_restored():
    """The session runs under strict promotion; this function would not survive it."""

    def f(w):
        return jnp.sum(jnp.ones((2, 3)) * w * jnp.float32(2.0))

    report = check_gradients(lambda w: jnp.full_like(w, 4.0), f, np.ones(3))
    assert report.passed, str(report)
    with pytest.raises(ValueError, match="rank_promotion"):
        f(jnp.ones(3))


def test_numpy_code_gets_arrays_it_may_write_to():
    def backward(params):
        grad = params["w"].copy()
        params["w"][:] = 0.0  # careless, but it must not spoil the next call
        return {"w": grad}

    params = {"w": np.array([1.0, 2.0])}
    assert check_gradients(backward, lambda p: 0.5 * float(np.sum(p["w"] ** 2)), params).passed
    assert params["w"].tolist() == [1.0, 2.0]


def test_aux_values_keyword_arguments_and_scalars():
    def f(params, x, *, power):
        return params["a"] * jnp.sum(x**power), {"size": x.size}

    def d_f(params, x, *, power):
        value, aux = f(params, x, power=power)
        return (value, aux), {"a": jnp.sum(x**power)}

    assert check_gradients(d_f, f, {"a": 1.5}, np.arange(3.0), kwargs={"power": 3}).passed


def test_a_function_that_draws_random_numbers_is_noted():
    rng = np.random.default_rng(0)
    report = check_gradients(lambda w: w, lambda w: float(0.5 * w @ w) + rng.random(), W)
    assert not report.passed
    assert "draw its random numbers once" in str(report)


def test_a_forgotten_mean_is_named_beside_a_penalty_of_unknown_size():
    w, x, y = np.array([0.7, -1.1, 0.4, 2.0]), X[:, [0, 1, 2, 0]] ** 2, np.arange(20.0)
    f = lambda w, x, y: jnp.mean((x @ w - y) ** 2) / 2 + 0.15 * jnp.sum(w**2)  # noqa: E731
    leaf = only(check_gradients(lambda w, x, y: x.T @ (x @ w - y) + 0.3 * w, f, w, x, y))
    assert "beside the right L2 term, 0.3 W: sum instead of mean over the batch of 20" in leaf.cause


def test_a_value_of_another_objective_fails():
    report = check_gradients(lambda w: (jnp.sum(w) + 1.0, jnp.ones_like(w)), jnp.sum, W)
    assert not report.passed
    assert report.verdict is Verdict.FAIL
    assert not report.failures  # the gradient itself is right
    assert "came with the gradient, but fn returns" in report.value_fault
    assert "FAIL  the value" in str(report)


# The structure of the gradient


@pytest.mark.parametrize(
    ("grads", "name", "words"),
    [
        (lambda p: {"W": p["W"]}, "params['b']", "missing"),
        (lambda p: {**p, "b": list(p["b"])}, "params['b']", "params['b'][0], params['b'][1]"),
        (lambda p: {**p, "c": p["b"]}, "params['c']", "params does not"),
        (lambda p: {**p, "b": p["b"][None, :]}, "params['b']", "keepdims"),
        (lambda p: {**p, "W": p["W"].T}, "params['W']", "transposed"),
        (lambda p: {**p, "b": jnp.ones(3, jnp.int32)}, "params['b']", "int32"),
        (lambda p: {**p, "b": {"c": p["b"]}}, "params['b']", "in its place"),
        (lambda p: {**p, "b": jnp.zeros((20, 3)) + p["b"] / 20}, "params['b']", "not summed"),
        (lambda p: {**p, "b": "text"}, "params['b']", "not an array"),
    ],
)
def test_what_is_wrong_with_the_form_is_said(grads, name, words):
    params = {"W": np.arange(6.0).reshape(2, 3) + 1.0, "b": np.array([1.0, 2.0, 4.0])}
    half_squares = lambda p: 0.5 * (jnp.sum(p["W"] ** 2) + jnp.sum(p["b"] ** 2))  # noqa: E731
    report = check_gradients(grads, half_squares, params)
    causes = {leaf.name: leaf.cause for leaf in report.failures}
    assert all(failed.startswith(name) for failed in causes)
    assert words in causes[name]
    assert all(leaf.autodiff_error is None for leaf in report.failures)  # nothing to compare


def test_no_gradient_at_all_is_a_failure():
    assert "missing" in only(check_gradients(lambda w: None, lambda w: jnp.sum(w**2), W)).cause


def test_another_container_is_a_failure_of_its_own():
    params = (np.ones(2), np.ones(3))
    f = lambda p: 0.5 * (jnp.sum(p[0] ** 2) + jnp.sum(p[1] ** 2))  # noqa: E731
    report = check_gradients(lambda p: list(p), f, params)
    assert [leaf.name for leaf in report.failures] == ["(structure)"]


# The parts


def test_third_differences_measure_noise_and_nothing_else():
    t, rng = SAMPLES.astype(float)[:, None], np.random.default_rng(0)
    point = make_point(np.ones(200))
    smooth = np.broadcast_to(3 + t - t**2, (8, 200))
    assert gradient_noise(smooth[None], point) == pytest.approx(0.0, abs=1e-13)
    noisy = smooth + 1e-3 * rng.normal(size=(8, 200))
    assert gradient_noise(noisy[None], point) == pytest.approx(1e-3, rel=0.15)


@pytest.mark.parametrize("noise", [1e-16, 1e-7])
def test_the_best_difference_is_within_its_error(noise):
    """f(t) = exp(t) + noise at t = 1, and the same with a kink there."""
    rng, point, n = np.random.default_rng(0), make_point(np.ones(1)), 50
    probes = Probes(np.zeros(n, int), np.zeros(n, int), np.ones((1, 1)))

    def differences(kink):
        def f(t):
            t = np.asarray(t).item()  # numpy, so that every call has noise of its own
            return np.exp(t - 1) + kink * max(t - 1, 0.0) + noise * rng.uniform(-1, 1)

        return central_differences(ManyPoints(f, point, rows=128), point, probes, 1.0, noise)

    found = differences(kink=0.0)
    assert (np.abs(found.slope - 1.0) <= found.error).all()
    assert (found.error < 20 * noise ** (2 / 3)).all()
    assert not found.kink.any()
    assert differences(kink=1.0).kink.all()
