"""Slips of the backward pass of an MLP, each carried out, to see which one explains a claim.

A slip whose gradient equals the claimed one in every leaf is its cause.
"""

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.messages import marked, phrase
from jaxmlp.normalization import row_shares
from jaxmlp.parametric import activation_forward, activation_slope
from jaxmlp.types import NormCache, Params
from jaxmlp.verification.causes.exchangeable import (
    Factor,
    Pass,
    Slip,
    backward_with,
    close,
    loss_gradient,
    phi_prime,
    shares,
)
from jaxmlp.verification.causes.recognition import Recognised


def find_slip(found: Recognised, claimed: list[np.ndarray]) -> str:
    """Return the words of the first slip that gives the claimed gradient, or ""."""
    for words, grads in _all_slips(found.start, found.reading.names):
        if close(found.reading.leaves(grads), claimed):
            return words
    return ""


def _all_slips(start: Pass, names: Sequence[str]) -> Iterator[tuple[str, Params]]:
    """Carry out every slip, first in single layers, then in all of them."""
    n = start.config.n_layers
    for slip in _SLIPS:
        if slip.d_outputs is not None:
            yield from _carry_out(start, slip, range(n), "")
            continue
        every = range(n)
        for layers in (*([l] for l in every), list(every)):
            where = names[layers[0]] if len(layers) == 1 else phrase("every layer")
            yield from _carry_out(start, slip, layers, where)


def _carry_out(
    start: Pass, slip: Slip, layers: Sequence[int], where: str
) -> Iterator[tuple[str, Params]]:
    try:
        words = phrase(slip.words, l=where, activation=slip.activation)
        yield words, backward_with(start, slip, layers)
    except (TypeError, ValueError, IndexError, AttributeError):
        return  # the slip is not possible with these shapes


def _preactivation(start: Pass, l: int) -> Array:
    """z^(l), after batch normalization if there is one."""
    kept, layer = start.cache[l], start.params[l]
    if kept.norm is not None:
        return layer.gamma[None, :] * kept.norm.x_hat + layer.beta[None, :]
    return kept.inputs @ layer.W + layer.b[None, :]


def _output(start: Pass, l: int) -> Array:
    phi, alpha = start.config.activations[l], start.params[l].alpha
    return activation_forward(phi, alpha, _preactivation(start, l))[0]


def _derivative_of_z(start: Pass, l: int, z: Array) -> Array:
    phi, alpha = start.config.activations[l], start.params[l].alpha
    at = phi.fn(z) if alpha is None and phi.residual == "output" else z
    return activation_slope(phi, alpha, at)


def _at_output(start: Pass, l: int) -> Array:
    return _derivative_of_z(start, l, _output(start, l))


def _at_preactivation(start: Pass, l: int) -> Array:
    """phi' written as a function of the output, but given the pre-activation."""
    phi = start.config.activations[l]
    if phi.residual != "output":
        raise ValueError("the derivative is one of the pre-activation")
    return phi.derivative(_preactivation(start, l))


def _other_side(start: Pass, l: int) -> Array:
    """phi' with the slope to the right of 0 at 0."""
    z = _preactivation(start, l)
    right = _derivative_of_z(start, l, jnp.where(z == 0, 1.0, z))
    return jnp.where(z == 0, right, phi_prime(start, l))


def _of_layer(offset: int, what: Factor) -> Factor:
    def factor(start: Pass, l: int) -> Array:
        if not 0 <= l + offset < start.config.n_layers:
            raise IndexError(l)
        right, wrong = what(start, l), what(start, l + offset)
        if right.shape != wrong.shape:
            raise ValueError("the shapes differ")
        return wrong

    return factor


def _unscaled_mask(start: Pass, l: int) -> Array:
    return jnp.sign(jnp.asarray(start.cache[l].mask))


def _constant_statistics(start: Pass, l: int, d_y: Array) -> Array:
    norm, g = _scaled(start, l, d_y)
    return g * norm.inv_std[None, :]


def _scaled(start: Pass, l: int, d_y: Array) -> tuple[NormCache, Array]:
    """The normalization's cache, and dJ/dx_hat."""
    norm, gamma = start.cache[l].norm, start.params[l].gamma
    if norm is None:
        raise ValueError("the layer has no batch normalization")
    return norm, jnp.asarray(d_y * gamma[None, :])


def _without_mean(start: Pass, l: int, d_y: Array) -> Array:
    norm, g = _scaled(start, l, d_y)
    share = jnp.asarray(norm.weight)[:, None]
    through_var = share * norm.x_hat * jnp.sum(g * norm.x_hat, axis=0)[None, :]
    return (g - through_var) * norm.inv_std[None, :]


def _without_variance(start: Pass, l: int, d_y: Array) -> Array:
    norm, g = _scaled(start, l, d_y)
    share = jnp.asarray(norm.weight)[:, None]
    return (g - share * jnp.sum(g, axis=0)[None, :]) * norm.inv_std[None, :]


def _link_derivative(start: Pass) -> Array:
    p = start.loss.link(start.outputs)
    if start.loss.task == "regression":
        return (
            start.d_outputs
            * jax.lax.logistic(start.outputs)
            * (1 - jax.lax.logistic(start.outputs))
        )
    return start.d_outputs * p * (1 - p)


def _without_row(row: int) -> Callable[[Pass], Array]:
    return lambda start: start.d_outputs.at[row].set(0.0)


def _uniform_share(start: Pass) -> Array:
    share = row_shares(len(start.outputs), None, start.outputs.dtype)
    return loss_gradient(start, share=start.scale * share)


def _weights_over_batch(start: Pass) -> Array:
    weight = start.options.get("sample_weight")
    if weight is None:
        raise ValueError("there are no weights")
    return loss_gradient(start, share=start.scale * weight / len(start.outputs))


def _without_targets(start: Pass) -> Array:
    return shares(start) * start.loss.link(start.outputs)


def _shifted_targets(shift: int) -> Callable[[Pass], Array]:
    return lambda start: loss_gradient(start._replace(targets=jnp.roll(start.targets, shift, 0)))


def _softmax_of_batch(start: Pass) -> Array:
    right, wrong = jax.nn.softmax(start.outputs), jax.nn.softmax(start.outputs, axis=0)
    return start.d_outputs + shares(start) * (wrong - right)


def _derivative_of(name: str) -> Factor:
    def factor(start: Pass, l: int) -> Array:
        if l == start.config.n_layers - 1:
            return phi_prime(start, l)  # the last layer has no activation
        phi, z = ACTIVATIONS[name], _preactivation(start, l)
        return phi.derivative(phi.fn(z) if phi.residual == "output" else z)

    return factor


def _kept(field: str) -> Factor:
    return lambda start, l: getattr(start.cache[l], field)


_SLIPS: tuple[Slip, ...] = (
    Slip(marked("derivative taken at the output instead of the pre-activation ({l})"), _at_output),
    Slip(
        marked(
            "derivative taken at the pre-activation, but written as a function of the output ({l})"
        ),
        _at_preactivation,
    ),
    Slip(marked("the activation's derivative is forgotten ({l})"), lambda s, l: jnp.ones(())),
    Slip(
        marked("the activation's derivative is applied twice ({l})"),
        lambda s, l: phi_prime(s, l) ** 2,
    ),
    Slip(
        marked("wrong side of the kink: the slope at z = 0 is taken from the right ({l})"),
        _other_side,
    ),
    Slip(
        marked("off by one layer: the derivative of the layer below is used ({l})"),
        _of_layer(-1, phi_prime),
    ),
    Slip(
        marked("off by one layer: the derivative of the layer above is used ({l})"),
        _of_layer(1, phi_prime),
    ),
    *(
        Slip(
            marked("the derivative of {activation} is used ({l})"),
            _derivative_of(name),
            activation=name,
        )
        for name in ACTIVATIONS
    ),
    Slip(marked("W is not transposed in dJ/dh ({l})"), weight=lambda s, l: s.params[l].W),
    Slip(
        marked("off by one layer: W of the layer below is used in dJ/dh ({l})"),
        weight=_of_layer(-1, lambda s, l: s.params[l].W.T),
    ),
    Slip(
        marked("off by one layer: W of the layer above is used in dJ/dh ({l})"),
        weight=_of_layer(1, lambda s, l: s.params[l].W.T),
    ),
    Slip(
        marked("W is left out of dJ/dh ({l})"), weight=lambda s, l: jnp.eye(s.params[l].W.shape[0])
    ),
    Slip(
        marked("stale cache: dJ/dW uses the input of the layer below ({l})"),
        inputs=_of_layer(-1, _kept("inputs")),
    ),
    Slip(
        marked("stale cache: dJ/dW uses the input of the layer above ({l})"),
        inputs=_of_layer(1, _kept("inputs")),
    ),
    Slip(
        marked("dJ/dW uses the pre-activation instead of the output of the layer below ({l})"),
        inputs=lambda s, l: _preactivation(s, l - 1) if l else s.cache[0].inputs,
    ),
    Slip(
        marked("dJ/dW uses the layer's input before dropout ({l})"),
        inputs=lambda s, l: _output(s, l - 1) if l else s.cache[0].inputs,
    ),
    Slip(
        marked("the dropout mask is not used in the backward pass ({l})"),
        mask=lambda s, l: jnp.ones(()),
    ),
    Slip(
        marked("the 1 / (1 - rate) of the dropout mask is missing in the backward pass ({l})"),
        mask=_unscaled_mask,
    ),
    Slip(
        marked("batch normalization: the statistics are treated as constants ({l})"),
        norm=_constant_statistics,
    ),
    Slip(marked("batch normalization: no gradient through the mean ({l})"), norm=_without_mean),
    Slip(
        marked("batch normalization: no gradient through the variance ({l})"),
        norm=_without_variance,
    ),
    Slip(
        marked("label smoothing is forgotten in the gradient"),
        d_outputs=lambda s: loss_gradient(s, options={}),
    ),
    Slip(marked("the sample weights are forgotten"), d_outputs=_uniform_share),
    Slip(
        marked("the sample weights are divided by the batch, not by their sum"),
        d_outputs=_weights_over_batch,
    ),
    Slip(
        marked("the derivative of the link is applied once more, though the loss has it in"),
        d_outputs=_link_derivative,
    ),
    Slip(marked("the targets are not subtracted in dJ/d logits"), d_outputs=_without_targets),
    Slip(marked("the targets are shifted by one row"), d_outputs=_shifted_targets(1)),
    Slip(marked("the targets are shifted by one row"), d_outputs=_shifted_targets(-1)),
    Slip(
        marked("softmax is taken over the batch instead of the classes"),
        d_outputs=_softmax_of_batch,
    ),
    Slip(marked("the last example is left out"), d_outputs=_without_row(-1)),
    Slip(marked("the first example is left out"), d_outputs=_without_row(0)),
)
"""In the order in which they are tried; "({l})" becomes the layer."""
