"""The vocabulary: the pytrees that flow through the library, and names for arrays in signatures."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Key: TypeAlias = jax.Array
"""A random key, as made by `jax.random.key(seed)` (or the older `jax.random.PRNGKey`)."""

Scalar: TypeAlias = Float[Array, ""]
ScalarLike: TypeAlias = Any  # float, int, numpy scalar or a (possibly traced) array of shape ()
PyTree: TypeAlias = Any
Absent: TypeAlias = Any  # None, where the config says so; Any spares a check at every use
Schedule: TypeAlias = Callable[[Any], Any]
"""step -> learning rate, as optax writes them."""


class Layer(NamedTuple):
    """The parameters of one layer; gradients, moments and masks have the same shape.

    Attributes:
        W: weights, (n_in, n_out); W[i, j] connects unit i of the layer below to unit j.
        b: biases, (n_out,); None in a layer with batch normalization, whose `beta` replaces it.
        gamma: scale of batch normalization, (n_out,), or None.
        beta: shift of batch normalization, (n_out,), or None.
        alpha: share of the activation, beside the identity, of each unit of a layer with a
            parametric activation, (n_out,), or None.

    Reference: lecture, chapter III (W^(l) in R^{d(l-1) x d(l)}, b^(l) in R^{d(l)}).
    """

    W: Float[Array, "n_in n_out"]
    b: Float[Array, " n_out"] | Absent = None
    gamma: Float[Array, " n_out"] | Absent = None
    beta: Float[Array, " n_out"] | Absent = None
    alpha: Float[Array, " n_out"] | Absent = None


Params: TypeAlias = tuple[Layer, ...]


class NormState(NamedTuple):
    """What batch normalization remembers: running mean and (biased) variance, (n_out,)."""

    mean: Float[Array, " n_out"]
    var: Float[Array, " n_out"]


State: TypeAlias = tuple[NormState | Absent, ...]
"""One entry a layer, None where it has no batch normalization; `()` if no layer has."""


class NormCache(NamedTuple):
    """What the backward pass of batch normalization needs.

    Attributes:
        x_hat: the normalized values, (batch, n_out).
        inv_std: 1 / sqrt(var + eps), (n_out,).
        weight: each row's share in the statistics, summing to 1, (batch,); None when the
            statistics were constants (a frozen layer), through which no gradient flows.
        statistics: the mean and variance that were used; the training step folds them into the
            running ones.
    """

    x_hat: Float[Array, "batch n_out"]
    inv_std: Float[Array, " n_out"]
    weight: Float[Array, " batch"] | None
    statistics: NormState


class LayerCache(NamedTuple):
    """What one layer of the forward pass keeps for the backward pass.

    Attributes:
        inputs: the layer's input h^(l-1), (batch, n_in); dW needs it.
        residual: what the activation's derivative is a function of, its output or its
            pre-activation, (batch, n_out); of a parametric one always the pre-activation.
        norm: of batch normalization, or None.
        mask: of dropout, already divided by 1 - rate, (batch, n_out), or None.
    """

    inputs: Float[Array, "batch n_in"]
    residual: Float[Array, "batch n_out"]
    norm: NormCache | None = None
    mask: Float[Array, "batch n_out"] | None = None


Cache: TypeAlias = tuple[LayerCache, ...]


class LayerDelta(NamedTuple):
    """What the backward pass finds on its way through one layer.

    Attributes:
        d_z: dJ/dz^(l), (batch, n_out).
        d_inputs: dJ/dh^(l-1), (batch, n_in); what the layer below starts from.
        d_gamma: gradient of batch normalization's scale, (n_out,), or None.
        d_beta: of its shift, (n_out,), or None.
        d_alpha: what each row adds to the gradient of the parametric activation, (batch, n_out),
            or None.
    """

    d_z: Float[Array, "batch n_out"]
    d_inputs: Float[Array, "batch n_in"]
    d_gamma: Float[Array, " n_out"] | None = None
    d_beta: Float[Array, " n_out"] | None = None
    d_alpha: Float[Array, "batch n_out"] | None = None


def wide_dtype(dtype: Any) -> Any:
    """Return float32 for narrower floats, and wider ones as they are: sums need the digits.

    >>> wide_dtype(jnp.bfloat16), wide_dtype(jnp.float64)
    (dtype('float32'), dtype('float64'))
    """
    return jnp.dtype("float32") if jnp.dtype(dtype).itemsize < 4 else jnp.dtype(dtype)
