"""The backward pass of an MLP with every factor exchangeable, to carry out slips.

`jaxmlp.backward` is repeated here; a `Slip` exchanges one of its factors, in one layer or in all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss
from jaxmlp.network import forward
from jaxmlp.normalization import batch_norm_backward, row_shares
from jaxmlp.parametric import activation_backward, activation_slope
from jaxmlp.types import Cache, Layer, Params

CLOSE = 1e-6  # of a leaf's largest entry: gradients that come this close are equal
FORWARD_OPTIONS = ("key", "sample_weight", "state", "dropout_rate")


class Pass(NamedTuple):
    """A forward pass and the loss's gradient, from which backward passes start.

    Attributes:
        config: the network.
        loss: its loss.
        params: its parameters.
        targets: y.
        options: keyword arguments of the objective.
        cache: of the forward pass.
        outputs: logits.
        d_outputs: the objective's gradient with respect to the logits.
        scale: the objective's mean loss is multiplied by it; a sum over the batch has its size.
        l2: of the penalty.
    """

    config: MLPConfig
    loss: Loss
    params: Params
    targets: Any
    options: Mapping[str, Any]
    cache: Cache
    outputs: Array
    d_outputs: Array
    scale: float = 1.0
    l2: float = 0.0


Factor = Callable[[Pass, int], Array]
"""(pass, layer) -> one factor of the layer's backward equations."""


class Slip(NamedTuple):
    """One exchanged factor.

    Attributes:
        words: the cause, with {l} for the layer, and {activation}.
        derivative: instead of phi'(z^(l)).
        weight: instead of W^(l)^T in dJ/dh^(l-1).
        inputs: instead of h^(l-1) in dJ/dW^(l).
        mask: instead of the dropout mask.
        norm: instead of the batch normalization's cache.
        d_outputs: instead of dJ/d logits.
        activation: the one whose derivative is taken instead, if it is another.
    """

    words: str
    derivative: Factor | None = None
    weight: Factor | None = None
    inputs: Factor | None = None
    mask: Factor | None = None
    norm: Callable[[Pass, int, Array], Array] | None = None
    d_outputs: Callable[[Pass], Array] | None = None
    activation: str = ""


_NO_SLIP = Slip("")
"""The right backward pass."""


def forward_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of an objective's options that its forward pass takes."""
    return {name: options[name] for name in FORWARD_OPTIONS if name in options}


def forward_pass(
    config: MLPConfig, loss: Loss, params: Params, x: Any, y: Any, options: Mapping[str, Any]
) -> Pass:
    """Run the forward pass, and take the gradient of the plain mean loss at its end."""
    outputs, cache = forward(config, params, x, **forward_options(options))
    start = Pass(config, loss, params, y, options, cache, outputs, outputs)
    return start._replace(d_outputs=loss_gradient(start))


def loss_gradient(
    start: Pass, options: Mapping[str, Any] | None = None, share: Array | None = None
) -> Array:
    """Return the objective's gradient with respect to the logits."""
    chosen = (start.options.get("loss_options") or {}) if options is None else options
    _, d_values = start.loss.value_and_grad(start.outputs, start.targets, **chosen)
    return (shares(start) if share is None else share[:, None]) * d_values


def shares(start: Pass) -> Array:
    """Return the share of each example in the objective, (batch, 1)."""
    weight = start.options.get("sample_weight")
    return start.scale * row_shares(len(start.outputs), weight, start.outputs.dtype)[:, None]


def close(grads: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    """Return whether two gradients are equal in every leaf."""
    largest = max((np.abs(other).max(initial=0.0) for other in others), default=0.0)
    return all(
        g.shape == o.shape
        and bool(np.all(np.abs(g - o) <= CLOSE * np.abs(o).max(initial=0.0) + 1e-12 * largest))
        for g, o in zip(grads, others, strict=True)
    )


def backward_with(start: Pass, slip: Slip = _NO_SLIP, layers: Sequence[int] = ()) -> Params:
    """Run the backward pass with a slip in some layers; see `jaxmlp.backward`."""

    def factor(name: str, l: int, right: Any) -> Any:
        wrong = getattr(slip, name)
        return right if wrong is None or l not in layers else wrong(start, l)

    d_h = start.d_outputs if slip.d_outputs is None else slip.d_outputs(start)
    grads: list[Layer] = []
    for l in reversed(range(start.config.n_layers)):
        layer, kept = start.params[l], start.cache[l]
        if kept.mask is not None:
            d_h = d_h * factor("mask", l, kept.mask)
        _, d_alpha = activation_backward(
            start.config.activations[l], layer.alpha, kept.residual, d_h
        )
        d_z = d_h * factor("derivative", l, phi_prime(start, l))
        if kept.norm is not None:
            d_x, d_gamma, d_beta = batch_norm_backward(kept.norm, layer.gamma, d_z)
            grad = Layer(layer.W, None, d_gamma, d_beta)
            d_z = d_x if slip.norm is None or l not in layers else slip.norm(start, l, d_z)
        else:
            grad = Layer(layer.W, jnp.sum(d_z, axis=0))
        d_W = factor("inputs", l, kept.inputs).T @ d_z + start.l2 * layer.W
        d_alpha = None if d_alpha is None else jnp.sum(d_alpha, axis=0)
        grads.append(grad._replace(W=d_W, alpha=d_alpha))
        d_h = d_z @ factor("weight", l, layer.W.T)
    return tuple(reversed(grads))


def phi_prime(start: Pass, l: int) -> Array:
    """phi'(z^(l))."""
    phi = start.config.activations[l]
    return activation_slope(phi, start.params[l].alpha, start.cache[l].residual)
