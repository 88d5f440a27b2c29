"""What a sweep was asked for, checked, and the members that follow from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import check_key
from jaxmlp.front_types import Bins
from jaxmlp.losses import Loss
from jaxmlp.networks import NetworkConfig, NetworkParams, init_state
from jaxmlp.optimizers import Optimizer, adam, as_optimizer
from jaxmlp.sweeps.executors import candidates, choose_executor
from jaxmlp.sweeps.grid import GridPoint, optimizer_names, with_shape
from jaxmlp.sweeps.members import fold_tables, stack, start_members
from jaxmlp.sweeps.progress import OnProgress
from jaxmlp.sweeps.starts import Init, draw_members, member_keys, training_bins
from jaxmlp.training.checkpoints import Checkpoints
from jaxmlp.training.chunk import MemberInputs, SharedInputs
from jaxmlp.training.data import bucket
from jaxmlp.training.executor import Executor
from jaxmlp.training.options import (
    DEFAULTS,
    TrainingOptions,
    TrainingSpec,
    check_epochs,
    check_kernel,
    check_options,
    with_defaults,
)
from jaxmlp.training.program import Program
from jaxmlp.training.runner import Runner
from jaxmlp.types import Key, State

_MEMORY_LIMIT = 2 << 30  # bytes
_Pair = tuple[np.ndarray, np.ndarray]
"""Row numbers to train and to test on."""


class SweepOptions(TrainingOptions, total=False):
    """What sweeps take beside the options of every training.

    Keys:
        optimizer: a factory such as `jaxmlp.adam` (the default), called with a point's values; or
            one rule.
        shared_batches: give all members the same batches and masks (common random numbers): less
            noise between them, and one product for all first layers.
        executor: "vmap", "chunks of 16", "one", "measure" (try them); None asks the table.
        keep: "all" keeps every member's parameters, "best" the best one's; None keeps all that fit
            into half of `memory_limit`.
        memory_limit: bytes for members in training; more members than fit train in turns.
        progress: True shows a bar, or a function is called with a `SweepProgress`; if it returns
            True, the sweep ends with what it has.
        init: (config, key) -> initial parameters, instead of the library's own.
        checkpoint: `Checkpoints(folder)`: save the members that train together, and each such turn
            when it has ended; the same call again goes on where it stood, bit for bit.
    """

    optimizer: Callable[..., Any] | Optimizer
    shared_batches: bool
    executor: str | Executor | None
    keep: str | None
    memory_limit: int
    progress: bool | OnProgress
    init: Init | None
    checkpoint: Checkpoints | None


_SWEEP_DEFAULTS: SweepOptions = {
    **DEFAULTS,
    "optimizer": adam,
    "shared_batches": False,
    "executor": None,
    "keep": None,
    "memory_limit": _MEMORY_LIMIT,
    "progress": False,
    "init": None,
    "checkpoint": None,
}


@dataclass(frozen=True)
class SweepSpec:
    """What all members of a sweep have in common, checked.

    Attributes:
        training: the options of every training; those of a grid point take their place.
        factory: makes an update rule of a point's values.
        epochs: passes over the data.
        key: random key, from which the members' come.
        shared_batches: whether all members see the same batches.
        folds: rows to train and to test on, or ().
        executor: how members run together, as asked for.
        keep: which parameters are kept, as asked for.
        memory_limit: bytes for members in training.
        progress: who is told how far it is, as asked for.
        init: what draws initial parameters, or None.
        checkpoint: where and how often members are saved, or None.
    """

    training: TrainingSpec
    factory: Callable[..., Any]
    epochs: int
    key: Key
    shared_batches: bool
    folds: tuple[_Pair, ...]
    executor: str | Executor | None
    keep: str | None
    memory_limit: int
    progress: bool | OnProgress
    init: Init | None
    checkpoint: Checkpoints | None


def check_sweep(
    function: Callable[..., Any],
    config: NetworkConfig,
    data: Any,
    *,
    loss: str | Loss,
    epochs: int,
    key: Key,
    options: Mapping[str, Any],
    folds: tuple[_Pair, ...] = (),
) -> SweepSpec:
    """Check what a sweep was given.

    Args:
        function: who was given it.
        config: the network.
        data: (x, y).
        loss: name of a loss, or a `Loss`.
        epochs: passes over the data.
        key: random key.
        options: some of `SweepOptions`.
        folds: rows to train and to test on, or ().

    Returns:
        The specification.
    """
    chosen = with_defaults(options, _SWEEP_DEFAULTS, function)
    check_key(key)
    epochs = check_epochs(epochs, least=1)
    training = check_options(config, data, loss, chosen)
    given = chosen["optimizer"]
    factory = given if _is_factory(given) else partial(_constant, as_optimizer(given))
    names = ("executor", "keep", "memory_limit", "progress", "init", "checkpoint")
    how = {name: chosen[name] for name in names}
    return SweepSpec(training, factory, epochs, key, bool(chosen["shared_batches"]), folds, **how)


def _is_factory(optimizer: Any) -> bool:
    return callable(optimizer) and not isinstance(optimizer, tuple)


def _constant(rule: Optimizer) -> Optimizer:
    return rule


def by_shape(spec: SweepSpec, points: list[GridPoint]) -> "dict[ShapeGroup, list[int]]":
    """Indices of the points that one program can serve, by what serves them."""
    training, shapes = spec.training, dict[Any, list[int]]()
    for i, point in enumerate(points):
        shape = with_shape(training.config, training.batch_size, point)
        shapes.setdefault(shape, []).append(i)
    for config, _ in shapes:
        check_kernel(training.kernel, config, training.frozen)
    return {ShapeGroup(spec, *shape): indices for shape, indices in shapes.items()}


@dataclass(frozen=True, eq=False)
class ShapeGroup:
    """The members of one shape: one program serves them all."""

    spec: SweepSpec
    config: NetworkConfig
    batch_size: int | None

    @cached_property
    def training(self) -> TrainingSpec:
        """The options of training, for this shape."""
        return replace(self.spec.training, config=self.config, batch_size=self.batch_size)

    @cached_property
    def program(self) -> Program:
        """The static part."""
        training, folds = self.training, self.spec.folds
        if not folds:
            counts, capacity = [int(training.train.n_rows)], len(training.train.x)
        else:
            counts = [len(rows) for rows, _ in folds]
            capacity = bucket(max(counts))
        validated = training.validation is not None or bool(folds)
        program = training.program(counts, capacity, validated)
        return replace(program, kernel="resident") if program.kernel == "fused" else program

    @property
    def shared(self) -> SharedInputs:
        """What its members share."""
        key = member_keys(self.spec.key, 0)[1] if self.spec.shared_batches else None
        return SharedInputs(self.training.train, self.training.validation, key)

    def members(self, points: list[GridPoint]) -> tuple[tuple[NetworkParams, State], MemberInputs]:
        """Make what differs between members: where they start, and their inputs."""
        spec = self.spec
        seeds = [_check_seed(point.get("seed", 0)) for point in points]
        unique = sorted(set(seeds))
        rows = np.array([unique.index(seed) for seed in seeds])
        scales = np.array([p.get("init_scale", 1.0) for p in points], self.config.dtype)
        params, keys = draw_members(
            spec.init, self.config, spec.key, np.array(unique, np.uint32), rows, scales,
            self._bins(points),
        )  # fmt: skip
        state = init_state(self.config)
        state = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * len(points)), state)
        numbers = stack([self._numbers(point) for point in points])
        numbers = numbers._replace(key=None if spec.shared_batches else keys)
        folds = [spec.folds[p["fold"]] for p in points] if spec.folds else []
        tables = [
            fold_tables(self.program, spec.training.train, [fold[part] for fold in folds])
            if folds
            else None
            for part in (0, 1)
        ]
        return (params, state), MemberInputs(self._optimizers(points), numbers, *tables)

    def _bins(self, points: list[GridPoint]) -> Bins | None:
        """Starts and widths of each member's bins, laid by its own training rows."""
        folds, of_fold = self.spec.folds, self.bins_of_fold
        each = [of_fold[point["fold"] if folds else 0] for point in points]
        if any(bins is None for bins in each):
            return None
        starts, widths = (np.stack(part) for part in zip(*each, strict=True))
        return starts, widths

    @cached_property
    def bins_of_fold(self) -> tuple[Bins | None, ...]:
        """The bins of each fold, or of all rows: rows that a member is tested on have no say."""
        data = self.training.train
        if not self.spec.folds:
            return (training_bins(self.config, data),)
        return tuple(training_bins(self.config, data, train) for train, _ in self.spec.folds)

    def _numbers(self, point: GridPoint) -> Any:
        training = self.training
        names = [name for name, _ in training.loss.options]
        options = {**(training.numbers["loss_options"] or {})}
        options |= {name: point[name] for name in names if name in point}
        own = {name: point[name] for name in ("l2", "dropout_rate") if name in point}
        return training.settings(None, loss_options=options, **own)

    def _optimizers(self, points: list[GridPoint]) -> Optimizer:
        names = optimizer_names(self.spec.factory)
        chosen = [{name: p[name] for name in names if name in p} for p in points]
        rules = [as_optimizer(self.spec.factory(**values)) for values in chosen]
        if len({jax.tree.structure(rule) for rule in rules}) > 1:
            # A rule that is another for some values (no weight decay at 0) is one for arrays.
            rules = [
                as_optimizer(self.spec.factory(**{k: jnp.asarray(v) for k, v in values.items()}))
                for values in chosen
            ]
        return stack(rules)

    def executor(self, points: list[GridPoint]) -> Executor:
        """Choose, or measure, how the members run."""
        if self.spec.executor == "measure":
            return self._fastest(points[: 2 * jax.local_device_count() * 16])
        return self.usual_executor(len(points))

    def usual_executor(self, n_members: int) -> Executor:
        """Choose how so many members run, without measuring."""
        wanted = None if self.spec.executor == "measure" else self.spec.executor
        if wanted is None and self.program.kernel == "resident":
            wanted = "vmap"  # a multiprocessor for each member
        return choose_executor(
            wanted, self.config, self.program.batch_size, n_members, self.spec.shared_batches
        )

    def _fastest(self, points: list[GridPoint]) -> Executor:
        """Try several ways on one epoch of the members, and return the fastest."""
        times = {}
        for executor in candidates(self.config, len(points)):
            run = self.run(points, executor)
            run.advance(1)
            times[executor] = run.microseconds
        return min(times, key=times.__getitem__)

    def members_at_once(self, executor: Executor, n_members: int) -> int:
        """Return how many members train in one turn."""
        itemsize = jnp.dtype(self.config.dtype).itemsize
        # Parameters, their best, two moments, gradients: about six copies at the most.
        each = 6 * itemsize * self.config.n_parameters
        each += 4 * len(self.training.train.x) * bool(self.spec.folds)
        unit = executor.chunk * executor.devices
        return min(n_members, max(1, self.spec.memory_limit // (2 * each) // unit) * unit)

    def run(self, points: list[GridPoint], executor: Executor) -> Runner:
        """Put members at the start."""
        start, inputs = self.members(points)
        return start_members(self.program, executor, start, inputs, self.shared)


def _check_seed(seed: Any) -> int:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 1 << 32:
        raise ValueError(f"seed is {seed!r}; give whole numbers from 0 to {(1 << 32) - 1}.")
    return int(seed)
