"""Rates of their own for single arrays, such as the embeddings of a table's network."""

from typing import Any, NamedTuple

import jax

from jaxmlp.optimizers.base import Optimizer, cast, entrywise, hyperparameter, make_optimizer
from jaxmlp.optimizers.layerwise import ScaleState
from jaxmlp.types import PyTree


class _Hyper(NamedTuple):
    factors: PyTree


def scale_by_leaf(factors: PyTree) -> Optimizer:
    """Multiply each array's updates by a factor of its own: Delta_p <- f_p Delta_p.

    After a rule, as in chain(adamw(1e-3), scale_by_leaf(factors)), the array p trains with f_p
    times the rule's rate, and decays with f_p times its decay.

    Args:
        factors: f_p, numbers >= 0 in a pytree of the structure of the parameters that train.

    Returns:
        A transformation for `chain`; its factors are leaves.

    Raises:
        ValueError: for a negative factor; from `update`, for updates of another structure.
        TypeError: for what is no number.

    Example:
        >>> import jax.numpy as jnp
        >>> scaling = scale_by_leaf({"w": 1.0, "b": 0.1})
        >>> updates = {"w": jnp.ones(1), "b": jnp.ones(1)}
        >>> scaled, _ = scaling.update(updates, scaling.init(updates))
        >>> float(scaled["w"][0]), round(float(scaled["b"][0]), 3)
        (1.0, 0.1)

    Reference: Holzmüller et al., 2024, arXiv 2407.04491 (learning-rate factors by group).
    """
    checked = jax.tree.map(lambda factor: hyperparameter("factors", factor, low=0.0), factors)
    return make_optimizer(_init, _scale, _Hyper(checked))


def _init(hyper: _Hyper, params: PyTree) -> ScaleState:
    return ScaleState()


@entrywise
def _scale(
    hyper: _Hyper, updates: PyTree, state: ScaleState, params: PyTree = None, **extra: Any
) -> tuple[PyTree, ScaleState]:
    given, trained = (str(jax.tree.structure(tree)) for tree in (hyper.factors, updates))
    if given != trained:
        raise ValueError(
            f"scale_by_leaf has factors of the structure {given}, but what trains is {trained}; "
            "give one number for each array."
        )
    return jax.tree.map(lambda u, f: u * cast(f, u), updates, hyper.factors), state
