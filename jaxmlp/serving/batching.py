"""Requests that come while others are answered, answered together next."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

_Request = TypeVar("_Request", bound=Sequence[Any])
_Answer = TypeVar("_Answer")


class BusyError(Exception):
    """More rows wait than may."""


_QUICK = 2e-3  # seconds; handing a batch to a thread and back may take as long


class Batcher(Generic[_Request, _Answer]):
    """Answers requests in batches, one after the other.

    A request that comes when nothing is under way goes at once; those that come meanwhile wait for
    each other, and go together. So batches grow with the load, and nobody waits for a clock. What
    takes longer than 2 ms runs in a worker thread, so that others can connect meanwhile.

    Args:
        answer: requests -> an answer or an exception for each.
        most_rows: of a batch, unless a single request has more.
        most_waiting: rows that may wait.
    """

    def __init__(
        self,
        answer: Callable[[list[_Request]], list[_Answer | Exception]],
        *,
        most_rows: int,
        most_waiting: int,
    ) -> None:
        """Start with nothing to do."""
        self._answer = answer
        self._most_rows, self._most_waiting = most_rows, most_waiting
        self._waiting: deque[tuple[_Request, asyncio.Future[_Answer]]] = deque()
        self._n_waiting = 0
        self._seconds, self._rows = float("inf"), 0  # of the last batch
        self._pool = ThreadPoolExecutor(1, "answers")
        self._running: asyncio.Task[None] | None = None

    async def submit(self, request: _Request) -> _Answer:
        """Return the answer to a request.

        Raises:
            BusyError: if too many rows wait already.
        """
        if self._n_waiting + len(request) > self._most_waiting and self._waiting:
            raise BusyError
        answered: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answered))
        self._n_waiting += len(request)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await answered

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # who has come already is let in
            batch = self._next_batch()
            if not batch:
                continue
            requests = [request for request, _ in batch]
            try:
                answers = await self._answered(requests)
            except Exception as error:  # of the worker itself: nobody may wait for ever
                answers = [error] * len(batch)
            for (_, answered), answer in zip(batch, answers, strict=True):
                if answered.done():  # who asked has gone
                    continue
                if isinstance(answer, Exception):
                    answered.set_exception(answer)
                else:
                    answered.set_result(answer)

    async def _answered(self, requests: list[_Request]) -> list[_Answer | Exception]:
        """Answer a batch: here if that is quick, else in the worker."""
        n_rows, begin = sum(map(len, requests)), time.perf_counter()
        if self._seconds < _QUICK and n_rows <= 2 * self._rows:
            answers = self._answer(requests)
        else:
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self._pool, self._answer, requests)
        self._seconds, self._rows = time.perf_counter() - begin, n_rows
        return answers

    def _next_batch(self) -> list[tuple[_Request, "asyncio.Future[_Answer]"]]:
        batch: list[tuple[_Request, asyncio.Future[_Answer]]] = []
        n_rows = 0
        while self._waiting:
            request, answered = self._waiting[0]
            if batch and n_rows + len(request) > self._most_rows:
                break
            self._waiting.popleft()
            self._n_waiting -= len(request)
            if not answered.done():
                batch.append((request, answered))
                n_rows += len(request)
        return batch

    def close(self) -> None:
        """Let the worker end what it has begun."""
        self._pool.shutdown(wait=True)
