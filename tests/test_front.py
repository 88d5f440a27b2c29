"""The input side against jax.grad, and against its definition in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular_cases import draw_front, fronts

from jaxmlp import FrontConfig
from jaxmlp.data.tables import piecewise_bins
from jaxmlp.front import (
    front_backward,
    front_forward,
    init_front,
    periodic_forward,
    piecewise_forward,
)
from jaxmlp.front_types import Front, Periodic, Piecewise

EXAMPLES = [6, pytest.param(20, marks=pytest.mark.slow)]


def relative(found, expected):
    """The distance of two arrays over the length of the second; absolute where that is 0."""
    size = np.linalg.norm(expected)
    return np.linalg.norm(np.subtract(found, expected)) / (size if size > 0 else 1.0)


def z_of_bins(starts, widths, x):
    """z_t(x), (rows, T), from the definition; bins that the column lacks have z = 0."""
    z, used = np.zeros((len(x), len(starts))), int(np.sum(starts < 1e38))
    for t in range(used):
        low, high = -np.inf if t == 0 else 0.0, np.inf if t == used - 1 else 1.0
        z[:, t] = np.clip((x - starts[t]) / widths[t], low, high)
    return z


def front_in_numpy(config, front, x):
    """The rows of every member, a number after another and a row after another."""
    front = jax.tree.map(np.asarray, front)
    rows = []
    for row in x:
        parts = []
        for i, value in enumerate(row[list(config.numbers)]):
            p = front.numbers
            if config.embedding == "piecewise":
                z = z_of_bins(p.starts[i], p.widths[i], value[None])[0]
                parts.append(value * p.w[i] + p.b[i] + z @ p.V[i])
            elif config.embedding == "periodic":
                waves = np.cos(2 * np.pi * p.w[i] * value + p.c[i])
                parts += [waves @ p.V[i] + p.a[i], [value]]
            else:
                parts.append([value])
        parts.append(row[list(config.others)])
        tables = np.split(front.E, config.category_offsets[1:]) if config.categories else []
        for (column, n), table in zip(config.categories, tables, strict=True):
            parts.append(table[int(min(max(row[column], 0), n - 1))])
        rows.append(np.concatenate(parts))
    e = np.array(rows) * (1.0 if front.s is None else front.s)
    return e if front.r is None else np.concatenate([e * signs for signs in front.r])


@pytest.mark.parametrize("n_examples", EXAMPLES)
def test_forward_is_the_definition(n_examples, x64):
    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(case=fronts(), seed=st.integers(0, 2**16))
    def check(case, seed):
        config, kinds = case
        front, x, _ = draw_front(config, kinds, seed)
        found, _ = front_forward(config, front, jnp.asarray(x))
        assert found.shape == (config.members * len(x), config.n_out)
        expected = front_in_numpy(config, front, x)
        scale = np.maximum(np.max(np.abs(expected), axis=1, keepdims=True), 1.0)
        np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-13)

    check()


@pytest.mark.parametrize("n_examples", EXAMPLES)
def test_backward_is_jax_grad(n_examples, x64):
    """Every parameter and the columns themselves, for any gradient that comes from the layers."""

    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(case=fronts(), seed=st.integers(0, 2**16))
    def check(case, seed):
        config, kinds = case
        front, x, _ = draw_front(config, kinds, seed)
        x = jnp.asarray(x)
        h, cache = front_forward(config, front, x)
        G = jnp.asarray(np.random.default_rng(seed).normal(size=h.shape))
        grads, d_x = front_backward(config, front, cache, G)

        def J(front, x):
            if isinstance(front.numbers, Piecewise):
                held = map(jax.lax.stop_gradient, front.numbers[:2])
                front = front._replace(numbers=Piecewise(*held, *front.numbers[2:]))
            return jnp.sum(front_forward(config, front, x)[0] * G)

        expected, expected_x = jax.grad(J, argnums=(0, 1))(front, x)
        errors = jax.tree.leaves(jax.tree.map(relative, (grads, d_x), (expected, expected_x)))
        assert max(errors) <= 1e-12
        assert not np.any(np.asarray(d_x)[:, [c for c, _ in config.categories]])

    check()


def test_derivative_by_the_numbers_is_the_slope(x64):
    """Against central differences, away from the edges: those of a number inside each bin."""
    rng = np.random.default_rng(0)
    starts, widths = piecewise_bins(rng.normal(size=(50, 1)), 6)
    config = FrontConfig(1, numbers=(0,), embedding="piecewise", width=3, bins=6)
    front = init_front(config, jax.random.key(0), (starts, widths), "float64")
    V = jnp.asarray(rng.normal(size=front.numbers.V.shape))
    front = front._replace(numbers=front.numbers._replace(V=V))
    x = jnp.asarray((starts + widths / 3)[starts < 1e38][:, None])

    def total(x):
        return front_forward(config, front, x)[0].sum(axis=1)

    h, cache = front_forward(config, front, x)
    _, d_x = front_backward(config, front, cache, jnp.ones_like(h))
    slope = (total(x + 1e-5) - total(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(d_x[:, 0], slope, rtol=1e-8)


def test_within_the_data_bins_are_linear_interpolation(x64):
    """sum_t z_t V_t is np.interp through the sums of V at the edges of the bins."""
    rng = np.random.default_rng(1)
    column = rng.lognormal(size=200)
    (starts,), (widths,) = piecewise_bins(column[:, None], 10)
    used = starts < 1e38
    edges = np.append(starts[used], starts[used][-1] + widths[used][-1])
    V = rng.normal(size=(1, 10, 1))
    nothing = jnp.zeros((1, 1))
    p = Piecewise(*jnp.asarray([[starts], [widths]]), nothing, nothing, jnp.asarray(V))
    x = np.concatenate([rng.uniform(column.min(), column.max(), 100), edges])
    found, _ = piecewise_forward(p, jnp.asarray(x[:, None]))
    at_edges = np.concatenate([[0.0], np.cumsum(V[0, used, 0])])
    np.testing.assert_allclose(found[:, 0, 0], np.interp(x, edges, at_edges), atol=1e-13)


def test_a_column_of_one_bin_goes_on_in_a_straight_line(x64):
    (starts,), (widths,) = piecewise_bins(np.full((9, 1), 3.0), 4)
    V = jnp.arange(1.0, 5.0).reshape(1, 4, 1)
    p = Piecewise(*jnp.asarray([[starts], [widths]]), *jnp.zeros((2, 1, 1)), V)
    found, cache = piecewise_forward(p, jnp.asarray([[3.0], [5.0], [-1e6]]))
    assert np.all(np.asarray(cache.bin) == 0)
    np.testing.assert_allclose(found[:, 0, 0], [0.0, 2.0, -1e6 - 3.0])


def test_float32_tells_bins_apart_as_float64_does():
    """The same rows fall into the same bins, but for those within rounding of an edge."""
    x = np.random.default_rng(2).normal(size=(300, 1)).astype(np.float32)
    bins = piecewise_bins(x, 12)
    config = FrontConfig(1, numbers=(0,), embedding="piecewise", bins=12)

    def bins_of(dtype):
        with jax.enable_x64(dtype == "float64"):
            front = init_front(config, jax.random.key(0), bins, dtype)
            return np.asarray(piecewise_forward(front.numbers, jnp.asarray(x, dtype))[1].bin)

    near = np.abs(x - bins[0]).min(axis=1) < 1e-6
    agree = (bins_of("float32") == bins_of("float64"))[:, 0]
    assert np.all(agree[~near])
    assert agree.mean() > 0.95


def test_waves_in_numpy(x64):
    """cos(2 pi w x + c) of one number and two frequencies, written out."""
    w, c, V, a = [[0.5, 2.0]], [[0.1, -1.0]], [[[1.0], [3.0]]], [[0.25]]
    p = Periodic(*map(jnp.asarray, (w, c, V, a)))
    found, _ = periodic_forward(p, jnp.asarray([[0.7]]))
    wave = np.cos(np.pi * 0.7 + 0.1) + 3 * np.cos(2.8 * np.pi - 1.0) + 0.25
    np.testing.assert_allclose(found[0, 0], [wave, 0.7], rtol=1e-14)


def test_equal_levels_of_two_columns_have_vectors_of_their_own():
    config = FrontConfig(2, categories=((0, 3), (1, 2)), category_width=2, scale=False)
    E = jnp.arange(10.0).reshape(5, 2)
    h, _ = front_forward(config, Front(E=E), jnp.array([[1.0, 1.0], [9.0, -4.0]]))
    assert h.tolist() == [[2.0, 3.0, 8.0, 9.0], [4.0, 5.0, 6.0, 7.0]]  # clipped into its own table


def test_initial_parameters():
    config = FrontConfig(
        6, numbers=(0, 1, 2), categories=((4, 300),), embedding="periodic", width=5,
        frequencies=400, sigma=0.3, members=200,
    )  # fmt: skip
    front = init_front(config, jax.random.key(0))
    w, c, V, a = map(np.asarray, front.numbers)
    assert np.std(w) == pytest.approx(0.3, rel=0.05)
    assert np.abs(c).max() <= np.pi
    assert np.std(c) == pytest.approx(np.pi / 3**0.5, rel=0.05)
    for part in (V, a):
        assert np.abs(part).max() <= 400**-0.5
        assert np.std(part) == pytest.approx((3 * 400) ** -0.5, rel=0.2)
    assert np.std(front.E) == pytest.approx(1.0, rel=0.05)
    assert np.all(np.asarray(front.s) == 1)
    assert set(np.unique(front.r)) == {-1.0, 1.0}
    assert abs(np.mean(front.r)) < 5 / front.r.size**0.5
    size = sum(leaf.size for leaf in jax.tree.leaves(front))
    assert size == config.n_parameters


def test_a_piecewise_embedding_begins_as_a_straight_line(x64):
    x = np.random.default_rng(0).normal(size=(40, 2))
    config = FrontConfig(2, numbers=(0, 1), embedding="piecewise", width=3, bins=5)
    front = init_front(config, jax.random.key(1), piecewise_bins(x, 5), "float64")
    p = front.numbers
    h, _ = front_forward(config, front, jnp.asarray(x))
    expected = (x[:, :, None] * p.w[None] + p.b[None]).reshape(len(x), -1)
    np.testing.assert_allclose(h, expected, rtol=1e-14)
    assert max(jnp.abs(p.w).max(), jnp.abs(p.b).max()) <= 3**-0.5
    constants = p.starts.size + p.widths.size
    assert sum(leaf.size for leaf in jax.tree.leaves(front)) - constants == config.n_parameters


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"numbers": (0, 3)}, "columns 0 to 2 at most once"),
        ({"numbers": (1,), "categories": ((1, 2),)}, "at most once"),
        ({"numbers": (0,), "embedding": "periodical"}, "Did you mean 'periodic'"),
        ({"members": 0}, "members is 0; give at least 1"),
        ({"embedding": "periodic", "width": 1}, "width >= 2"),
    ],
)
def test_bad_configs_are_explained(fields, message):
    with pytest.raises(ValueError, match=message):
        FrontConfig(3, **fields)


@pytest.mark.parametrize("bins", [None, (np.zeros((1, 4)), np.ones((1, 5)))])
def test_missing_and_misshapen_bins_are_explained(bins):
    config = FrontConfig(1, numbers=(0,), embedding="piecewise", bins=4)
    with pytest.raises(ValueError, match=r"of shape \(1, 4\) each; .*piecewise_bins"):
        init_front(config, jax.random.key(0), bins)
