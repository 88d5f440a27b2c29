"""`sweep`: many networks with different hyperparameters, trained in one program a shape."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss
from jaxmlp.optimizers import Optimizer, adam
from jaxmlp.sweeps.executors import Executor
from jaxmlp.sweeps.grid import Grid, expand
from jaxmlp.sweeps.plan import make_task
from jaxmlp.sweeps.progress import OnProgress
from jaxmlp.sweeps.results import SweepResult
from jaxmlp.sweeps.runs import MEMORY_LIMIT, run_settings
from jaxmlp.training.stopping import EarlyStopping
from jaxmlp.types import Key, ScalarLike


def sweep(
    config: MLPConfig,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    grid: Grid,
    epochs: int,
    key: Key,
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
    keep: str | None = None,
    memory_limit: int = MEMORY_LIMIT,
    progress: bool | OnProgress = False,
) -> SweepResult:
    """Train a network for every setting of a grid, in one compiled program for each shape.

    Member m starts from `init(config, k1)` and trains as `fit(..., key=k2)` would, where
    k1, k2 = `member_keys(key, seed)`: what a member learns does not depend on its neighbours, and
    one that diverges leaves them alone.

    Args:
        config: the network.
        data: (x, y): features (n, n_in), and targets as the loss takes them, (n,) or (n, n_out).
        loss: name of a loss, or a `Loss`.
        grid: name -> values to try (all combinations), or a list of settings, such as `sample`
            makes. Names: the optimizer's ("learning_rate", "b1", ...), "l2", "dropout_rate", the
            loss's options ("label_smoothing"), "init_scale" (times the initial weights), "seed";
            those of the config ("activation", "hidden_layer_sizes", ...) and "batch_size" make
            another program for each value.
        epochs: passes over the data.
        key: random key; a member's own comes from it and from its "seed".
        optimizer: a factory such as `jaxmlp.adam`, called with a setting's values; or one rule.
        batch_size: rows a step; None takes all.
        validation_data: (x, y), measured after every epoch.
        early_stopping: when a member stops; each stops on its own.
        sample_weight: non-negative weights of the examples, (n,).
        l2: weight of the penalty, where the grid does not say.
        dropout_rate: probability to drop, where the grid does not say.
        loss_options: of the loss, where the grid does not say.
        gradient: "manual" or "autodiff".
        frozen: indices of layers that do not train.
        shared_batches: give all members the same batches and masks (common random numbers): less
            noise between them, and one product for all first layers.
        executor: "vmap", "chunks of 16", "one", "measure" (try them); None asks the table.
        keep: "all" keeps every member's parameters, "best" the best one's; None keeps all that fit
            into half of `memory_limit`.
        memory_limit: bytes for members in training; more members than fit train in turns.
        progress: True shows a bar, or a function is called with a `SweepProgress`.

    Returns:
        The result; `result.table`, `result.summary()`, `result.best.params`.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: for names that nothing reads, and for data or sizes that do not fit.

    Example:
        >>> import jax, numpy as np
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> result = sweep(MLPConfig((2, 8, 1)), (x, (x[:, 0] > 0).astype(int)), epochs=5,
        ...                loss="sigmoid_binary_cross_entropy", key=jax.random.key(0),
        ...                grid={"learning_rate": [1e-1, 1e-5], "seed": range(3)})
        >>> len(result), result.best.setting["learning_rate"]
        (6, 0.1)

    Reference: Bergstra & Bengio, JMLR 2012 (why to sample rather than to grid).
    """
    task = make_task(
        config, data, loss=loss, epochs=epochs, key=key, optimizer=optimizer,
        batch_size=batch_size, validation_data=validation_data, early_stopping=early_stopping,
        sample_weight=sample_weight, l2=l2, dropout_rate=dropout_rate, loss_options=loss_options,
        gradient=gradient, frozen=frozen, shared_batches=shared_batches,
    )  # fmt: skip
    return run_settings(task, expand(grid), executor, keep, memory_limit, progress)
