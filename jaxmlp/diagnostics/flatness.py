"""Where an activation is flat: the one notion behind dead and saturated units."""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmlp.activations import Activation
from jaxmlp.parametric import activation_forward, activation_slope

_FLAT = 0.05  # of the steepest slope: what passes is then a twentieth of what could
_FAR = 30.0  # far enough for exp(-z) to vanish beside 1 in float32


class _Slopes(NamedTuple):
    """What is known of an activation from its derivative alone.

    Attributes:
        steepest: the largest |phi'|.
        saturates: flat on both sides, as sigmoid and tanh are; flat units are then *saturated*.
        dies: flat on one side only, as ReLU and its relatives are; a unit that is flat for every
            example is then *dead*.
    """

    steepest: float
    saturates: bool
    dies: bool


@lru_cache(maxsize=256)
def slopes(activation: Activation) -> _Slopes:
    """Measure an activation's slopes on a grid.

    Args:
        activation: built in or your own.

    Returns:
        What is known of its slopes.

    Example:
        >>> from jaxmlp.activations import get_activation
        >>> slopes(get_activation("tanh")).saturates, slopes(get_activation("relu")).dies
        (True, True)
        >>> slopes(get_activation("leaky_relu")).dies
        False
    """
    grid = np.linspace(-_FAR, _FAR, 6001, dtype=np.float32)
    with jax.ensure_compile_time_eval():  # also while a program is traced
        slope = np.abs(np.asarray(_slopes(activation, grid)))
    steepest = float(slope.max())
    # A slope of 1% (that of leaky ReLU) still lets a unit come back; exactly flat ones do not.
    below, above = (bool(slope[end] < 1e-3 * steepest) for end in (0, -1))
    return _Slopes(steepest, below and above, below != above)


@partial(jax.jit, static_argnums=0)
def _slopes(activation: Activation, z: Float[Array, " n"]) -> Float[Array, " n"]:
    return activation.derivative(activation.fn(z) if activation.residual == "output" else z)


def is_flat(
    activation: Activation,
    residual: Float[Array, "batch n_out"],
    alpha: Float[Array, " n_out"] | None = None,
) -> Bool[Array, "batch n_out"]:
    """Say where |phi'| is below 5% of its largest value; nowhere if phi is flat on no side.

    Args:
        activation: of the layer.
        residual: as the forward pass keeps it, (batch, n_out).
        alpha: of a parametric activation, (n_out,).

    Returns:
        True where no gradient to speak of passes, (batch, n_out).
    """
    known = slopes(activation)
    if not (known.saturates or known.dies):
        return jnp.zeros(residual.shape, bool)
    slope = jnp.abs(activation_slope(activation, alpha, residual))
    return slope < jnp.asarray(_FLAT * known.steepest, slope.dtype)


def activation_outputs(
    activation: Activation,
    residual: Float[Array, "batch n_out"],
    alpha: Float[Array, " n_out"] | None = None,
) -> Float[Array, "batch n_out"]:
    """Return h = phi(z) from what the forward pass kept.

    Args:
        activation: of the layer.
        residual: the output or the pre-activation, (batch, n_out).
        alpha: of a parametric activation, (n_out,).

    Returns:
        h before any dropout, (batch, n_out).
    """
    if alpha is None and activation.residual == "output":
        return residual
    return activation_forward(activation, alpha, residual)[0]
