"""The penalty on the weights, beside its gradient."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jaxmlp.types import Layer, Params, ScalarLike


def penalty(params: Params, l2: ScalarLike, dtype: Any) -> Array:
    """s = (l2 / 2) sum_l ||W^(l)||^2, of the weights only.

    >>> float(penalty((Layer(jnp.full((1, 2), 3.0)),), 0.5, jnp.float32))
    4.5
    """
    return 0.5 * jnp.asarray(l2, dtype) * sum(jnp.sum(layer.W**2, dtype=dtype) for layer in params)


def add_penalty_gradient(grad: Layer, W: Array, l2: ScalarLike) -> Layer:
    """ds/dW^(l) = l2 W^(l), added to a layer's gradient.

    >>> add_penalty_gradient(Layer(jnp.ones((1, 1))), jnp.full((1, 1), 3.0), 0.5).W.tolist()
    [[2.5]]
    """
    return grad._replace(W=grad.W + jnp.asarray(l2, W.dtype) * W)
