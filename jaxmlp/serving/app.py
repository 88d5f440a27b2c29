"""The service: an ASGI application of a model."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxmlp.models import Model
from jaxmlp.models.behind_backbone import takes_items
from jaxmlp.optional import import_optional
from jaxmlp.serving.answers import Answer
from jaxmlp.serving.batching import Batcher, BusyError
from jaxmlp.serving.inputs import Inputs, RowInputs, Sent
from jaxmlp.serving.limits import Limits, Room
from jaxmlp.serving.media import MediaInputs
from jaxmlp.serving.reading import UnreadableError

_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; media-src blob:; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class _Service:
    """What the routes share."""

    def __init__(self, model: Model, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        media = takes_items(model)
        self.inputs: Inputs = MediaInputs(model, limits) if media else RowInputs(model, limits)
        self.batcher: Batcher[Any, Answer] = Batcher(
            self.inputs.answer,
            size=self.inputs.size,
            most_size=self.inputs.most_size,
            most_waiting=self.inputs.most_waiting,
            quick=self.inputs.quick,
        )
        self.room = Room(limits.held)
        self.begin, self.n_requests, self.n_items = time.monotonic(), 0, 0

    async def predict(self, request: Any) -> Any:
        """POST /predict."""
        from starlette.requests import ClientDisconnect

        try:
            _check_origin(request)
            async with asyncio.timeout(self.limits.seconds):
                return await self._answered(request)
        except UnreadableError as error:
            return _refusal(str(error), error.status)
        except (ValueError, TypeError) as error:
            return _refusal(str(error), 422)
        except BusyError:
            return _refusal("too much waits already; come again.", 503, {"Retry-After": "1"})
        except ClientDisconnect:
            return _refusal("the body ends early.", 400)
        except TimeoutError:
            return _refusal(f"this took more than {self.limits.seconds:g} seconds.", 504)

    async def _answered(self, request: Any) -> Any:
        with self.room.guest() as guest:
            sent = Sent(
                request.headers.get("content-type", ""),
                request.query_params,
                await self._body(request, guest.take),
            )
            asked = await self._read(sent)
            answer = await self.batcher.submit(asked)
        self.n_requests += 1
        self.n_items += self.inputs.count(asked)
        return _as_json(*_content(answer))

    async def _read(self, sent: Sent) -> Any:
        if sent.is_quick:
            return self.inputs.read(sent)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self.inputs.read, sent)

    async def _body(self, request: Any, take: Callable[[int], None]) -> bytes:
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.limits.bytes:
            raise self._too_large()
        body = bytearray()
        async for part in request.stream():
            if len(body) + len(part) > self.limits.bytes:
                raise self._too_large()
            take(len(part))
            body += part
        return bytes(body)

    def _too_large(self) -> UnreadableError:
        return UnreadableError(f"the body is larger than {self.limits.bytes / 2**20:.3g} MiB.", 413)

    def health(self) -> dict[str, Any]:
        """GET /health."""
        items = "rows" if self.inputs.kind == "rows" else "files"
        return {
            "status": "ready", "model": self.name, "input": self.inputs.kind,
            "jaxmlp": version("jaxmlp"), "seconds": round(time.monotonic() - self.begin, 1),
            "requests": self.n_requests, items: self.n_items, "notes": list(self.inputs.notes),
        }  # fmt: skip


def _content(answer: Answer) -> tuple[dict[str, Any], int]:
    """An answer's JSON and status: that of an error, if nothing of the request was answered."""
    errors = [said["error"] for said in answer.predictions if "error" in said]
    if len(errors) < len(answer.predictions):
        return answer._asdict(), 200
    first = errors[0]
    if len(errors) > 1:
        first = f"none of the {len(errors)} files can be answered; the first is {first}"
    return {"error": first, **answer._asdict()}, 422


_EXTRA = "jaxmlp[serve]"


def _check_origin(request: Any) -> None:
    """Refuse what another page in a browser sends."""
    origin = request.headers.get("origin")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise UnreadableError("requests from other pages are not answered.", 403)


def _refusal(sentence: str, status: int, headers: dict[str, str] | None = None) -> Any:
    return _as_json({"error": sentence}, status, headers)


def _no_such(request: Any, error: Any) -> Any:
    return _refusal(
        f"{request.method} {request.url.path!r:.60} is not answered: {error.detail.lower()}.",
        error.status_code,
        error.headers,
    )


def _fault(request: Any, error: Exception) -> Any:
    return _refusal(f"the service has a fault ({type(error).__name__}); its log tells more.", 500)


def _as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse(content, status, headers)


def create_app(
    model: Model,
    *,
    name: str = "model",
    limits: Limits | None = None,
    hosts: tuple[str, ...] = (),
    notify: Callable[[str], object] = lambda sentence: None,
) -> Any:
    """Make the ASGI application that answers for a model.

    GET / is a page to drop a file on; POST /predict takes JSON, CSV or an uploaded file, and of a
    model behind a backbone images or sounds; GET /health and /schema say how it goes and what is
    asked for.

    Args:
        model: the model.
        name: what it is called.
        limits: what a request may ask for.
        hosts: names that a request may call this host; () allows any.
        notify: told of another version of the backbone than that of the training.

    Returns:
        The application, of starlette.

    Raises:
        ImportError: without starlette or the backbone's library, with the command that installs it.
        ValueError: for a model behind a backbone of something else than images or sounds, and for
            one of tables that name files.

    Example:
        >>> from jaxmlp import MLPConfig, init
        >>> import jax
        >>> config = MLPConfig((2, 3))
        >>> app = create_app(Model(config, init(config, jax.random.key(0))))
        >>> sorted(route.path for route in app.routes)
        ['/', '/health', '/media.js', '/page.css', '/page.js', '/predict', '/schema']
    """
    applications = import_optional("starlette.applications", "a service needs starlette", _EXTRA)
    responses = import_optional("starlette.responses", "a service needs starlette", _EXTRA)
    exceptions = import_optional("starlette.exceptions", "a service needs starlette", _EXTRA)
    routing = import_optional("starlette.routing", "a service needs starlette", _EXTRA)
    middleware = import_optional("starlette.middleware", "a service needs starlette", _EXTRA)
    trusted = import_optional(
        "starlette.middleware.trustedhost", "a service needs starlette", _EXTRA
    )
    service = _Service(model, name, limits or Limits())
    for note in service.inputs.notes:
        notify(note)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        service.inputs.warm_up()
        yield
        service.batcher.close()

    def file(path: str, kind: str) -> Any:
        content = (_HERE / path).read_text(encoding="utf-8")
        return lambda request: responses.Response(content, media_type=kind)

    routes = [
        routing.Route("/", file("page.html", "text/html")),
        routing.Route("/page.js", file("page.js", "text/javascript")),
        routing.Route("/media.js", file("media.js", "text/javascript")),
        routing.Route("/page.css", file("page.css", "text/css")),
        routing.Route("/health", lambda request: _as_json(service.health())),
        routing.Route("/schema", lambda request: _as_json(service.inputs.schema())),
        routing.Route("/predict", service.predict, methods=["POST"]),
    ]
    layers = [middleware.Middleware(_Headers)]
    if hosts:
        layers.append(
            middleware.Middleware(trusted.TrustedHostMiddleware, allowed_hosts=list(hosts))
        )
    return applications.Starlette(
        routes=routes,
        middleware=layers,
        lifespan=lifespan,
        exception_handlers={exceptions.HTTPException: _no_such, Exception: _fault},
    )


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
