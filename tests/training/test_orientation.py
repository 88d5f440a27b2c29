"""Examples in columns within the loop, and the loop of a tiny network as one kernel."""

import subprocess
import sys
import textwrap
from dataclasses import replace
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp import products
from jaxmlp.diagnostics import Diagnostics
from jaxmlp.optimizers import (
    clip_by_global_norm,
    clip_by_value,
    l2_sp,
    scale_by_layer,
)
from jaxmlp.optimizers.base import is_entrywise
from jaxmlp.training import options

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 5)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int32) + (X[:, 2] > 1)
KEY = jax.random.key(0)


def train(monkeypatch, turned, config, **changes):
    monkeypatch.setattr(options, "_turns_pay", lambda config, gradient: turned)
    settings = {
        "loss": "softmax_cross_entropy", "optimizer": jaxmlp.adam(1e-2), "epochs": 3, "key": KEY,
        "batch_size": 32, "validation_data": (X[:40], Y[:40]),
    }  # fmt: skip
    params = jaxmlp.init(config, jax.random.key(1))
    return jaxmlp.fit(config, params, (X, Y), **settings | changes)


RULES = {
    "adam": jaxmlp.adam(1e-2),
    "adamw": jaxmlp.adamw(1e-2, weight_decay=0.1),
    "sgd": jaxmlp.sgd(0.1),
    "momentum": jaxmlp.momentum(0.05),
    "nesterov": jaxmlp.nesterov(0.05),
    "rmsprop": jaxmlp.rmsprop(1e-3),
    "adagrad": jaxmlp.adagrad(0.05),
    "clip": jaxmlp.chain(clip_by_global_norm(0.5), clip_by_value(0.1), jaxmlp.sgd(0.1)),
    "layers": jaxmlp.chain(l2_sp(0.1, 0.1), jaxmlp.adam(1e-2), scale_by_layer((0.1, 0.5, 1.0))),
}


@pytest.mark.parametrize("rule", RULES)
def test_columns_learn_what_rows_learn_under_every_rule(monkeypatch, rule):
    config = jaxmlp.MLPConfig((5, 7, 6, 3), activation="tanh")
    assert is_entrywise(RULES[rule])
    rows, columns = (train(monkeypatch, t, config, optimizer=RULES[rule]) for t in (False, True))
    for one, other in zip(
        jax.tree.leaves((rows.params, rows.optimizer_state)),
        jax.tree.leaves((columns.params, columns.optimizer_state)), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(
        rows.history["validation_loss"], columns.history["validation_loss"], rtol=1e-4
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"sample_weight": RNG.uniform(size=150)},
        {"l2": 0.1, "frozen": (0,)},
        {"early_stopping": jaxmlp.EarlyStopping(patience=1)},
        {"batch_size": None},
        {"diagnostics": Diagnostics(every=2)},
    ],
    ids=["weights", "frozen", "early", "all rows", "diagnostics"],
)
def test_columns_go_with_every_option(monkeypatch, changes):
    config = jaxmlp.MLPConfig(
        (5, 7, 6, 3), activation=("relu", "gelu"), batch_norm=(True, False), dropout=(False, True),
    )  # fmt: skip
    rows, columns = (train(monkeypatch, turned, config, **changes) for turned in (False, True))
    for one, other in zip(
        jax.tree.leaves((rows.params, rows.state, rows.probed)),
        jax.tree.leaves((columns.params, columns.state, columns.probed)), strict=True,
    ):  # fmt: skip
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-3)


def test_foreign_rules_see_matrices_as_they_are(monkeypatch):
    """Adafactor keeps means of rows and of columns, which it must not take for one another."""
    rule = optax.adafactor(0.01, min_dim_size_to_factor=2)
    assert not is_entrywise(jaxmlp.as_optimizer(rule))
    assert not is_entrywise(jaxmlp.chain(rule, jaxmlp.sgd(1.0)))
    config = jaxmlp.MLPConfig((5, 7, 3))
    rows, columns = (train(monkeypatch, turned, config, optimizer=rule) for turned in (False, True))
    for one, other in zip(
        jax.tree.leaves(rows.params), jax.tree.leaves(columns.params), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_members_of_a_sweep_lie_in_columns_too(monkeypatch):
    config, losses = jaxmlp.MLPConfig((5, 7, 3)), {}
    for turned in (False, True):
        monkeypatch.setattr(options, "_turns_pay", lambda config, gradient, t=turned: t)
        found = jaxmlp.sweep(
            config, (X, Y), grid={"learning_rate": [1e-3, 1e-2], "seed": [0, 1]}, epochs=2,
            key=KEY, loss="softmax_cross_entropy", batch_size=32,
        )  # fmt: skip
        losses[turned] = [found.history(i)["train_loss"] for i in range(4)]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-5)


def test_products_in_columns_are_those_of_rows():
    h, W, b, d = (
        jnp.asarray(RNG.normal(size=s), jnp.float32) for s in ((9, 4), (4, 3), (3,), (9, 3))
    )

    def all_of_them():
        return (
            products.affine(h, W, b), products.affine(h, W, None), products.back_product(d, W),
            products.rows_product(h, d, jnp.float32), products.written(h),
            products.each_entry(lambda h, b: h + b, d, b[None, :]),
        )  # fmt: skip

    rows = all_of_them()
    with products.in_columns():
        columns = all_of_them()
    for one, other in zip(rows, columns, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("parametric", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_hidden_layers_are_written_in_columns_and_never_turned(activation, parametric):
    """One transpose more, to and fro, takes as long as the rest of the step in jax 0.11."""
    config = jaxmlp.MLPConfig((5, 17, 3), activation, parametric_activation=parametric)
    x, y = jnp.asarray(X[:29]), jnp.asarray(Y[:29])

    def gradient(params):
        with products.in_columns():
            grads = jaxmlp.value_and_grad(config, "softmax_cross_entropy")(params, x, y)[1]
        return products.turn(grads)

    params = jaxmlp.init(config, jax.random.key(0))
    program = jax.jit(gradient).lower(params).compile().as_text()
    assert "f32[17,29]{1,0}" in program
    assert "f32[29,17]{1,0}" not in program  # rows
    assert "f32[17,29]{0,1}" not in program  # columns that lie as rows


def test_what_would_turn_to_and_fro_stays_in_rows():
    narrow, wide = jaxmlp.MLPConfig((64, 128, 10)), jaxmlp.MLPConfig((64, 512, 10))
    on_cpu = jax.default_backend() == "cpu"
    assert options._turns_pay(narrow, "manual") == on_cpu
    assert not options._turns_pay(wide, "manual")
    assert not options._turns_pay(narrow, "autodiff")
    assert not options._turns_pay(replace(narrow, batch_norm=True), "manual")
    assert not options._turns_pay(replace(narrow, dropout=True), "manual")


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


OLDER_EMITTER = "xla_cpu_disable_new_fusion_emitters"

TINY = """
    import jax, numpy as np, jaxmlp
    {}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    for extra in (
        {{}}, {{"batch_norm": True}}, {{"dropout": True}}, {{"activation": "gelu"}},
    ):
        config = jaxmlp.MLPConfig((2, 6, 2), **extra)
        for options in (
            {{}}, {{"sample_weight": rng.uniform(size=90)}}, {{"gradient": "autodiff"}},
            {{"early_stopping": jaxmlp.EarlyStopping(patience=2), "validation_data": (x, y)}},
        ):
            result = jaxmlp.fit(
                config, jaxmlp.init(config, jax.random.key(0)), (x, y), epochs=3, batch_size=16,
                loss="softmax_cross_entropy", optimizer=jaxmlp.adam(1e-2), key=jax.random.key(1),
                **options,
            )
            print(*(f"{{v:.9g}}" for leaf in jax.tree.leaves(result.params) for v in leaf.ravel()))
    print("one kernel", config.layer_sizes == (2, 6, 2) and {})
"""


@pytest.mark.slow
def test_one_kernel_computes_what_many_do():
    """Sixteen settings, in processes of their own, for XLA reads its settings once."""
    question = "__import__('jaxmlp.cpu').cpu.runs_as_one_kernel(config, 16)"
    tuned = run(TINY.format("jaxmlp.tune_cpu(); jaxmlp.tune_cpu()", question)).splitlines()
    plain = run(TINY.format("", question)).splitlines()
    assert (tuned[-1], plain[-1]) == ("one kernel True", "one kernel False")
    assert len(tuned) == 17
    for one, other in zip(tuned[:-1], plain[:-1], strict=True):
        np.testing.assert_allclose(
            np.array(one.split(), float), np.array(other.split(), float), atol=2e-6, rtol=1e-4
        )


@pytest.mark.slow
def test_flags_of_the_environment_are_kept_and_a_late_call_is_refused():
    said = run("""
        import os
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_enable_fast_math=false --xla_backend_extra_options=xla_cpu_disable_x=1"
        )
        import jaxmlp
        jaxmlp.tune_cpu()
        print(os.environ["XLA_FLAGS"])
    """)
    kept, extra = said.split()
    assert kept == "--xla_cpu_enable_fast_math=false"
    assert extra.split(",")[:2] == [
        "--xla_backend_extra_options=xla_cpu_disable_x=1",
        "xla_cpu_small_while_loop_byte_threshold=100000",
    ]
    # With jaxlib 0.10 steps would take longer.
    older = [] if metadata.version("jaxlib").startswith("0.10.") else [OLDER_EMITTER]
    assert extra.split(",")[2:] == older
    said = run("""
        import jax, jaxmlp
        jax.numpy.ones(1).block_until_ready()
        try:
            jaxmlp.tune_cpu()
        except RuntimeError as error:
            print(error)
    """)
    assert said.startswith("JAX has computed something already")
