"""`fit`: a loop on the host over compiled chunks of steps."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import check_frozen, check_key, unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.normalization import init_state
from jaxmlp.optimizers import Optimizer, as_optimizer
from jaxmlp.training.batches import TrainData
from jaxmlp.training.history import History
from jaxmlp.training.interruption import interruptible
from jaxmlp.training.observation import Observer, RunParts, Watch
from jaxmlp.training.preparation import (
    check_batch_size,
    check_optimizer_state,
    check_params_values,
    prepare_data,
    prepare_settings,
)
from jaxmlp.training.program import Carry, Monitor, Program, Records, Settings, initial_carry
from jaxmlp.training.result import Callback, FitResult, Progress
from jaxmlp.training.steps import fit_steps
from jaxmlp.training.stopping import EarlyStopping, FitStatus, watched_column
from jaxmlp.types import Key, Params, PyTree, ScalarLike, State

CHUNK_SECONDS = 0.25  # long enough to hide the call, short enough for Ctrl-C and a progress bar
FIRST_CHUNK = 16  # steps; later chunks are as long as their measured speed allows

run_steps = jax.jit(fit_steps, donate_argnames="carry")


@jax.jit  # one call for the whole tree: a copy of each leaf on its own takes 3 ms for 64-128-10
def copy_tree(tree: PyTree) -> PyTree:
    """Return arrays of their own, so that donating the given ones loses nothing."""
    return jax.tree.map(jnp.copy, tree)


@jax.jit
def _first_carry(*arguments: Any) -> Carry:
    return copy_tree(initial_carry(*arguments))  # chunks donate what they are given


def fit(
    config: MLPConfig,
    params: Params | FitResult,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    optimizer: Optimizer,
    epochs: int,
    key: Key,
    batch_size: int | None = 64,
    l2: ScalarLike = 0.0,
    gradient: str = "manual",
    frozen: Iterable[int] = (),
    state: State | None = None,
    optimizer_state: PyTree = None,
    validation_data: tuple[Any, Any] | None = None,
    early_stopping: EarlyStopping | None = None,
    sample_weight: Any = None,
    dropout_rate: ScalarLike = 0.5,
    loss_options: Mapping[str, ScalarLike] | None = None,
    shuffle: bool = True,
    monitor: Monitor | None = None,
    monitor_every: int = 100,
    diagnostics: Observer | None = None,
    callbacks: Iterable[Callback] = (),
    every: int | None = None,
) -> FitResult:
    """Train a network: mini-batch gradient descent in compiled chunks of steps.

    Each epoch visits every example once, in an order of its own; each step computes the gradient
    of J = L + s on a batch and hands it to the update rule. One program serves every learning
    rate, penalty, seed, number of epochs and data set of the same shape.

    Args:
        config: the network.
        params: where to start: parameters; or an earlier result, to go on as if it had not
            stopped (bit for bit, given the same arguments).
        data: (x, y): features (n, n_in), and targets as the loss takes them, (n,) or (n, n_out).
        loss: name of a loss, or a `Loss`.
        optimizer: an update rule of this library or of optax.
        epochs: number of (further) passes over the data.
        key: random key of shuffling and dropout.
        batch_size: rows a step, at most n; None takes all of them (gradient descent). The last
            batch of an epoch is smaller where it does not divide n.
        l2: weight of the penalty (l2/2) sum W^2.
        gradient: "manual" (by hand) or "autodiff" (jax.value_and_grad).
        frozen: indices of layers that do not train; the optimizer keeps nothing for them.
        state: running statistics of batch normalization to start from.
        optimizer_state: moments and counters to start from, such as `result.optimizer_state`.
        validation_data: (x, y), measured after every epoch.
        early_stopping: when to stop; the best parameters are restored.
        sample_weight: non-negative weights of the examples, (n,).
        dropout_rate: probability to drop, where the config drops out.
        loss_options: numbers the loss takes, such as {"label_smoothing": 0.1}.
        shuffle: False keeps the order of the data.
        monitor: a pure function of (params, cache, grads, updates), recorded while training.
        monitor_every: its cadence in steps.
        diagnostics: `jaxmlp.Diagnostics()` to watch the health of the run: gradients, updates and
            units of every layer, in `result.diagnostics`.
        callbacks: called with a `Progress` for each epoch; True stops the run.
        every: epochs after which callbacks must be called at the latest; None leaves it to the
            speed of the run.

    Returns:
        The result. Divergence is a status, not an exception; Ctrl-C ends the run after the chunk
        with the best parameters so far.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: for data, sizes or names that do not fit; the message says what to do.

    Example:
        >>> from jaxmlp import MLPConfig, init, sgd
        >>> config = MLPConfig((2, 8, 1), activation="tanh")
        >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> y = np.array([0, 1, 1, 0])
        >>> result = fit(config, init(config, jax.random.key(0)), (x, y), epochs=500,
        ...              loss="sigmoid_binary_cross_entropy", optimizer=sgd(0.5), batch_size=None,
        ...              key=jax.random.key(1))
        >>> result.status.name, float(result.history["train_accuracy"][-1])
        ('COMPLETED', 1.0)

    Reference: lecture, chapters V and VII.
    """
    loss, optimizer = get_loss(loss), as_optimizer(optimizer)
    check_key(key)
    train = prepare_data(config, loss, data, sample_weight)
    validation = None
    if validation_data is not None:
        validation = prepare_data(config, loss, validation_data, what="validation_data")
    if gradient not in ("manual", "autodiff"):
        raise unknown_name("gradient", gradient, ("manual", "autodiff"))
    frozen = check_frozen(config.n_layers, frozen)
    if len(frozen) == config.n_layers:
        raise ValueError("all layers are frozen, so nothing would train; leave at least one out.")
    if diagnostics is not None:
        monitor, monitor_every = _monitor_of(diagnostics, monitor, config, frozen)
    stopping = early_stopping or EarlyStopping(patience=np.iinfo(np.int32).max)
    program = Program(
        config,
        loss,
        check_batch_size(config, batch_size, len(train.x), frozen),
        gradient,
        frozen,
        shuffle=bool(shuffle),
        empty_batches=train.weight is not None and not bool(jnp.all(train.weight > 0)),
        monitor=monitor,
        monitor_every=monitor_every if monitor else 1,
    )
    columns = program.columns(validation is not None)
    program = program.watching(watched_column(stopping.monitor, columns))
    run = _Run(
        program=program,
        optimizer=optimizer,
        train=train,
        validation=validation,
        settings=prepare_settings(loss, key, l2, dropout_rate, loss_options, stopping),
        columns=columns,
        keep_best=early_stopping is not None,
        observer=diagnostics,
    )
    if isinstance(params, FitResult):
        run.resume(params, state, optimizer_state)
    else:
        run.start(params, state, optimizer_state)
    return run.train_for(epochs, tuple(callbacks), every)


def _monitor_of(
    diagnostics: Any, monitor: Monitor | None, config: MLPConfig, frozen: tuple[int, ...]
) -> tuple[Monitor, int]:
    """The monitor that diagnostics bring along, and its cadence."""
    if not isinstance(diagnostics, Observer):
        raise TypeError(f"diagnostics is {diagnostics!r}; pass jaxmlp.Diagnostics(), or None.")
    if monitor is not None:
        raise ValueError("diagnostics bring a monitor of their own; pass one or the other.")
    return diagnostics.monitor(config, frozen), diagnostics.every


@dataclass
class _Run:
    """One call of `fit`: the arguments of the compiled chunks, and what they have returned."""

    program: Program
    optimizer: Optimizer
    train: TrainData
    validation: TrainData | None
    settings: Settings
    columns: tuple[str, ...]
    keep_best: bool
    observer: Observer | None
    watch: Watch | None = field(init=False, default=None)
    history: History = field(init=False)
    carry: Carry = field(init=False)
    n_steps: int = 0
    status: FitStatus = FitStatus.RUNNING
    monitored: list[Any] = field(default_factory=list)
    monitor_steps: list[int] = field(default_factory=list)
    pending_seconds: float = 0.0

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.train.x) // self.program.batch_size)

    def start(self, params: Params, state: State | None, optimizer_state: PyTree) -> None:
        """Begin at step 0."""
        check_params_values(self.program.config, params)
        state = init_state(self.program.config) if state is None else state
        carry = _first_carry(self.program, self.optimizer, params, state, self.train)
        if optimizer_state is not None:
            check_optimizer_state(carry.optimizer_state, optimizer_state)
            carry = carry._replace(optimizer_state=copy_tree(optimizer_state))
        self.carry = carry
        names = ("epoch", *self.columns, "seconds")
        self.history = History({name: np.zeros(0) for name in names} | {"epoch": np.zeros(0, int)})
        self._begin_watch(None)

    def resume(self, result: FitResult, state: State | None, optimizer_state: PyTree) -> None:
        """Go on where a result stands."""
        if state is not None or optimizer_state is not None:
            raise ValueError(
                "a FitResult brings its own state and optimizer_state; leave these arguments out, "
                "or pass result.params to start anew from its parameters."
            )
        expected = jax.eval_shape(
            lambda: initial_carry(
                self.program, self.optimizer, result.params, result.state, self.train
            )
        )
        check_optimizer_state(expected.optimizer_state, result.carry.optimizer_state)
        same_columns = tuple(result.history)[1:-1] == self.columns
        same_batch = expected.bad_steps.shape == result.carry.bad_steps.shape
        if not (result.steps_per_epoch == self.steps_per_epoch and same_batch and same_columns):
            raise ValueError(
                "to go on with a FitResult, keep the number of examples, the batch size, the loss, "
                "and whether there is validation data; or pass result.params to start anew."
            )
        carry, self.history, self.n_steps = result.carry, result.history, result.n_steps
        if result.status is FitStatus.DIVERGED:  # only its best epoch is finite
            fresh = initial_carry(
                self.program, self.optimizer, result.params, result.state, self.train
            )
            carry = fresh._replace(best=carry.best, epochs=carry.epochs)
            self.n_steps = self.history.n_epochs * self.steps_per_epoch
        running, nowhere = jnp.int32(FitStatus.RUNNING), jnp.int32(-1)
        self.carry = copy_tree(carry._replace(status=running, stopped_at=nowhere))
        if self.program.monitor is not None and result.monitored is not None:
            self.monitored = [result.monitored]
            self.monitor_steps = list(result.monitor_steps)
        self._begin_watch(result.diagnostics)

    def _begin_watch(self, earlier: Any) -> None:
        if self.observer is not None:
            parts = RunParts(
                self.program, self.optimizer, self.train, self.validation, self.settings,
                self.steps_per_epoch,
            )  # fmt: skip
            self.watch = self.observer.watch(parts, self.carry, self.n_steps, earlier)

    def train_for(
        self, epochs: int, callbacks: tuple[Callback, ...], every: int | None
    ) -> FitResult:
        """Run chunks until the epochs are over or something stops them."""
        if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 0:
            raise ValueError(f"epochs is {epochs!r}; give a whole number >= 0.")
        if every is not None and every < 1:
            raise ValueError(f"every is {every}; give a number of epochs >= 1, or None.")
        spe = self.steps_per_epoch
        # A run that was stopped within an epoch first ends that epoch, as one of `epochs`.
        last_step = (self.n_steps // spe + int(epochs)) * spe
        self._call(0)  # compiles, so that the chunks' speed is measured without it
        length = FIRST_CHUNK
        with interruptible() as interruption:
            while self.n_steps < last_step and self.status is FitStatus.RUNNING:
                first_epoch = self.history.n_epochs
                begin = time.perf_counter()
                n = self._chunk_length(min(length, last_step - self.n_steps), every)
                if self.watch is not None:
                    self.watch.before_chunk(self.carry, self.n_steps)
                self._call(n)
                seconds = time.perf_counter() - begin
                length = int(np.clip(n * CHUNK_SECONDS / max(seconds, 1e-6), 1, 16 * n + 1))
                stop = self._notify(callbacks, first_epoch, last_step // spe)
                running = self.status is FitStatus.RUNNING and self.n_steps < last_step
                if running and (stop or interruption.requested):
                    self.status = FitStatus.INTERRUPTED
                if self.watch is not None:
                    over = self.status is not FitStatus.RUNNING or self.n_steps == last_step
                    self.watch.after_chunk(self.carry, self.n_steps, over)
        if self.status is FitStatus.RUNNING:
            self.status = FitStatus.COMPLETED
        return self._pack(self.carry)

    def result(self) -> FitResult:
        """Pack what has been learnt so far, in arrays of its own."""
        return self._pack(copy_tree(self.carry))

    def _pack(self, carry: Carry) -> FitResult:
        best_epoch = int(carry.best.epoch)
        best_wanted = self.keep_best or self.status in (FitStatus.DIVERGED, FitStatus.INTERRUPTED)
        use_best = best_wanted and (best_epoch > 0 or self.status is FitStatus.DIVERGED)
        chosen = carry.best if use_best else carry
        monitored = None
        if self.monitored:
            monitored = jax.tree.map(lambda *parts: np.concatenate(parts), *self.monitored)
        return FitResult(
            chosen.params,
            chosen.state,
            self.history,
            self.status,
            best_epoch,
            self.n_steps,
            self.steps_per_epoch,
            carry,
            monitored,
            np.asarray(self.monitor_steps, int) if self.program.monitor else None,
            self.watch.report(self.monitor_steps, monitored) if self.watch else None,
        )

    def _chunk_length(self, wanted: int, every: int | None) -> int:
        """Shorten a chunk to what the buffers hold and the callbacks allow."""
        spe, program = self.steps_per_epoch, self.program
        limit = program.history_rows * spe - self.n_steps % spe
        if every is not None:
            limit = min(limit, every * spe - self.n_steps % (every * spe))
        if program.monitor is not None:
            cadence = program.monitor_every
            limit = min(limit, program.monitor_rows * cadence - self.n_steps % cadence)
        return min(wanted, limit)

    def _call(self, n_steps: int) -> None:
        """Run one chunk, and take in its records."""
        begin, first, before = time.perf_counter(), self.n_steps, int(self.carry.epochs)
        self.carry, records = run_steps(
            self.program,
            self.optimizer,
            self.carry,
            self.train,
            self.validation,
            self.settings,
            np.uint32(self.steps_per_epoch),
            np.uint32(first),
            np.uint32(n_steps),
        )
        self.status = FitStatus(int(self.carry.status))  # waits for the chunk
        if self.status is FitStatus.EARLY_STOPPED:
            self.n_steps = int(self.carry.epochs) * self.steps_per_epoch
        elif self.status is FitStatus.DIVERGED:
            self.n_steps = int(self.carry.stopped_at) + 1
        else:
            self.n_steps += n_steps
        if n_steps:
            self._record(records, int(self.carry.epochs) - before, time.perf_counter() - begin)
            self._record_monitored(records, first)

    def _record(self, records: Records, n_epochs: int, seconds: float) -> None:
        self.pending_seconds += seconds
        if n_epochs == 0:
            return
        metrics = np.asarray(records.metrics, np.float64)[:n_epochs]
        first = self.history.n_epochs + 1
        columns = dict(zip(self.columns, metrics.T, strict=True))
        columns["epoch"] = np.arange(first, first + n_epochs)
        columns["seconds"] = np.full(n_epochs, self.pending_seconds / n_epochs)
        self.history, self.pending_seconds = self.history.extended(columns), 0.0

    def _record_monitored(self, records: Records, first: int) -> None:
        if self.program.monitor is None:
            return
        every = self.program.monitor_every
        n_records = self.n_steps // every - first // every
        if n_records:
            values = jax.device_get(records.monitored)
            self.monitored.append(jax.tree.map(lambda leaf: leaf[:n_records], values))
            start = first // every
            self.monitor_steps += [every * (start + i + 1) for i in range(n_records)]

    def _notify(self, callbacks: tuple[Callback, ...], first: int, epochs: int) -> bool:
        """Tell the callbacks about the epochs since `first`; whether one of them said stop."""
        stop = False
        for row in self.history.rows()[first:]:
            progress = Progress(int(row["epoch"]), epochs, row, self.result)
            answers = [callback(progress) for callback in callbacks]
            stop |= True in answers
        return stop
