"""Successive halving: all settings train a little, the better ones longer."""

from collections.abc import Callable, Iterable, Mapping
from math import floor, log
from typing import Any

import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss
from jaxmlp.optimizers import Optimizer, adam
from jaxmlp.sweeps.engine import MemberRun
from jaxmlp.sweeps.executors import Executor
from jaxmlp.sweeps.grid import Grid, check_names, expand
from jaxmlp.sweeps.plan import Group, by_shape, make_task
from jaxmlp.sweeps.progress import OnProgress, counting, reporter
from jaxmlp.sweeps.results import SweepResult
from jaxmlp.sweeps.runs import Collected
from jaxmlp.training.stopping import EarlyStopping, higher_is_better
from jaxmlp.types import Key, ScalarLike


def successive_halving(
    config: MLPConfig,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    grid: Grid,
    epochs: int,
    key: Key,
    factor: int = 3,
    min_epochs: int | None = None,
    optimizer: Callable[..., Any] | Optimizer = adam,
    batch_size: int | None = 64,
    validation_data: tuple[Any, Any] | None = None,
    early_stopping: EarlyStopping | None = None,
    sample_weight: Any = None,
    l2: ScalarLike = 0.0,
    dropout_rate: ScalarLike = 0.5,
    loss_options: Mapping[str, ScalarLike] | None = None,
    gradient: str = "manual",
    frozen: Iterable[int] = (),
    shared_batches: bool = False,
    executor: str | Executor | None = None,
    progress: bool | OnProgress = False,
) -> SweepResult:
    """Compare many settings at the cost of a few: after each rung only 1/factor of them go on.

    Rung r trains every member that is left to min_epochs factor^r epochs in all, going on where it
    stood; then the best 1/factor by the watched metric stay. A loser costs nothing any more.

    Args:
        config: the network.
        data: (x, y), as in `sweep`.
        loss: name of a loss, or a `Loss`.
        grid: settings, as in `sweep`; `sample` draws them from a space.
        epochs: passes over the data of those that stay to the end.
        key: random key.
        factor: the share that goes on is 1/factor, at least 2.
        min_epochs: epochs of the first rung; None starts so that the last rung has few members.
        optimizer: a factory such as `jaxmlp.adam`, or one rule.
        batch_size: rows a step; None takes all.
        validation_data: (x, y), by which members should be compared.
        early_stopping: names the metric to compare by, and when a member stops on its own.
        sample_weight: non-negative weights of the examples, (n,).
        l2: weight of the penalty, where the grid does not say.
        dropout_rate: probability to drop, where the grid does not say.
        loss_options: of the loss, where the grid does not say.
        gradient: "manual" or "autodiff".
        frozen: indices of layers that do not train.
        shared_batches: give all members the same batches.
        executor: how the members run, as in `sweep`.
        progress: True, or a function called with a `SweepProgress`.

    Returns:
        A `SweepResult` with all members; the status of one that lost is INTERRUPTED.

    Raises:
        ValueError: for a factor below 2, or more epochs in the first rung than in all.

    Example:
        >>> import jax
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> y = (x[:, 0] > 0).astype(int)
        >>> result = successive_halving(
        ...     MLPConfig((2, 8, 1)), (x, y), loss="sigmoid_binary_cross_entropy", epochs=9,
        ...     key=jax.random.key(0),
        ...     grid={"learning_rate": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]})
        >>> result.epoch.tolist()[-1], result.best.setting
        (9, {'learning_rate': 0.1})

    Reference: Jamieson & Talwalkar, 2016, arXiv 1502.07943.
    """
    if isinstance(factor, bool) or factor < 2:
        raise ValueError(f"factor is {factor}; give a whole number >= 2.")
    task = make_task(
        config, data, loss=loss, epochs=epochs, key=key, optimizer=optimizer,
        batch_size=batch_size, validation_data=validation_data, early_stopping=early_stopping,
        sample_weight=sample_weight, l2=l2, dropout_rate=dropout_rate, loss_options=loss_options,
        gradient=gradient, frozen=frozen, shared_batches=shared_batches,
    )  # fmt: skip
    settings = expand(grid)
    check_names(settings, task.factory, task.loss)
    rungs = _rungs(len(settings), epochs, factor, min_epochs)
    collected = Collected(settings, task)
    runs: list[tuple[list[int], Group, MemberRun]] = []
    for shape, indices in by_shape(task, settings).items():
        group, chosen = Group(task, *shape), [settings[i] for i in indices]
        runs.append((indices, group, group.run(chosen, group.executor(executor, chosen))))
        collected.n_programs += 1
    with reporter(progress, len(settings), epochs) as report:
        for r, end in enumerate(rungs):
            for _, _, run in runs:
                left, gone = sum(len(i) for i, _, _ in runs), collected.n_done
                count = counting(report, gone, left, len(settings), epochs)
                run.advance(end - run.n_epochs, count)
            if r + 1 < len(rungs) and not any(run.interrupted for _, _, run in runs):
                runs = _halve(runs, collected, factor, executor)
    for indices, group, run in runs:
        collected.add(indices, group.config, run, "all", 0)
    return collected.result()


def _rungs(n: int, epochs: int, factor: int, min_epochs: int | None) -> list[int]:
    """Numbers of epochs at which members are compared; the last is the end.

    >>> _rungs(27, 27, 3, None), _rungs(4, 10, 2, 3)
    ([1, 3, 9, 27], [3, 6, 10])
    """
    halvings = max(floor(log(n, factor) + 1e-9), 0) if n > 1 else 0
    first = max(1, epochs // factor**halvings) if min_epochs is None else min_epochs
    if not 1 <= first <= epochs:
        raise ValueError(f"min_epochs is {min_epochs}; give 1 to the {epochs} epochs in all.")
    rungs = [first]
    while rungs[-1] * factor < epochs and len(rungs) < halvings:
        rungs.append(rungs[-1] * factor)
    return rungs if rungs[-1] == epochs else [*rungs, epochs]


def _halve(
    runs: list[tuple[list[int], Group, MemberRun]],
    collected: Collected,
    factor: int,
    executor: Any,
) -> list[tuple[list[int], Group, MemberRun]]:
    """Let the best 1/factor go on; collect the others."""
    scores = np.concatenate([_scores(run) for _, _, run in runs])
    n_kept = max(1, len(scores) // factor)
    threshold_rank = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    kept, start = [], 0
    for indices, group, run in runs:
        stays = threshold_rank[start : start + len(indices)] < n_kept
        start += len(indices)
        lost = run.select(np.flatnonzero(~stays), run.executor) if not stays.all() else None
        if lost is not None:
            lost.interrupted = True
            collected.add(
                [i for i, s in zip(indices, stays, strict=True) if not s],
                group.config,
                lost,
                "all",
                0,
            )
        collected.seconds += run.seconds
        collected.member_steps += run.member_steps
        if stays.any():
            rest = [i for i, s in zip(indices, stays, strict=True) if s]
            way = group.executor(executor if executor != "measure" else None, [{}] * len(rest))
            kept.append((rest, group, run.select(np.flatnonzero(stays), way)))
    return kept


def _scores(run: MemberRun) -> np.ndarray:
    """The best watched metric of each member so far, smaller is better; NaN becomes inf."""
    rows = run.metrics[:, :, run.program.watched]
    if higher_is_better(run.columns[run.program.watched]):
        rows = -rows
    return np.min(np.where(np.isfinite(rows), rows, np.inf), axis=1, initial=np.inf)
