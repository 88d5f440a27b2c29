"""Gradient clipping, the cure for exploding gradients: by value, and by global norm."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp.optimizers.base import (
    Optimizer,
    cast,
    entrywise,
    global_norm,
    hyperparameter,
    make_optimizer,
)
from jaxmlp.types import PyTree, ScalarLike


class ClipState(NamedTuple):
    """Clipping remembers nothing."""


class _Hyper(NamedTuple):
    limit: Any


def clip_by_value(limit: ScalarLike) -> Optimizer:
    """Bound every entry: g <- min(max(g, -limit), limit).

    Args:
        limit: a positive number, or infinity for no clipping; may be traced.

    Returns:
        A transformation for `chain`. NaN stays NaN: clipping hides no divergence.

    Raises:
        ValueError: if the limit is not positive.
        TypeError: if it is no number.

    Example:
        >>> clip = clip_by_value(1.0)
        >>> clip.update(jnp.array([3.0, -0.5]), clip.init(jnp.zeros(2)))[0].tolist()
        [1.0, -0.5]

    Reference: lecture, chapter VI.
    """
    limit = hyperparameter("limit", limit, low=0.0, closed="(]")
    return make_optimizer(_init, _clip_value, _Hyper(limit))


def clip_by_global_norm(max_norm: ScalarLike) -> Optimizer:
    """Shorten the whole gradient, keeping its direction: g <- g min(1, max_norm / |g|).

    |g| is the norm over all entries of all leaves.

    Args:
        max_norm: a positive number, or infinity for no clipping; may be traced.

    Returns:
        A transformation for `chain`. A gradient that is not finite becomes NaN: clipping hides no
        divergence.

    Raises:
        ValueError: if the norm is not positive.
        TypeError: if it is no number.

    Example:
        >>> clip = clip_by_global_norm(1.0)
        >>> updates, _ = clip.update(jnp.array([3.0, 4.0]), clip.init(jnp.zeros(2)))
        >>> [round(u, 3) for u in updates.tolist()]
        [0.6, 0.8]

    Reference: Pascanu, Mikolov & Bengio, 2013, arXiv 1211.5063; lecture, chapter VI.
    """
    max_norm = hyperparameter("max_norm", max_norm, low=0.0, closed="(]")
    return make_optimizer(_init, _clip_norm, _Hyper(max_norm))


def _init(hyper: _Hyper, params: PyTree) -> ClipState:
    return ClipState()


@entrywise
def _clip_value(
    hyper: _Hyper, grads: PyTree, state: ClipState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, ClipState]:
    def clip(g: jax.Array) -> jax.Array:
        limit = cast(hyper.limit, g)
        return jnp.clip(g, -limit, limit)

    return jax.tree.map(clip, grads), state


@entrywise
def _clip_norm(
    hyper: _Hyper, grads: PyTree, state: ClipState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, ClipState]:
    norm = global_norm(grads)
    max_norm = cast(hyper.limit, norm)
    # max_norm / norm is inf / 0 or inf / inf for an infinite limit, hence the choice.
    scale = jnp.where(norm < max_norm, jnp.ones_like(norm), max_norm / norm)
    return jax.tree.map(lambda g: g * scale.astype(g.dtype), grads), state
