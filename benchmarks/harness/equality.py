"""Whether contenders did the same work: their final losses, over seeds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

TOLERANCE = 0.02
LEAST_SEEDS, MOST_SEEDS = 5, 40
Draw = Callable[[int], float]  # seed -> final loss


class Equality(NamedTuple):
    """A contender's mean final loss beside the reference's.

    Attributes:
        ratio: contender / reference.
        error: standard error of the ratio, from the scatter of the seeds.
        seeds: number of seeds.
        loss: the contender's mean.
    """

    ratio: float
    error: float
    seeds: int
    loss: float

    @property
    def equal(self) -> bool:
        """Whether the means agree to the tolerance."""
        return bool(abs(self.ratio - 1) <= TOLERANCE)

    @property
    def void(self) -> str:
        """Why the row does not count; "" if it does."""
        if self.equal:
            return ""
        return f"final loss {self.ratio:.3g} x that of jaxmlp ({self.seeds} seeds)"

    def details(self) -> dict[str, Any]:
        """Return the numbers for a result file."""
        return {
            "final loss": self.loss,
            "loss ratio": self.ratio,
            "error of the ratio": self.error,
            "seeds": self.seeds,
        }


class Losses:
    """Final losses by seed, drawn when they are asked for.

    Args:
        draw: trains with a seed, returns the loss.
    """

    def __init__(self, draw: Draw) -> None:
        """Know none yet."""
        self.draw = draw
        self.found: dict[int, float] = {}

    def first(self, n: int) -> np.ndarray:
        """Return those of seeds 0 .. n - 1."""
        for seed in range(n):
            if seed not in self.found:
                self.found[seed] = self.draw(seed)
        return np.array([self.found[seed] for seed in range(n)])


def compare(contender: Losses, reference: Losses, most: int = MOST_SEEDS) -> Equality:
    """Compare mean losses over 5 seeds; where these scatter too much to tell, over more.

    Seeds are added while the means differ by more than the tolerance and the scatter could explain
    it (Student's t: twice the standard error would call 1 in 9 equal contenders different after 5
    seeds), at most up to `most`.
    """
    n = LEAST_SEEDS
    while True:
        found = _equality(contender.first(n), reference.first(n))
        explained = abs(found.ratio - 1) - TOLERANCE <= t.ppf(0.995, n - 1) * found.error
        if found.equal or not explained or n >= most:
            return found
        n = min(n + LEAST_SEEDS, most)


def _equality(mine: np.ndarray, theirs: np.ndarray) -> Equality:
    """The ratio of means, and its standard error (the seeds are paired: equal initial weights)."""
    ratio = float(mine.mean() / theirs.mean())
    spread = float(np.std(mine - ratio * theirs, ddof=1) / theirs.mean())
    return Equality(ratio, float(spread / np.sqrt(len(mine))), len(mine), float(mine.mean()))
