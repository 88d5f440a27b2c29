"""What requests may ask for, and what all of them may hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jaxmlp.serving.batching import BusyError


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        bytes: of its body.
        rows: in it.
        files: in it, of images or sounds.
        pixels: of its images together, before they are made smaller.
        sound_seconds: of its sounds together.
        waiting: rows of all requests that may wait; who comes then is told to come again.
        held: bytes of all requests in hand; who comes then is told to come again.
        seconds: for its body to arrive, and for its answer.
    """

    bytes: int = 16 << 20
    rows: int = 10_000
    files: int = 32
    pixels: int = 64_000_000
    sound_seconds: float = 60.0
    waiting: int = 50_000
    held: int = 256 << 20
    seconds: float = 30.0


class Room:
    """The bytes of all requests in hand, which may not outgrow the memory.

    Args:
        most: bytes that may be held.
    """

    def __init__(self, most: int) -> None:
        """Hold nothing yet."""
        self._most, self._held = most, 0

    @contextmanager
    def guest(self) -> Iterator["_Guest"]:
        """Give a request a place; what it took is free when it is answered."""
        guest = _Guest(self)
        try:
            yield guest
        finally:
            self._held -= guest.n_bytes

    def take(self, n_bytes: int) -> None:
        """Hold more.

        Raises:
            BusyError: if that is more than may be held.
        """
        if self._held + n_bytes > self._most:
            raise BusyError
        self._held += n_bytes


class _Guest:
    """A request's part of the room."""

    def __init__(self, room: Room) -> None:
        self._room, self.n_bytes = room, 0

    def take(self, n_bytes: int) -> None:
        self._room.take(n_bytes)
        self.n_bytes += n_bytes
