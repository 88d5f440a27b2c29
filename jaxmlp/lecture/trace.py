"""All intermediates of one forward and backward pass of a plain MLP, with the lecture's names."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss
from jaxmlp.network import forward, layer_deltas, layer_gradient, objective
from jaxmlp.types import Params


class Trace(NamedTuple):
    """One forward and backward pass; lists have one entry a layer, and names as they are written.

    Attributes:
        config: the network.
        params: its parameters.
        loss: the loss.
        l2: of the penalty.
        x: examples in rows.
        y: targets.
        z: pre-activations.
        h: outputs of the layers; the last are the logits o.
        value: L, the mean loss.
        penalty: s.
        d_x: dJ/dx.
        d_h: dJ/dh.
        d_z: dJ/dz.
        d_W: dJ/dW, the penalty's part included.
        d_b: dJ/db.
    """

    config: MLPConfig
    params: Params
    loss: Loss
    l2: float
    x: Array
    y: Array
    z: list[Array]
    h: list[Array]
    value: float
    penalty: float
    d_x: Array
    d_h: list[Array]
    d_z: list[Array]
    d_W: list[Array]  # noqa: N815
    d_b: list[Array]

    @property
    def n_layers(self) -> int:
        """Number of weight matrices."""
        return self.config.n_layers

    def name(self, letter: str, l: int) -> str:
        """Name a quantity of layer l: W_h, W_o, z, h, o as in the lecture, or W1, W2, ..., o."""
        last = l == self.n_layers - 1
        if letter in "zh":
            return "o" if last else (letter if self.n_layers == 2 else f"{letter}{l + 1}")
        if self.n_layers <= 2:
            return f"{letter}_{'o' if last else 'h'}"
        return f"{letter}{l + 1}"

    def below(self, l: int) -> str:
        """Name the input of layer l."""
        return self.name("h", l - 1) if l else "x"


def run_trace(config: MLPConfig, params: Params, x: Any, y: Any, loss: Loss, l2: float) -> Trace:
    """Run both passes and keep everything; dJ/dW and dJ/db are those of `jaxmlp.backward`."""
    outputs, cache = forward(config, params, x)
    d_outputs = loss.value_and_grad(outputs, y)[1] / len(x)
    deltas = layer_deltas(config, params, cache, d_outputs)
    grads = list(map(layer_gradient, params, cache, deltas))
    z = [kept.inputs @ p.W + p.b for kept, p in zip(cache, params, strict=True)]
    return Trace(
        config, params, loss, l2, x, y, z,
        h=[phi.fn(pre) for phi, pre in zip(config.activations, z, strict=True)],
        value=float(objective(config, loss)(params, x, y)),
        penalty=0.5 * l2 * sum(float((p.W**2).sum()) for p in params),
        d_x=deltas[0].d_inputs,
        d_h=[*(delta.d_inputs for delta in deltas[1:]), d_outputs],
        d_z=[delta.d_z for delta in deltas],
        d_W=[g.W + l2 * p.W for g, p in zip(grads, params, strict=True)],
        d_b=[jnp.asarray(g.b) for g in grads],
    )  # fmt: skip
