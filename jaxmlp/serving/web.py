"""What all pages and services of this library do alike: headers, origins, bodies, refusals."""

from collections.abc import Awaitable, Callable
from typing import Any

from jaxmlp.messages import phrase
from jaxmlp.serving.reading import UnreadableError

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; media-src blob:; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def check_origin(request: Any) -> None:
    """Refuse what another page in a browser sends."""
    origin = request.headers.get("origin")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise UnreadableError(phrase("requests from other pages are not answered."), 403)


async def read_body(
    request: Any, most_bytes: int, take: Callable[[int], None] = lambda n_bytes: None
) -> bytes:
    """Read a request's body, up to a size.

    Args:
        request: of starlette.
        most_bytes: that the body may have.
        take: told of the size of each part.

    Raises:
        UnreadableError: if it is larger.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    body = bytearray()
    async for part in request.stream():
        if len(body) + len(part) > most_bytes:
            raise _too_large(most_bytes)
        take(len(part))
        body += part
    return bytes(body)


def _too_large(most_bytes: int) -> UnreadableError:
    sentence = phrase("the body is larger than {most:.3g} MiB.", most=most_bytes / 2**20)
    return UnreadableError(sentence, 413)


def refusal(sentence: str, status: int, headers: dict[str, str] | None = None) -> Any:
    """Answer that something is wrong, in a sentence."""
    return as_json({"error": sentence}, status, headers)


def as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """Answer with JSON."""
    from starlette.responses import JSONResponse

    return JSONResponse(content, status, headers)


class SecurityHeaders:
    """Adds headers to every answer that keep a page to what this service sends."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        """Wrap an application."""
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the application does, with the headers."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(k.lower().encode(), v.encode()) for k, v in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, with_headers)
