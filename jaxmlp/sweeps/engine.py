"""Many networks in one compiled program: the loop on the host over chunks of steps."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.sweeps.executors import Executor, candidates
from jaxmlp.sweeps.members import Members, Shared, n_members, select_rows, take_members
from jaxmlp.training.batches import capacity
from jaxmlp.training.interruption import interruptible
from jaxmlp.training.program import Carry, Program, Records, initial_carry
from jaxmlp.training.steps import fit_steps
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import Params, PyTree, State

CHUNK_SECONDS = 0.5  # between two looks at the clock, the keyboard and the callbacks
FIRST_CHUNK = 16  # steps

OnEpochs = Callable[[int], Any]
"""Called with the number of epochs that have ended."""


class Outcome(NamedTuple):
    """What members learnt; arrays with a leading axis (members,).

    Attributes:
        params: the best parameters with early stopping or after a divergence, else the last.
        state: running statistics that belong to them, or ().
        metrics: one row an epoch, NaN after the end of a member's run, (members, epochs, columns).
        status: how each run ended, `FitStatus`, (members,).
        best_epoch: the epoch, from 1, with the best watched metric; 0 if none ended, (members,).
    """

    params: Params
    state: State
    metrics: np.ndarray
    status: np.ndarray
    best_epoch: np.ndarray


@partial(jax.jit, static_argnames=("program", "executor"), donate_argnames="carry")
def _run(
    program: Program,
    executor: Executor,
    carry: Carry,
    members: Members,
    shared: Shared,
    numbers: PyTree,
) -> tuple[Carry, Records]:
    """Some steps of every member; `numbers` are steps an epoch, the first step, how many."""

    def one(member: tuple[Carry, Members], shared: Shared, numbers: PyTree) -> Any:
        carry, own = member
        train = select_rows(shared.train, own.train)
        validation = shared.validation
        if own.validation is not None:
            validation = select_rows(shared.train, own.validation)
        settings = own.settings
        if shared.key is not None:
            settings = settings._replace(key=shared.key)
        return fit_steps(program, own.optimizer, carry, train, validation, settings, *numbers)

    return executor.map(one, (carry, members), shared, numbers)


@partial(jax.jit, static_argnames=("program", "executor"))
def _start(program: Program, executor: Executor, members: Members, shared: Shared) -> Carry:
    def one(own: Members) -> Carry:
        carry = initial_carry(program, own.optimizer, own.params, own.state, shared.train)
        return jax.tree.map(jnp.copy, carry)  # chunks donate what they are given

    return executor.place(jax.vmap(one)(members))


@partial(jax.jit, static_argnames="executor")
def _place(executor: Executor, members: PyTree, rows: Any = None) -> PyTree:
    """The members of these numbers, or all, each on its device; one program for the whole tree."""
    return executor.place(members if rows is None else take_members(members, rows))


def _chosen(carry: Carry, use_best: np.ndarray) -> tuple[Params, State]:
    """The best parameters of some members, the last ones of the others; on the host."""
    best, last = (carry.best.params, carry.best.state), (carry.params, carry.state)
    if use_best.all() or not use_best.any():
        return jax.device_get(best if use_best.all() else last)

    def choose(best: np.ndarray, last: np.ndarray) -> np.ndarray:
        return np.where(use_best.reshape(-1, *([1] * (best.ndim - 1))), best, last)

    return jax.tree.map(choose, *jax.device_get((best, last)))


@dataclass
class MemberRun:
    """Members in training: what they are, how they run, and how far they have come.

    Attributes:
        program: the static part, equal for all.
        executor: how they run.
        members: what differs; padded to whole chunks.
        shared: what does not.
        size: the number of members, without padding.
        steps_per_epoch: of the longest fold.
        seconds: spent training, without compilation.
    """

    program: Program
    executor: Executor
    members: Members
    shared: Shared
    size: int = field(init=False)
    steps_per_epoch: int = field(init=False)
    carry: Carry = field(init=False, repr=False)
    metrics: np.ndarray = field(init=False, repr=False)
    n_steps: int = 0
    seconds: float = 0.0
    member_steps: int = 0
    interrupted: bool = False

    def __post_init__(self) -> None:
        """Bring members into the shape that the executor wants, and draw the first carry."""
        self.size = n_members(self.members)
        fold = self.members.train
        rows = capacity(self.shared.train) if fold is None else fold.rows.shape[1]
        self.steps_per_epoch = -(-rows // self.program.batch_size)
        n = self.executor.padded(self.size)
        padding = np.minimum(np.arange(n), self.size - 1) if n > self.size else None
        if self.executor.devices > 1:  # numpy slices without compiling for each shape
            self.members = jax.device_get(self.members)
        self.members = _place(self.executor, self.members, padding)
        self.carry = _start(self.program, self.executor, self.members, self.shared)
        self.metrics = np.zeros((self.size, 0, len(self.columns)), np.float32)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the recorded metrics."""
        validated = self.shared.validation is not None or self.members.validation is not None
        return self.program.columns(validated)

    @property
    def n_epochs(self) -> int:
        """Epochs that have ended."""
        return self.metrics.shape[1]

    @property
    def microseconds(self) -> float:
        """Measured time of one step of one member; NaN before any."""
        return self.seconds / self.member_steps * 1e6 if self.member_steps else float("nan")

    def advance(self, epochs: int, on_epochs: OnEpochs = lambda _: None) -> None:
        """Train for further epochs, or until all members are over or Ctrl-C asks for an end."""
        last = (self.n_epochs + epochs) * self.steps_per_epoch
        self._call(0)  # compiles
        length = FIRST_CHUNK
        with interruptible() as interruption:
            while self.n_steps < last and not (self.interrupted or self._over()):
                spe = self.steps_per_epoch
                room = self.program.history_rows * spe - self.n_steps % spe
                n = min(length, last - self.n_steps, room)
                begin = time.perf_counter()
                self._call(n)
                seconds = time.perf_counter() - begin
                self.seconds += seconds
                self.member_steps += n * self.size
                length = int(np.clip(n * CHUNK_SECONDS / max(seconds, 1e-6), 1, 8 * n + 1))
                on_epochs(self.n_epochs)
                self.interrupted = interruption.requested
        self._fill(last // self.steps_per_epoch)

    def select(self, indices: Any, executor: Executor) -> "MemberRun":
        """Return a run of some of the members, which goes on where these stand."""
        rows = np.asarray(indices)
        chosen = MemberRun(self.program, executor, take_members(self.members, rows), self.shared)
        padding = np.minimum(np.arange(executor.padded(len(rows))), len(rows) - 1)
        chosen.carry = _place(executor, self.carry, rows[padding])
        chosen.metrics, chosen.n_steps = self.metrics[rows], self.n_steps
        return chosen

    def outcome(self, keep_best: bool) -> Outcome:
        """Return what has been learnt, on the host."""
        # Where a member diverged, only the best parameters are finite.
        use_best = (np.asarray(self.carry.status) == FitStatus.DIVERGED) | keep_best
        params, state = _chosen(self.carry, use_best | self.interrupted)
        status = np.asarray(self.carry.status)[: self.size].copy()
        ended = FitStatus.INTERRUPTED if self.interrupted else FitStatus.COMPLETED
        status[status == FitStatus.RUNNING] = ended
        params, state = jax.tree.map(lambda leaf: leaf[: self.size], (params, state))
        best_epoch = np.asarray(self.carry.best.epoch)[: self.size]
        return Outcome(params, state, self.metrics, status, best_epoch)

    def _over(self) -> bool:
        status = np.asarray(self.carry.status)[: self.size]
        return bool((status != FitStatus.RUNNING).all())

    def _call(self, n_steps: int) -> None:
        numbers = tuple(np.uint32(n) for n in (self.steps_per_epoch, self.n_steps, n_steps))
        self.carry, records = _run(
            self.program, self.executor, self.carry, self.members, self.shared, numbers
        )
        jax.block_until_ready(self.carry)
        first = self.n_steps // self.steps_per_epoch
        self.n_steps += n_steps
        ended = self.n_steps // self.steps_per_epoch - first
        if ended:
            rows = np.asarray(records.metrics, np.float32)[: self.size, :ended]
            self.metrics = np.concatenate([self.metrics, rows], axis=1)

    def _fill(self, epochs: int) -> None:
        """Rows of NaN for the epochs that no member needed."""
        missing = epochs - self.n_epochs
        if missing > 0 and not self.interrupted:
            nothing = np.full((self.size, missing, len(self.columns)), np.nan, np.float32)
            self.metrics = np.concatenate([self.metrics, nothing], axis=1)


def fastest_executor(program: Program, members: Members, shared: Shared) -> Executor:
    """Try several ways on one epoch of the members, and return the fastest."""
    best, least = None, float("inf")
    for executor in candidates(program.config, n_members(members)):
        run = MemberRun(program, executor, members, shared)
        run.advance(1)
        if run.microseconds < least:
            best, least = executor, run.microseconds
    assert best is not None
    return best
