"""Contenders: a piece of work of one library, in this process or in one of its own.

In one process, the threads of a library go on spinning while the next contender computes: its time
and its processor time grow by work that is not its own. A process of its own sleeps until its turn
comes.
"""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from benchmarks.harness.backend import prepare_backend
from benchmarks.harness.effort import Effort
from benchmarks.harness.environment import on_cpu
from benchmarks.harness.timing import Sample, measure

Build = Callable[[], Callable[[], Any]]  # makes the work, which is an object with methods


class Contender(Protocol):
    """Work that can be timed, and asked about what it did."""

    def measure(self, repeats: int) -> Sample:
        """Do the work so often; return the time of one call."""

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the work, off the clock."""


class Here:
    """A contender in this process."""

    def __init__(self, work: Callable[[], Any]) -> None:
        """Take the work as it is."""
        self.work = work

    def measure(self, repeats: int) -> Sample:
        """Do the work so often; return the time of one call."""
        return measure(self.work, repeats)

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the work."""
        return getattr(self.work, method)(*arguments)


class Apart:
    """A contender in a process of its own.

    Args:
        workload: what JAX is prepared for there.
        build: makes the work; it must be picklable.
    """

    def __init__(self, workload: str, build: Build) -> None:
        """Start the process; what it imports and builds goes on beside this one."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        # No daemon, for such a one may have no processes of its own, as GridSearchCV(n_jobs=2) has.
        self.process = context.Process(target=_answer, args=(theirs, workload, build))
        self.process.start()
        theirs.close()

    def measure(self, repeats: int) -> Sample:
        """Do the work so often; return the time of one call, on the clock of that process."""
        return Sample(*self._request("", repeats))

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the work."""
        return self._request(method, *arguments)

    def wait(self) -> None:
        """Wait until it is built.

        Raises:
            RuntimeError: if that failed.
        """
        self._receive()

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(10)
        self.process.kill()
        self.process.join()

    def _request(self, method: str, *arguments: Any) -> Any:
        with self._alive():
            self.pipe.send((method, arguments))
        return self._receive()

    def _receive(self) -> Any:
        with self._alive():
            answer, failure = self.pipe.recv()
        if failure:
            raise RuntimeError(f"a contender failed: {failure}")
        return answer

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, ConnectionError):
            self.process.join(10)
            code = self.process.exitcode
            raise RuntimeError(f"a contender's process ended with exit code {code}.") from None


@contextmanager
def gathered(
    workload: str, builds: Mapping[str, Build], effort: Effort
) -> Iterator[dict[str, Contender]]:
    """Build all contenders, each in a process of its own, and end these afterwards.

    Quick runs stay in this process; so do those on an accelerator, whose memory the first process
    would take as a whole.

    Args:
        workload: what JAX is prepared for.
        builds: what makes the work, by the contender's name.
        effort: how much trouble to take.
    """
    if effort.quick or not on_cpu():
        yield {name: Here(build()) for name, build in builds.items()}
        return
    contenders: dict[str, Apart] = {}
    try:
        for name, build in builds.items():
            contenders[name] = Apart(workload, build)
        for contender in contenders.values():
            contender.wait()
        yield dict(contenders)
    finally:
        for contender in contenders.values():
            contender.close()


def _answer(pipe: Any, workload: str, build: Build) -> None:
    """Build the work, then do what is asked until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end says when it is over
    try:
        prepare_backend(workload)
        contender = Here(build())
        pipe.send((None, ""))
        while True:
            method, arguments = pipe.recv()
            done = contender.ask(method, *arguments) if method else contender.measure(*arguments)
            pipe.send((done, ""))
    except EOFError:
        return
    except Exception as error:
        pipe.send((None, f"{type(error).__name__}: {error}"))
    finally:
        if (loky := sys.modules.get("joblib.externals.loky")) is not None:
            loky.get_reusable_executor().shutdown()  # GridSearchCV's processes would live on
