"""`jaxmlp serve`."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import jax
import typer

from jaxmlp.cli.listening import end_well, listen, when_ready
from jaxmlp.models import load
from jaxmlp.optional import import_optional

_EXTRA = "jaxmlp[serve]"
_HELD = 256 << 20  # bytes of all requests in hand
_CONNECTIONS = 900  # of the 1,024 files that a process may often have open
_LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    run: Annotated[Path, typer.Argument(help="A folder that train wrote, or its model file.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is every one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    max_mib: Annotated[float, typer.Option(help="Largest body of a request, in MiB.")] = 16.0,
    max_rows: Annotated[int, typer.Option(help="Most rows of a request.")] = 10_000,
    max_files: Annotated[int, typer.Option(help="Most images or sounds of a request.")] = 32,
    max_megapixels: Annotated[
        float, typer.Option(help="Most megapixels of a request's images together.")
    ] = 64.0,
    max_sound: Annotated[
        float, typer.Option(help="Most seconds of a request's sounds together.")
    ] = 60.0,
    timeout: Annotated[float, typer.Option(help="Seconds that a request may take.")] = 30.0,
) -> None:
    """Answer requests with a trained network, until Ctrl-C or SIGTERM.

        jaxmlp serve runs/data-1
        curl 127.0.0.1:8000/predict -d '{"rows": [{"age": 31, "town": "Bonn"}]}'

    A run that learnt from photos or sounds takes files:

        curl "127.0.0.1:8000/predict?top=3" -F file=@cat.jpg -F file=@dog.jpg

    The page at / takes what is dropped on it. POST /predict takes JSON, CSV or files as a form; GET
    /schema says what it wants, GET /health how it goes. Requests that come together are computed
    together.
    """  # fmt: skip
    uvicorn = import_optional("uvicorn", "a service needs uvicorn", _EXTRA)
    from jaxmlp.serving import Limits, create_app
    from jaxmlp.serving.connections import patient_protocol

    if min(max_mib, max_rows, max_files, max_megapixels, max_sound, timeout) <= 0:
        raise ValueError("what begins with --max, and --timeout, are limits above 0.")
    n_bytes = int(max_mib * 2**20)
    limits = Limits(
        bytes=n_bytes, rows=max_rows, files=max_files, pixels=int(max_megapixels * 1e6),
        sound_seconds=max_sound, waiting=5 * max_rows, held=max(_HELD, 4 * n_bytes),
        seconds=timeout,
    )  # fmt: skip
    local = host in _LOCAL
    # A row's answer takes less than handing it to another thread, which JAX else does.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    with jax.enable_x64(True):  # it may be one in float64
        model = load(run)
    app = create_app(
        model, name=run.stem, limits=limits, hosts=_LOCAL if local else (), notify=_note
    )
    listener = listen(host, port)
    name, found = listener.getsockname()[:2]
    config = uvicorn.Config(
        app, log_config=None, log_level="warning",  # its configuration closes others' handlers
        timeout_graceful_shutdown=10, timeout_keep_alive=15,
        server_header=False, date_header=False, http=patient_protocol(2 * timeout), ws="none",
        limit_concurrency=_CONNECTIONS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    if not local:
        _note("everybody who reaches this machine can ask the model")
    shown = f"[{name}]" if ":" in name else name
    said = f"serving {run} at http://{shown}:{found}, until Ctrl-C"
    when_ready(server, lambda: print(said, flush=True))
    end_well(server)
    with listener:
        server.run(sockets=[listener])


def _note(sentence: str) -> None:
    print(f"note: {sentence}", file=sys.stderr, flush=True)
