"""Many networks with different hyperparameters or folds, trained in one program a shape."""

from math import floor, log
from typing import Any, Unpack

import numpy as np

from jaxmlp.losses import Loss, get_loss
from jaxmlp.networks import NetworkConfig
from jaxmlp.sweeps.folds import Folds, make_pairs
from jaxmlp.sweeps.grid import Grid, expand
from jaxmlp.sweeps.members import select_members
from jaxmlp.sweeps.progress import Counting, reporter
from jaxmlp.sweeps.results import SweepResult
from jaxmlp.sweeps.runs import Collected, best_scores, check_points, run_points
from jaxmlp.sweeps.spec import ShapeGroup, SweepOptions, by_shape, check_sweep
from jaxmlp.training.runner import Runner
from jaxmlp.types import Key


def sweep(
    config: NetworkConfig,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    grid: Grid,
    epochs: int,
    key: Key,
    **options: Unpack[SweepOptions],
) -> SweepResult:
    """Train a network for every point of a grid, in one compiled program for each shape.

    Member m starts from `init(config, k1)` and trains as `fit(..., key=k2)` would, where
    k1, k2 = `member_keys(key, seed)`: what a member learns does not depend on its neighbours, and
    one that diverges leaves them alone. The bins of a network for tables are laid by the training
    rows, `piecewise_bins(x[:, numbers], bins)`, once for all members.

    Args:
        config: the network, an `MLPConfig` or a `TabularConfig`.
        data: (x, y): features (n, n_in), and targets as the loss takes them, (n,) or (n, n_out).
        loss: name of a loss, or a `Loss`.
        grid: name -> values to try (all combinations), or a list of points, such as `sample`
            makes. Names: the optimizer's ("learning_rate", "b1", ...), "l2", "dropout_rate", the
            loss's options ("label_smoothing"), "init_scale" (times the initial weights of the
            layers), "seed"; those of the layers' config ("activation", "hidden_layer_sizes", ...)
            and "batch_size" make another program for each value.
        epochs: passes over the data.
        key: random key; a member's own comes from it and from its "seed".
        options: those of every training (documented in `TrainingOptions`; they count where the
            grid does not say otherwise), and those of `SweepOptions`, such as optimizer, executor
            and progress.

    Returns:
        The result; `result.table`, `result.summary()`, `result.best.params`.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: for names that nothing reads, and for data or sizes that do not fit.

    Example:
        >>> import jax, numpy as np
        >>> from jaxmlp import MLPConfig
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> result = sweep(MLPConfig((2, 8, 1)), (x, (x[:, 0] > 0).astype(int)), epochs=5,
        ...                loss="sigmoid_binary_cross_entropy", key=jax.random.key(0),
        ...                grid={"learning_rate": [1e-1, 1e-5], "seed": range(3)})
        >>> len(result), result.best.setting["learning_rate"]
        (6, 0.1)

    Reference: Bergstra & Bengio, JMLR 2012 (why to sample rather than to grid).
    """
    spec = check_sweep(sweep, config, data, loss=loss, epochs=epochs, key=key, options=options)
    return run_points(spec, expand(grid))


def cross_validate(
    config: NetworkConfig,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    epochs: int,
    key: Key,
    grid: Grid = ({},),
    folds: Folds = 5,
    **options: Unpack[SweepOptions],
) -> SweepResult:
    """Train every point on every fold, points x folds networks in one program.

    Each member reads its rows of the one shared data through an index table, in the order in which
    `fit` on these rows alone would; "validation_..." are its metrics on the rows left out. Of a
    network for tables, each fold has bins of its own, in which these rows have no say.

    Args:
        config: the network, an `MLPConfig` or a `TabularConfig`.
        data: (x, y), as in `sweep`.
        loss: name of a loss, or a `Loss`.
        epochs: passes over the training rows.
        key: random key; folds of the same "seed" start from the same parameters.
        grid: points to compare, as in `sweep`; none by default.
        folds: how many, cut at random, by class where there are classes; or pairs of row numbers
            (train, test), such as `splitter.split(x, y)` of scikit-learn gives.
        options: as in `sweep`, but for validation_data: the folds are it.

    Returns:
        A `SweepResult` with a name "fold" in its settings; `result.summary()` has mean and
        deviation over folds and seeds, the best point first.

    Raises:
        ValueError: for folds that are empty, overlap, or name rows that do not exist; and as
            `sweep`.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from jaxmlp import MLPConfig
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> result = cross_validate(MLPConfig((2, 8, 1)), (x, (x[:, 0] > 0).astype(int)), epochs=5,
        ...                         loss="sigmoid_binary_cross_entropy", key=jax.random.key(0),
        ...                         grid={"learning_rate": [1e-1, 1e-5]}, folds=3)
        >>> len(result), result.best.setting["learning_rate"]
        (6, 0.1)

    Reference: Stone, "Cross-validatory choice", 1974; Hastie et al., chapter 7.10.
    """
    if options.get("validation_data") is not None:
        raise ValueError("the folds are the validation data; leave validation_data out.")
    pairs = make_pairs(folds, data, get_loss(loss).task)
    spec = check_sweep(
        cross_validate, config, data, loss=loss, epochs=epochs, key=key, options=options,
        folds=pairs,
    )  # fmt: skip
    return run_points(spec, [{**p, "fold": i} for p in expand(grid) for i in range(len(pairs))])


def successive_halving(
    config: NetworkConfig,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    grid: Grid,
    epochs: int,
    key: Key,
    factor: int = 3,
    min_epochs: int | None = None,
    **options: Unpack[SweepOptions],
) -> SweepResult:
    """Compare many points at the cost of a few: after each rung only 1/factor of them go on.

    Rung r trains every member that is left to min_epochs factor^r epochs in all, going on where it
    stood; then the best 1/factor by the best metric stay. A loser costs nothing any more.

    Args:
        config: the network.
        data: (x, y), as in `sweep`.
        loss: name of a loss, or a `Loss`.
        grid: points, as in `sweep`; `sample` draws them from a space.
        epochs: passes over the data of those that stay to the end.
        key: random key.
        factor: the share that goes on is 1/factor, at least 2.
        min_epochs: epochs of the first rung; None starts so that the last rung has few members.
        options: as in `sweep`; validation_data are what members should be compared by, and
            early_stopping names the metric. All parameters are kept.

    Returns:
        A `SweepResult` with all members; the status of one that lost is INTERRUPTED.

    Raises:
        ValueError: for a factor below 2, more epochs in the first rung than in all, or checkpoint.

    Example:
        >>> import jax
        >>> from jaxmlp import MLPConfig
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
    if options.get("checkpoint") is not None:
        raise ValueError("successive_halving saves nothing on the way; leave checkpoint out.")
    if isinstance(factor, bool) or factor < 2:
        raise ValueError(f"factor is {factor}; give a whole number >= 2.")
    spec = check_sweep(
        successive_halving, config, data, loss=loss, epochs=epochs, key=key, options=options
    )
    points = expand(grid)
    check_points(spec, points)
    rungs = _rungs(len(points), epochs, factor, min_epochs)
    collected = Collected(points, spec, "all")
    runs: list[_GroupRun] = []
    for group, indices in by_shape(spec, points).items():
        chosen = [points[i] for i in indices]
        runs.append((indices, group, group.run(chosen, group.executor(chosen))))
        collected.n_programs += 1
    with reporter(spec.progress, len(points), epochs) as report:
        for r, end in enumerate(rungs):
            left = sum(len(indices) for indices, _, _ in runs)
            counting = Counting(report, collected.n_done, left, len(points), epochs)
            for _, _, run in runs:
                run.advance(end - run.n_steps // run.steps_per_epoch, [counting])
            if any(run.stopped for _, _, run in runs):
                break
            if r + 1 < len(rungs):
                runs = _halve(runs, collected, factor)
    for indices, group, run in runs:
        collected.add(indices, group.config, run)
    return collected.result()


_GroupRun = tuple[list[int], ShapeGroup, Runner]
"""Indices of points of one shape, what serves them, and their members in training."""


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


def _halve(runs: list[_GroupRun], collected: Collected, factor: int) -> list[_GroupRun]:
    """Let the best 1/factor go on; collect the others."""
    scores = np.concatenate([best_scores(run) for _, _, run in runs])
    rank = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    stays_all = rank < max(1, len(scores) // factor)
    kept, start = [], 0
    for indices, group, run in runs:
        stays = stays_all[start : start + len(indices)]
        start += len(indices)
        collected.add_time(run)
        if not stays.all():
            gone = [i for i, s in zip(indices, stays, strict=True) if not s]
            lost = select_members(run, np.flatnonzero(~stays), group.usual_executor(len(gone)))
            lost.stopped = True
            collected.add(gone, group.config, lost)
        if stays.any():
            rest = [i for i, s in zip(indices, stays, strict=True) if s]
            executor = group.usual_executor(len(rest))
            kept.append((rest, group, select_members(run, np.flatnonzero(stays), executor)))
    return kept
