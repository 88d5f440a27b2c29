"""What fine-tuning asks of an update rule: rates by layer, and a pull back to the start."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp.optimizers.base import Optimizer, cast, entrywise, hyperparameter, make_optimizer
from jaxmlp.types import Params, PyTree, ScalarLike


class ScaleState(NamedTuple):
    """Scaling remembers nothing."""


class _Hyper(NamedTuple):
    factors: Any


class StartState(NamedTuple):
    """The parameters before the first step."""

    start: PyTree


class _PullHyper(NamedTuple):
    alpha: Any
    beta: Any
    new_layers: Any


def scale_by_layer(factors: ScalarLike | tuple[ScalarLike, ...]) -> Optimizer:
    """Multiply each layer's updates: Delta^(l) <- s_l Delta^(l).

    After a rule, as in chain(adam(1e-3), scale_by_layer(0.4)), layer l trains with the rate s_l
    times the rule's.

    Args:
        factors: s_l for each layer that trains, lowest first; or one number s, for s_l = s^(L-l):
            the highest layer has the full rate, and each one below s times the one above.

    Returns:
        A transformation for `chain`; its factors are leaves.

    Raises:
        ValueError: for a negative factor; from `update`, if there is not one for each layer.
        TypeError: for what is no number, or updates that are not a tuple of layers.

    Differences: frozen layers count as absent, since `fit` shows an optimizer only the layers that
        train. `optax.partition` gives every label a rule and a state of its own; here one rule
        serves all layers.

    Example:
        >>> scaling, updates = scale_by_layer(0.5), tuple(jnp.ones(1) for _ in range(3))
        >>> [float(u[0]) for u in scaling.update(updates, scaling.init(updates))[0]]
        [0.25, 0.5, 1.0]

    Reference: Howard & Ruder, ULMFiT, 2018, arXiv 1801.06146 (discriminative fine-tuning, whose
    s is 1/2.6); lecture, chapter VIII (small learning rates keep what was learnt).
    """
    several = isinstance(factors, tuple | list)
    values = tuple(
        hyperparameter("factors", factor, low=0.0)
        for factor in (factors if several else (factors,))
    )
    return make_optimizer(_init, _scale if several else _decay, _Hyper(values))


def l2_sp(alpha: ScalarLike, beta: ScalarLike = 0.0, *, new_layers: int = 1) -> Optimizer:
    """Add the gradient of a penalty toward the start: g <- g + alpha (W - W_0).

    The penalty is (alpha/2) ||W - W_0||^2 over the pretrained layers, and (beta/2) ||W||^2 over
    the new ones on top, whose start means nothing. It stands before a rule, as in
    chain(l2_sp(0.01), adam(1e-4)), and is not part of the loss that `fit` reports.

    Args:
        alpha: weight of the penalty toward the start, >= 0; may be traced.
        beta: weight of the penalty toward 0 in new layers, >= 0; may be traced.
        new_layers: how many of the highest layers are new: 1 for a new head.

    Returns:
        A transformation for `chain`. Its state holds the start, the parameters that `init` is
        given: in `fit` those that the run begins with, so that a resumed run keeps them.

    Raises:
        ValueError: for a negative weight or number of layers; from `update`, without parameters.
        TypeError: for what is no number, or parameters that are not a tuple of layers.

    Differences: as the library's own L2 penalty, it applies to weights (leaves with at least 2
        axes), not to biases and batch normalization. Under Adam it is divided by the root of the
        second moment like every gradient, so it is not decoupled, as AdamW's decay is.

    Example:
        >>> pull, start = l2_sp(0.5, new_layers=0), (jnp.ones((1, 1)),)
        >>> grads, _ = pull.update((jnp.zeros((1, 1)),), pull.init(start), (jnp.full((1, 1), 3.0),))
        >>> float(grads[0][0, 0])
        1.0

    Reference: Li, Grandvalet & Davoine, Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks, 2018, arXiv 1802.01483.
    """
    hyper = _PullHyper(
        hyperparameter("alpha", alpha, low=0.0),
        hyperparameter("beta", beta, low=0.0),
        hyperparameter("new_layers", new_layers, low=0.0),
    )
    return make_optimizer(_init_pull, _pull, hyper)


def _init(hyper: _Hyper, params: PyTree) -> ScaleState:
    return ScaleState()


@entrywise
def _scale(
    hyper: _Hyper, updates: Params, state: ScaleState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, ScaleState]:
    layers = _check_layers(updates)
    if len(layers) != len(hyper.factors):
        raise ValueError(
            f"scale_by_layer has {len(hyper.factors)} factors, but {len(layers)} layers train; "
            "give one for each, those of frozen layers left out."
        )
    return tuple(_times(u, s) for u, s in zip(layers, hyper.factors, strict=True)), state


@entrywise
def _decay(
    hyper: _Hyper, updates: Params, state: ScaleState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, ScaleState]:
    layers, scaled, factor = _check_layers(updates), [], jnp.ones((), jnp.float32)
    for layer in reversed(layers):
        scaled.append(_times(layer, factor))
        factor = factor * cast(hyper.factors[0], factor)
    return tuple(reversed(scaled)), state


def _times(layer: PyTree, factor: Any) -> PyTree:
    return jax.tree.map(lambda u: u * cast(factor, u), layer)


def _init_pull(hyper: _PullHyper, params: PyTree) -> StartState:
    return StartState(params)


@entrywise
def _pull(
    hyper: _PullHyper, grads: Params, state: StartState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, StartState]:
    if params is None:
        raise ValueError("l2_sp needs the parameters: call update(grads, state, params).")
    layers = _check_layers(grads)
    pulled = [
        jax.tree.map(
            # Chosen by value, so that one program serves any number of new layers.
            partial(_pull_leaf, hyper, jnp.asarray(hyper.new_layers >= len(layers) - l)),
            layer, params[l], state.start[l],
        )
        for l, layer in enumerate(layers)
    ]  # fmt: skip
    return tuple(pulled), state


def _pull_leaf(
    hyper: _PullHyper, is_new: jax.Array, g: jax.Array, p: jax.Array, start: jax.Array
) -> jax.Array:
    if g.ndim < 2:
        return g
    p, start = p.astype(g.dtype), start.astype(g.dtype)
    return g + jnp.where(is_new, cast(hyper.beta, g) * p, cast(hyper.alpha, g) * (p - start))


def _check_layers(tree: Any) -> tuple[PyTree, ...]:
    if not isinstance(tree, tuple) or hasattr(tree, "_fields"):
        raise TypeError(
            f"the parameters are a {type(tree).__name__}, but rates by layer and l2_sp need a "
            "tuple of layers, as jaxmlp.init makes it."
        )
    return tree
