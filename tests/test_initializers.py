import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxmlp.initializers import (
    INITIALIZERS,
    constant,
    get_initializer,
    he_normal,
    normal,
    orthogonal,
    uniform,
)

SHAPE = (300, 200)
N_IN, N_OUT = SHAPE
# The standard deviation each scheme's paper asks for.
THEORY = {
    "normal": 0.01,
    "uniform": 0.01 / np.sqrt(3),
    "xavier_normal": np.sqrt(2 / (N_IN + N_OUT)),
    "xavier_uniform": np.sqrt(2 / (N_IN + N_OUT)),
    "he_normal": np.sqrt(2 / N_IN),
    "he_uniform": np.sqrt(2 / N_IN),
    "lecun_normal": np.sqrt(1 / N_IN),
}
scaling = jax.nn.initializers.variance_scaling
JAX_NN = {
    "normal": jax.nn.initializers.normal(0.01),
    "xavier_normal": scaling(1.0, "fan_avg", "normal"),
    "xavier_uniform": jax.nn.initializers.glorot_uniform(),
    "he_normal": scaling(2.0, "fan_in", "normal"),
    "he_uniform": jax.nn.initializers.he_uniform(),
    "lecun_normal": scaling(1.0, "fan_in", "normal"),
}
KEY = jax.random.key(0)


def sample(initializer, shape=SHAPE):
    return np.asarray(get_initializer(initializer)(KEY, shape, jnp.float32), np.float64)


@pytest.mark.parametrize("name", sorted(THEORY))
def test_distribution(name):
    """Kolmogorov-Smirnov on 60,000 draws finds a standard deviation that is 3% off."""
    W, std = sample(name), THEORY[name]
    shape = scipy.stats.norm if "normal" in name else scipy.stats.uniform(-np.sqrt(3), 12**0.5)
    assert scipy.stats.kstest(W.ravel() / std, shape.cdf).pvalue > 1e-3
    n = W.size
    assert abs(W.mean()) < 4 * std / np.sqrt(n)
    kurtosis = 3.0 if "normal" in name else 1.8
    assert abs(W.var() / std**2 - 1) < 4 * np.sqrt((kurtosis - 1) / n)
    # rows and columns alike: no fan enters twice
    assert np.ptp(W.std(axis=0)) < 0.4 * std
    assert np.ptp(W.std(axis=1)) < 0.4 * std


@pytest.mark.parametrize("name", sorted(JAX_NN))
def test_same_distribution_as_jax_nn(name):
    theirs = np.asarray(JAX_NN[name](jax.random.key(1), SHAPE, jnp.float32)).ravel()
    assert scipy.stats.ks_2samp(sample(name).ravel(), theirs).pvalue > 1e-3


def test_uniform_bounds():
    assert 0.0099 < abs(sample("uniform")).max() <= 0.01
    limit = np.sqrt(6 / N_IN)
    assert 0.99 * limit < abs(sample("he_uniform")).max() <= limit * (1 + 1e-6)


def test_both_readings_of_the_lectures_normal():
    assert sample(normal()).std() == pytest.approx(0.01, rel=0.02)
    assert sample(normal(stddev=0.1)).var() == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 4), (4, 1)])
def test_orthogonal(shape, x64):
    W = orthogonal(gain=1.5)(KEY, shape, jnp.float64)
    gram = W.T @ W if shape[0] >= shape[1] else W @ W.T
    assert W.shape == shape
    np.testing.assert_allclose(gram, 2.25 * np.eye(min(shape)), atol=1e-14)


@pytest.mark.slow
def test_orthogonal_is_uniform_on_the_sphere():
    """Without the sign correction, QR's first row would have one sign."""
    keys = jax.random.split(KEY, 2000)
    W = jax.vmap(lambda key: orthogonal()(key, (3, 3), jnp.float32))(keys)
    # a coordinate of a uniform point on the sphere in 3 dimensions is uniform in [-1, 1]
    for i, j in np.ndindex(3, 3):
        assert scipy.stats.kstest(W[:, i, j], scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_constants():
    assert not sample("zeros").any()
    assert np.all(sample(constant(-0.25)) == -0.25)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_dtypes_vmap_and_jit(name):
    initializer = INITIALIZERS[name]
    keys = jax.random.split(KEY, 2)
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        with jax.enable_x64(dtype == jnp.float64):
            drawn = jax.eval_shape(lambda: initializer(KEY, (4, 3), dtype))  # noqa: B023
            assert (drawn.shape, drawn.dtype) == ((4, 3), dtype)
    draw = lambda key: initializer(key, (4, 3), jnp.float32)  # noqa: E731
    stacked = jax.jit(jax.vmap(draw))(keys)
    for one, key in zip(stacked, keys, strict=True):
        np.testing.assert_allclose(one, draw(key), rtol=1e-5, atol=1e-7)
    assert name == "zeros" or not np.array_equal(stacked[0], stacked[1])


@pytest.mark.parametrize("make", [normal, uniform, orthogonal, constant])
def test_equal_arguments_make_equal_initializers(make):
    one = make(0.5)
    assert one == make(np.float32(0.5)) == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(make(0.5))
    assert one != make(0.25)
    assert get_initializer(one) is one


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: get_initializer("he_norml"),
            ValueError,
            r"^unknown initializer 'he_norml'\. Did you mean 'he_normal'\? Known: he_normal, ",
        ),
        (
            lambda: get_initializer(0.1),
            TypeError,
            r"^initializer is 0\.1; give a name, such as 'he_normal', or a function",
        ),
        (lambda: normal(0.0), ValueError, r"^stddev is 0\.0; give a positive number\.$"),
        (lambda: uniform(-1), ValueError, r"^scale is -1; give a positive number\.$"),
        (lambda: orthogonal(np.nan), ValueError, r"^gain is nan; give a positive number\.$"),
        (lambda: constant(np.inf), ValueError, r"^value is inf; give a finite number\.$"),
        (
            lambda: he_normal(KEY, (3,), jnp.float32),
            ValueError,
            r"^shape is \(3,\), but weights have the shape \(n_in, n_out\)\.$",
        ),
        (
            lambda: get_initializer(normal),
            TypeError,
            r"^initializer is the function normal, which makes one: call it, as in normal\(\)\.$",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
