"""How commands that answer requests listen, say that they are ready, and end."""

import signal
import socket
from typing import Any


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address.

    Raises:
        ValueError: if nothing can.
    """
    try:
        return socket.create_server((host, port), backlog=512)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"nothing can listen at {host}:{port}: {error}; give another --port, or 0 for a free "
            "one."
        ) from error


def when_ready(server: Any, tell: Any) -> None:
    """Call something once requests are answered."""
    startup = server.startup

    async def told(sockets: Any = None) -> None:
        await startup(sockets=sockets)
        if server.started:
            tell()

    server.startup = told


def end_well(server: Any) -> None:
    """Have SIGTERM and Ctrl-C end the service with exit code 0, requests in hand answered."""

    def handle(signum: int, frame: Any) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
