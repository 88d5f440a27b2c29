"""Runs that survive their process: saved while they train, resumed as if nothing had happened.

    fit(..., checkpoint=Checkpoints("runs/a", every=5))      # the same call again goes on

A run's carry holds all that a step hands to the next, and its key and step number decide every
shuffle and mask, so a resumed run makes the bits of one that was left alone.
"""

import hashlib
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.distributed import agreed
from jaxmlp.training.chunk import run_chunk
from jaxmlp.training.data import TrainData
from jaxmlp.training.parallel import digest_of_rows, rows_of_process
from jaxmlp.training.runner import Runner
from jaxmlp.training.store import CheckpointStore, Step, same
from jaxmlp.types import PyTree

_RESUME = ("auto", "must", "never")
_SHARE = 0.05  # of the time that saving may take, where an interval is given as a time
TERMINATED = 143  # exit code after SIGTERM: 128 + its number, as shells count


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often a run is saved, so that the same call can go on with it later.

    A step is written beside the training, wholly or not at all; it is also written when the run
    ends, by itself, by Ctrl-C or by SIGTERM (the process then exits with 143). A newest step that
    is damaged is passed over, with a warning, for the one before.

    Args:
        folder: where the steps lie; one folder a run.
        every: a number of epochs, or a `timedelta`; the latter waits longer where saving would take
            more than 5% of the time.
        keep: how many steps stay, the newest.
        resume: "auto" goes on where the folder holds steps; "must" refuses a folder without;
            "never" deletes them and starts anew.

    Raises:
        ValueError: for an interval or a number below 1, or another word for resume.

    Example:
        >>> Checkpoints("runs/a", every=5).keep
        2
    """

    folder: str | Path
    every: int | timedelta = timedelta(minutes=1)
    keep: int = 2
    resume: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("every", "keep"):
            value = getattr(self, name)
            if isinstance(value, timedelta) and name == "every":
                if value <= timedelta(0):
                    raise ValueError(f"every is {value}; give a time above 0.")
            elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
                wanted = "epochs >= 1, or a timedelta" if name == "every" else "steps >= 1"
                raise ValueError(f"{name} is {value!r}; give a number of {wanted}.")
        if self.resume not in _RESUME:
            raise unknown_name("resume", self.resume, _RESUME)


class _Observation(Protocol):
    """Who has something to be saved with a run."""

    def saved(self) -> dict[str, np.ndarray]:
        """Return it, by name."""


class Saver:
    """A listener that saves a run, and brings it to where an earlier process left it.

    Args:
        checkpoints: where and how often.
        run: the run, where it starts.

    Attributes:
        observation: who has something to be saved too, or None.
        observed: what such a one had saved; None where nothing was resumed.
        terminated: whether SIGTERM asked for an end.
    """

    def __init__(self, checkpoints: Checkpoints, run: Runner) -> None:
        """Resume, if there is something to resume."""
        self.checkpoints = checkpoints
        self.observation: _Observation | None = None
        self.observed: dict[str, np.ndarray] | None = None
        self.terminated = False
        self._start = _digest((run.n_steps, run.carry.params, run.carry.state))
        self._described: dict[str, Any] | None = None
        self._store: CheckpointStore | None = None
        self._saved_at = -1
        self._last_time, self._last_cost = time.monotonic(), 0.0
        try:
            self._resume(run)
        except BaseException:
            self.close()
            raise

    @property
    def every_epochs(self) -> int | None:
        """The interval in epochs, if it is one."""
        every = self.checkpoints.every
        return every if isinstance(every, int) else None

    def before_chunk(self, run: Runner) -> None:
        """Nothing is to be noted."""

    def after_chunk(self, run: Runner) -> bool:
        """Save if it is time to; whether SIGTERM asked for an end."""
        due = self._is_due(run)
        if run.program.mesh is not None:  # all processes save together, and leave together
            due, self.terminated = map(bool, agreed(due, self.terminated))
        if due:
            self.save(run)
        return self.terminated

    def save(self, run: Runner) -> None:
        """Begin to write a step, unless this one is written."""
        if run.n_steps == self._saved_at:
            return
        begin = time.monotonic()
        records = {f"run.{name}": value for name, value in _records_of(run).items()}
        if self.observation is not None:
            saved = self.observation.saved()
            records |= {f"observation.{name}": value for name, value in saved.items()}
        self._open().save(run.carry, Step(run.n_steps, self._call(run), records))
        self._saved_at, self._last_time = run.n_steps, time.monotonic()
        self._last_cost = self._last_time - begin

    def finish(self, run: Runner) -> None:
        """Save the end, where saving was asked for in epochs or has begun or was interrupted."""
        if self._store is not None or self.every_epochs or run.stopped:
            self.save(run)

    def close(self) -> None:
        """Wait until all is written."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _is_due(self, run: Runner) -> bool:
        every, spe = self.checkpoints.every, run.steps_per_epoch
        if isinstance(every, int):
            return run.n_steps % (every * spe) == 0
        waited = time.monotonic() - self._last_time
        return waited >= max(every.total_seconds(), self._last_cost / _SHARE)

    def _open(self) -> CheckpointStore:
        if self._store is None:
            self._store = CheckpointStore(Path(self.checkpoints.folder), self.checkpoints.keep)
        return self._store

    def _resume(self, run: Runner) -> None:
        folder, resume = Path(self.checkpoints.folder), self.checkpoints.resume
        there = folder.is_dir() and any(folder.iterdir())
        if run.program.mesh is not None:
            there = bool(agreed(there)[0])
        steps = self._open().steps if there else []
        if resume == "must" and not steps:
            raise FileNotFoundError(f"{folder} holds no checkpoint to go on with.")
        for number in steps:
            if resume == "never" or not self._restore(run, number):
                self._open().delete(number)
            else:
                return
        if steps and resume != "never":
            raise ValueError(f"no checkpoint in {folder} can be read; give another folder.")

    def _restore(self, run: Runner, number: int) -> bool:
        """Bring the run to a step; False, with a warning, if that is damaged."""
        store, folder = self._open(), self.checkpoints.folder
        try:
            step = store.read(number)
        except Exception as error:  # of any kind, as the damage is
            return _warn_of_damage(folder, number, error)
        self._check_call(self._call(run), step.call)
        n_devices = _n_devices(run)
        if step.call.get("devices", 1) != n_devices and number % run.steps_per_epoch:
            raise ValueError(
                f"{folder} was left within an epoch, whose order is that of "
                f"{step.call.get('devices', 1)} devices, not of {n_devices}; go on with as many."
            )
        try:
            carry = store.restore(number, run.carry)
        except Exception as error:
            return _warn_of_damage(folder, number, error)
        run.carry = carry
        parts: dict[str, dict[str, np.ndarray]] = {"run": {}, "observation": {}}
        for name, value in step.records.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        _set_records(run, parts["run"])
        run.n_steps = self._saved_at = number
        self.observed = parts["observation"]
        return True

    def _call(self, run: Runner) -> dict[str, Any]:
        """Say what the run was called with, when it is first asked: the data take time to hash."""
        if self._described is None:
            self._described = {**_describe_run(run), "start": self._start}
            if run.program.mesh is not None:
                self._described["devices"] = _n_devices(run)
        return self._described

    def _check_call(self, own: dict[str, Any], call: dict[str, Any]) -> None:
        for name, value in own.items():
            if name != "devices" and not same(value, call.get(name)):
                shown = [str(v) for v in (call.get(name), value)]
                differ = ": {}, and here {}".format(*shown) if max(map(len, shown)) < 60 else ""
                raise ValueError(
                    f"{self.checkpoints.folder} holds checkpoints of a run with another "
                    f"{name}{differ}. Keep it, give another folder, or start anew with "
                    "resume='never'."
                )


@contextmanager
def saving(checkpoints: Checkpoints | None, run: Runner) -> Iterator[Saver | None]:
    """Save a run within a block, which trains it; SIGTERM ends that after a chunk, and exits.

    Raises:
        SystemExit: with code 143 at the end of the block, if SIGTERM came.
    """
    if checkpoints is None:
        yield None
        return
    if not isinstance(checkpoints, Checkpoints):
        raise TypeError(f"checkpoint is {checkpoints!r:.60}; pass jaxmlp.Checkpoints(folder).")
    saver = Saver(checkpoints, run)
    try:
        with _terminable(saver):
            yield saver
        saver.finish(run)
    finally:
        saver.close()
    if saver.terminated:
        raise SystemExit(TERMINATED)


@contextmanager
def _terminable(saver: Saver) -> Iterator[None]:
    """Catch SIGTERM within a block; outside the main thread, where Python cannot, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(signum: int, frame: Any) -> None:
        saver.terminated = True

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _describe_run(run: Runner) -> dict[str, Any]:
    """Say what a run was called with, JSON-ready: numbers as they are, arrays as a digest.

    A rule or schedule counts by its names and numbers; what a closure hides is not seen.
    """
    program, settings, shared = run.program, run.members.settings, run.shared
    return {
        "network": _without_addresses(repr(program.config)),
        "loss": program.loss.name,
        "optimizer": _digest(run.members.optimizer),
        "batch size": program.batch_size * _n_devices(run),
        "number of steps an epoch": run.steps_per_epoch,
        "gradient": program.gradient,
        "executor": str(run.executor),
        "choice of frozen layers": list(program.frozen),
        "choice of shuffle": program.shuffle,
        "key": _digest((settings.key, shared.key)),
        "l2": _digest(settings.l2),
        "dropout rate": _digest(settings.dropout_rate),
        "set of loss options": _digest(settings.loss_options),
        "early stopping": [
            program.best_metric, program.latest,
            _digest(settings.patience), _digest(settings.min_delta),
        ],
        "training data": _digest_of_data(run, shared.train, run.members.train)
        if run.feed is None
        else [run.feed.stream.fingerprint, run.feed.stream.n_rows],
        "validation data": _digest_of_data(run, shared.validation, run.members.validation),
    }  # fmt: skip


def _n_devices(run: Runner) -> int:
    """How many devices the rows of a batch are divided among."""
    return 1 if run.program.mesh is None else run.program.mesh.size


def _digest_of_data(run: Runner, shared: TrainData | None, own: TrainData | None) -> Any:
    if run.program.mesh is None or shared is None:
        return _digest((shared, own))
    return digest_of_rows(*rows_of_process(shared))


def _digest(tree: PyTree) -> Any:
    """A number as it is; else what kind of tree it is, and a hash of all that is in it."""
    leaves, structure = jax.tree.flatten(tree)
    if len(leaves) == 1 and leaves[0] is tree and not np.ndim(tree) and not _is_key(tree):
        return float(tree)
    digest = hashlib.blake2b(_without_addresses(str(structure)).encode(), digest_size=12)
    for leaf in leaves:
        array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _without_addresses(text: str) -> str:
    """Leave out where things lie in memory.

    >>> _without_addresses("<function f at 0x7f12ab>")
    '<function f>'
    """
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _records_of(run: Runner) -> dict[str, np.ndarray]:
    """What a runner has recorded, by name."""
    numbers = [run.seconds, run.member_steps, run.pending_seconds]
    found = {
        "metrics": run.metrics,
        "epoch_seconds": run.epoch_seconds,
        "numbers": np.array(numbers),
        "probe_steps": np.array(run.probe_steps, int),
    }
    probed = jax.tree.leaves(run.probed)
    return found | {f"probed.{i}": np.asarray(leaf) for i, leaf in enumerate(probed)}


def _set_records(run: Runner, records: dict[str, np.ndarray]) -> None:
    """Give a runner what an earlier one had recorded."""
    run.metrics, run.epoch_seconds = records["metrics"], records["epoch_seconds"]
    run.seconds, member_steps, run.pending_seconds = records["numbers"].tolist()
    run.member_steps = int(member_steps)
    run.probe_steps = records["probe_steps"].tolist()
    if run.probe_steps:
        leaves = [records[f"probed.{i}"] for i in range(len(records) - 4)]
        run.readings = [jax.tree.unflatten(_structure_of_readings(run), leaves)]


def _structure_of_readings(run: Runner) -> Any:
    """What the probe returns, found by tracing a call of no steps."""
    numbers = tuple(np.uint32(n) for n in (run.steps_per_epoch, 0, 0))
    parts = run.program, run.executor, run.carry, run.members, run.shared
    _, records = jax.eval_shape(run_chunk, *parts, numbers)
    return jax.tree.structure(records.probed)


def _warn_of_damage(folder: Any, number: int, error: Exception) -> bool:
    first = str(error).strip().splitlines()
    warnings.warn(
        f"{folder}: the checkpoint of step {number} cannot be read "
        f"({type(error).__name__}: {first[0] if first else ''!s:.120}); the one before is taken.",
        stacklevel=2,
    )
    return False
