"""Equal rules and schedules share a program; those of the past are dropped."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.optimizers import closures
from jaxmlp.optimizers.closures import shared_function
from jaxmlp.testing import assert_compiles

CONFIG = jaxmlp.MLPConfig((2, 4, 1))
X = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
NUMBER = 0.5


def make(rate, *, array=None, inner=None):
    def schedule(step, scale=1.0):
        return rate * scale + (0 if array is None else array.sum()) + (inner(step) if inner else 0)

    return schedule


class Schedule:
    """A callable of its own."""

    def __call__(self, step):
        return 0.1

    def method(self, step):
        return 0.1


ONE = Schedule()
SAME = {
    "numbers": lambda: make(0.5),
    "arrays": lambda: make(0.5, array=np.ones(3)),
    "JAX arrays": lambda: make(0.5, array=jnp.ones(3)),
    "closures in closures": lambda: make(0.5, inner=make(0.25)),
    "partial": lambda: functools.partial(make(0.5), scale=2.0),
    "optax's schedules": lambda: optax.cosine_decay_schedule(0.1, 100),
    "joined schedules": lambda: optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 100),
    "optax's rules": lambda: optax.adamw(1e-3, weight_decay=1e-2).update,
    "a chain": lambda: (
        optax.chain(optax.clip(1.0), optax.sgd(optax.linear_schedule(1, 0, 9))).update
    ),
    "a method": lambda: ONE.method,
    "a lambda": lambda: lambda step: 0.1,
    "one that reads a number": lambda: lambda step: NUMBER,
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_code_over_the_same_values_is_one_function(kind):
    first, second = SAME[kind](), SAME[kind]()
    assert shared_function(first) is shared_function(second)


OTHER = {
    "numbers": (lambda: make(0.5), lambda: make(0.25)),
    "types": (lambda: make(1), lambda: make(1.0)),
    "truths": (lambda: make(1), lambda: make(True)),
    "signs of 0": (lambda: make(0.0), lambda: make(-0.0)),
    "arrays": (lambda: make(1, array=np.ones(3)), lambda: make(1, array=np.zeros(3))),
    "dtypes": (lambda: make(1, array=np.ones(3)), lambda: make(1, array=np.ones(3, "f4"))),
    "inner closures": (lambda: make(1, inner=make(2)), lambda: make(1, inner=make(3))),
    "defaults": (lambda: functools.partial(make(1), scale=2), lambda: functools.partial(make(1))),
    "objects": (lambda: Schedule().method, lambda: Schedule().method),
    "rules": (lambda: optax.adam(1e-3).update, lambda: optax.adam(1e-2).update),
    "code": (lambda: lambda step: 0.1, lambda: lambda step: 0.2),
}


@pytest.mark.parametrize("kind", OTHER)
def test_other_values_are_another_function(kind):
    first, second = (make() for make in OTHER[kind])
    assert shared_function(first) is not shared_function(second)


def test_a_number_that_a_lambda_reads_may_change(monkeypatch):
    first = shared_function(SAME["one that reads a number"]())
    monkeypatch.setitem(globals(), "NUMBER", 0.75)
    second = shared_function(SAME["one that reads a number"]())
    assert (first is second, second(0)) == (False, 0.75)


def test_a_function_that_knows_itself():
    def make():
        def again(step):
            return again if step else 0

        return again

    assert shared_function(make()) is shared_function(make())


def fit(optimizer):
    with jax.numpy_dtype_promotion("standard"):  # optax counts on it
        return jaxmlp.fit(
            CONFIG, jaxmlp.init(CONFIG, jax.random.key(0)), (X, X[:, 0]), loss="squared_error",
            optimizer=optimizer(), epochs=2, key=jax.random.key(1),
        )  # fmt: skip


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optax.adam(1e-2),
        lambda: jaxmlp.optimizers.sgd(lambda step: 0.1),
        lambda: jaxmlp.optimizers.adam(optax.cosine_decay_schedule(0.1, 10)),
    ],
)
def test_a_new_but_equal_rule_compiles_nothing(optimizer):
    known = fit(optimizer)
    with assert_compiles(0):
        again = fit(optimizer)
    jax.tree.map(np.testing.assert_array_equal, known.params, again.params)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="memory maps are not counted here")
def test_a_loop_over_rates_does_not_use_up_the_memory_maps():
    def maps():
        return Path("/proc/self/maps").read_bytes().count(b"\n")

    before, highest = maps(), 0
    for k in range(3 * closures._KEPT):
        fit(lambda k=k: optax.sgd(1e-3 * (k + 1)))
        highest = max(highest, maps() - before)
    assert highest < 20_000
    assert maps() - before < highest
