"""What `jaxmlp verify` checks of networks for tables: right parts pass, slips are named."""

import jax
import jax.numpy as jnp
import pytest

from jaxmlp import FrontConfig, MLPConfig, TabularConfig, check_gradients, front, tabular_network
from jaxmlp.verification import input_side
from jaxmlp.verification.input_side import check_input_side
from jaxmlp.verification.report import Verdict

RIGHT = {
    name: getattr(front, name)
    for name in (
        "periodic_backward", "piecewise_backward", "category_backward", "members_backward",
        "_lower_triangle",
    )
}  # fmt: skip


def sign_of_the_sine(p, cache, G):
    grads, d_x = RIGHT["periodic_backward"](p, cache, G)
    return grads._replace(w=-grads.w, c=-grads.c), d_x


def forgotten_phase(p, cache, G):
    grads, d_x = RIGHT["periodic_backward"](p, cache, G)
    return grads._replace(c=jnp.zeros_like(grads.c)), d_x


def no_sum_over_the_bins_below(p, cache, G):
    right = front._lower_triangle
    front._lower_triangle = lambda T, dtype: jnp.zeros((T, T), dtype)
    try:
        return RIGHT["piecewise_backward"](p, cache, G)
    finally:
        front._lower_triangle = right


def no_slope_of_the_bin(p, cache, G):
    grads, _ = RIGHT["piecewise_backward"](p, cache, G)
    return grads, jnp.einsum("bdm,dm->bd", G, p.w)


def levels_overwrite_each_other(E, levels, G):
    return jnp.zeros_like(E).at[levels.ravel()].set(G.reshape(-1, E.shape[1]))


def signs_without_the_scale(s, r, e, G):
    d_s, _, d_e = RIGHT["members_backward"](s, r, e, G)
    return d_s, jnp.einsum("kbn,bn->kn", G.reshape(len(r), *e.shape), e), d_e


SLIPS = {
    "periodic embedding": ("periodic_backward", [sign_of_the_sine, forgotten_phase]),
    "piecewise embedding": (
        "piecewise_backward", [no_sum_over_the_bins_below, no_slope_of_the_bin]
    ),
    "categories": ("category_backward", [levels_overwrite_each_other]),
    "scale and signs of members": ("members_backward", [signs_without_the_scale]),
}  # fmt: skip


def test_the_input_side_passes():
    reports = check_input_side()
    assert set(SLIPS) < set(reports)
    assert all(report.passed for report in reports.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "slip"),
    [(part, slip) for part, (_, slips) in SLIPS.items() for slip in slips],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_slip_fails_its_part_alone(part, slip, monkeypatch):
    monkeypatch.setattr(front, SLIPS[part][0], slip)
    parts = {name: input_side._PARTS[name] for name in SLIPS}
    monkeypatch.setattr(input_side, "_PARTS", parts)
    reports = check_input_side()
    assert {name for name, report in reports.items() if report.verdict is Verdict.FAIL} == {part}


@pytest.mark.slow
@pytest.mark.parametrize("embedding", ["piecewise", "periodic", None])
def test_users_check_a_whole_network(embedding, x64):
    """Bins are held constant: jax.grad says 0 of them, as the gradient by hand does."""
    config = FrontConfig(
        2, numbers=(0,), embedding=embedding, width=3, bins=3, frequencies=2, members=2
    )
    network = TabularConfig(config, MLPConfig((config.n_out, 4, 1), "tanh", dtype="float64"))
    bins = jnp.asarray([[-1.0, 0.0, 0.5]]), jnp.asarray([[1.0, 0.5, 1.0]])
    params = tabular_network.init(network, jax.random.key(0), bins)
    x, y = jax.random.normal(jax.random.key(1), (6, 2)), jnp.ones((6, 1))
    claim = tabular_network.value_and_grad(network, "squared_error")
    J = tabular_network.objective(network, "squared_error")
    assert check_gradients(claim, J, params, x, y, kwargs={"l2": 0.1}).passed

    def wrong(params, *data, **options):
        value, grads = claim(params, *data, **options)
        return value, grads._replace(front=jax.tree.map(jnp.negative, grads.front))

    report = check_gradients(wrong, J, params, x, y)
    assert report.failures
    assert all("front" in leaf.name for leaf in report.failures)
