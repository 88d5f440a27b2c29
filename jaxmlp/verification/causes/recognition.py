"""Recognising an MLP in a function of which only values and gradients are known.

Its parameters are read as layers; then activation and loss are those of the built-in ones whose
objective, c L + (l2 / 2) sum W^2 with c and l2 fitted, has the function's values at several points
and its gradient at one.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.config import MLPConfig
from jaxmlp.losses import LOSSES, Loss
from jaxmlp.messages import joined, phrase
from jaxmlp.network import forward
from jaxmlp.normalization import row_shares
from jaxmlp.types import Params
from jaxmlp.verification.causes.exchangeable import (
    CLOSE,
    FORWARD_OPTIONS,
    Pass,
    backward_with,
    close,
    forward_options,
    forward_pass,
)
from jaxmlp.verification.causes.failure import Context, fit
from jaxmlp.verification.causes.reading import Reading, readings
from jaxmlp.verification.measurement.functions import ManyPoints, Point
from jaxmlp.verification.measurement.noise import unit_of

_N_POINTS = 8
_SPREAD = 0.25  # of a parameter's own size, no farther than finite differences go
_MISFIT = 1e-6  # of the spread of the values; the gradient decides
_MAX_DROPPED = 4  # hidden layers up to which every choice of dropped ones is tried


class Recognised(NamedTuple):
    """A function that is an MLP's objective.

    Attributes:
        reading: of its parameters as layers.
        start: its forward pass.
    """

    reading: Reading
    start: Pass

    def describe(self) -> str:
        """Say what it is."""
        config, start = self.start.config, self.start
        kinds = [
            "-".join(map(str, config.layer_sizes)),
            *dict.fromkeys(phi.name for phi in config.activations[:-1]),
            phrase("batch normalization") if any(config.normalized) else "",
            "dropout" if any(config.dropped) else "",
        ]
        scale = "" if abs(start.scale - 1) < 1e-6 else f"{start.scale:.4g} x "
        penalty = f" + {start.l2 / 2:.4g} sum W^2" if start.l2 else ""
        objective = f"{scale}{start.loss.name}{penalty}"
        return phrase(
            "fn was recognised as an MLP ({kinds}) with the objective {objective}",
            kinds=joined(", ", kinds),
            objective=objective,
        )


class _Problem(NamedTuple):
    """One way to see the function: its parameters as layers, its data as examples in rows."""

    reading: Reading
    params: Params
    gradient: list[np.ndarray]
    x: Any
    y: Any
    options: Mapping[str, Any]


def recognise(
    point: Point, value: ManyPoints, true: np.ndarray, context: Context
) -> Recognised | None:
    """Find the MLP whose objective a function is, or None.

    Args:
        point: the parameters.
        value: of the function, at many points.
        true: its gradient, (n_parameters,).
        context: its other arguments, and the network's config if it is known.
    """
    own = context.config
    for reading, (x, y) in product(readings(point), _data(context)):
        if np.shape(x)[1] != reading.layer_sizes[0]:
            continue
        layers, gradient = reading.layers(point.vector), reading.leaves(reading.layers(true))
        problem = _Problem(reading, layers, gradient, x, y, context.options)
        candidates: Iterable[tuple[MLPConfig, Loss]]
        if own is None:
            candidates = _with_these_values(problem, point, value)
        elif own.layer_sizes == reading.layer_sizes:
            wide = own.replace(dtype="float64", compute_dtype=None)
            candidates = product([wide], LOSSES.values())
        else:
            continue
        for config, loss in candidates:
            start = _with_this_gradient(problem, config, loss)
            if start is not None:
                return Recognised(reading, start)
    return None


def _data(context: Context) -> Iterator[tuple[Any, Any]]:
    """Yield what may be features and targets, examples in rows, among the other arguments."""
    others = {k: v for k, v in context.options.items() if k not in FORWARD_OPTIONS}
    leaves = jax.tree.leaves((context.args, others))
    arrays = [leaf for leaf in leaves if np.ndim(leaf) in (1, 2)]
    # two different arrays come first; an autoencoder has one
    for x, y in sorted(product(arrays, arrays), key=lambda pair: pair[0] is pair[1]):
        if np.ndim(x) == 2 and len(x) == len(y):
            yield x, y
        if np.ndim(x) == 2 and x.shape[1] == y.shape[-1]:
            yield x.T, y.T


def _with_these_values(
    problem: _Problem, point: Point, value: ManyPoints
) -> Iterator[tuple[MLPConfig, Loss]]:
    """Yield networks and losses whose objective has the function's values at several points."""
    rng, shape = np.random.default_rng(0), (_N_POINTS, len(point.vector))
    points = point.vector + _SPREAD * unit_of(point) * rng.uniform(-1, 1, shape)
    values = np.asarray(value(points), np.float64)
    if not np.isfinite(values).all():
        return
    many = [problem.reading.layers(vector) for vector in points]
    penalties = np.array([0.5 * sum(float(jnp.sum(layer.W**2)) for layer in p) for p in many])
    stacked: Params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    for config in _configs(problem):
        for loss, losses in _mean_losses(problem, config, stacked):
            if np.isfinite(losses).all():
                _, misfit = fit(values, losses, penalties)
                if misfit <= _MISFIT * np.ptp(values):
                    yield config, loss


def _configs(problem: _Problem) -> Iterator[MLPConfig]:
    """Yield the networks that the parameters may belong to."""
    reading, n_hidden = problem.reading, problem.reading.n_layers - 1
    tried = "key" in problem.options and 0 < n_hidden <= _MAX_DROPPED
    dropped = product((True, False), repeat=n_hidden) if tried else [(False,) * n_hidden]
    for dropout, activation in product(dropped, ACTIVATIONS if n_hidden else ["relu"]):
        yield MLPConfig(
            reading.layer_sizes,
            activation,
            batch_norm=reading.normalized[:-1],
            dropout=dropout,
            dtype="float64",
            parametric_activation=reading.parametric[:-1],
        )


def _mean_losses(
    problem: _Problem, config: MLPConfig, params: Params
) -> Iterator[tuple[Loss, np.ndarray]]:
    """Yield each loss that suits the targets, with its mean for each of several parameters."""
    options = problem.options

    def mean(loss: Loss, outputs: Array) -> Array:
        chosen = options.get("loss_options") or {}
        values, _ = loss.value_and_grad(outputs, problem.y, **chosen)
        share = row_shares(len(values), options.get("sample_weight"), values.dtype)
        return jnp.sum(share * values)

    def logits(params: Params) -> Array:
        return forward(config, params, problem.x, **forward_options(options))[0]

    try:
        outputs = jax.vmap(logits)(params)
    except Exception:  # an option that means something else in this function
        return
    for loss in LOSSES.values():
        try:
            losses = np.asarray(jax.vmap(partial(mean, loss))(outputs))
        except Exception:  # targets of another kind, options of another loss
            continue
        yield loss, losses


def _with_this_gradient(problem: _Problem, config: MLPConfig, loss: Loss) -> Pass | None:
    """Run the forward pass if some c L + (l2 / 2) sum W^2 has the function's gradient."""
    true, leaves = problem.gradient, problem.reading.leaves
    try:
        start = forward_pass(config, loss, problem.params, problem.x, problem.y, problem.options)
        grads = leaves(backward_with(start))
    except Exception:  # as above
        return None
    zeros: Params = jax.tree.map(jnp.zeros_like, problem.params)
    alone = (zero._replace(W=p.W) for zero, p in zip(zeros, problem.params, strict=True))
    weights = leaves(tuple(alone))
    flat = [np.concatenate([leaf.ravel() for leaf in part]) for part in (true, grads, weights)]
    (scale, l2), _ = fit(*flat)
    if abs(l2) * np.abs(flat[2]).max() < CLOSE * np.abs(flat[0]).max():
        l2 = 0.0
    if not close([scale * g + l2 * w for g, w in zip(grads, weights, strict=True)], true):
        return None
    return start._replace(scale=float(scale), l2=float(l2), d_outputs=scale * start.d_outputs)
