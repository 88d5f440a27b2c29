"""The host's side of training: one loop over compiled chunks of steps, for one run or many.

`fit`, the sweeps and the estimators all train through a `Runner`: how long the next chunk is, what
was recorded, Ctrl-C and callbacks are decided here and nowhere else.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from jaxmlp.distributed import agreed
from jaxmlp.training.chunk import (
    MemberInputs,
    SharedInputs,
    forget_programs,
    one_kernel_chunk,
    run_chunk,
    unwatched,
)
from jaxmlp.training.executor import Executor
from jaxmlp.training.feed import Feed
from jaxmlp.training.interruption import interruptible
from jaxmlp.training.program import Carry, Program, Records
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import PyTree

_CHUNK_SECONDS = 0.25  # long enough to hide the call, short enough for Ctrl-C and a progress bar
_FIRST_CHUNK = 16  # steps; later chunks are as long as their measured speed allows


class Listener(Protocol):
    """Who is told about chunks: callbacks, progress bars, diagnostics."""

    def before_chunk(self, run: "Runner") -> None:
        """Take note of where a chunk starts; its carry is donated, so copy what to keep."""

    def after_chunk(self, run: "Runner") -> bool | None:
        """Look at where the chunk has come to; True asks for an end."""


@dataclass
class Runner:
    """Runs in training: what they are, and how far they have come.

    Attributes:
        program: the static part, equal for all.
        members: what differs.
        shared: what does not.
        carry: where they stand.
        steps_per_epoch: of the longest fold.
        executor: how they run together; None for a single run, without an axis of members.
        size: the number of members, without padding.
        metrics: one row an epoch, NaN after the end of a member's run, (size, epochs, columns).
        epoch_seconds: what each epoch took, (epochs,).
        n_steps: taken so far.
        seconds: spent training, without compilation.
        member_steps: taken in this time, added up over the members.
        readings: what the probe read, chunk by chunk.
        probe_steps: number of steps taken up to each reading.
        last_step: where the present call of `advance` ends.
        stopped: whether a listener or Ctrl-C ended it.
        interrupted: whether it was Ctrl-C.
        pending_seconds: of an epoch that has not ended.
        feed: what reads the rows in chunks, which `shared` then holds one of; None where it holds
            all rows.
    """

    program: Program
    members: MemberInputs
    shared: SharedInputs
    carry: Carry = field(repr=False)
    steps_per_epoch: int
    executor: Executor | None = None
    size: int = 1
    metrics: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    epoch_seconds: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    n_steps: int = 0
    seconds: float = 0.0
    member_steps: int = 0
    readings: list[PyTree] = field(default_factory=list, repr=False)
    probe_steps: list[int] = field(default_factory=list, repr=False)
    last_step: int = 0
    stopped: bool = False
    interrupted: bool = False
    pending_seconds: float = 0.0
    feed: Feed | None = field(default=None, repr=False)
    _next_chunk: int = _FIRST_CHUNK

    def __post_init__(self) -> None:
        """Begin with no epoch recorded."""
        if self.metrics.ndim != 3:
            self.metrics = np.zeros((self.size, 0, len(self.columns)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the recorded metrics."""
        validated = self.shared.validation is not None or self.members.validation is not None
        return self.program.columns(validated)

    @property
    def n_epochs(self) -> int:
        """Epochs that have been recorded."""
        return self.metrics.shape[1]

    @property
    def microseconds(self) -> float:
        """Measured time of one step of one member; NaN before any."""
        return self.seconds / self.member_steps * 1e6 if self.member_steps else float("nan")

    @property
    def status(self) -> np.ndarray:
        """How each run stands, a `FitStatus`, (size,)."""
        status = np.array(self.carry.status).reshape(-1)[: self.size]
        now = FitStatus.RUNNING
        if self.stopped:
            now = FitStatus.INTERRUPTED
        elif self.n_steps >= self.last_step:
            now = FitStatus.COMPLETED
        return np.where(status == FitStatus.RUNNING, now, status)

    @property
    def is_over(self) -> bool:
        """Whether no run goes on in this call of `advance`."""
        return bool((self.status != FitStatus.RUNNING).all())

    @property
    def probed(self) -> PyTree:
        """The probe's readings, stacked along a leading axis; None without any."""
        if not self.readings:
            return None
        return jax.tree.map(lambda *parts: np.concatenate(parts), *self.readings)

    def advance(
        self, epochs: int, listeners: Sequence[Listener] = (), every: int | None = None
    ) -> None:
        """Train for further epochs, or until all runs are over or somebody asks for an end.

        Args:
            epochs: how many; a run that was stopped within an epoch first ends that one, as one of
                them.
            listeners: told before and after each chunk, in their order.
            every: epochs after which they must be told at the latest.
        """
        forget_programs()
        spe = self.steps_per_epoch
        self.last_step, self.stopped = (self.n_steps // spe + epochs) * spe, False
        if self.is_over:
            return
        self._take_in()
        self._call(0)  # compiles, so that the chunks' speed is measured without it
        requested = False
        with interruptible() as interruption:
            while not self.is_over:
                self._take_in()
                n_steps = self._chunk_length(every)
                for listener in listeners:
                    listener.before_chunk(self)
                self._call(n_steps)
                requested = self._somewhere(interruption.requested)
                for listener in listeners:
                    self._stop_if(requested)
                    self._stop_if(self._somewhere(bool(listener.after_chunk(self))))
                requested = self._somewhere(interruption.requested)
                self._stop_if(requested)
        self.interrupted = requested

    def _take_in(self) -> None:
        """Have the rows of the next step on the device, where they come in chunks."""
        if self.feed is not None:
            train = self.feed.at(self.n_steps).train
            self.pending_seconds += self.feed.take_wait()
            if self.program.sharding is not None:
                train = self.program.sharding.place(train)
            self.shared = self.shared._replace(train=train)

    def _somewhere(self, wanted: bool) -> bool:
        """Whether something is wanted here, or in another process that trains this network."""
        return bool(agreed(wanted)[0]) if self.program.mesh is not None else wanted

    def _stop_if(self, wanted: bool) -> None:
        self.stopped |= wanted and not self.is_over

    def go_on(self) -> None:
        """Have a single run that stopped for want of improvement wait anew."""
        running, zero = jnp.int32(FitStatus.RUNNING), jnp.int32(0)
        self.carry = self.carry._replace(status=running, waited=zero)

    @property
    def best_epoch(self) -> Int[np.ndarray, " size"]:
        """The epoch of each run, from 1, with the best metric; 0 if none ended."""
        return np.asarray(self.carry.best.epoch).reshape(-1)[: self.size]

    def kept_epoch(self, keep_best: bool) -> Int[np.ndarray, " size"]:
        """The epoch of each run, from 1, that its parameters are from; 0 if from before any."""
        ended = np.isfinite(self.metrics[..., 0]).sum(axis=1)
        return np.where(self.best_wanted(keep_best), self.best_epoch, ended)

    def best_wanted(self, keep_best: bool) -> Bool[np.ndarray, " size"]:
        """Whether each run's best parameters count, rather than its last, (size,)."""
        wanted = (self.status == FitStatus.INTERRUPTED) | keep_best
        # Where a run diverged, only the best parameters are finite.
        return (wanted & (self.best_epoch > 0)) | (self.status == FitStatus.DIVERGED)

    def _chunk_length(self, every: int | None) -> int:
        """What the pace allows, shortened to what the buffers hold and the listeners want."""
        spe, program = self.steps_per_epoch, self.program
        limits = [self._next_chunk, self.last_step - self.n_steps]
        limits.append(program.history_rows * spe - self.n_steps % spe)
        if self.feed is not None:
            limits.append(self.feed.at(self.n_steps).end - self.n_steps)
        if every is not None:
            limits.append(every * spe - self.n_steps % (every * spe))
        if program.probe is not None:
            cadence = program.probe_every
            limits.append(program.probe_rows * cadence - self.n_steps % cadence)
        return min(limits)

    def _call(self, n_steps: int) -> None:
        """Run one chunk, and take in its records; a chunk of 0 steps compiles."""
        begin, first, ended = time.perf_counter(), self.n_steps, self._ended()
        numbers = tuple(np.uint32(n) for n in (self.steps_per_epoch, first, n_steps))
        if self.feed is not None:
            numbers = (*numbers, np.uint32(self.feed.at(first).first))
        run = one_kernel_chunk() if self.program.one_kernel else run_chunk
        with unwatched():
            self.carry, records = run(
                self.program, self.executor, self.carry, self.members, self.shared, numbers
            )
        status = np.asarray(self.carry.status)  # waits for the chunk
        if not n_steps:
            return
        self.n_steps = self._step_reached(status, first + n_steps)
        seconds = time.perf_counter() - begin
        if self.program.mesh is not None:  # of which the length of the next chunk depends
            seconds = agreed(seconds)[0]
        self.seconds += seconds
        self.member_steps += (self.n_steps - first) * self.size
        goal = n_steps * _CHUNK_SECONDS / max(seconds, 1e-6)
        self._next_chunk = int(np.clip(goal, 1, 16 * n_steps + 1))
        self._record_metrics(records, self._ended() - ended, seconds)
        self._record_probe(records, first)

    def _ended(self) -> int:
        """Epochs that the member which got furthest has ended."""
        return int(np.max(np.asarray(self.carry.epochs)))

    def _step_reached(self, status: np.ndarray, end: int) -> int:
        """The last step that any member took."""
        if (status == FitStatus.RUNNING).any():
            return end
        carry = self.carry
        early = np.asarray(carry.epochs) * self.steps_per_epoch
        diverged = status == FitStatus.DIVERGED
        return int(np.max(np.where(diverged, np.asarray(carry.stopped_at) + 1, early)))

    def _record_metrics(self, records: Records, n_epochs: int, seconds: float) -> None:
        self.pending_seconds += seconds
        if not n_epochs:
            return
        shape = self.size, n_epochs, len(self.columns)
        rows = np.asarray(records.metrics, np.float64)
        rows = rows.reshape(-1, *rows.shape[-2:])[: self.size, :n_epochs]
        self.metrics = np.concatenate([self.metrics, rows.reshape(shape)], axis=1)
        each = np.full(n_epochs, self.pending_seconds / n_epochs)
        self.epoch_seconds = np.concatenate([self.epoch_seconds, each])
        self.pending_seconds = 0.0

    def _record_probe(self, records: Records, first: int) -> None:
        if self.program.probe is None:
            return
        every = self.program.probe_every
        n_readings = self.n_steps // every - first // every
        if n_readings:
            values = jax.device_get(records.probed)
            self.readings.append(jax.tree.map(lambda leaf: leaf[:n_readings], values))
            start = first // every
            self.probe_steps += [every * (start + i + 1) for i in range(n_readings)]
