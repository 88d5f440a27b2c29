"""What the page shows of a network, computed by one program: surfaces, gradients, units, scores."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int8

from jaxmlp.config import MLPConfig
from jaxmlp.diagnostics.flatness import is_flat
from jaxmlp.losses import Loss
from jaxmlp.network import forward, layer_deltas, layer_gradient, predict
from jaxmlp.training.data import TrainData
from jaxmlp.types import Params, ScalarLike, State

_UNIT_GRID = 2  # the picture's points from one of a unit's own picture to the next


class Look(NamedTuple):
    """One network at one step.

    Attributes:
        surface: the prediction at each point of the grid, (rows, columns): probability of class 1,
            or class + its probability of three and more, or the number.
        units: outputs of the hidden units on a coarser grid, -127 to 127 of each one's largest,
            (units, rows, columns).
        gradients: dJ/d params over the training part, without dropout, shaped like the parameters.
        signal: ||dJ/dW|| over the root mean square length of each layer's inputs, (layers,).
        flat: share of the training examples on which each hidden unit is flat, (units,).
        scores: loss and accuracy (or RMSE) of the training part, then of the test part, (2, 2).
    """

    surface: Float[Array, "rows columns"]
    units: Int8[Array, "units rows columns"]
    gradients: Params
    signal: Float[Array, " layers"]
    flat: Float[Array, " units"]
    scores: Float[Array, "2 2"]


@partial(jax.jit, static_argnames=("loss", "shape", "classes"))
def look(
    config: MLPConfig,
    loss: Loss,
    params: Params,
    state: State,
    train: TrainData,
    test: TrainData,
    grid: Float[Array, "points n_in"],
    l2: ScalarLike,
    shape: tuple[int, int],
    classes: bool,
) -> Look:
    """Compute everything that a picture shows.

    Args:
        config: the network; dropout is left out.
        loss: its loss.
        params: its parameters.
        state: running statistics of batch normalization.
        train: the training part, padded.
        test: the test part, padded.
        grid: inputs at the points of the picture.
        l2: weight of the penalty.
        shape: rows and columns of the grid.
        classes: whether classes are predicted, whatever the loss.

    Returns:
        The look.
    """
    config = config.replace(dropout=False)
    everywhere = tuple(range(config.n_layers))
    outputs, cache = forward(config, params, grid, state=state, frozen=everywhere)
    gradients, signal, flat = _backward(config, loss, params, train, l2)
    scores = jnp.stack(
        [_scores(config, loss, params, state, part, classes) for part in (train, test)]
    )
    units = [_coarse(kept.inputs, shape) for kept in cache[1:]]
    none = jnp.zeros((0, *_coarse(grid[:, :1], shape).shape[1:]), jnp.int8)
    surface = _surface(loss, outputs).reshape(shape)
    return Look(surface, jnp.concatenate([none, *units]), gradients, signal, flat, scores)


def _surface(loss: Loss, outputs: Array) -> Array:
    found = loss.link(outputs)
    if found.shape[1] == 1:
        return found[:, 0]
    if found.shape[1] == 2:
        return found[:, 1]
    return jnp.argmax(found, axis=1).astype(found.dtype) + 0.999 * jnp.max(found, axis=1)


def _coarse(h: Float[Array, "points units"], shape: tuple[int, int]) -> Array:
    every = (_UNIT_GRID if shape[0] > 1 else 1), _UNIT_GRID
    whole = h.T.reshape(-1, *shape)[:, :: every[0], :: every[1]]
    most = jnp.max(jnp.abs(whole), axis=(1, 2), keepdims=True)
    return jnp.round(127 * whole / jnp.where(most > 0, most, jnp.ones_like(most))).astype(jnp.int8)


def _weight(data: TrainData) -> Array:
    real: Array = jnp.arange(len(data.x), dtype=jnp.int32) < data.n_rows
    return real.astype(data.x.dtype)


def _backward(
    config: MLPConfig, loss: Loss, params: Params, train: TrainData, l2: ScalarLike
) -> tuple[Params, Array, Array]:
    """Gradients, what arrives at each layer, and the flat share of each hidden unit."""
    weight = _weight(train)
    outputs, cache = forward(config, params, train.x, sample_weight=weight)
    share = weight / jnp.sum(weight)
    d_outputs = share[:, None] * loss.value_and_grad(outputs, train.y)[1]
    deltas = layer_deltas(config, params, cache, d_outputs)
    grads = tuple(map(layer_gradient, params, cache, deltas))
    lengths = [jnp.sqrt(share @ jnp.sum(kept.inputs**2, axis=1)) for kept in cache]
    signal = jnp.stack(
        [
            jnp.linalg.norm(grad.W) / jnp.where(length > 0, length, jnp.ones_like(length))
            for grad, length in zip(grads, lengths, strict=True)
        ]
    )
    flat = [
        share @ is_flat(phi, kept.residual, layer.alpha).astype(share.dtype)
        for phi, kept, layer in zip(config.activations[:-1], cache, params, strict=False)
    ]
    penalty = jnp.asarray(l2, outputs.dtype)
    grads = tuple(
        grad._replace(W=grad.W + penalty * layer.W)
        for grad, layer in zip(grads, params, strict=True)
    )
    return grads, signal, jnp.concatenate([jnp.zeros((0,), share.dtype), *flat])


def _scores(
    config: MLPConfig,
    loss: Loss,
    params: Params,
    state: State,
    data: TrainData,
    classes: bool,
) -> Array:
    """Loss, and accuracy of classes or RMSE of numbers."""
    outputs = predict(config, params, data.x, state=state)
    weight = _weight(data)
    share = weight / jnp.sum(weight)
    value = share @ loss.value_and_grad(outputs, data.y)[0]
    if not classes:
        error = loss.link(outputs)[:, 0] - data.y
        return jnp.stack([value, jnp.sqrt(share @ error**2)])
    border = 0.0 if loss.task == "classification" else 0.5  # numbers 0 and 1 stand for classes
    label = jnp.argmax(outputs, axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > border
    return jnp.stack([value, share @ (label.astype(data.y.dtype) == data.y).astype(share.dtype)])
