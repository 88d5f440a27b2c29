"""`jaxmlp play`."""

import logging
import secrets
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from jaxmlp.cli.listening import end_well, listen, when_ready
from jaxmlp.optional import import_optional

_EXTRA = "jaxmlp[play]"


def play(
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Whether to open the page in a browser.")] = True,
    out: Annotated[
        Path, typer.Option(help="Folder that runs are written to, when the page is asked to.")
    ] = Path("runs"),
) -> None:
    """Open a page on which a network is built, trained and looked into, until Ctrl-C.

        jaxmlp play

    It listens at 127.0.0.1 alone, answers the browser that knows the token in its address, and
    needs nothing from elsewhere.
    """  # fmt: skip
    uvicorn = import_optional("uvicorn", "the page needs uvicorn", _EXTRA)
    from jaxmlp.play import create_page
    from jaxmlp.play.engine import Engine

    token = secrets.token_urlsafe(16)
    listener = listen("127.0.0.1", port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}"
    engine = Engine(folder=out)
    config = uvicorn.Config(
        create_page(engine, token), log_level="warning", access_log=False,
        timeout_graceful_shutdown=2, server_header=False, date_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    when_ready(server, lambda: _open(address, browser))
    end_well(server)
    with listener:
        server.run(sockets=[listener])


def _open(address: str, browser: bool) -> None:
    print(f"playing at {address}, until Ctrl-C", flush=True)
    if browser:
        webbrowser.open(address)
