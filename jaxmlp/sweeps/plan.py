"""What a sweep was asked for, checked, and the members that follow from it."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import check_frozen, check_key, unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.network import init
from jaxmlp.normalization import init_state
from jaxmlp.optimizers import Optimizer, as_optimizer
from jaxmlp.sweeps.engine import MemberRun, fastest_executor
from jaxmlp.sweeps.executors import Executor, choose_executor
from jaxmlp.sweeps.grid import Setting, optimizer_names, with_shape
from jaxmlp.sweeps.members import Members, Shared, make_folds, stack
from jaxmlp.training.batches import TrainData
from jaxmlp.training.preparation import check_batch_size, prepare_data, prepare_settings
from jaxmlp.training.program import Program
from jaxmlp.training.stopping import EarlyStopping, watched_column
from jaxmlp.types import Key, Params

Pair = tuple[np.ndarray, np.ndarray]
"""Row numbers to train and to test on."""


class Task(NamedTuple):
    """What all members of a sweep have in common, checked."""

    config: MLPConfig
    loss: Loss
    train: TrainData
    validation: TrainData | None
    factory: Callable[..., Any]
    epochs: int
    key: Key
    batch_size: int | None
    numbers: dict[str, Any]  # l2, dropout_rate, loss_options
    stopping: EarlyStopping
    keep_best: bool
    shared_batches: bool
    gradient: str
    frozen: tuple[int, ...]
    folds: tuple[Pair, ...]


def make_task(
    config: MLPConfig,
    data: Any,
    *,
    loss: str | Loss,
    epochs: int,
    key: Key,
    optimizer: Any,
    batch_size: int | None,
    validation_data: Any,
    early_stopping: EarlyStopping | None,
    sample_weight: Any,
    l2: Any,
    dropout_rate: Any,
    loss_options: Any,
    gradient: str,
    frozen: Iterable[int],
    shared_batches: bool,
    folds: tuple[Pair, ...] = (),
) -> Task:
    """Check what a sweep was given."""
    loss = get_loss(loss)
    check_key(key)
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"epochs is {epochs!r}; give a whole number >= 1.")
    if gradient not in ("manual", "autodiff"):
        raise unknown_name("gradient", gradient, ("manual", "autodiff"))
    train = prepare_data(config, loss, data, sample_weight)
    validation = None
    if validation_data is not None:
        validation = prepare_data(config, loss, validation_data, what="validation_data")
    factory = optimizer
    if not callable(optimizer) or isinstance(optimizer, tuple):
        rule = as_optimizer(optimizer)

        def factory() -> Optimizer:
            return rule

    return Task(
        config, loss, train, validation, factory, int(epochs), key, batch_size,
        {"l2": l2, "dropout_rate": dropout_rate, "loss_options": dict(loss_options or {})},
        early_stopping or EarlyStopping(patience=np.iinfo(np.int32).max),
        early_stopping is not None, bool(shared_batches), gradient,
        check_frozen(config.n_layers, frozen), folds,
    )  # fmt: skip


def member_keys(key: Key, seed: int) -> tuple[Key, Key]:
    """Return the keys of a member: of its initial parameters, and of its order and masks.

    Args:
        key: the sweep's.
        seed: the member's.

    Returns:
        Two random keys.

    Example:
        >>> first, second = member_keys(jax.random.key(0), 3)
        >>> bool(first == second)
        False
    """
    first, second = jax.random.split(jax.random.fold_in(key, seed))
    return first, second


def by_shape(task: Task, settings: list[Setting]) -> dict[tuple[Any, Any], list[int]]:
    """Indices of the settings that one program can serve, by (config, batch size)."""
    shapes: dict[tuple[Any, Any], list[int]] = {}
    for i, setting in enumerate(settings):
        shapes.setdefault(with_shape(task.config, task.batch_size, setting), []).append(i)
    return shapes


class Group:
    """The members of one shape."""

    def __init__(self, task: Task, config: MLPConfig, batch_size: int | None) -> None:
        """Make the program that serves them."""
        self.task, self.config = task, config
        counts = {len(train) for train, _ in task.folds} or {len(task.train.x)}
        sizes = {check_batch_size(config, batch_size, n, task.frozen) for n in counts}
        size = max(sizes)
        steps = {-(-n // size) for n in counts}
        zero_weights = task.train.weight is not None and not bool(jnp.all(task.train.weight > 0))
        program = Program(
            config, task.loss, size, task.gradient, task.frozen,
            empty_batches=zero_weights or len(steps) > 1,
        )  # fmt: skip
        columns = program.columns(task.validation is not None or bool(task.folds))
        self.program = program.watching(watched_column(task.stopping.monitor, columns))
        key = member_keys(task.key, 0)[1] if task.shared_batches else None
        self.shared = Shared(task.train, task.validation, key)

    def members(self, settings: list[Setting]) -> Members:
        """Make what differs between members."""
        task = self.task
        seeds = [_check_seed(setting.get("seed", 0)) for setting in settings]
        unique = sorted(set(seeds))
        rows = np.array([unique.index(seed) for seed in seeds])
        scales = np.array([s.get("init_scale", 1.0) for s in settings], self.config.dtype)
        params, keys = _draw(self.config, task.key, np.array(unique, np.uint32), rows, scales)
        state = init_state(self.config)
        state = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * len(settings)), state)
        numbers = stack([self._numbers(setting) for setting in settings])
        numbers = numbers._replace(key=None if task.shared_batches else keys)
        optimizers = self._optimizers(settings)
        folds = [task.folds[s["fold"]] for s in settings] if task.folds else []
        tables = [
            make_folds(self.program, task.train, [fold[part] for fold in folds]) if folds else None
            for part in (0, 1)
        ]
        return Members(params, state, optimizers, numbers, *tables)

    def _numbers(self, setting: Setting) -> Any:
        task, loss = self.task, self.task.loss
        options = task.numbers["loss_options"] | {
            name: setting[name] for name, _ in loss.options if name in setting
        }
        l2, rate = (setting.get(name, task.numbers[name]) for name in ("l2", "dropout_rate"))
        return prepare_settings(loss, None, l2, rate, options, task.stopping)

    def _optimizers(self, settings: list[Setting]) -> Optimizer:
        names = optimizer_names(self.task.factory)
        chosen = [{name: s[name] for name in names if name in s} for s in settings]
        rules = [as_optimizer(self.task.factory(**values)) for values in chosen]
        if len({jax.tree.structure(rule) for rule in rules}) > 1:
            # A rule that is another for some values (no weight decay at 0) is one for arrays.
            rules = [
                as_optimizer(self.task.factory(**{k: jnp.asarray(v) for k, v in values.items()}))
                for values in chosen
            ]
        return stack(rules)

    def executor(self, wanted: Any, settings: list[Setting]) -> Executor:
        """Choose, or measure, how the members run."""
        if wanted == "measure":
            few = settings[: 2 * jax.local_device_count() * 16]
            return fastest_executor(self.program, self.members(few), self.shared)
        return choose_executor(
            wanted, self.config, self.program.batch_size, len(settings), self.task.shared_batches
        )

    def members_at_once(self, executor: Executor, n_members: int, memory_limit: int) -> int:
        """Return how many members train in one turn."""
        itemsize = jnp.dtype(self.config.dtype).itemsize
        # Parameters, their best, two moments, gradients: about six copies at the most.
        each = 6 * itemsize * self.config.n_parameters + 4 * len(self.task.train.x) * bool(
            self.task.folds
        )
        unit = executor.chunk * executor.devices
        fitting = max(1, memory_limit // (2 * each) // unit) * unit
        return min(n_members, fitting)

    def run(self, settings: list[Setting], executor: Executor) -> MemberRun:
        """Put members at the start."""
        return MemberRun(self.program, executor, self.members(settings), self.shared)


@jax.jit
def _draw(config: MLPConfig, key: Key, seeds: Any, rows: Any, scales: Any) -> tuple[Params, Key]:
    """The initial parameters of each member, their weights times a scale, and its other key.

    What belongs to a seed is drawn once; `rows` are the members' places among the `seeds`.
    """
    first, second = jax.vmap(partial(member_keys, key))(seeds)
    params = jax.vmap(init, in_axes=(None, 0))(config, first)
    params, second = jax.tree.map(lambda leaf: leaf[rows], (params, second))
    return tuple(layer._replace(W=layer.W * scales[:, None, None]) for layer in params), second


def _check_seed(seed: Any) -> int:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 1 << 32:
        raise ValueError(f"seed is {seed!r}; give whole numbers from 0 to {(1 << 32) - 1}.")
    return int(seed)
