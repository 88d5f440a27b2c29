"""Connections that nothing comes through, or nothing goes: they are ended."""

import asyncio
from typing import Any

from jaxmlp.optional import import_optional


def patient_protocol(seconds: float) -> Any:
    """Make a protocol for uvicorn that ends connections on which nothing happens for a time.

    A request's time begins with its last header, so its limits hold neither for who sends headers
    one letter at a time, nor for who never takes the answer. Either would keep a connection for
    ever, and there are few.

    Args:
        seconds: that one request may have the connection, or none.

    Returns:
        A class for `uvicorn.Config(http=...)`.

    Raises:
        ImportError: without uvicorn, with the command that installs it.
    """
    import_optional("uvicorn", "a service needs uvicorn", "jaxmlp[serve]")
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class _Patient(H11Protocol):
        _seen: Any = None  # the request of the last look
        _next_look: asyncio.TimerHandle

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._next_look = self.loop.call_later(seconds, self._look)

        def _look(self) -> None:
            if self.cycle is self._seen:
                self.transport.abort()
                return
            self._seen = self.cycle
            self._next_look = self.loop.call_later(seconds, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            self._next_look.cancel()
            super().connection_lost(exc)

    return _Patient
