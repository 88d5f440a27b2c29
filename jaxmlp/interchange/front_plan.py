"""What the input side of a network for tables computes, in numpy arrays."""

from typing import NamedTuple

import numpy as np

from jaxmlp.front_types import Front, Periodic, Piecewise
from jaxmlp.tabular_config import TabularConfig


class Bins(NamedTuple):
    """x -> base_t + slope_t (x - start_t), with t the last bin that begins at x or below.

    Attributes:
        start: (d, T) of d numbers; the first bin goes on below its start.
        base: what a number becomes at its bin's start, (d, T, m).
        slope: (d, T, m).
    """

    start: np.ndarray
    base: np.ndarray
    slope: np.ndarray


class Waves(NamedTuple):
    """x -> (sum_k cos(w_k x + c_k) V_k + a, x): w and c are (d, K), V (d, K, m - 1), a (d, m - 1).

    Here w holds the factor 2 pi.
    """

    w: np.ndarray
    c: np.ndarray
    V: np.ndarray
    a: np.ndarray


class FrontPlan(NamedTuple):
    """From the inputs to the rows that the layers of each member take.

    e = embedded numbers, the others as they are, vectors of levels;  h_k = e * factors_k. The
    logits are those whose link is the mean over the members of the link of theirs.

    Attributes:
        n_in: number of inputs.
        numbers: indices of the inputs that are embedded.
        embedding: how, or None: as they are.
        others: indices of the inputs that stay as they are.
        categories: (index, number of levels, its first row of E) of inputs that number levels.
        E: vectors of the levels, (levels, width); without categories (0, 0).
        factors: of each member, (members, n).
        link: "identity", "softmax", "sigmoid" or "exp".
    """

    n_in: int
    numbers: tuple[int, ...]
    embedding: Bins | Waves | None
    others: tuple[int, ...]
    categories: tuple[tuple[int, int, int], ...]
    E: np.ndarray
    factors: np.ndarray
    link: str


def front_plan(config: TabularConfig, front: Front, dtype: np.dtype) -> FrontPlan:
    """Describe an input side.

    Args:
        config: of the network.
        front: its parameters.
        dtype: of the plan's arrays; they are computed in float64 and rounded once.

    Returns:
        The plan.
    """
    side = config.front
    scale = np.ones(side.n_out) if front.s is None else _wide(front.s)
    factors = scale[None] if front.r is None else scale[None] * _wide(front.r)
    embedding: Bins | Waves | None = None
    if isinstance(front.numbers, Piecewise):
        embedding = _bins(front.numbers)
    elif isinstance(front.numbers, Periodic):
        w, c, V, a = map(_wide, front.numbers)
        embedding = Waves(2 * np.pi * w, c, V, a)
    if embedding is not None:
        embedding = type(embedding)(*(part.astype(dtype) for part in embedding))
    placed = zip(side.categories, side.category_offsets, strict=True)
    return FrontPlan(
        side.n_in,
        side.numbers,
        embedding,
        side.others,
        tuple((column, n, first) for (column, n), first in placed),
        (np.zeros((0, 0)) if front.E is None else _wide(front.E)).astype(dtype),
        factors.astype(dtype),
        config.link if len(factors) > 1 else "identity",
    )


def _bins(p: Piecewise) -> Bins:
    """At the start s_t of a bin, x w + b + sum_(u < t) V_u; from there on w + V_t / width_t."""
    start, width, w, b, V = map(_wide, p)
    used = (start < np.finfo(np.float32).max)[:, :, None]
    below = np.cumsum(V, axis=1) - V
    base = np.where(
        used, np.where(used, start[:, :, None], 0.0) * w[:, None] + b[:, None] + below, 0
    )
    return Bins(start, base, w[:, None] + V / width[:, :, None])


def _wide(array: object) -> np.ndarray:
    return np.asarray(array, np.float64)
