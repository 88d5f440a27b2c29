"""The service: an ASGI application of a model."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxmlp.models import Model
from jaxmlp.optional import import_optional
from jaxmlp.serving.answers import MOST_ROWS, Answer, Answerer, Row
from jaxmlp.serving.batching import Batcher, BusyError
from jaxmlp.serving.reading import UnreadableError, rows_of_file, rows_of_json

_HERE = Path(__file__).parent
_JSON = ("application/json", "", "application/x-www-form-urlencoded")
"""How JSON is called: curl -d says the last of them, whatever it sends."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        bytes: of its body.
        rows: in it.
        waiting: rows of all requests that may wait; who comes then is told to come again.
        seconds: for its body to arrive, and for its answer.
    """

    bytes: int = 16 << 20
    rows: int = 10_000
    waiting: int = 50_000
    seconds: float = 30.0


class _Service:
    """What the routes share."""

    def __init__(self, model: Model, name: str, limits: Limits) -> None:
        self.answerer, self.name, self.limits = Answerer(model), name, limits
        self.batcher: Batcher[list[Row], Answer] = Batcher(
            self.answerer.answer,
            most_rows=MOST_ROWS,
            most_waiting=limits.waiting,
        )
        self.begin, self.n_requests, self.n_rows = time.monotonic(), 0, 0

    async def predict(self, request: Any) -> Any:
        """POST /predict."""
        begin = time.monotonic()
        try:
            _check_origin(request)
            rows = await asyncio.wait_for(self._rows(request), self.limits.seconds)
            left = self.limits.seconds - (time.monotonic() - begin)
            answer = await asyncio.wait_for(self.batcher.submit(rows), max(left, 0.001))
        except UnreadableError as error:
            return _refusal(str(error), error.status)
        except (ValueError, TypeError) as error:
            return _refusal(str(error), 422)
        except BusyError:
            return _refusal("too many rows are waiting; come again.", 503, {"Retry-After": "1"})
        except TimeoutError:
            return _refusal(f"this took more than {self.limits.seconds:g} seconds.", 504)
        self.n_requests += 1
        self.n_rows += len(rows)
        return _as_json(answer._asdict())

    async def _rows(self, request: Any) -> list[Row]:
        """Read the rows of a request of any kind."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "multipart/form-data":
            name, content = await self._upload(request)
        else:
            content = await self._body(request)
            name = {"text/csv": "upload.csv", "application/vnd.apache.parquet": "x.parquet"}.get(
                kind, ""
            )
        if name:
            read = partial(rows_of_file, name, content, self.answerer, self.limits.rows)
            return await asyncio.get_running_loop().run_in_executor(None, read)
        if kind not in _JSON:
            raise UnreadableError(f"{kind!r:.60} is not understood; send JSON, CSV or a file.", 415)
        return rows_of_json(content, self.limits.rows)

    async def _body(self, request: Any) -> bytes:
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.limits.bytes:
            raise self._too_large()
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self.limits.bytes:
                raise self._too_large()
        return bytes(body)

    async def _upload(self, request: Any) -> tuple[str, bytes]:
        body = await self._body(request)

        async def once() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        again = type(request)(request.scope, once)
        try:
            async with again.form(max_files=1, max_fields=0) as form:
                file = next(iter(form.values()), None)
                found = None if file is None else (file.filename or "", await file.read())
        except Exception as error:  # of starlette's or of the parser's kinds
            raise UnreadableError("the upload cannot be read; send one file as a form.") from error
        if found is None:
            raise UnreadableError("the form holds no file; send one.")
        return found

    def _too_large(self) -> UnreadableError:
        return UnreadableError(f"the body is larger than {self.limits.bytes / 2**20:.3g} MiB.", 413)

    def health(self) -> dict[str, Any]:
        """GET /health."""
        return {
            "status": "ready", "model": self.name, "jaxmlp": version("jaxmlp"),
            "seconds": round(time.monotonic() - self.begin, 1), "requests": self.n_requests,
            "rows": self.n_rows,
        }  # fmt: skip

    def schema(self) -> dict[str, Any]:
        """GET /schema."""
        answerer = self.answerer
        return {
            "columns": None if answerer.columns is None else list(answerer.columns),
            "features": answerer.n_features,
            "classes": list(answerer.class_names) if answerer.is_classifier else None,
            "limits": {"bytes": self.limits.bytes, "rows": self.limits.rows},
        }


_EXTRA = "jaxmlp[serve]"


def _check_origin(request: Any) -> None:
    """Refuse what another page in a browser sends."""
    origin = request.headers.get("origin")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise UnreadableError("requests from other pages are not answered.", 403)


def _refusal(sentence: str, status: int, headers: dict[str, str] | None = None) -> Any:
    return _as_json({"error": sentence}, status, headers)


def _as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse(content, status, headers)


def create_app(
    model: Model, *, name: str = "model", limits: Limits | None = None, hosts: tuple[str, ...] = ()
) -> Any:
    """Make the ASGI application that answers for a model.

    GET / is a page to drop a file on; POST /predict takes JSON, CSV or an uploaded file; GET
    /health and /schema say how it goes and what is asked for.

    Args:
        model: the model.
        name: what it is called.
        limits: what a request may ask for.
        hosts: names that a request may call this host; () allows any.

    Returns:
        The application, of starlette.

    Raises:
        ImportError: without starlette, with the command that installs it.

    Example:
        >>> from jaxmlp import MLPConfig, init
        >>> import jax
        >>> config = MLPConfig((2, 3))
        >>> app = create_app(Model(config, init(config, jax.random.key(0))))
        >>> sorted(route.path for route in app.routes)
        ['/', '/health', '/page.css', '/page.js', '/predict', '/schema']
    """
    applications = import_optional("starlette.applications", "a service needs starlette", _EXTRA)
    responses = import_optional("starlette.responses", "a service needs starlette", _EXTRA)
    routing = import_optional("starlette.routing", "a service needs starlette", _EXTRA)
    middleware = import_optional("starlette.middleware", "a service needs starlette", _EXTRA)
    trusted = import_optional(
        "starlette.middleware.trustedhost", "a service needs starlette", _EXTRA
    )
    service = _Service(model, name, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        service.answerer.warm_up()
        yield
        service.batcher.close()

    def file(path: str, kind: str) -> Any:
        content = (_HERE / path).read_text(encoding="utf-8")
        return lambda request: responses.Response(content, media_type=kind)

    routes = [
        routing.Route("/", file("page.html", "text/html")),
        routing.Route("/page.js", file("page.js", "text/javascript")),
        routing.Route("/page.css", file("page.css", "text/css")),
        routing.Route("/health", lambda request: _as_json(service.health())),
        routing.Route("/schema", lambda request: _as_json(service.schema())),
        routing.Route("/predict", service.predict, methods=["POST"]),
    ]
    layers = [middleware.Middleware(_Headers)]
    if hosts:
        layers.append(
            middleware.Middleware(trusted.TrustedHostMiddleware, allowed_hosts=list(hosts))
        )
    return applications.Starlette(routes=routes, middleware=layers, lifespan=lifespan)


class _Headers:
    """Adds the headers of `_HEADERS` to every answer."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(k.lower().encode(), v.encode()) for k, v in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, with_headers)
