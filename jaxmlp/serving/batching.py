"""Requests that come while others are answered, answered together next."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class BusyError(Exception):
    """More waits than may."""


QUICK = 2e-3  # seconds; handing a batch to a thread and back may take as long


class Batcher(Generic[_Request, _Answer]):
    """Answers requests in batches, one after the other.

    A request that comes when nothing is under way goes at once; those that come meanwhile wait for
    each other, and go together. So batches grow with the load, and nobody waits for a clock. What
    takes longer than `quick` runs in a worker thread, so that others can connect meanwhile.

    Args:
        answer: requests -> an answer or an exception for each.
        size: of a request, such as its rows.
        most_size: of a batch, unless a single request is larger.
        most_waiting: size of all requests that may wait.
        quick: seconds; 0 runs everything in the worker.
    """

    def __init__(
        self,
        answer: Callable[[list[_Request]], list[_Answer | Exception]],
        *,
        size: Callable[[_Request], int],
        most_size: int,
        most_waiting: int,
        quick: float = QUICK,
    ) -> None:
        """Start with nothing to do."""
        self._answer = answer
        self._size, self._quick = size, quick
        self._most_size, self._most_waiting = most_size, most_waiting
        self._waiting: deque[tuple[_Request, asyncio.Future[_Answer]]] = deque()
        self._n_waiting = 0
        self._seconds, self._last_size = float("inf"), 0  # of the last batch
        self._pool = ThreadPoolExecutor(1, "answers")
        self._running: asyncio.Task[None] | None = None

    async def submit(self, request: _Request) -> _Answer:
        """Return the answer to a request.

        Raises:
            BusyError: if too much waits already.
        """
        size = self._size(request)
        if self._n_waiting + size > self._most_waiting and self._waiting:
            raise BusyError
        answered: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answered))
        self._n_waiting += size
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
        size, begin = sum(map(self._size, requests)), time.perf_counter()
        if self._seconds < self._quick and size <= 2 * self._last_size:
            answers = self._answer(requests)
        else:
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self._pool, self._answer, requests)
        self._seconds, self._last_size = time.perf_counter() - begin, size
        return answers

    def _next_batch(self) -> list[tuple[_Request, "asyncio.Future[_Answer]"]]:
        batch: list[tuple[_Request, asyncio.Future[_Answer]]] = []
        batch_size = 0
        while self._waiting:
            request, answered = self._waiting[0]
            size = self._size(request)
            if batch and batch_size + size > self._most_size:
                break
            self._waiting.popleft()
            self._n_waiting -= size
            if not answered.done():
                batch.append((request, answered))
                batch_size += size
        return batch

    def close(self) -> None:
        """Let the worker end what it has begun."""
        self._pool.shutdown(wait=True)
