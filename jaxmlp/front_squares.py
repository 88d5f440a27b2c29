"""Length of each example's own gradient by the parameters of the input side, forming none of them.

What an example adds to the gradient of a number's embedding is an outer product, as in a layer: of
what the number became before the last step, and of dJ/de. So its length is a product of lengths.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.front import members_backward
from jaxmlp.front_config import FrontConfig
from jaxmlp.front_types import Front, FrontCache, Periodic, PeriodicCache, PiecewiseCache
from jaxmlp.types import wide_dtype


def front_squares(
    config: FrontConfig, front: Front, cache: FrontCache, G: Float[Array, "k_batch n"]
) -> Float[Array, " batch"]:
    """Compute ||dl_b/d front||^2 of every example b.

    Scale and signs: the squares of sum_k G_kb * r_k * e_b, and of G_kb * e_b * s. Categories: those
    of dl/de, for two columns share no vector. Numbers: as `_piecewise_squares` and
    `_periodic_squares`.

    Args:
        config: which column is what.
        front: the parameters.
        cache: from `front_forward`.
        G: each example's own dl_b/dh_kb, (k batch, n).

    Returns:
        (batch,), in at least float32.

    Reference: Goodfellow, 2015, arXiv 1510.01799 (the same of a layer).
    """
    wide = wide_dtype(G.dtype)
    e, G = cache.e.astype(wide), G.astype(wide)
    total = jnp.zeros(len(e), wide)
    _, _, d_e = members_backward(front.s, front.r, e, G)
    if front.r is not None:
        d_r = G.reshape(len(front.r), *e.shape) * e[None]
        d_r = d_r if front.s is None else d_r * front.s[None, None]
        total += jnp.sum(jnp.square(d_r), axis=(0, 2))
    if front.s is not None:
        _, _, by_scale = members_backward(None, front.r, e, G)
        total += _row_squares(by_scale * e)
    n_embedded = len(config.numbers) * config.number_width
    d = d_e[:, :n_embedded].reshape(len(e), len(config.numbers), config.number_width)
    if isinstance(cache.numbers, PiecewiseCache):
        total += _piecewise_squares(cache.numbers, d)
    elif isinstance(cache.numbers, PeriodicCache) and isinstance(front.numbers, Periodic):
        total += _periodic_squares(front.numbers, cache.numbers, d)
    if cache.levels is not None:
        total += _row_squares(d_e[:, n_embedded + len(config.others) :])
    return total


def _piecewise_squares(
    cache: PiecewiseCache, G: Float[Array, "batch d m"]
) -> Float[Array, " batch"]:
    """sum_i (1 + x_i^2 + |z(x_i)|^2) |G_i|^2: z is 1 in the t bins below, then the share f."""
    x, t, f = cache
    z_squared = t.astype(f.dtype) + jnp.square(f)
    return jnp.sum((1 + jnp.square(x) + z_squared) * jnp.sum(jnp.square(G), axis=2), axis=1)


def _periodic_squares(
    p: Periodic, cache: PeriodicCache, G: Float[Array, "batch d m"]
) -> Float[Array, " batch"]:
    """sum_i (1 + |cos v_i|^2) |G'_i|^2 + (1 + (2 pi x_i)^2) |dJ/dv_i|^2."""
    (x, v), G = cache, G[..., :-1]
    d_v = jnp.sin(v) * jnp.einsum("bdm,dkm->bdk", G, p.V)
    mixed = (1 + jnp.sum(jnp.square(jnp.cos(v)), axis=2)) * jnp.sum(jnp.square(G), axis=2)
    turned = (1 + jnp.square(2 * jnp.pi * x)) * jnp.sum(jnp.square(d_v), axis=2)
    return jnp.sum(mixed + turned, axis=1)


def _row_squares(rows: Float[Array, "batch n"]) -> Float[Array, " batch"]:
    return jnp.sum(jnp.square(rows), axis=1)
