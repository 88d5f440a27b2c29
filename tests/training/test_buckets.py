"""Data of similar size share a program, and what is learnt does not know of the padding."""

from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.testing import assert_compiles
from jaxmlp.training import fit_steps, initial_carry
from jaxmlp.training.data import bucket, prepare_data
from jaxmlp.training.options import prepare_settings
from jaxmlp.training.program import Program
from jaxmlp.training.stopping import EarlyStopping

CONFIG = jaxmlp.MLPConfig((3, 8, 2), "tanh")
PARAMS = jaxmlp.init(CONFIG, jax.random.key(0))
RULE = jaxmlp.adam(1e-2)
LOSS = "softmax_cross_entropy"
ENDLESS = EarlyStopping(patience=1 << 30)


def make_data(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3))
    return x, (x.sum(axis=1) > 0).astype(int)


def train(data, **options):
    settings = {"loss": LOSS, "optimizer": RULE, "epochs": 3, "key": jax.random.key(1)}
    return jaxmlp.fit(CONFIG, PARAMS, data, **{**settings, **options})


@pytest.mark.parametrize("n_rows", [65, 100, 137, 300])
@pytest.mark.parametrize("weighted", [False, True])
def test_padding_changes_no_bit(n_rows, weighted):
    """`fit` beside the compiled core on the very rows, without padding."""
    data = make_data(n_rows)
    weight = np.random.default_rng(1).random(n_rows) if weighted else None
    result = train(data, sample_weight=weight)
    loss = jaxmlp.LOSSES[LOSS]
    program, unpadded = (
        Program(CONFIG, loss, 64, turned=True),
        prepare_data(CONFIG, loss, data, weight),
    )
    assert len(unpadded.x) == n_rows < bucket(n_rows)
    settings = prepare_settings(loss, jax.random.key(1), stopping=ENDLESS, dropout_rate=0.5)
    spe = -(-n_rows // 64)
    carry, records = jax.jit(fit_steps)(
        program, RULE, initial_carry(program, RULE, PARAMS, ()), unpadded, None, settings,
        spe, 0, 3 * spe,
    )  # fmt: skip
    for got, expected in zip(
        jax.tree.leaves(result.params), jax.tree.leaves(carry.params), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(result.history["train_loss"], records.metrics[:3, 0])


@pytest.mark.parametrize("n_rows", [20, 100])
def test_a_batch_of_all_rows_is_padded_too(n_rows):
    """Its products are longer, so the last bits may differ from those without padding."""
    data = make_data(n_rows)
    J = jaxmlp.objective(CONFIG, LOSS)
    params, x = PARAMS, np.float32(data[0])
    for _ in range(3):
        params = jax.tree.map(
            lambda p, g: p - np.float32(0.1) * g, params, jax.grad(J)(params, x, data[1])
        )
    result = train(data, batch_size=None, optimizer=jaxmlp.sgd(0.1))
    for got, expected in zip(jax.tree.leaves(result.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_sizes_within_a_bucket_share_a_program():
    validation = make_data(40, seed=2)
    for batch_size in (64, None):
        train(make_data(200), batch_size=batch_size, validation_data=validation)
    with assert_compiles(0):
        for n_rows in (129, 177, 256):
            train(make_data(n_rows), validation_data=make_data(33 + n_rows // 10, seed=2))
            train(make_data(n_rows), batch_size=None, validation_data=validation)


def test_folds_within_a_bucket_share_a_program():
    def validate(n_rows):
        return jaxmlp.cross_validate(
            CONFIG, make_data(n_rows), loss=LOSS, epochs=2, key=jax.random.key(0), folds=3
        )

    validate(250)
    with assert_compiles(0):
        validate(201), validate(222)  # 134 to 167 rows to train on, 67 to 84 to test on


@pytest.mark.slow
def test_a_process_of_many_sizes_stays_small():
    """200 sizes: Linux allows 65,530 memory maps, and a program takes about a hundred."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("counts memory maps, which only Linux shows")
    rng = np.random.default_rng(0)
    sizes = rng.integers(10, 2000, 200)
    for n_rows in (*sizes[:60], *sorted({bucket(n) for n in sizes.tolist()})):
        train(make_data(n_rows), epochs=1)
    before = maps.read_bytes().count(b"\n")
    with assert_compiles(0):
        for n_rows in sizes[60:]:
            train(make_data(n_rows), epochs=1)
    assert maps.read_bytes().count(b"\n") < before + 100
