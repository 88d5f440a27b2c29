"""A sweep in parts, for as many processes or machines as there are, and its parts put together.

A member's key comes from the sweep's key and its own seed, so where it trains changes nothing (but
the last bit of a part that runs by another executor, or of a single point, whose loop the compiler
drops):

    parts = [sweep(config, data, grid=shard(grid, i, 4), ...) for i in (1, 2, 3, 4)]   # anywhere
    result = merge(parts)
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from jaxmlp.sweeps.grid import Grid, GridPoint, expand
from jaxmlp.sweeps.results import SweepResult, stack_metrics


def shard(grid: Grid, part: int, parts: int) -> list[GridPoint]:
    """Return one of several parts of a grid: neighbours, so that they share programs.

    Args:
        grid: as `sweep` takes it.
        part: which one, from 1.
        parts: how many there are, at most one a point.

    Returns:
        The points of this part; all parts, one after another, are the grid.

    Raises:
        ValueError: for a part that there is not, or more parts than points.

    Example:
        >>> shard({"seed": range(5)}, 1, 2), shard({"seed": range(5)}, 2, 2)
        ([{'seed': 0}, {'seed': 1}], [{'seed': 2}, {'seed': 3}, {'seed': 4}])
    """
    points = expand(grid)
    if not 1 <= parts <= len(points):
        raise ValueError(f"{parts} parts of {len(points)} points: give 1 to {len(points)}.")
    if not 1 <= part <= parts:
        raise ValueError(f"part {part} of {parts} is none; give 1 to {parts}.")
    first, end = ((part - 1) * len(points) // parts, part * len(points) // parts)
    return points[first:end]


def merge(results: Iterable[SweepResult]) -> SweepResult:
    """Put the parts of a sweep together.

    Args:
        results: of `sweep` or `cross_validate` on the parts of a grid, in their order.

    Returns:
        What one sweep of the whole grid returns; its time a step is the mean over the members.

    Raises:
        ValueError: for no parts, or parts of different sweeps.

    Example:
        >>> import jax
        >>> from jaxmlp import MLPConfig, sweep
        >>> x = np.random.default_rng(0).normal(size=(40, 2))
        >>> call = {"loss": "sigmoid_binary_cross_entropy", "epochs": 2, "key": jax.random.key(0)}
        >>> data, grid = (x, (x[:, 0] > 0).astype(int)), {"seed": range(4)}
        >>> parts = [sweep(MLPConfig((2, 4, 1)), data, grid=shard(grid, i, 2), **call)
        ...          for i in (1, 2)]
        >>> len(merge(parts))
        4
    """
    parts = list(results)
    if not parts:
        raise ValueError("there is nothing to merge; give the results of all parts.")
    first = parts[0]
    for other in parts:
        for name in ("columns", "best_metric", "loss"):
            if getattr(other, name) != getattr(first, name):
                raise ValueError(
                    f"the parts have different {name}: they are of different sweeps, and cannot be "
                    "merged."
                )
        if set(other.settings[0]) != set(first.settings[0]):
            raise ValueError("the parts have different names in their grids; merge parts of one.")
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    learnt = {
        int(offset) + index: found
        for offset, part in zip(offsets, parts, strict=False)
        for index, found in part.learnt.items()
    }
    sizes = [len(part) for part in parts]
    executors = dict.fromkeys(part.executor.split(":")[0] for part in parts)
    return replace(
        first,
        settings=[point for part in parts for point in part.settings],
        configs=[config for part in parts for config in part.configs],
        metrics=stack_metrics([part.metrics for part in parts]),
        status=[status for part in parts for status in part.status],
        best_epoch=np.concatenate([part.best_epoch for part in parts]),
        epoch=np.concatenate([part.epoch for part in parts]),
        executor=f"{len(parts)} parts, {' and '.join(executors)}",
        microseconds=float(np.average([part.microseconds for part in parts], weights=sizes)),
        n_programs=sum(part.n_programs for part in parts),
        learnt=learnt,
    )
