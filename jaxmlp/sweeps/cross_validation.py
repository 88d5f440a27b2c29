"""Cross-validation: the folds are one more axis of a sweep."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.optimizers import Optimizer, adam
from jaxmlp.sweeps.executors import Executor
from jaxmlp.sweeps.folds import Folds, make_pairs
from jaxmlp.sweeps.grid import Grid, expand
from jaxmlp.sweeps.plan import make_task
from jaxmlp.sweeps.progress import OnProgress
from jaxmlp.sweeps.results import SweepResult
from jaxmlp.sweeps.runs import MEMORY_LIMIT, run_settings
from jaxmlp.training.stopping import EarlyStopping
from jaxmlp.types import Key, ScalarLike


def cross_validate(
    config: MLPConfig,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    epochs: int,
    key: Key,
    grid: Grid = ({},),
    folds: Folds = 5,
    optimizer: Callable[..., Any] | Optimizer = adam,
    batch_size: int | None = 64,
    early_stopping: EarlyStopping | None = None,
    sample_weight: Any = None,
    l2: ScalarLike = 0.0,
    dropout_rate: ScalarLike = 0.5,
    loss_options: Mapping[str, ScalarLike] | None = None,
    gradient: str = "manual",
    frozen: Iterable[int] = (),
    shared_batches: bool = False,
    executor: str | Executor | None = None,
    keep: str | None = None,
    memory_limit: int = MEMORY_LIMIT,
    progress: bool | OnProgress = False,
) -> SweepResult:
    """Train every setting on every fold, settings x folds networks in one program.

    Each member reads its rows of the one shared data through an index table, in the order in which
    `fit` on these rows alone would; "validation_..." are its metrics on the rows left out.

    Args:
        config: the network.
        data: (x, y): features (n, n_in), and targets as the loss takes them, (n,) or (n, n_out).
        loss: name of a loss, or a `Loss`.
        epochs: passes over the training rows.
        key: random key; folds of the same "seed" start from the same parameters.
        grid: settings to compare, as in `sweep`; none by default.
        folds: how many, cut at random, by class where there are classes; or pairs of row numbers
            (train, test), such as `splitter.split(x, y)` of scikit-learn gives.
        optimizer: a factory such as `jaxmlp.adam`, or one rule.
        batch_size: rows a step; None takes all.
        early_stopping: when a member stops; it watches its own fold.
        sample_weight: non-negative weights of the examples, (n,).
        l2: weight of the penalty, where the grid does not say.
        dropout_rate: probability to drop, where the grid does not say.
        loss_options: of the loss, where the grid does not say.
        gradient: "manual" or "autodiff".
        frozen: indices of layers that do not train.
        shared_batches: the same order of the positions within a fold for all members.
        executor: how the members run, as in `sweep`.
        keep: which parameters are kept, as in `sweep`.
        memory_limit: bytes for members in training.
        progress: True, or a function called with a `SweepProgress`.

    Returns:
        A `SweepResult` with a name "fold" in its settings; `result.summary()` has mean and
        deviation over folds and seeds, the best setting first.

    Raises:
        ValueError: for folds that are empty, overlap, or name rows that do not exist; and as
            `sweep`.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> result = cross_validate(MLPConfig((2, 8, 1)), (x, (x[:, 0] > 0).astype(int)), epochs=5,
        ...                         loss="sigmoid_binary_cross_entropy", key=jax.random.key(0),
        ...                         grid={"learning_rate": [1e-1, 1e-5]}, folds=3)
        >>> len(result), result.best.setting["learning_rate"]
        (6, 0.1)

    Reference: Stone, "Cross-validatory choice", 1974; Hastie et al., chapter 7.10.
    """
    pairs = make_pairs(folds, data, get_loss(loss).task)
    task = make_task(
        config, data, loss=loss, epochs=epochs, key=key, optimizer=optimizer,
        batch_size=batch_size, validation_data=None, early_stopping=early_stopping,
        sample_weight=sample_weight, l2=l2, dropout_rate=dropout_rate, loss_options=loss_options,
        gradient=gradient, frozen=frozen, shared_batches=shared_batches, folds=pairs,
    )  # fmt: skip
    settings = [{**s, "fold": fold} for s in expand(grid) for fold in range(len(pairs))]
    return run_settings(task, settings, executor, keep, memory_limit, progress)
