"""Who waits for the next picture, or for an answer."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

_MOST_WAITING = 16  # pages; of more, those that came first are told to ask again


class Waiting:
    """The pages that wait; only the engine's thread touches it."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._wishes: list[tuple[int, Future[bytes]]] = []

    def add(self, after: int, future: "Future[bytes]") -> None:
        """Have somebody wait for a picture after a version."""
        self._wishes = [wish for wish in self._wishes if not wish[1].done()]
        self._wishes.append((after, future))
        if len(self._wishes) > _MOST_WAITING:
            self._wishes.pop(0)[1].cancel()

    def is_anybody(self, version: int) -> bool:
        """Whether somebody has not seen this version."""
        return any(after < version and not future.done() for after, future in self._wishes)

    def send(self, content: bytes, version: int) -> None:
        """Give a picture to everybody who has not seen its version."""
        for after, future in self._wishes:
            if after < version and future.set_running_or_notify_cancel():
                future.set_result(content)
        self._wishes = [wish for wish in self._wishes if wish[0] >= version]

    def cancel(self) -> None:
        """Let nobody wait any more."""
        for _, future in self._wishes:
            future.cancel()


def refuse(sentence: str) -> Any:
    """Raise a sentence."""
    raise ValueError(sentence)


def settle(future: "Future[Any]", function: Callable[[], Any]) -> None:
    """Put what a function returns or raises into a future, unless nobody waits any more."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
