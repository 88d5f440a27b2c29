"""The parameters of a network's input side, and what its backward pass needs."""

from typing import Any, NamedTuple, TypeAlias

from jaxtyping import Array, Float, Int

from jaxmlp.types import Absent

Bins: TypeAlias = tuple[Any, Any]
"""Starts and widths of the bins of d numbers, arrays (d, T) each."""


class Piecewise(NamedTuple):
    """A piecewise-linear embedding of d numbers in T bins, into m numbers each.

    Attributes:
        starts: where each bin begins, (d, T), rising; bins that a number lacks begin at the
            largest float. Constants of the data, as are the widths: they do not train.
        widths: of the bins, (d, T), positive.
        w: slope of the straight part, (d, m).
        b: its value at 0, (d, m).
        V: what each bin adds from its beginning to its end, (d, T, m).
    """

    starts: Float[Array, "d T"] | Absent
    widths: Float[Array, "d T"] | Absent
    w: Float[Array, "d m"]
    b: Float[Array, "d m"]
    V: Float[Array, "d T m"]


class Periodic(NamedTuple):
    """A periodic embedding of d numbers with K frequencies, into m - 1 numbers each, and itself.

    Attributes:
        w: frequencies, (d, K).
        c: phases, (d, K).
        V: mixture of the waves, (d, K, m - 1).
        a: its value without waves, (d, m - 1).
    """

    w: Float[Array, "d K"]
    c: Float[Array, "d K"]
    V: Float[Array, "d K m-1"]
    a: Float[Array, "d m-1"]


class Front(NamedTuple):
    """The parameters of the input side; parts that the config does without are None.

    Attributes:
        numbers: the embedding of the numbers.
        E: vectors of the levels of all categories, one table after another, (levels, width).
        s: scale of every input, (n,).
        r: signs at the start, and later weights, of each member, (k, n).
    """

    numbers: Piecewise | Periodic | Absent = None
    E: Float[Array, "levels width"] | Absent = None
    s: Float[Array, " n"] | Absent = None
    r: Float[Array, "k n"] | Absent = None


class PiecewiseCache(NamedTuple):
    """What `piecewise_backward` needs: the numbers, each one's bin, and how far into it."""

    x: Float[Array, "batch d"]
    bin: Int[Array, "batch d"]
    share: Float[Array, "batch d"]


class PeriodicCache(NamedTuple):
    """What `periodic_backward` needs: the numbers, and the angles of their waves."""

    x: Float[Array, "batch d"]
    v: Float[Array, "batch d K"]


class FrontCache(NamedTuple):
    """What `front_backward` needs.

    Attributes:
        numbers: of the embedding of numbers, or None.
        levels: rows of E that were looked up, (batch, categories), or None.
        e: the inputs before scale and signs, (batch, n).
    """

    numbers: PiecewiseCache | PeriodicCache | None
    levels: Int[Array, "batch categories"] | None
    e: Float[Array, "batch n"]
