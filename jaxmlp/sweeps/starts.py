"""Where the members of a sweep start: parameters by seed, and bins by the rows they train on."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import network, tabular_network
from jaxmlp.data.tables.bins import piecewise_bins
from jaxmlp.front_types import Bins, Piecewise
from jaxmlp.networks import NetworkConfig, NetworkParams, layers_of
from jaxmlp.tabular_config import TabularConfig, TabularParams
from jaxmlp.training.data import TrainData
from jaxmlp.types import Key

Init: TypeAlias = Callable[[Any, Key], Any]
"""(config, key) -> initial parameters."""


def member_keys(key: Key, seed: int) -> tuple[Key, Key]:
    """Return the keys of a member: of its initial parameters, and of its order and masks.

    Args:
        key: the sweep's.
        seed: the member's.

    Returns:
        Two random keys.

    Example:
        >>> first, second = member_keys(jax.random.key(0), 3)
        >>> bool(first == second)
        False
    """
    first, second = jax.random.split(jax.random.fold_in(key, seed))
    return first, second


def training_bins(
    config: NetworkConfig, data: TrainData, rows: np.ndarray | None = None
) -> Bins | None:
    """Lay the bins of a piecewise embedding by the rows that train.

    Args:
        config: the network.
        data: the examples.
        rows: numbers of those that train; None: all.

    Returns:
        Starts and widths, (d, T) each; None for a network without such an embedding. Rows of weight
        0 have no say.
    """
    if not isinstance(config, TabularConfig) or config.front.embedding != "piecewise":
        return None
    numbers = list(config.front.numbers)
    if not numbers:
        return None
    rows = np.arange(int(data.n_rows)) if rows is None else rows
    if data.weight is not None:
        rows = rows[np.asarray(data.weight)[rows] > 0]
    return piecewise_bins(np.asarray(data.x)[rows][:, numbers], config.front.bins)


@partial(jax.jit, static_argnames="init")
def draw_members(
    init: Init | None,
    config: NetworkConfig,
    key: Key,
    seeds: Any,
    rows: Any,
    scales: Any,
    bins: Bins | None,
) -> tuple[NetworkParams, Key]:
    """Draw the initial parameters of each member, and its other key.

    What belongs to a seed is drawn once, for bins are put in their places without being drawn.

    Args:
        init: what draws; None: the network's own.
        config: the network.
        key: the sweep's.
        seeds: those that occur, each once.
        rows: the members' places among them.
        scales: what the weights of each member's layers are multiplied by, (members,).
        bins: of each member, (members, d, T) each, or None.
    """
    first, second = jax.vmap(partial(member_keys, key))(seeds)
    if init is None:
        some_bins = jax.tree.map(lambda leaf: leaf[0], bins)
        params = jax.vmap(partial(_initial_params, config, bins=some_bins))(first)
    else:  # which may look at all rows, so that seeds at once would take memory
        params = jax.lax.map(partial(init, config), first)
    params, second = jax.tree.map(lambda leaf: leaf[rows], (params, second))
    layers = tuple(layer._replace(W=layer.W * scales[:, None, None]) for layer in layers_of(params))
    if not isinstance(params, TabularParams):
        return layers, second
    return TabularParams(_with_bins(params.front, bins), layers), second


def _initial_params(config: NetworkConfig, key: Key, bins: Bins | None) -> NetworkParams:
    if isinstance(config, TabularConfig):
        return tabular_network.init(config, key, bins)
    return network.init(config, key)


def _with_bins(front: Any, bins: Bins | None) -> Any:
    if bins is None or not isinstance(front.numbers, Piecewise):
        return front
    starts, widths = (jnp.asarray(part, front.numbers.w.dtype) for part in bins)
    return front._replace(numbers=front.numbers._replace(starts=starts, widths=widths))
