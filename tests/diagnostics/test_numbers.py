"""Chance level, conditioning and rounding, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import load_digits
from jaxmlp.diagnostics import precision_report
from jaxmlp.diagnostics.chance import chance_level
from jaxmlp.diagnostics.conditioning import conditioning

RNG = np.random.default_rng(0)
LABELS = np.array([0] * 50 + [1] * 30 + [2] * 20, np.int32)
AMOUNTS = RNG.normal(3.0, 2.0, size=(100, 2)).astype(np.float32)
COUNTS = RNG.poisson(4.0, 100).astype(np.float32)


@pytest.mark.parametrize(
    ("loss", "targets", "n_out", "expected"),
    [
        ("softmax_cross_entropy", np.arange(10, dtype=np.int32), 10, np.log(10)),
        (
            "softmax_cross_entropy",
            LABELS,
            3,
            -0.5 * np.log(0.5) - 0.3 * np.log(0.3) - 0.2 * np.log(0.2),
        ),
        ("sigmoid_binary_cross_entropy", LABELS % 2, 1, -0.3 * np.log(0.3) - 0.7 * np.log(0.7)),
        ("squared_error", AMOUNTS, 2, 0.5 * AMOUNTS.var(axis=0).sum()),
        (
            "absolute_error",
            AMOUNTS,
            2,
            np.abs(AMOUNTS - np.median(AMOUNTS, axis=0)).mean(axis=0).sum(),
        ),
        ("poisson", COUNTS, 1, np.mean(COUNTS.mean() - COUNTS * np.log(COUNTS.mean()))),
    ],
)
def test_chance_level(loss, targets, n_out, expected):
    found = chance_level(jaxmlp.LOSSES[loss], jnp.asarray(targets), n_out)
    constant = 0.0
    if (
        loss == "poisson"
    ):  # up to a constant of the targets alone, which libraries treat differently
        values, _ = jaxmlp.LOSSES[loss].value_and_grad(jnp.zeros((100, 1)), jnp.asarray(targets))
        constant = float(np.mean(values)) - 1.0
    np.testing.assert_allclose(found - constant, expected, rtol=1e-5)


def rotation(n, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


def test_conditioning_of_known_spectra():
    """Independent of rotation and offset; equal to the ratio of variances that carry signal."""
    z = RNG.normal(size=(2000, 4))
    scale = np.array([1.0, 0.3, 0.1, 0.01])
    y = z.sum(axis=1, keepdims=True)
    plain = conditioning(z * scale, y)
    np.testing.assert_allclose(plain.condition_number, 1e4, rtol=0.15)
    np.testing.assert_allclose(plain.signal, 1.0, atol=0.01)
    covariance = np.linalg.eigvalsh(np.cov((z * scale).T))
    np.testing.assert_allclose(plain.plain, covariance[-1] / covariance[0], rtol=1e-6)
    turned = conditioning(z * scale @ rotation(4) + 7.0, y)
    np.testing.assert_allclose(turned.condition_number, plain.condition_number, rtol=1e-6)


def test_directions_that_say_nothing_do_not_count():
    z = RNG.normal(size=(2000, 4))
    scale = np.array([1.0, 0.3, 1e-4, 0.0])  # the last column is constant
    found = conditioning(z * scale, z[:, :2].sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.condition_number, 1 / 0.09, rtol=0.2)
    noise = conditioning(z, RNG.normal(size=(2000, 1)))
    assert (noise.condition_number, noise.signal) == (1.0, 0.0)
    assert conditioning(np.ones((5, 2)), np.ones((5, 1))).signal == 0


def test_digits_are_well_conditioned_where_it_counts():
    """Their constant pixels make the plain condition number infinite."""
    digits = load_digits()
    found = conditioning(digits.x / 16, np.eye(10)[digits.y])
    assert found.plain > 1e20  # 0 but for rounding
    assert found.condition_number < 100


def test_rounding_of_a_difference_by_hand():
    """x = 1000 + small through W = (1, -1): float32 keeps what rounding x leaves of the small."""
    config = jaxmlp.MLPConfig((2, 1))
    params = (jaxmlp.Layer(jnp.array([[1.0], [-1.0]]), jnp.zeros(1)),)
    small = RNG.normal(size=(50, 2))
    x = 1000 + small
    report = precision_report(config, params, (x, np.zeros((50, 1))), "squared_error")
    rows = {(row.dtype, row.tensor): row for row in report.rows}
    exact = x[:, 0] - x[:, 1]
    rounded = x.astype(np.float32)
    difference = (rounded[:, 0] - rounded[:, 1]).astype(float)
    error = np.linalg.norm(difference - exact) / np.linalg.norm(exact - exact.mean())
    found = rows["float32", "outputs"]
    np.testing.assert_allclose(found.relative_error, error, rtol=1e-6)
    np.testing.assert_allclose(found.digits, -np.log10(error), rtol=1e-6)
    assert 2 < found.lost < 4  # 1000 / 1 is three digits
    assert report.worst("float32") == found
    assert rows["bfloat16", "outputs"].digits < 0.5  # steps of 4 at 1000: nothing is left
    assert "float32 loses most at layer 0 (outputs)" in str(report)
    with pytest.raises(ValueError, match="unknown precision 'float64'"):
        precision_report(config, params, (x, x[:, :1]), "squared_error", precisions=["float64"])


@pytest.mark.slow
def test_rounding_alone_costs_about_the_unit_of_each_precision():
    config = jaxmlp.MLPConfig((8, 16, 16, 3), activation="tanh")
    params = jaxmlp.init(config, jax.random.key(0))
    data = RNG.normal(size=(32, 8)), RNG.integers(0, 3, 32)
    report = precision_report(config, params, data, "softmax_cross_entropy")
    assert len(report.rows) == 2 * 6
    for row in report.rows:
        unit = {"float32": 2.0**-24, "bfloat16": 2.0**-8}[row.dtype]
        assert 0.05 * unit < row.relative_error < 10 * unit, row
