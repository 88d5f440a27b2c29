"""Activations, plain or with a slope of their own for every unit, beside the way back through them.

A parametric activation mixes phi with the identity, unit by unit: alpha_j = 1 is phi itself, 0 the
identity, and what lies between, or beyond, is learnt.
"""

from jaxtyping import Array, Float

from jaxmlp.activations import Activation
from jaxmlp.products import each_entry

__all__ = ["activation_backward", "activation_forward", "activation_slope"]


def activation_forward(
    phi: Activation, alpha: Float[Array, " n_out"] | None, z: Float[Array, "batch n_out"]
) -> tuple[Float[Array, "batch n_out"], Float[Array, "batch n_out"]]:
    """Apply an activation, mixed with the identity where units have an alpha.

    h_bj = z_bj + alpha_j (phi(z_bj) - z_bj);  h = phi(z) without alpha.

    Args:
        phi: the activation.
        alpha: of each unit, (n_out,), or None.
        z: pre-activations, (batch, n_out).

    Returns:
        h, (batch, n_out), and the residual that `activation_backward` needs, (batch, n_out): z, or
        h where that is enough.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmlp import ACTIVATIONS
        >>> z = jnp.array([[-2.0, -2.0, -2.0]])
        >>> h, _ = activation_forward(ACTIVATIONS["relu"], jnp.array([0.0, 0.5, 1.0]), z)
        >>> h.tolist()
        [[-2.0, -1.0, 0.0]]

    Reference: Holzmüller et al., RealMLP, 2024, arXiv 2407.04491.
    """
    h = each_entry(phi.fn, z)
    if alpha is None:
        return h, h if phi.residual == "output" else z
    return each_entry(lambda z, h, a: z + a * (h - z), z, h, alpha[None, :]), z


def activation_slope(
    phi: Activation, alpha: Float[Array, " n_out"] | None, residual: Float[Array, "batch n_out"]
) -> Float[Array, "batch n_out"]:
    """Return dh/dz = 1 + alpha (phi'(z) - 1), or phi'(z) without alpha.

    Args:
        phi: the activation.
        alpha: of each unit, (n_out,), or None.
        residual: from `activation_forward`, (batch, n_out).

    Returns:
        The slopes, (batch, n_out).

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmlp import ACTIVATIONS
        >>> activation_slope(ACTIVATIONS["relu"], jnp.array([0.25]), jnp.array([[-2.0]])).tolist()
        [[0.75]]
    """
    if alpha is None:
        return phi.derivative(residual)
    return _slope(phi, alpha[None, :], residual)


def _slope(
    phi: Activation, alpha: Float[Array, "1 n_out"], z: Float[Array, "batch n_out"]
) -> Float[Array, "batch n_out"]:
    slope = phi.derivative(phi.fn(z) if phi.residual == "output" else z)
    return 1 + alpha.astype(slope.dtype) * (slope - 1)


def activation_backward(
    phi: Activation,
    alpha: Float[Array, " n_out"] | None,
    residual: Float[Array, "batch n_out"],
    G: Float[Array, "batch n_out"],
) -> tuple[Float[Array, "batch n_out"], Float[Array, "batch n_out"] | None]:
    """Carry G = dJ/dh back.

    dJ/dz_bj = G_bj (1 + alpha_j (phi'(z_bj) - 1)),
    dJ/dalpha_j = sum_b G_bj (phi(z_bj) - z_bj).

    Args:
        phi: the activation.
        alpha: of each unit, (n_out,), or None.
        residual: from `activation_forward`, (batch, n_out).
        G: dJ/dh, (batch, n_out).

    Returns:
        dJ/dz, (batch, n_out), and what each row adds to dJ/dalpha, (batch, n_out); None without
        alpha.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmlp import ACTIVATIONS
        >>> z, G = jnp.array([[-2.0]]), jnp.array([[3.0]])
        >>> d_z, d_alpha = activation_backward(ACTIVATIONS["relu"], jnp.array([0.25]), z, G)
        >>> d_z.tolist(), d_alpha.tolist()
        ([[2.25]], [[6.0]])
    """
    if alpha is None:
        return each_entry(lambda r, g: g * phi.derivative(r), residual, G), None
    d_z = each_entry(lambda z, g, a: g * _slope(phi, a, z), residual, G, alpha[None, :])
    return d_z, each_entry(lambda z, g: g * (phi.fn(z) - z), residual, G)
