"""Which columns a model relies on: how much worse it gets when one of them is shuffled."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_REPEATS, _ROWS = 5, 4000


class Importance(NamedTuple):
    """How much a shuffled column costs.

    Attributes:
        name: of the column.
        loss: by how much the score gets worse, mean over the shuffles.
        deviation: over the shuffles.
    """

    name: str
    loss: float
    deviation: float


def permutation_importance(
    score: Callable[[Float[np.ndarray, "rows features"], np.ndarray], float],
    x: Float[np.ndarray, "rows features"],
    y: np.ndarray,
    groups: Sequence[tuple[str, Sequence[int]]],
    *,
    repeats: int = _REPEATS,
    seed: int = 0,
) -> list[Importance]:
    """Shuffle the inputs of each column among the rows, and measure the score anew.

    Args:
        score: (x, y) -> a number that is higher for a better model.
        x: inputs of the network, (rows, features); of more than 4000 rows a sample is taken.
        y: targets, (rows,).
        groups: (name, its inputs in x) of each column.
        repeats: shuffles of each column.
        seed: of the shuffles.

    Returns:
        The columns, the most important first.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> def score(x, y):
        ...     return -float(np.mean((x[:, 1] - y) ** 2))
        >>> found = permutation_importance(score, x, x[:, 1], [("a", [0]), ("b", [1])])
        >>> [entry.name for entry in found], found[1].loss
        (['b', 'a'], 0.0)

    Reference: Breiman, Random forests, 2001; Fisher, Rudin & Dominici, 2019. Columns that say the
    same share their importance.
    """
    rng = np.random.default_rng(seed)
    if len(x) > _ROWS:
        rows = rng.permutation(len(x))[:_ROWS]
        x, y = x[rows], y[rows]
    base, found = score(x, y), []
    for name, places in groups:
        losses = []
        for _ in range(repeats):
            shuffled = x.copy()
            shuffled[:, places] = x[rng.permutation(len(x))][:, places]
            losses.append(base - score(shuffled, y))
        found.append(Importance(name, float(np.mean(losses)), float(np.std(losses))))
    return sorted(found, key=lambda entry: -entry.loss)
