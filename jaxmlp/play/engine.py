"""The engine behind the page: one thread that trains, answers messages, and makes pictures."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxmlp.messages import phrase
from jaxmlp.play.cures import examine_learner
from jaxmlp.play.describing import describe_choices, describe_data, describe_network
from jaxmlp.play.examples import Examples, make_examples
from jaxmlp.play.learner import Learner, forget_shapes, suitable_loss
from jaxmlp.play.looking import Look
from jaxmlp.play.messages import Message
from jaxmlp.play.packing import pack_picture
from jaxmlp.play.pictures import arrays_of_network, head_of_network
from jaxmlp.play.scripts import make_script, write_run_folder
from jaxmlp.play.settings import DataSettings, Settings
from jaxmlp.play.tables import Table, table_examples
from jaxmlp.play.waiting import Waiting, refuse, settle
from jaxmlp.play.walking import step_by_hand, walk

_CHUNK_SECONDS = 0.008  # of training between two looks at what the page wants
_KEEP_EVERY = 0.25  # seconds from one snapshot to the next while it plays
_IDLE_SECONDS = 0.5
_MOST_COMPILED = 32  # programs of training and looks; with theirs a shape takes 25 MB
_MOST_CURVE = 400  # points of the curves


class Engine:
    """Trains what the page shows, in a thread of its own; nothing else touches the networks.

    Args:
        settings: to begin with.
        folder: where run folders are written.
        table: to choose as data, if there is one.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        folder: Path | None = None,
        table: Table | None = None,
    ) -> None:
        """Begin the thread."""
        self._table = table
        self._folder = folder or Path("runs")
        self._wanted = settings or Settings()
        self.settings = self._wanted
        self.learners: list[Learner] = []
        self._examples: Examples | None = None
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waiting = Waiting()
        self._version = 1
        self._playing, self._rate, self._due = False, 0.0, 0.0
        self._clock, self._chunk = 0.0, 1
        self._compiled: set[Any] = set()
        self._curve: list[tuple[float, ...]] = []
        self._kept_at, self._speed = 0.0, 0.0
        self._closed, self._doctor_is_busy = False, threading.Lock()
        self._thread = threading.Thread(target=self._run, name="play", daemon=True)
        self._thread.start()

    def ask(self, message: Message) -> "Future[dict[str, Any]]":
        """Have a message answered.

        Returns:
            What is to be answered; its error is a ValueError with a sentence for the page.
        """
        future: Future[dict[str, Any]] = Future()
        self._tasks.put(lambda: self._answer(message, future))
        return future

    def take_table(self, table: Table) -> "Future[dict[str, Any]]":
        """Have a table learnt from now on; what is answered is as for a message."""
        future: Future[dict[str, Any]] = Future()
        self._tasks.put(lambda: settle(future, lambda: self._take_table(table)))
        return future

    def _take_table(self, table: Table) -> dict[str, Any]:
        old, self._table = self._table, table
        try:
            self._set(
                replace(self.settings, data=DataSettings("table", test=self.settings.data.test))
            )
        except ValueError:
            self._table = old
            raise
        self._version += 1
        return self.describe()

    def picture(self, after: int) -> "Future[bytes]":
        """Wait for a picture newer than one that was seen, until the future is cancelled.

        Args:
            after: version of that one; 0 for any.
        """
        future: Future[bytes] = Future()
        self._tasks.put(lambda: self._waiting.add(after, future))
        return future

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._tasks.put(lambda: None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        self._guarded(lambda: self._set(self._wanted))
        if not self.learners:
            self._set(Settings())
        while not self._closed:
            self._take_tasks()
            if self._playing:
                self._guarded(self._train)
            self._guarded(self._fulfil)
        self._waiting.cancel()

    def _guarded(self, work: Callable[[], Any]) -> None:
        """Do something; the page is told of what fails, and goes on."""
        try:
            work()
        except Exception as error:
            self._playing = False
            self._say(f"failed: {str(error) or type(error).__name__}")

    def _take_tasks(self) -> None:
        """Do what waits; without anything to do, wait for something."""
        timeout = self._pause()
        try:
            task = self._tasks.get(timeout=timeout) if timeout else self._tasks.get_nowait()
            while True:
                task()
                task = self._tasks.get_nowait()
        except queue.Empty:
            return

    def _pause(self) -> float:
        """Seconds to wait for a task."""
        if not self._playing:
            return _IDLE_SECONDS
        if not self._rate:
            return 0.0
        return min(max((1 - self._due) / self._rate, 0.0), 0.1)

    def _answer(self, message: Message, future: "Future[dict[str, Any]]") -> None:
        if message.kind == "diagnose":
            self._ask_doctor(message, future)
        else:
            settle(future, lambda: self._handle(message))

    def _ask_doctor(self, message: Message, future: "Future[dict[str, Any]]") -> None:
        """Have a copy examined beside: its trials compile for seconds, and the page goes on."""

        def examine() -> None:
            settle(future, lambda: {"findings": examine_learner(patient, data)})
            self._doctor_is_busy.release()

        if not self._doctor_is_busy.acquire(blocking=False):
            sentence = phrase("the doctor is busy already; wait for the answer.")
            return settle(future, partial(refuse, sentence))
        try:
            patient, data = self._learner(message).still(), self.settings.data
        except ValueError as error:
            self._doctor_is_busy.release()
            return settle(future, partial(refuse, error.args[0]))
        threading.Thread(target=examine, name="doctor", daemon=True).start()

    def _handle(self, message: Message) -> dict[str, Any]:
        kind, found = message.kind, {}
        if kind in ("walk", "script", "save"):
            return self._handle_network(message)
        if kind == "set":
            assert message.settings is not None
            self._set(message.settings)
        if kind in ("set", "hello"):
            self._version += 1
            return self.describe()
        if kind == "play":
            self._playing = message.on and not self._is_over()
            self._rate, self._due, self._clock = message.rate, 0.0, time.monotonic()
        elif kind == "step":
            self._playing = False
            self._take(message.steps)
        elif kind == "restart":
            self._restart()
        elif kind == "rewind":
            self._rewind(message.steps)
        elif kind == "apply":
            learner, self._playing = self._learner(message), False
            found = step_by_hand(self.learners, learner, message.example, message.steps)
        self._version += 1
        return {**self._describe_run(), **found}

    def _handle_network(self, message: Message) -> dict[str, Any]:
        """Answer what is asked about one network, which stays as it is."""
        learner, data = self._learner(message), self.settings.data
        if message.kind == "walk":
            return walk(learner, message.example)
        script = make_script(learner, data, self._table.name if self._table else "")
        if message.kind == "script":
            return {"script": script}
        if learner.diverged:
            raise ValueError(
                phrase("the network has diverged; go back in time before you save it.")
            )
        scores = learner.scores()
        settings = self.settings.to_dict()
        folder = write_run_folder(self._folder, learner, scores, script, settings)
        return {"folder": str(folder), "command": f"jaxmlp predict {folder} {folder}/data.csv"}

    def _learner(self, message: Message) -> Learner:
        if message.network >= len(self.learners):
            raise ValueError(
                phrase("there is no network {k}; there is one alone.", k=message.network)
            )
        return self.learners[message.network]

    def describe(self) -> dict[str, Any]:
        """Say all that the page needs besides pictures, JSON-ready."""
        return {
            **self._describe_run(),
            "choices": describe_choices(),
            "data": describe_data(self._data()),
            "table": self._table.to_dict() if self._table else None,
        }

    def _describe_run(self) -> dict[str, Any]:
        """Say what may be another after a step."""
        return {
            "settings": self.settings.to_dict(),
            "networks": [describe_network(learner) for learner in self.learners],
            "playing": self._playing,
            "version": self._version,
        }

    def _data(self) -> Examples:
        assert self._examples is not None
        return self._examples

    def _set(self, wanted: Settings) -> None:
        """Take other settings; what cannot be done leaves everything as it was."""
        examples = self._examples
        if examples is None or wanted.data != self.settings.data:
            examples = self._make_examples(wanted.data)
        wanted = replace(
            wanted,
            networks=tuple(
                replace(network, loss=suitable_loss(network.loss, examples))
                for network in wanted.networks
            ),
        )
        if examples is not self._examples and _same_rows(wanted.data, self.settings.data):
            for learner in self.learners:
                learner.show_grid(examples)
            self._examples, anew = examples, self._change_networks(wanted, examples)
        elif examples is not self._examples:
            self.learners = [Learner(network, examples) for network in wanted.networks]
            self._examples, anew = examples, True
        else:
            anew = self._change_networks(wanted, examples)
        self.settings = wanted
        if anew:
            self._restart()

    def _make_examples(self, data: DataSettings) -> Examples:
        if data.name != "table":
            return make_examples(data)
        if self._table is None:
            raise ValueError(phrase("there is no table yet; drop a .csv file on the page."))
        return table_examples(self._table, data)

    def _change_networks(self, wanted: Settings, examples: Examples) -> bool:
        """Bring each network to its settings; whether all have to begin anew."""
        anew = len(wanted.networks) != len(self.learners)
        try:
            for learner, network in zip(self.learners, wanted.networks, strict=False):
                anew |= learner.change(network)
        except ValueError:
            for learner, network in zip(self.learners, self.settings.networks, strict=True):
                learner.change(network)
            raise
        del self.learners[len(wanted.networks) :]
        for network in wanted.networks[len(self.learners) :]:
            self.learners.append(Learner(network, examples))
        return anew

    def _restart(self) -> None:
        for learner in self.learners:
            learner.restart()
        self._curve, self._version = [], self._version + 1
        self._look()

    def _rewind(self, step: int) -> None:
        self._playing = False
        for learner in self.learners:
            learner.rewind(step)
        reached = self.learners[0].step
        self._curve = [point for point in self._curve if point[0] <= reached]

    def _is_over(self) -> bool:
        return any(learner.diverged for learner in self.learners)

    def _train(self) -> None:
        """Take the steps that are due: for a while, or so many as the chosen rate has."""
        now = time.monotonic()
        elapsed, self._clock = now - self._clock, now
        if not self._rate:
            n_steps = self._chunk
            self._take(n_steps)
            spent = time.monotonic() - now
            self._chunk = int(min(max(self._chunk * _CHUNK_SECONDS / spent, 1), 2 * self._chunk))
            self._speed = _smooth(self._speed, n_steps / max(spent, elapsed, 1e-6))
            return
        self._due += min(elapsed, 0.2) * self._rate
        n_steps = int(self._due)
        if n_steps:
            self._due -= n_steps
            self._take(n_steps)
        self._speed = self._rate

    def _take(self, n_steps: int) -> None:
        """Take steps with all networks together, up to where one of them is over."""
        left = n_steps
        while left and not self._is_over():
            n = min(left, *(learner.most_steps for learner in self.learners))
            for learner in self.learners:
                self._tell_of_compiling(learner.shape)
                learner.take(n)
            left -= n
        self._playing = self._playing and not self._is_over()
        self._version += 1
        if not self._playing or time.monotonic() > self._kept_at + _KEEP_EVERY:
            self._kept_at = time.monotonic()
            for learner in self.learners:
                learner.keep()

    def _tell_of_compiling(self, shape: Any) -> None:
        """Say so before a program is compiled; of very many the old ones are forgotten."""
        if shape in self._compiled:
            return
        if len(self._compiled) >= _MOST_COMPILED:
            forget_shapes()
            self._compiled.clear()
        self._compiled.add(shape)
        self._say("compiling")

    def _say(self, status: str) -> None:
        """Tell everybody who waits how it stands, without a picture."""
        self._version += 1
        self._waiting.send(pack_picture(self._head(status), {}), self._version)

    def _fulfil(self) -> None:
        """Give a picture to whoever has not seen this one."""
        if self.learners and self._waiting.is_anybody(self._version):
            self._waiting.send(self._picture(), self._version)

    def _head(self, status: str = "ready") -> dict[str, Any]:
        return {
            "version": self._version, "status": status, "playing": self._playing,
            "speed": round(self._speed), "networks": [],
        }  # fmt: skip

    def _look(self) -> list[Look]:
        """Look at all networks, and note a point of their curves."""
        for learner in self.learners:
            self._tell_of_compiling(learner.look_shape)
        looks = [learner.look() for learner in self.learners]
        step = self.learners[0].step
        if not self._curve or self._curve[-1][0] < step:
            numbers = np.concatenate([found.scores.ravel() for found in looks])
            self._curve.append((float(step), *numbers.tolist()))
        if len(self._curve) > _MOST_CURVE:
            self._curve = [*self._curve[:-1:2], self._curve[-1]]
        return looks

    def _picture(self) -> bytes:
        looks, head = self._look(), self._head()
        arrays = {"curve": np.asarray(self._curve, np.float32)}
        for k, (learner, found) in enumerate(zip(self.learners, looks, strict=True)):
            head["networks"].append(head_of_network(learner, found))
            arrays |= arrays_of_network(k, learner, found)
        return pack_picture(head, arrays)


def _same_rows(one: DataSettings, other: DataSettings) -> bool:
    """Whether only the plane through the examples differs."""
    blank: dict[str, Any] = {"plane": (), "held": {}}
    return one.name == "table" and replace(one, **blank) == replace(other, **blank)


def _smooth(old: float, new: float) -> float:
    return new if not old else 0.9 * old + 0.1 * new
