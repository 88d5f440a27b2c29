"""The page's application: it answers one browser on this machine, which knows the token."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jaxmlp.messages import LANGUAGES, in_language, phrase, sentence_of
from jaxmlp.optional import import_optional
from jaxmlp.play.engine import Engine
from jaxmlp.play.fields import shorten
from jaxmlp.play.messages import MOST_BYTES, read_message
from jaxmlp.play.tables import MOST_TABLE_BYTES, read_dropped_table
from jaxmlp.serving.reading import UnreadableError
from jaxmlp.serving.web import SecurityHeaders, as_json, check_origin, read_body, refusal

_EXTRA = "jaxmlp[play]"
_PAGE = Path(__file__).parent / "page"
_KINDS = {
    ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
    ".svg": "image/svg+xml",
}  # fmt: skip
_LOCAL = ["127.0.0.1", "localhost"]
_ANSWER_SECONDS = 120.0  # a shape that is new to it may compile
_PICTURE_SECONDS = 10.0  # after which a page asks again
_TOKEN_HEADER = "x-play-token"


class _Page:
    """What the routes share."""

    def __init__(self, engine: Engine, token: str) -> None:
        self.engine, self._token = engine, token

    def home(self, request: Any) -> Any:
        """GET /, with the token."""
        from starlette.responses import HTMLResponse, PlainTextResponse

        if not self._knows(request.query_params.get("token", "")):
            sentence = phrase(
                "This page needs its token: open the address that jaxmlp play printed."
            )
            return PlainTextResponse(in_language(sentence, _language_of(request)), 403)
        return HTMLResponse((_PAGE / "page.html").read_text(encoding="utf-8"))

    async def message(self, request: Any) -> Any:
        """POST /message."""
        return await self._answer(request, self._message)

    async def table(self, request: Any) -> Any:
        """POST /table?name=NAME, the file as the body."""
        return await self._answer(request, self._table)

    async def picture(self, request: Any) -> Any:
        """GET /picture?after=VERSION: the next picture, or 204 if there is none for a while."""
        return await self._answer(request, self._picture)

    async def _answer(self, request: Any, answer: Any) -> Any:
        language = _language_of(request)
        try:
            check_origin(request)
            if not self._knows(request.headers.get(_TOKEN_HEADER, "")):
                raise UnreadableError(
                    phrase("the token is missing or wrong: open the printed address."), 403
                )
            return await answer(request)
        except UnreadableError as error:
            return refusal(sentence_of(error, language), error.status)
        except (ValueError, TypeError, OSError, ImportError) as error:
            return refusal(sentence_of(error, language), 422)
        except TimeoutError:
            sentence = phrase("this takes too long; wait, or choose something smaller.")
            return refusal(in_language(sentence, language), 504)

    async def _message(self, request: Any) -> Any:
        message = read_message(await read_body(request, MOST_BYTES))
        future = asyncio.wrap_future(self.engine.ask(message))
        return as_json(await asyncio.wait_for(future, _ANSWER_SECONDS))

    async def _table(self, request: Any) -> Any:
        name = Path(request.query_params.get("name", "")[:100]).name
        content = await read_body(request, MOST_TABLE_BYTES)
        table = await asyncio.to_thread(read_dropped_table, name, content)
        future = asyncio.wrap_future(self.engine.take_table(table))
        return as_json(await asyncio.wait_for(future, _ANSWER_SECONDS))

    async def _picture(self, request: Any) -> Any:
        from starlette.responses import Response

        after = request.query_params.get("after", "0")
        if not (after.isdecimal() and len(after) < 12):
            raise ValueError(
                phrase(
                    "after is {value}; give the version of the last picture.", value=shorten(after)
                )
            )
        future = asyncio.wrap_future(self.engine.picture(int(after)))
        try:
            content = await asyncio.wait_for(future, _PICTURE_SECONDS)
        except (TimeoutError, asyncio.CancelledError):
            return Response(status_code=204)
        return Response(content, media_type="application/octet-stream")

    def _knows(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self._token.encode())


def _language_of(request: Any) -> str:
    """The first language that the browser accepts and that is known; the page says its own."""
    accepted = request.headers.get("accept-language", "").split(",")
    codes = (part.strip()[:2].lower() for part in accepted)
    return next((code for code in codes if code in LANGUAGES), "en")


def create_page(engine: Engine, token: str) -> Any:
    """Make the ASGI application of the page.

    GET / is the page; POST /message takes what it says, POST /table a
    file that is dropped on it; GET /picture gives what it shows. All but
    the page's own scripts need the token, and only a browser on this machine is answered.

    Args:
        engine: that trains; the application closes it.
        token: that the page's address holds.

    Returns:
        The application, of starlette.

    Raises:
        ImportError: without starlette, with the command that installs it.

    Example:
        >>> from jaxmlp.play.engine import Engine
        >>> engine = Engine()
        >>> app = create_page(engine, "secret")
        >>> [route.path for route in app.routes if "page" not in route.path]
        ['/', '/message', '/picture', '/table']
        >>> engine.close()
    """
    applications = import_optional("starlette.applications", "the page needs starlette", _EXTRA)
    routing = import_optional("starlette.routing", "the page needs starlette", _EXTRA)
    responses = import_optional("starlette.responses", "the page needs starlette", _EXTRA)
    middleware = import_optional("starlette.middleware", "the page needs starlette", _EXTRA)
    trusted = import_optional(
        "starlette.middleware.trustedhost", "the page needs starlette", _EXTRA
    )
    page = _Page(engine, token)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        yield
        engine.close()

    def file(path: Path) -> Any:
        content = path.read_text(encoding="utf-8")
        return lambda request: responses.Response(content, media_type=_KINDS[path.suffix])

    routes = [
        routing.Route("/", page.home),
        routing.Route("/message", page.message, methods=["POST"]),
        routing.Route("/picture", page.picture),
        routing.Route("/table", page.table, methods=["POST"]),
        *(
            routing.Route(f"/page/{path.name}", file(path))
            for path in sorted(_PAGE.iterdir())
            if path.suffix in _KINDS
        ),
    ]
    layers = [
        middleware.Middleware(SecurityHeaders),
        middleware.Middleware(trusted.TrustedHostMiddleware, allowed_hosts=_LOCAL),
    ]
    return applications.Starlette(routes=routes, middleware=layers, lifespan=lifespan)
