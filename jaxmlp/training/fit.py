"""`fit`: one network, trained."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import gcd
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import check_key
from jaxmlp.data.streams import RowStream
from jaxmlp.distributed import own_copy
from jaxmlp.losses import Loss
from jaxmlp.networks import NetworkConfig, NetworkParams, check_params, init_state
from jaxmlp.optimizers import Optimizer, as_optimizer
from jaxmlp.sharding import ShardingPlan
from jaxmlp.training.checkpoints import Checkpoints, Saver, saving
from jaxmlp.training.chunk import MemberInputs, SharedInputs, copy_tree, first_carry
from jaxmlp.training.data import all_finite
from jaxmlp.training.devices import copy_everywhere, divide_rows, spread_network
from jaxmlp.training.feed import Feed, check_stream
from jaxmlp.training.history import History
from jaxmlp.training.observation import Observation, Observer
from jaxmlp.training.options import (
    DEFAULTS,
    TrainingOptions,
    TrainingSpec,
    check_epochs,
    check_options,
    with_defaults,
)
from jaxmlp.training.program import Carry, Probe, Program, initial_carry
from jaxmlp.training.result import Callback, FitResult, Progress
from jaxmlp.training.runner import Listener, Runner
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import Key, PyTree, State


class FitOptions(TrainingOptions, total=False):
    """What `fit` takes beside the options of every training.

    Keys:
        state: running statistics of batch normalization to start from.
        optimizer_state: moments and counters to start from, such as `result.optimizer_state`.
        shuffle: False keeps the order of the data.
        drop_last: leave out the rows of an epoch that do not fill a batch; others each time.
        probe: a pure function of (params, cache, grads, updates), recorded while training.
        probe_every: steps from one reading of the probe to the next, 100 by default.
        diagnostics: `jaxmlp.Diagnostics()` to observe the health of the run: gradients, updates
            and units of every layer, in `result.diagnostics`.
        callbacks: called with a `Progress` for each epoch; True stops the run.
        every: epochs after which callbacks must be called at the latest; None leaves it to the
            speed of the run.
        checkpoint: `Checkpoints(folder)`: save the run while it trains; the same call again goes
            on where it stood, bit for bit, up to `epochs` in all.
        sharding: `jaxmlp.sharding.plan(config, mesh, kind)`: spread a wide network, or its batches,
            over several devices; the results stay where they are.
        distributed: divide the rows of each batch among all devices of all processes
            (`jaxmlp.distributed.initialize`); each process passes its own rows, and all get the
            same result.
    """

    state: State | None
    optimizer_state: PyTree
    shuffle: bool
    drop_last: bool
    probe: Probe | None
    probe_every: int
    diagnostics: Observer | None
    callbacks: Iterable[Callback]
    every: int | None
    checkpoint: Checkpoints | None
    sharding: ShardingPlan | None
    distributed: bool


FIT_DEFAULTS: FitOptions = {
    **DEFAULTS,
    "state": None,
    "optimizer_state": None,
    "shuffle": True,
    "drop_last": False,
    "probe": None,
    "probe_every": 100,
    "diagnostics": None,
    "callbacks": (),
    "every": None,
    "checkpoint": None,
    "sharding": None,
    "distributed": False,
}


def fit(
    config: NetworkConfig,
    params: NetworkParams | FitResult,
    data: tuple[Any, Any] | RowStream,
    *,
    loss: str | Loss,
    optimizer: Optimizer,
    epochs: int,
    key: Key,
    **options: Unpack[FitOptions],
) -> FitResult:
    """Train a network: mini-batch gradient descent in compiled chunks of steps.

    Each epoch visits every example once, in an order of its own; each step computes the gradient
    of J = L + s on a batch and hands it to the update rule. One program serves every learning
    rate, penalty, seed, number of epochs, and all data of similar size.

    Args:
        config: the network.
        params: where to start: parameters; or an earlier result, to go on as if it had not
            stopped (bit for bit, given the same arguments).
        data: (x, y): features (n, n_in), and targets as the loss takes them, (n,) or (n, n_out);
            or a `RowStream` of such, for rows past memory.
        loss: name of a loss, or a `Loss`.
        optimizer: an update rule of this library or of optax.
        epochs: number of (further) passes over the data.
        key: random key of shuffling and dropout.
        options: those of every training, such as batch_size and validation_data (documented in
            `TrainingOptions`), and those of `FitOptions`, such as callbacks and diagnostics.

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
    chosen = with_defaults(options, FIT_DEFAULTS, fit)
    optimizer = as_optimizer(optimizer)
    check_key(key)
    feed = None
    if isinstance(data, RowStream):
        check_stream(data, chosen)
        spec = check_options(config, data.read(0), loss, chosen)
        feed = Feed(data, config, spec.loss, spec.batch_size or 1, key, bool(chosen["shuffle"]))
        spec = replace(spec, train=feed.at(0).train)
    else:
        spec = check_options(config, data, loss, chosen)
    epochs = check_epochs(epochs, least=0)
    every = chosen["every"]
    if every is not None and every < 1:
        raise ValueError(f"every is {every}; give a number of epochs >= 1, or None.")
    observer = chosen["diagnostics"]
    n_rows = int(spec.train.n_rows) if feed is None else feed.stream.n_rows
    program = _with_probe(_program(spec, n_rows, chosen["shuffle"]), n_rows, chosen)
    run = _begin(spec, program, optimizer, key, params, chosen, feed)
    if chosen["sharding"] is not None:
        spread_network(run, chosen["sharding"])
    if chosen["distributed"]:
        copy_everywhere(run)
    earlier = params.diagnostics if isinstance(params, FitResult) else None
    callbacks = _check_callbacks(chosen["callbacks"])
    last = run.n_steps // run.steps_per_epoch + epochs
    with saving(chosen["checkpoint"], run) as saver:
        observation = None
        if observer is not None:
            if saver is not None and saver.observed:
                earlier = observer.restore(saver.observed)
            observation = observer.observe(run, earlier)
        fitting = _Fitting(run, spec.keep_best, callbacks, observation, saver)
        left = last - run.n_steps // run.steps_per_epoch
        run.advance(left, fitting.listeners, fitting.pace(every))
    return fitting.result(run.carry)


def _check_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """Refuse a function where a list of them belongs."""
    if callable(callbacks) or not isinstance(callbacks, Iterable):
        raise TypeError(
            f"callbacks is {callbacks!r:.60}; pass a list of functions, as in callbacks=[print]."
        )
    listed = tuple(callbacks)
    for callback in listed:
        if not callable(callback):
            raise TypeError(f"callbacks has {callback!r:.60}, which is no function.")
    return listed


def _program(spec: TrainingSpec, n_rows: int, shuffle: bool) -> Program:
    return replace(spec.program_of_one(n_rows), shuffle=bool(shuffle))


def _with_probe(program: Program, n_rows: int, options: Mapping[str, Any]) -> Program:
    """Record what the probe reads: the one given, or the one that diagnostics bring along."""
    probe, every, observer = options["probe"], options["probe_every"], options["diagnostics"]
    if observer is not None:
        if not isinstance(observer, Observer):
            raise TypeError(f"diagnostics is {observer!r}; pass jaxmlp.Diagnostics(), or None.")
        if probe is not None:
            raise ValueError("diagnostics bring a probe of their own; pass one or the other.")
        probe, every = observer.probe(program.config, program.frozen), observer.every
    if probe is None:
        return program
    # A probe looks at whole batches: no more padding in them than a ragged last one needs.
    size = min(program.batch_size, n_rows)
    return replace(program, probe=probe, probe_every=every, batch_size=size)


def _begin(
    spec: TrainingSpec,
    program: Program,
    optimizer: Optimizer,
    key: Key,
    params: NetworkParams | FitResult,
    options: Mapping[str, Any],
    feed: Feed | None,
) -> Runner:
    """Put a run where it starts: at step 0, or where a result stands."""
    if options["distributed"]:
        spec, program, steps_per_epoch = divide_rows(spec, program, options["drop_last"])
    elif feed is not None:
        steps_per_epoch = feed.steps_per_epoch
    else:
        n_rows, size = int(spec.train.n_rows), program.batch_size
        steps_per_epoch = max(1, n_rows // size) if options["drop_last"] else -(-n_rows // size)
    run = partial(
        Runner,
        program,
        MemberInputs(optimizer, spec.settings(key)),
        SharedInputs(spec.train, spec.validation),
        steps_per_epoch=steps_per_epoch,
        feed=feed,
    )
    state, optimizer_state = options["state"], options["optimizer_state"]
    if isinstance(params, FitResult):
        if state is not None or optimizer_state is not None:
            raise ValueError(
                "a FitResult brings its own state and optimizer_state; leave these arguments out, "
                "or pass result.params to start anew from its parameters."
            )
        return _resume(run(carry=params.carry), optimizer, params)
    _check_params(program.config, params)
    state = init_state(program.config) if state is None else state
    carry = first_carry(program, None, optimizer, params, state)
    if optimizer_state is not None:
        _check_optimizer_state(carry.optimizer_state, optimizer_state)
        carry = carry._replace(optimizer_state=copy_tree(optimizer_state))
    return run(carry=carry)


def _resume(run: Runner, optimizer: Optimizer, result: FitResult) -> Runner:
    """Bring a run to where a result stands."""
    program, history, carry = run.program, result.history, result.carry
    expected = jax.eval_shape(
        lambda: initial_carry(program, optimizer, result.params, result.state)
    )
    _check_optimizer_state(expected.optimizer_state, carry.optimizer_state)
    same_columns = tuple(history)[1:-1] == run.columns
    same_batch = expected.bad_steps.shape == carry.bad_steps.shape
    if not (result.steps_per_epoch == run.steps_per_epoch and same_batch and same_columns):
        raise ValueError(
            "to go on with a FitResult, keep the number of examples, the batch size, the loss, "
            "and whether there is validation data; or pass result.params to start anew."
        )
    run.n_steps = result.n_steps
    if result.status is FitStatus.DIVERGED:  # only its best epoch is finite
        fresh = first_carry(program, None, optimizer, result.params, result.state)
        carry = fresh._replace(best=carry.best, epochs=carry.epochs)
        run.n_steps = history.n_epochs * run.steps_per_epoch
    running, nowhere = jnp.int32(FitStatus.RUNNING), jnp.int32(-1)
    run.carry = copy_tree(carry._replace(status=running, stopped_at=nowhere))
    run.metrics = np.stack([history[name] for name in run.columns], axis=-1)[None]
    run.epoch_seconds = history["seconds"]
    if program.probe is not None and result.probed is not None:
        run.readings, run.probe_steps = [result.probed], list(result.probe_steps)
    return run


@dataclass
class _Fitting:
    """A run on its way to a `FitResult`, who tells the callbacks about each epoch."""

    run: Runner
    keep_best: bool
    callbacks: tuple[Callback, ...]
    observation: Observation | None
    saver: Saver | None = None
    told: int = 0  # epochs that the callbacks know of

    def __post_init__(self) -> None:
        """Have what was observed saved with the run."""
        if self.saver is not None:
            self.saver.observation = self.observation

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Callbacks first: their answers decide whether the observation sees the end."""
        found: tuple[Listener | None, ...] = (self, self.observation, self.saver)
        return tuple(listener for listener in found if listener is not None)

    def pace(self, every: int | None) -> int | None:
        """Return the epochs after which all listeners must be called at the latest."""
        epochs = [every, self.saver and self.saver.every_epochs]
        return gcd(*(n for n in epochs if n)) or None

    def before_chunk(self, run: Runner) -> None:
        """Remember how many epochs there were."""
        self.told = run.n_epochs

    def after_chunk(self, run: Runner) -> bool:
        """Tell the callbacks about new epochs; whether one of them said stop."""
        if not self.callbacks:
            return False
        stop, last = False, run.last_step // run.steps_per_epoch
        for row in self._history().rows()[self.told :]:
            progress = Progress(int(row["epoch"]), last, row, self.snapshot)
            try:
                answers = [callback(progress) for callback in self.callbacks]
            except BaseException as error:
                error.result = self.best_so_far()  # type: ignore[attr-defined]
                raise
            stop |= True in answers
        return stop

    def snapshot(self) -> FitResult:
        """Pack what has been learnt so far, in arrays of its own: the run goes on with its."""
        return self.result(copy_tree(self.run.carry))

    def best_so_far(self) -> FitResult:
        """Pack what an interrupted run would return."""
        self.run.stopped = not self.run.is_over
        return self.snapshot()

    def result(self, carry: Carry) -> FitResult:
        """Pack what has been learnt."""
        run = self.run
        carry = carry if run.program.mesh is None else own_copy(carry)
        learnt = carry.best if run.best_wanted(self.keep_best)[0] else carry
        probed = run.probed
        return FitResult(
            config=run.program.config,
            loss=run.program.loss,
            params=learnt.params,
            state=learnt.state,
            history=self._history(),
            status=FitStatus(int(run.status[0])),
            best_epoch=int(run.best_epoch[0]),
            epoch=int(run.kept_epoch(self.keep_best)[0]),
            n_steps=run.n_steps,
            steps_per_epoch=run.steps_per_epoch,
            carry=carry,
            probed=probed,
            probe_steps=np.asarray(run.probe_steps, int) if run.program.probe else None,
            diagnostics=self.observation and self.observation.report(run.probe_steps, probed),
        )

    def _history(self) -> History:
        run = self.run
        metrics = dict(zip(run.columns, run.metrics[0].T, strict=True))
        epochs = np.arange(1, run.n_epochs + 1)
        return History({"epoch": epochs, **metrics, "seconds": run.epoch_seconds})


def _check_params(config: NetworkConfig, params: Any) -> None:
    """Refuse parameters of another network or dtype, or with NaN in them."""
    check_params(config, params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = f"params{jax.tree_util.keystr(path)}"
        if leaf.dtype != jnp.dtype(config.dtype):
            raise ValueError(
                f"{name} is {leaf.dtype}, but config.dtype is {config.dtype}. Use "
                f"config.replace(dtype='{leaf.dtype}'), or initialize with this config."
            )
        if not all_finite(leaf):
            raise ValueError(f"{name} holds NaN or infinity; start from finite parameters.")


def _check_optimizer_state(expected: PyTree, given: PyTree) -> None:
    """Refuse the state of another optimizer or network."""
    shapes = [
        jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), t)
        for t in (expected, given)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "optimizer_state does not belong to this optimizer and network. Pass the "
            "result.optimizer_state of a run with the same ones, or leave it out."
        )
