"""Lanczos' method: extreme eigenvalues of a symmetric matrix known by its products alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.types import Key


class _Ritz(NamedTuple):
    """What Lanczos found, all of it in ascending order.

    Attributes:
        values: approximate eigenvalues, (steps,); the outer ones converge first.
        residuals: ||A v - value v|| of each, (steps,): a true eigenvalue lies within that distance.
        weights: squared component of the start vector along each, (steps,); they sum to 1 and,
            with `values`, are a quadrature of the spectrum's density.
    """

    values: Float[Array, " steps"]
    residuals: Float[Array, " steps"]
    weights: Float[Array, " steps"]


def lanczos(
    product: Callable[[Float[Array, " n"]], Float[Array, " n"]],
    size: int,
    steps: int,
    key: Key,
    dtype: Any = "float32",
) -> _Ritz:
    """Find the outer eigenvalues of a symmetric matrix A from products A v.

    A Q = Q T + beta q e^T with orthonormal Q and tridiagonal T, whose eigenvalues approach those of
    A from the outside in. Every new vector is orthogonalized twice against all earlier ones: in
    floating point the three-term recurrence alone finds the same eigenvalue again and again.

    Args:
        product: v (n,) -> A v (n,).
        size: n.
        steps: number of products, at most n; the memory is steps * n numbers.
        key: random key of the start vector.
        dtype: of the vectors.

    Returns:
        The Ritz values with their residuals and weights.

    Raises:
        ValueError: for a number of steps outside 1..n.

    Example:
        >>> A = jnp.diag(jnp.arange(1.0, 101.0))
        >>> ritz = lanczos(lambda v: A @ v, 100, 60, jax.random.key(0))
        >>> round(float(ritz.values[-1]), 3)
        100.0

    Reference: Lanczos, 1950; Parlett, The Symmetric Eigenvalue Problem, 1998, chapter 13.
    """
    if not 1 <= steps <= size:
        raise ValueError(f"steps is {steps}, but must lie in 1..{size}, the size of the matrix.")
    start = jax.random.normal(key, (size,), dtype)
    basis = jnp.zeros((steps, size), dtype).at[0].set(start / jnp.linalg.norm(start))
    zero = jnp.zeros((steps,), dtype)

    def step(k: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        basis, alpha, beta = carry
        w = product(basis[k])
        # A row of zeros (see below) gets a value from inside the spectrum, where it does no harm.
        alpha = alpha.at[k].set(jnp.where(jnp.any(basis[k] != 0), w @ basis[k], alpha[0]))
        for _ in range(2):
            w = w - (basis @ w) @ basis
        norm = jnp.linalg.norm(w)
        # Once Q spans an invariant subspace, w is rounding noise: a zero row ends the recurrence.
        noise = jnp.finfo(dtype).eps * size**0.5 * jnp.max(jnp.abs(alpha))
        alive = norm > noise
        row = jnp.where(alive, w / jnp.where(alive, norm, jnp.ones_like(norm)), jnp.zeros_like(w))
        basis = basis.at[k + 1].set(row, mode="drop")
        return basis, alpha, beta.at[k].set(jnp.where(alive, norm, jnp.zeros_like(norm)))

    _, alpha, beta = jax.lax.fori_loop(0, steps, step, (basis, zero, zero))
    T = jnp.diag(alpha) + jnp.diag(beta[:-1], 1) + jnp.diag(beta[:-1], -1)
    values, vectors = jnp.linalg.eigh(T)
    return _Ritz(values, beta[-1] * jnp.abs(vectors[-1]), vectors[0] ** 2)
