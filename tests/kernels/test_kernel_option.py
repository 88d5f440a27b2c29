"""`kernel="fused"` in `fit` and in sweeps, interpreted, against the compiler's own programs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import pallas

import jaxmlp
from jaxmlp import Diagnostics, MLPConfig
from jaxmlp.data import load_digits
from jaxmlp.kernels.resident import resident_loop
from jaxmlp.sweeps import cross_validate, sweep
from jaxmlp.training.options import DEFAULTS, check_options

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="of interpreted kernels; a GPU has test_compiled_kernels"
)
CONFIG = MLPConfig((4, 16, 3), "tanh")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(75, 4))
Y = RNG.integers(0, 3, 75)
COMMON = {"loss": "softmax_cross_entropy", "epochs": 2, "batch_size": 16}


def largest_difference(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.max(np.abs(np.asarray(x) - np.asarray(y)))) for x, y in pairs)


def pallas_calls(kernel):
    """How often the program of one step calls a kernel."""
    calls = []
    real = pallas.pallas_call

    def counted(*args, **options):
        calls.append(args)
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pallas, "pallas_call", counted)
        params = jaxmlp.init(CONFIG.replace(activation="gelu"), jax.random.key(0))
        jaxmlp.fit(
            CONFIG.replace(activation="gelu"), params, (X, Y), key=jax.random.key(0), kernel=kernel,
            optimizer=jaxmlp.sgd(0.1), **COMMON,
        )  # fmt: skip
    return len(calls)


def test_auto_is_the_compiler_and_fused_is_the_kernel():
    assert pallas_calls("auto") == 0
    assert pallas_calls("fused") > 0


def test_fit_on_digits_has_the_same_history():
    digits = load_digits()
    x, y = digits.x / 16, digits.y
    config = MLPConfig((64, 32, 10))
    params = jaxmlp.init(config, jax.random.key(0))

    def train(kernel):
        return jaxmlp.fit(
            config, params, (x[:1437], y[:1437]), loss="softmax_cross_entropy", epochs=2,
            optimizer=jaxmlp.adam(1e-3), key=jax.random.key(1), kernel=kernel, l2=1e-4,
            validation_data=(x[1437:], y[1437:]),
        )  # fmt: skip

    xla, fused = train("xla"), train("fused")
    for name in set(xla.history) - {"seconds"}:
        np.testing.assert_allclose(fused.history[name], xla.history[name], rtol=0, atol=1e-5)
    assert largest_difference(xla.params, fused.params) < 1e-4


def run_both(function, **options):
    found = []
    for kernel in ("xla", "fused"):
        options["kernel"] = kernel
        found.append(function(CONFIG, (X, Y), key=jax.random.key(1), **COMMON | options))
    return found


@pytest.mark.parametrize(
    "case",
    [
        {"grid": {"learning_rate": [1e-3, 1e-2], "seed": [0, 1]}},
        {"grid": {"learning_rate": [1e-2, 3e-2]}, "shared_batches": True, "l2": 0.01,
         "sample_weight": (np.arange(75) % 3 > 0).astype(float)},
        {"grid": {"learning_rate": [0.1, 0.5], "l2": [0.0, 0.1]}, "optimizer": jaxmlp.momentum,
         "executor": "chunks of 2"},
        {"grid": {"activation": ["relu", "silu"]}, "optimizer": optax.sgd(0.1, momentum=0.9)},
    ],
    ids=["adam", "shared and weighted", "momentum in chunks", "optax and two shapes"],
)  # fmt: skip
def test_members_that_stay_on_a_multiprocessor_learn_the_same(case):
    xla, fused = run_both(sweep, **case)
    assert np.abs(xla.metrics - fused.metrics).max() < 1e-4
    for i in range(len(xla)):
        assert largest_difference(xla.member(i).params, fused.member(i).params) < 1e-4


def test_folds_are_read_through_their_tables():
    xla, fused = run_both(cross_validate, folds=3, grid={"learning_rate": [1e-2]})
    assert np.abs(xla.metrics - fused.metrics).max() < 1e-4


def test_a_member_that_diverges_leaves_the_others_alone():
    grid = {"learning_rate": [1e-2, 1e30]}
    xla, fused = run_both(sweep, grid=grid, optimizer=jaxmlp.sgd)
    assert fused.status == xla.status
    assert largest_difference(xla.member(0).params, fused.member(0).params) < 1e-4


def test_the_loop_is_that_of_fori_loop():
    table = jnp.asarray(RNG.normal(size=(7, 2)), jnp.float32)

    def step(i, carry, factor, table):
        return {"sum": carry["sum"] + factor * table[i], "turns": carry["turns"] + 1}

    start = {"sum": jnp.zeros(2), "turns": jnp.int32(0)}
    found = resident_loop(step, start, jnp.float32(2), table, 1, 6)
    assert found["turns"] == 5
    np.testing.assert_allclose(found["sum"], 2 * table[1:6].sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("config", "options", "what"),
    [
        (CONFIG.replace(dropout=True), {}, "dropout"),
        (CONFIG.replace(batch_norm=True), {}, "batch normalization"),
        (CONFIG, {"frozen": (0,)}, "frozen layers"),
        (CONFIG, {"gradient": "autodiff"}, "gradient='autodiff'"),
        (CONFIG, {"probe": lambda *parts: parts[2]}, "probe"),
        (CONFIG, {"diagnostics": Diagnostics()}, "diagnostics"),
        (CONFIG, {"distributed": True}, "distributed"),
    ],
)
def test_what_the_kernels_do_not_serve_is_refused(config, options, what):
    with pytest.raises(ValueError, match=f"does not serve {what}; leave kernel at 'auto'"):
        check_options(config, (X, Y), COMMON["loss"], {**DEFAULTS, "kernel": "fused", **options})


def test_a_sweep_over_widths_is_refused_before_it_trains():
    with pytest.raises(ValueError, match="a layer of 200 units"):
        sweep(
            CONFIG, (X, Y), key=jax.random.key(0), kernel="fused",
            grid={"hidden_layer_sizes": [(8,), (200,)]}, **COMMON,
        )  # fmt: skip


FACTOR = jnp.arange(1.0, 2.0)


def stretched(z):
    return FACTOR[0].astype(z.dtype) * z


@pytest.mark.parametrize("train", [jaxmlp.fit, sweep])
def test_an_activation_with_an_array_of_its_own_is_refused(train):
    config = CONFIG.replace(activation=jaxmlp.Activation.from_function("stretched", stretched))
    own = {"grid": {"learning_rate": [0.1]}} if train is sweep else {"optimizer": jaxmlp.sgd(0.1)}
    params = () if train is sweep else (jaxmlp.init(config, jax.random.key(0)),)
    with pytest.raises(ValueError, match="does not serve an activation, a loss or an update rule"):
        train(config, *params, (X, Y), key=jax.random.key(0), kernel="fused", **COMMON, **own)


def test_an_unknown_kernel_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown kernel 'fusd'\. Did you mean 'fused'\?"):
        check_options(CONFIG, (X, Y), COMMON["loss"], {**DEFAULTS, "kernel": "fusd"})
