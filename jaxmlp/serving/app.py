"""The service: an ASGI application of a model."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
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
from jaxmlp.serving.web import SecurityHeaders, as_json, check_origin, read_body, refusal

_HERE = Path(__file__).parent


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
            check_origin(request)
            async with asyncio.timeout(self.limits.seconds):
                return await self._answered(request)
        except UnreadableError as error:
            return refusal(str(error), error.status)
        except (ValueError, TypeError) as error:
            return refusal(str(error), 422)
        except BusyError:
            return refusal("too much waits already; come again.", 503, {"Retry-After": "1"})
        except ClientDisconnect:
            return refusal("the body ends early.", 400)
        except TimeoutError:
            return refusal(f"this took more than {self.limits.seconds:g} seconds.", 504)

    async def _answered(self, request: Any) -> Any:
        with self.room.guest() as guest:
            sent = Sent(
                request.headers.get("content-type", ""),
                request.query_params,
                await read_body(request, self.limits.bytes, guest.take),
            )
            asked = await self._read(sent)
            answer = await self.batcher.submit(asked)
        self.n_requests += 1
        self.n_items += self.inputs.count(asked)
        return as_json(*_content(answer))

    async def _read(self, sent: Sent) -> Any:
        if sent.is_quick:
            return self.inputs.read(sent)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self.inputs.read, sent)

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


def _no_such(request: Any, error: Any) -> Any:
    return refusal(
        f"{request.method} {request.url.path!r:.60} is not answered: {error.detail.lower()}.",
        error.status_code,
        error.headers,
    )


def _fault(request: Any, error: Exception) -> Any:
    return refusal(f"the service has a fault ({type(error).__name__}); its log tells more.", 500)


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
        routing.Route("/health", lambda request: as_json(service.health())),
        routing.Route("/schema", lambda request: as_json(service.inputs.schema())),
        routing.Route("/predict", service.predict, methods=["POST"]),
    ]
    layers = [middleware.Middleware(SecurityHeaders)]
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
