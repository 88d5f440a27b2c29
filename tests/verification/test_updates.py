"""check_update_rule: the first step at which two rules part is named, states included."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.verification import check_update_rule

PARAMS = {"W": np.ones((3, 2)), "b": np.zeros(2)}
RULES = {
    "sgd": (lambda: jaxmlp.sgd(0.1), lambda: optax.sgd(0.1)),
    "momentum": (
        lambda: jaxmlp.momentum(0.1, dampening=False),
        lambda: optax.sgd(0.1, momentum=0.9),
    ),
    "adagrad": (
        lambda: jaxmlp.adagrad(0.1),
        lambda: optax.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8),
    ),
    "rmsprop": (lambda: jaxmlp.rmsprop(0.1), lambda: optax.rmsprop(0.1, decay=0.9, eps=1e-8)),
    "adam": (lambda: jaxmlp.adam(0.1), lambda: optax.adam(0.1)),
}


@pytest.mark.parametrize("name", sorted(RULES))
def test_our_rules_take_optax_s_steps(name, x64):
    mine, theirs = RULES[name]
    report = check_update_rule(mine(), theirs(), PARAMS, n_steps=5)
    assert report.passed, str(report)
    assert report.n_steps == 5
    if name in ("adam", "adagrad", "momentum"):
        assert report.compared


def adam_that_slips_at(step):
    """Adam as a homework has it, in numpy, wrong from a step on."""

    def init(params):
        zero = {name: np.zeros(np.shape(p)) for name, p in params.items()}
        return {"m": zero, "v": zero, "t": np.array(0)}

    def update(grads, state, params):
        t = int(state["t"]) + 1
        b2 = 0.999 if t < step else 0.99
        m = {n: 0.9 * state["m"][n] + 0.1 * np.asarray(g) for n, g in grads.items()}
        v = {n: b2 * state["v"][n] + (1 - b2) * np.asarray(g) ** 2 for n, g in grads.items()}
        updates = {
            n: -0.01 * m[n] / (1 - 0.9**t) / (np.sqrt(v[n] / (1 - 0.999**t)) + 1e-8) for n in grads
        }
        return updates, {"m": m, "v": v, "t": np.array(t)}

    return init, update


def test_numpy_rules_are_compared_by_shape_of_their_states():
    report = check_update_rule(adam_that_slips_at(99), optax.adam(0.01), PARAMS, n_steps=6)
    assert report.passed, str(report)


def test_the_first_step_that_differs_is_named():
    report = check_update_rule(adam_that_slips_at(4), optax.adam(0.01), PARAMS, n_steps=6)
    assert not report.passed
    assert report.n_steps == 3
    assert report.where.startswith("state['v']")
    assert "FAIL at step 4" in str(report)
    assert report.to_dict()["passed"] is False


def test_given_gradients_are_used():
    grads = [jax.tree.map(jnp.ones_like, PARAMS)] * 2 + [jax.tree.map(np.zeros_like, PARAMS)]
    wrong = (lambda p: (), lambda g, s, p: (jax.tree.map(lambda x: -0.2 * x, g), s))
    report = check_update_rule(wrong, optax.sgd(0.1), PARAMS, grads)
    assert (report.n_steps, report.cause) == (0, "2 x the reference")
    assert check_update_rule(wrong, optax.sgd(0.1), PARAMS, grads[2:]).passed


def test_a_rule_that_is_none_is_refused():
    with pytest.raises(TypeError, match="not a pair of functions"):
        check_update_rule(0.1, optax.sgd(0.1), PARAMS)


@pytest.mark.parametrize(
    ("params", "options", "words"),
    [
        (PARAMS, {"n_steps": 0}, "n_steps is 0, so no step was compared"),
        (PARAMS, {"grads": []}, "grads is empty, so no step was compared"),
        ({}, {}, "params has no leaves"),
    ],
)
def test_nothing_compared_is_no_pass(params, options, words):
    with pytest.raises(ValueError, match=words):
        check_update_rule(optax.sgd(0.1), optax.sgd(0.1), params, **options)
