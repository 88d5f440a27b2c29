"""Ctrl-C as a request, so that a run ends with what it has learnt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Interruption:
    """Whether somebody asked to stop; the second Ctrl-C raises KeyboardInterrupt as usual."""

    def __init__(self) -> None:
        """Start with nobody asking."""
        self.requested = False

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Note the first request."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def interruptible() -> Iterator[_Interruption]:
    """Catch Ctrl-C within a block; outside the main thread, where Python cannot, do nothing.

    Example:
        >>> with interruptible() as interruption:
        ...     signal.raise_signal(signal.SIGINT)
        ...     print(interruption.requested)
        True
    """
    interruption = _Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.signal(signal.SIGINT, interruption.handle)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
