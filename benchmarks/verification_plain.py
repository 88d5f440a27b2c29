"""The planted bugs in plain functions: parameters in (W, b) pairs, penalties closed over.

Nothing of the library is in the function that is checked, and no config is given.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.verification_backward import Architecture
from benchmarks.verification_mutants import Mutant
from jaxmlp.types import Layer
from jaxmlp.verification import GradientReport, check_gradients


class Plain(NamedTuple):
    """A network's objective written by hand.

    Attributes:
        fn: (pairs, x, targets, **options) -> value.
        targets: as it wants them.
        options: its keyword arguments.
    """

    fn: Callable[..., Any]
    targets: Any
    options: dict[str, Any]


def plain(case: Architecture) -> Plain | None:
    """Return the plain form of an architecture, or None where there is none (batch norm)."""
    l2 = case.options["l2"]
    if case.name == "classifier":
        smooth = case.options["loss_options"]["label_smoothing"]
        one_hot = jax.nn.one_hot(case.y, case.config.layer_sizes[-1])
        targets = (1 - smooth) * one_hot + smooth / one_hot.shape[1]
        return Plain(lambda p, x, y: _cross_entropy(p, x, y) + _penalty(p, l2), targets, {})
    if case.name == "regressor":
        options = {"sample_weight": case.options["sample_weight"]}
        return Plain(lambda p, x, y, **o: _squares(p, x, y, **o) + _penalty(p, l2), case.y, options)
    return None


def check_plain_mutant(mutant: Mutant, case: Architecture) -> GradientReport | None:
    """Check one bug in the plain form."""
    form = plain(case)
    if form is None:
        return None
    backward = mutant.backward(case)

    def claim(pairs: Any, x: Any, targets: Any, **options: Any) -> Any:
        value, grads = backward(tuple(Layer(*pair) for pair in pairs), x, case.y, **case.options)
        return value, [(layer.W, layer.b) for layer in grads]

    pairs = [(layer.W, layer.b) for layer in case.params]
    return check_gradients(claim, form.fn, pairs, case.x, form.targets, kwargs=form.options)


def _cross_entropy(pairs: Any, x: Any, y: Any) -> Any:
    *hidden, (W, b) = pairs
    for V, c in hidden:
        x = jnp.tanh(x @ V + c)
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(x @ W + b), axis=1))


def _squares(pairs: Any, x: Any, y: Any, sample_weight: Any) -> Any:
    *hidden, (W, b) = pairs
    for V, c in hidden:
        z = x @ V + c
        x = jnp.where(z > 0, z, 0.0)
    errors = 0.5 * jnp.sum((x @ W + b - y) ** 2, axis=1)
    return jnp.sum(sample_weight * errors) / jnp.sum(sample_weight)


def _penalty(pairs: Any, l2: float) -> Any:
    return 0.5 * l2 * sum(jnp.sum(W**2) for W, _ in pairs)
