"""Predictions in blocks of a few fixed shapes, so that no number of rows compiles anew."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmlp.blocks import block_size, map_blocks
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss
from jaxmlp.network import forward, predict
from jaxmlp.types import Params, State

_LEAST_ROWS = 32


def linked_outputs(
    config: MLPConfig, loss: Loss, params: Params, state: State, x: np.ndarray, members: bool
) -> np.ndarray:
    """Return link(logits) of each row, averaged over the members of an ensemble.

    Args:
        config: the network.
        loss: the loss; its link makes probabilities, rates or values of logits.
        params: parameters; with a leading axis where there are several members.
        state: running statistics, likewise.
        x: features, (n, n_in).
        members: whether there is such an axis.

    Returns:
        (n, n_out): probabilities in float64, where fewer of them round to 0 or 1; predictions of
        numbers in the network's dtype.
    """
    with jax.enable_x64(True):  # the logits stay in the network's dtype
        outputs = _in_blocks(partial(_linked, config, loss, members, params, state), config, x)
    return outputs if loss.task == "classification" else outputs.astype(config.dtype)


def hidden_values(config: MLPConfig, params: Params, state: State, x: np.ndarray) -> np.ndarray:
    """Return the values h^(L-1) of the last hidden layer, (n, units)."""
    return _in_blocks(partial(_hidden, config, params, state), config, x)


def _in_blocks(compute: Callable[[Array], Array], config: MLPConfig, x: np.ndarray) -> np.ndarray:
    x = x.astype(config.dtype, copy=False)
    return map_blocks(compute, x, size=block_size(len(x), least=_LEAST_ROWS))


@partial(jax.jit, static_argnames=("loss", "members"))
def _linked(
    config: MLPConfig, loss: Loss, members: bool, params: Params, state: State, x: Array
) -> Array:
    def one(params: Params, state: State) -> Array:
        return loss.link(predict(config, params, x, state=state).astype(jnp.float64))

    if not members:
        return one(params, state)
    return jnp.mean(jax.vmap(one)(params, state), axis=0)


@jax.jit
def _hidden(config: MLPConfig, params: Params, state: State, x: Array) -> Array:
    # Every layer as if frozen: running statistics, no dropout.
    _, cache = forward(config, params, x, state=state, frozen=range(config.n_layers))
    return cache[-1].inputs
