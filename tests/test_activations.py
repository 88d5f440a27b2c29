import pickle
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.activations import ACTIVATIONS, Activation, get_activation
from jaxmlp.initializers import get_initializer

NAMES = sorted(ACTIVATIONS)
MAGNITUDES = np.concatenate([np.geomspace(1e-3, 1.0, 6), np.geomspace(2.0, 1e4, 24)])
GRID = np.concatenate([-MAGNITUDES[::-1], [0.0], MAGNITUDES]).astype(np.float32)  # in float64 too

# The definitions, as the papers print them, to be evaluated in 1000 digits.
EXACT = {
    "identity": lambda z: z,
    "relu": lambda z: max(z, mp.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else mp.mpf(0.01) * z,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "tanh": mp.tanh,
    "elu": lambda z: z if z > 0 else mp.exp(z) - 1,
    "selu": lambda z: (
        mp.mpf("1.0507009873554804934193349852946")
        * (z if z > 0 else mp.mpf("1.6732632423543772848170429916717") * (mp.exp(z) - 1))
    ),
    "softplus": lambda z: mp.log(1 + mp.exp(z)),
    "gelu": lambda z: z / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (z + mp.mpf("0.044715") * z**3))),
    "gelu_exact": lambda z: z * mp.ncdf(z),
    "silu": lambda z: z / (1 + mp.exp(-z)),
    "mish": lambda z: z * mp.tanh(mp.log(1 + mp.exp(z))),
}
JAX_NN = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "sigmoid": jax.nn.sigmoid,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
    "gelu_exact": partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
}


def slope(phi, z):
    """phi'(z) by hand, as the network uses it."""
    return phi.derivative(phi.fn(z) if phi.residual == "output" else z)


def by_autodiff(fn, z):
    return jax.grad(lambda z: jnp.sum(fn(z)))(z)


@lru_cache
def compiled(name):
    phi = ACTIVATIONS[name]
    first, hand = partial(by_autodiff, phi.fn), partial(slope, phi)
    return jax.jit(
        lambda z: (phi.fn(z), hand(z), first(z), by_autodiff(hand, z), by_autodiff(first, z))
    )


@lru_cache
def exact(name, z):
    """phi, phi', phi'' by differences, with digits left where phi is 10^-300."""
    with mp.workdps(1000):
        h = mp.mpf(10) ** -300
        at = [EXACT[name](mp.mpf(z) + k * h) for k in (-1, 0, 1)]
        return at[1], (at[2] - at[0]) / (2 * h), (at[2] - 2 * at[1] + at[0]) / h**2


def scaled_errors(z, got, truth, scale):
    """|got - truth| in units of eps * scale; what is below the smallest normal number is zero."""
    info = np.finfo(z.dtype)
    eps, tiny = float(info.eps), float(info.tiny)
    return np.array(
        [
            float(abs(mp.mpf(float(g)) - t) / (eps * s + tiny * (1 + abs(float(p)))))
            for p, g, t, s in zip(z, got, truth, scale, strict=True)
        ]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_derivatives_match_mpmath_up_to_1e4(name, dtype, x64):
    z = GRID.astype(dtype)
    values, slopes, *_ = compiled(name)(jnp.asarray(z))
    smooth = z != 0
    f, d1, d2 = zip(*(exact(name, float(point)) for point in z), strict=True)

    # What a rounding of z itself would do: |f| + |z f'| is the best that can be asked for.
    scale = [abs(a) + abs(p * b) for a, b, p in zip(f, d1, z.tolist(), strict=True)]
    assert scaled_errors(z, values, f, scale).max() <= 8

    # The same for f', and where it is formed as 1 - s or s + z (1 - s), with s near 1, the
    # rounding of s, which does not matter beside the slopes near 1 of other units.
    saturates = (z > 0) | (name == "tanh")
    scale = [
        abs(b) + abs(p * c) + (1 + abs(p) if near_one else 0)
        for b, c, p, near_one in zip(d1, d2, z.tolist(), saturates, strict=True)
    ]
    assert scaled_errors(z, slopes, d1, scale)[smooth].max() <= 8


@pytest.mark.parametrize("name", NAMES)
def test_second_derivative_matches_mpmath(name, x64):
    smooth = (abs(GRID) < 50) & (GRID != 0)
    *_, second, second_of_autodiff = compiled(name)(jnp.asarray(GRID, jnp.float64))
    truth = np.array([float(exact(name, float(point))[2]) for point in GRID[smooth]])
    np.testing.assert_allclose(second[smooth], truth, rtol=0, atol=1e-12)
    np.testing.assert_allclose(second_of_autodiff[smooth], truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "derivative"),
    [
        ("identity", 0.0, 1.0),
        ("relu", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.01),
        ("sigmoid", 0.5, 0.25),
        ("tanh", 0.0, 1.0),
        ("elu", 0.0, 1.0),
        ("selu", 0.0, 1.7580993408473766),
        ("softplus", 0.6931471805599453, 0.5),
        ("gelu", 0.0, 0.5),
        ("gelu_exact", 0.0, 0.5),
        ("silu", 0.0, 0.5),
        ("mish", 0.0, 0.6),
    ],
)
def test_at_zero(name, value, derivative, x64):
    for zero in (0.0, -0.0):
        got = compiled(name)(jnp.full(GRID.shape, zero))
        np.testing.assert_allclose(got[0], value, rtol=1e-15, atol=0)
        np.testing.assert_allclose(got[1], derivative, rtol=1e-15, atol=0)
        np.testing.assert_allclose(got[2], derivative, rtol=1e-15, atol=0)
        np.testing.assert_array_equal(got[3], got[4])


NUMBERS = st.one_of(st.floats(-1e4, 1e4, width=32), st.floats(-5, 5, width=32))


@given(name=st.sampled_from(NAMES), numbers=st.lists(NUMBERS, min_size=7, max_size=7))
@settings(max_examples=150, deadline=None)
def test_hand_derivative_matches_autodiff(name, numbers):
    for dtype in (jnp.float64, jnp.float32):
        with jax.enable_x64(dtype == jnp.float64):
            z = jnp.asarray(np.resize([*numbers, 0.0], GRID.shape), dtype)
            values, hand, autodiff, second, second_of_autodiff = compiled(name)(z)
            assert all(leaf.dtype == dtype for leaf in (values, hand))
            assert all(jnp.isfinite(leaf).all() for leaf in (values, hand, second))
            # Slopes are at most 1.76; 4 eps is 1e-15 in float64.
            atol = 4 * float(jnp.finfo(dtype).eps)
            np.testing.assert_allclose(hand, autodiff, rtol=0, atol=atol)
            # phi'' sums terms of size z^2 phi' that cancel as z grows: the eps is of those.
            room = atol * np.maximum(1, np.abs(z)) ** 2
            assert np.all(np.abs(second - second_of_autodiff) <= 4 * room)


@pytest.mark.parametrize("name", sorted(JAX_NN))
def test_same_function_as_jax_nn(name, x64):
    z = jnp.linspace(-6, 6, 101)
    with jax.numpy_dtype_promotion("standard"):
        ours, theirs = jax.jit(ACTIVATIONS[name].fn)(z), jax.jit(JAX_NN[name])(z)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


MATRIX = np.linspace(-4, 4, 24, dtype=np.float32).reshape(4, 6)  # one shape for what is not jitted


@pytest.mark.parametrize("name", NAMES)
def test_vmap_and_jit_change_nothing(name):
    z = MATRIX
    phi = ACTIVATIONS[name]
    for function in (phi.fn, partial(slope, phi)):
        expected = function(z)
        assert expected.shape == z.shape
        for variant in (jax.jit(function), jax.vmap(function)):
            np.testing.assert_allclose(variant(z), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_bfloat16(name):
    phi = ACTIVATIONS[name]
    for function in (phi.fn, partial(slope, phi)):
        half = jax.jit(function)(MATRIX.astype(jnp.bfloat16))
        assert half.dtype == jnp.bfloat16
        whole = np.asarray(function(MATRIX))
        np.testing.assert_allclose(np.asarray(half, np.float32), whole, rtol=0, atol=0.04)


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_not_swallowed(name):
    assert jnp.isnan(ACTIVATIONS[name].fn(jnp.array([jnp.nan]))).all()


@pytest.mark.parametrize("name", NAMES)
def test_gain_is_the_gaussian_integral(name, x64):
    z = np.linspace(-12, 12, 40001)
    square = (
        np.asarray(jax.jit(ACTIVATIONS[name].fn)(z)) ** 2 * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    )
    assert ACTIVATIONS[name].gain == pytest.approx(np.trapezoid(square, z) ** -0.5, 1e-6)


def test_registry():
    assert all(record.name == name and record.by_hand for name, record in ACTIVATIONS.items())
    for record in ACTIVATIONS.values():
        assert callable(get_initializer(record.initializer))
        assert get_activation(record) is record is get_activation(record.name)
        assert pickle.loads(pickle.dumps(record)) == record


def wavy(z):
    return jnp.sin(z) * z


def test_own_activation_gets_its_derivative_from_autodiff(x64):
    record = Activation.from_function("wavy", wavy)
    z = jnp.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(
        record.derivative(z), np.sin(z) + z * np.cos(z), rtol=1e-15, atol=1e-15
    )
    assert not record.by_hand
    again = Activation.from_function("wavy", wavy)
    assert record == again
    assert hash(record) == hash(again) == hash(pickle.loads(pickle.dumps(record)))


def test_own_activation_with_a_derivative():
    record = Activation.from_function("cube", lambda z: z**3, lambda z: 3 * z**2, gain=0.3)
    assert record.by_hand
    assert record.gain == 0.3


def own(**changes):
    return Activation(
        **(
            {
                "name": "mine",
                "fn": jnp.sin,
                "derivative": jnp.cos,
                "residual": "preactivation",
                "gain": 1.0,
                "initializer": "he_normal",
            }
            | changes
        )
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: get_activation("rleu"),
            ValueError,
            r"^unknown activation 'rleu'\. Did you mean 'relu'\? Known: elu, gelu, ",
        ),
        (lambda: get_activation("x"), ValueError, r"^unknown activation 'x'\. Known: "),
        (lambda: get_activation(None), TypeError, r"^activation is None; give a name, such as"),
        (lambda: get_activation(wavy), TypeError, r"from_function\('wavy', function\)\.$"),
        (
            lambda: get_activation(own(name="relu")),
            ValueError,
            r"^activation 'relu' is not the built-in of that name; give yours another name\.$",
        ),
        (lambda: own(fn=3), TypeError, r"^fn of activation 'mine' is 3; pass a function"),
        (lambda: own(derivative=None), TypeError, r"^derivative of activation 'mine' is None;"),
        (
            lambda: own(residual="ouput"),
            ValueError,
            r"^unknown residual of an activation 'ouput'\. Did you mean 'output'\?",
        ),
        (lambda: own(initializer="he"), ValueError, r"^unknown initializer of an activation 'he'"),
        (lambda: own(gain=0.0), ValueError, r"^gain of activation 'mine' is 0\.0; give a positive"),
        (
            lambda: Activation.from_function("sum", jnp.sum),
            ValueError,
            r"into float32 of shape \(\); it must act on each element and keep shape and dtype\.$",
        ),
        (
            lambda: Activation.from_function("sine", jnp.sin, residual="output"),
            ValueError,
            r"residual='output' but no derivative: .* Pass a derivative, or leave residual",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
