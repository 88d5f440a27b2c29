"""The input side of a network for tables: embeddings, a scale and private signs, by hand.

It stands before the layers of network.py and turns a row of a prepared table, x, into the k rows
that k members of an ensemble see:

    e   = embeddings of numbers and of categories, beside the other columns     (batch, n)
    h_k = e * s * r_k                                                           (k batch, n)

Read it top to bottom: each function stands beside its derivative, then `front_forward` and
`front_backward` put them together.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmlp.front_config import FrontConfig
from jaxmlp.front_types import (
    Bins,
    Front,
    FrontCache,
    Periodic,
    PeriodicCache,
    Piecewise,
    PiecewiseCache,
)
from jaxmlp.types import Key

__all__ = [
    "category_backward", "category_forward", "front_backward", "front_forward", "init_front",
    "members_backward", "members_forward", "periodic_backward", "periodic_forward",
    "piecewise_backward", "piecewise_forward",
]  # fmt: skip

# Piecewise-linear embedding: e_i = x_i w_i + b_i + sum_t z_t(x_i) V_it, where z_t rises from 0 to 1
# over bin t. So z is 1 in the bins below that of x, the share of the way in it, and 0 above; the
# first bin and the last go on beyond the data in a straight line.


def piecewise_forward(
    p: Piecewise, x: Float[Array, "batch d"]
) -> tuple[Float[Array, "batch d m"], PiecewiseCache]:
    """Embed numbers by their bin t and the share f of the way through it.

    e_i = x_i w_i + b_i + sum_(u < t) V_iu + f V_it,   f = (x_i - start_it) / width_it.

    Args:
        p: the embedding.
        x: numbers, (batch, d).

    Returns:
        The embedded numbers, (batch, d, m), and what the backward pass needs.

    Reference: Gorishniy et al., 2022, arXiv 2203.05556; Gorishniy et al., 2024, arXiv 2410.24210
    (V = 0 at the start: the embedding begins as a straight line and learns its bends).
    """
    d, T, m = p.V.shape
    t = jnp.sum(p.starts[None, :, 1:] <= x[:, :, None], axis=-1, dtype=jnp.int32)
    place = t + T * jnp.arange(d, dtype=jnp.int32)[None, :]  # in tables of d T rows
    start, width = (jnp.take(part.ravel(), place, mode="clip") for part in (p.starts, p.widths))
    f = (x - start) / width
    below = jnp.einsum("ts,dsm->dtm", _lower_triangle(T, x.dtype), p.V)  # sum over u < t
    look_up = jnp.concatenate([below, p.V], axis=-1).reshape(d * T, 2 * m)
    found = jnp.take(look_up, place, axis=0, mode="clip")
    e = x[:, :, None] * p.w[None] + p.b[None] + found[..., :m] + f[:, :, None] * found[..., m:]
    return e, PiecewiseCache(x, t, f)


def piecewise_backward(
    p: Piecewise, cache: PiecewiseCache, G: Float[Array, "batch d m"]
) -> tuple[Piecewise, Float[Array, "batch d"]]:
    """Carry G = dJ/de back.

    dJ/dw_i = sum_b x_bi G_bi,   dJ/db_i = sum_b G_bi,   dJ/dV_it = sum_b z_t(x_bi) G_bi,
    dJ/dx_bi = (w_i + V_it / width_it) . G_bi   with t the bin of x_bi.

    Args:
        p: the embedding.
        cache: from `piecewise_forward`.
        G: dJ/de, (batch, d, m).

    Returns:
        Gradients shaped like `p` (those of its constants are zero), and dJ/dx, (batch, d).
    """
    x, t, f = cache
    T, (d, m) = p.V.shape[1], p.w.shape
    d_w = jnp.einsum("bd,bdm->dm", x, G)
    # z = onehot(t) f + (ones below t), and a sum over the rows of one bin is a product with onehot.
    onehot = (t[:, :, None] == jnp.arange(T, dtype=jnp.int32)[None, None, :]).astype(x.dtype)
    sums = jnp.einsum("bdt,bdm->dtm", onehot, jnp.concatenate([G, f[:, :, None] * G], axis=-1))
    d_V = jnp.einsum("ts,dtm->dsm", _lower_triangle(T, x.dtype), sums[..., :m]) + sums[..., m:]
    place = t + T * jnp.arange(d, dtype=jnp.int32)[None, :]
    slope = (p.V / p.widths[:, :, None]).reshape(d * T, m)
    d_x = jnp.einsum("bdm,bdm->bd", p.w[None] + jnp.take(slope, place, axis=0, mode="clip"), G)
    zero = jnp.zeros_like(p.starts), jnp.zeros_like(p.widths)
    return Piecewise(*zero, d_w, jnp.sum(G, axis=0), d_V), d_x


def _lower_triangle(T: int, dtype: jnp.dtype) -> Float[Array, "T T"]:
    """Ones where column < row: its product with a table is the sum of what stands before."""
    row = jnp.arange(T, dtype=jnp.int32)
    return (row[None, :] < row[:, None]).astype(dtype)


# Periodic embedding (PBLD: periodic, bias, linear, dense): v_ik = 2 pi w_ik x_i + c_ik,
# e_i = (sum_k cos(v_ik) V_ik + a_i, x_i).


def periodic_forward(
    p: Periodic, x: Float[Array, "batch d"]
) -> tuple[Float[Array, "batch d m"], PeriodicCache]:
    """Embed numbers by waves of learnt frequencies, mixed, with the number itself beside them.

    v_ik = 2 pi w_ik x_i + c_ik,   e_i = (sum_k cos(v_ik) V_ik + a_i, x_i).

    Args:
        p: the embedding.
        x: numbers, (batch, d).

    Returns:
        The embedded numbers, (batch, d, m), and what the backward pass needs.

    Reference: Holzmüller et al., 2024, arXiv 2407.04491 (PBLD).
    """
    v = 2 * jnp.pi * p.w[None] * x[:, :, None] + p.c[None]
    waves = jnp.einsum("bdk,dkm->bdm", jnp.cos(v), p.V) + p.a[None]
    return jnp.concatenate([waves, x[:, :, None]], axis=-1), PeriodicCache(x, v)


def periodic_backward(
    p: Periodic, cache: PeriodicCache, G: Float[Array, "batch d m"]
) -> tuple[Periodic, Float[Array, "batch d"]]:
    """Carry G = dJ/de back, with G' all of it but the last, which is that of x itself.

    dJ/dV_ik = sum_b cos(v_bik) G'_bi,   dJ/da_i = sum_b G'_bi,
    dJ/dv_bik = -sin(v_bik) (V_ik . G'_bi),
    dJ/dw_ik = 2 pi sum_b x_bi dJ/dv_bik,   dJ/dc_ik = sum_b dJ/dv_bik,
    dJ/dx_bi = G_bim + 2 pi sum_k w_ik dJ/dv_bik.

    Args:
        p: the embedding.
        cache: from `periodic_forward`.
        G: dJ/de, (batch, d, m).

    Returns:
        Gradients shaped like `p`, and dJ/dx, (batch, d).
    """
    x, v = cache
    waves, itself = G[..., :-1], G[..., -1]
    d_V = jnp.einsum("bdk,bdm->dkm", jnp.cos(v), waves)
    d_v = -jnp.sin(v) * jnp.einsum("bdm,dkm->bdk", waves, p.V)
    d_w = 2 * jnp.pi * jnp.einsum("bd,bdk->dk", x, d_v)
    d_x = itself + 2 * jnp.pi * jnp.einsum("dk,bdk->bd", p.w, d_v)
    return Periodic(d_w, jnp.sum(d_v, axis=0), d_V, jnp.sum(waves, axis=0)), d_x


# Category embedding: e_b = E[i_b].


def category_forward(
    E: Float[Array, "levels width"], levels: Int[Array, "batch categories"]
) -> Float[Array, "batch categories_width"]:
    """Look up the vector of each category's level: e_b = E[i_b], one beside the other.

    Args:
        E: vectors of the levels, (levels, width).
        levels: rows of E, (batch, categories).

    Returns:
        (batch, categories * width).

    Reference: Guo & Berkhahn, 2016, arXiv 1604.06737.
    """
    return jnp.take(E, levels, axis=0, mode="clip").reshape(len(levels), -1)


def category_backward(
    E: Float[Array, "levels width"],
    levels: Int[Array, "batch categories"],
    G: Float[Array, "batch categories_width"],
) -> Float[Array, "levels width"]:
    """Carry G = dJ/de back: dJ/dE_l = sum of the G_b whose level is l."""
    rows = G.reshape(-1, E.shape[1])
    return jax.ops.segment_sum(rows, levels.ravel(), num_segments=len(E))


# Scale and members: h_k = e * s * r_k.


def members_forward(
    s: Float[Array, " n"] | None, r: Float[Array, "k n"] | None, e: Float[Array, "batch n"]
) -> Float[Array, "k_batch n"]:
    """Scale the inputs, and multiply each member's copy with its signs: h_k = e * s * r_k.

    Args:
        s: scale, (n,), or None.
        r: signs of the members, (k, n), or None for a single network.
        e: inputs, (batch, n).

    Returns:
        The rows of member 1, then those of member 2, ...: (k batch, n).

    Reference: Gorishniy et al., 2024, arXiv 2410.24210 (TabM-mini); Holzmüller et al., 2024, arXiv
    2407.04491 (front scale).
    """
    if s is not None:
        e = e * s[None, :]
    return e if r is None else (e[None] * r[:, None, :]).reshape(-1, e.shape[1])


def members_backward(
    s: Float[Array, " n"] | None,
    r: Float[Array, "k n"] | None,
    e: Float[Array, "batch n"],
    G: Float[Array, "k_batch n"],
) -> tuple[Float[Array, " n"] | None, Float[Array, "k n"] | None, Float[Array, "batch n"]]:
    """Carry G = dJ/dh back.

    dJ/dr_k = sum_b G_kb * e_b * s,   dJ/ds = sum_k sum_b G_kb * e_b * r_k,
    dJ/de_b = s * sum_k G_kb * r_k.

    Args:
        s: scale, or None.
        r: signs of the members, or None.
        e: inputs, (batch, n).
        G: dJ/dh, (k batch, n).

    Returns:
        dJ/ds (n,) and dJ/dr (k, n), None where there is no such parameter; dJ/de, (batch, n).
    """
    d_s = d_r = None
    if r is not None:
        G_k = G.reshape(len(r), *e.shape)
        d_r = jnp.einsum("kbn,bn->kn", G_k, e if s is None else e * s[None, :])
        G = jnp.einsum("kbn,kn->bn", G_k, r)
    if s is not None:
        d_s = jnp.sum(G * e, axis=0)
        G = G * s[None, :]
    return d_s, d_r, G


# All of it: numbers are embedded, other columns stay as they are, categories are looked up.


def front_forward(
    config: FrontConfig, front: Front, x: Float[Array, "batch n_in"]
) -> tuple[Float[Array, "k_batch n"], FrontCache]:
    """Turn rows of a prepared table into the rows that the members' layers take.

    Args:
        config: which column is what.
        front: the parameters.
        x: rows, (batch, n_in); a category's column holds the number of its level, from 0.

    Returns:
        The members' rows, (k batch, n): embedded numbers, other columns, embedded categories; and
        what the backward pass needs.

    Reference: Gorishniy et al., 2024, arXiv 2410.24210.
    """
    cache: PiecewiseCache | PeriodicCache | None = None
    parts, levels = [], None
    if config.numbers:
        numbers = _columns(x, config.numbers)
        if isinstance(front.numbers, Piecewise):
            numbers, cache = piecewise_forward(front.numbers, numbers)
        elif isinstance(front.numbers, Periodic):
            numbers, cache = periodic_forward(front.numbers, numbers)
        parts.append(numbers.reshape(len(x), -1))
    if config.others:
        parts.append(_columns(x, config.others))
    if config.categories:
        levels = _level_rows(config, x)
        parts.append(category_forward(front.E, levels))
    e = jnp.concatenate(parts, axis=1)
    return members_forward(front.s, front.r, e), FrontCache(cache, levels, e)


def front_backward(
    config: FrontConfig, front: Front, cache: FrontCache, G: Float[Array, "k_batch n"]
) -> tuple[Front, Float[Array, "batch n_in"]]:
    """Carry G = dJ/dh back to every parameter and to the columns of x.

    Args:
        config: which column is what.
        front: the parameters.
        cache: from `front_forward`.
        G: dJ/dh, (k batch, n), which `jaxmlp.backward` returns as the gradient of its inputs.

    Returns:
        Gradients shaped like `front`, and dJ/dx, (batch, n_in); 0 for the columns of categories,
        whose entries are names.
    """
    d_s, d_r, d_e = members_backward(front.s, front.r, cache.e, G)
    n_embedded = len(config.numbers) * config.number_width
    n_kept = n_embedded + len(config.others)
    d_numbers: Piecewise | Periodic | None = None
    d_x = jnp.zeros((len(d_e), config.n_in), d_e.dtype)
    if config.numbers:
        d = d_e[:, :n_embedded].reshape(len(d_e), len(config.numbers), config.number_width)
        if isinstance(cache.numbers, PiecewiseCache):
            d_numbers, d = piecewise_backward(front.numbers, cache.numbers, d)  # type: ignore[arg-type]
        elif isinstance(cache.numbers, PeriodicCache):
            d_numbers, d = periodic_backward(front.numbers, cache.numbers, d)  # type: ignore[arg-type]
        d_x = d_x.at[:, jnp.asarray(config.numbers)].set(d.reshape(len(d_e), -1))
    if config.others:
        d_x = d_x.at[:, jnp.asarray(config.others)].set(d_e[:, n_embedded:n_kept])
    d_E = None
    if cache.levels is not None:
        d_E = category_backward(front.E, cache.levels, d_e[:, n_kept:])
    return Front(d_numbers, d_E, d_s, d_r), d_x


def _level_rows(
    config: FrontConfig, x: Float[Array, "batch n_in"]
) -> Int[Array, "batch categories"]:
    """Return the row of E of each category's level; each category's rows begin at its offset."""
    columns = tuple(column for column, _ in config.categories)
    level = _columns(x, columns).astype(jnp.int32)
    last = jnp.asarray([n - 1 for _, n in config.categories], jnp.int32)
    offsets = jnp.asarray(config.category_offsets, jnp.int32)
    return jnp.clip(level, 0, last[None, :]) + offsets[None, :]


def _columns(x: Float[Array, "batch n_in"], columns: tuple[int, ...]) -> Float[Array, "batch d"]:
    return jnp.take(x, jnp.asarray(columns, jnp.int32), axis=1, mode="clip")


def init_front(
    config: FrontConfig,
    key: Key,
    bins: Bins | None = None,
    dtype: str = "float32",
) -> Front:
    """Draw the parameters of the input side.

    Piecewise: w and b uniform within 1/sqrt(m), V = 0. Periodic: w ~ sigma N(0, 1), c uniform
    within pi, V and a uniform within 1/sqrt(K). E ~ N(0, 1), s = 1, r = random signs.

    Args:
        config: which column is what.
        key: a random key.
        bins: starts and widths, (d, T) each, from `jaxmlp.data.tables.piecewise_bins`; needed by a
            piecewise embedding only.
        dtype: of the parameters.

    Returns:
        The parameters.

    Raises:
        ValueError: if a piecewise embedding gets no bins, or bins of another shape.

    Example:
        >>> config = FrontConfig(3, numbers=(0, 1), embedding="periodic", members=4)
        >>> init_front(config, jax.random.key(0)).r.shape
        (4, 17)

    Reference: Gorishniy et al., 2024, arXiv 2410.24210; Holzmüller et al., 2024, arXiv 2407.04491.
    """
    number_key, level_key, sign_key = jax.random.split(key, 3)
    d, m, n = len(config.numbers), config.number_width, config.n_out
    numbers: Piecewise | Periodic | None = None
    if config.embedding == "piecewise" and d:
        starts, widths = _check_bins(config, bins)
        w, b = jax.random.uniform(number_key, (2, d, m), dtype, -(m**-0.5), m**-0.5)
        numbers = Piecewise(
            jnp.asarray(starts, dtype), jnp.asarray(widths, dtype), w, b,
            jnp.zeros((d, config.bins, m), dtype),
        )  # fmt: skip
    elif config.embedding == "periodic" and d:
        w_key, c_key, V_key, a_key = jax.random.split(number_key, 4)
        K = config.frequencies
        # The barrier has the same numbers come under jit and without: two factors would be joined.
        w = jax.lax.optimization_barrier(jax.random.normal(w_key, (d, K), dtype))
        numbers = Periodic(
            config.sigma * w,
            jax.random.uniform(c_key, (d, K), dtype, -jnp.pi, jnp.pi),
            jax.random.uniform(V_key, (d, K, m - 1), dtype, -(K**-0.5), K**-0.5),
            jax.random.uniform(a_key, (d, m - 1), dtype, -(K**-0.5), K**-0.5),
        )
    E = jax.random.normal(level_key, (config.n_levels, config.category_width), dtype)
    return Front(
        numbers,
        E if config.categories else None,
        jnp.ones((n,), dtype) if config.scale else None,
        jax.random.rademacher(sign_key, (config.members, n), dtype) if config.members > 1 else None,
    )


def _check_bins(config: FrontConfig, bins: object) -> Bins:
    """Refuse bins that are not (starts, widths) of the config's numbers."""
    shape = (len(config.numbers), config.bins)
    if not isinstance(bins, tuple) or [jnp.shape(part) for part in bins] != [shape, shape]:
        raise ValueError(
            f"a piecewise embedding needs bins=(starts, widths), of shape {shape} each; "
            "jaxmlp.data.tables.piecewise_bins makes them from the training rows."
        )
    return bins
