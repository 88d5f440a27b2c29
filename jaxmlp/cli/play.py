"""`jaxmlp play`."""

import logging
import secrets
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jaxmlp.cli.listening import end_well, listen, when_ready
from jaxmlp.optional import import_optional

_EXTRA = "jaxmlp[play]"


def play(
    data: Annotated[
        Path | None,
        typer.Argument(help="A table to begin with, such as data.csv.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Whether to open the page in a browser.")] = True,
    link: Annotated[
        str, typer.Option(help="Settings to begin with: a link that the page made.")
    ] = "",
    out: Annotated[
        Path, typer.Option(help="Folder that runs are written to, when the page is asked to.")
    ] = Path("runs"),
) -> None:
    """Open a page on which a network is built, trained and looked into, until Ctrl-C.

        jaxmlp play
        jaxmlp play data.csv

    It listens at 127.0.0.1 alone, answers the browser that knows the token in its address, and
    needs nothing from elsewhere.
    """  # fmt: skip
    uvicorn = import_optional("uvicorn", "the page needs uvicorn", _EXTRA)
    from jaxmlp.play import create_page
    from jaxmlp.play.engine import Engine
    from jaxmlp.play.settings import Settings, read_link
    from jaxmlp.play.tables import read_dropped_table, table_examples

    settings = read_link(link) if link else Settings()
    table = None
    if data is not None:
        if not data.is_file():
            raise FileNotFoundError(f"there is no file {data}.")
        table = read_dropped_table(data.name, data.read_bytes())
        if not link:
            settings = Settings(replace(settings.data, name="table"), settings.networks)
        table_examples(table, settings.data)  # what is wrong with it is said now
    token = secrets.token_urlsafe(16)
    listener = listen("127.0.0.1", port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}"
    engine = Engine(settings, out, table)
    config = uvicorn.Config(
        create_page(engine, token), log_config=None, log_level="warning", access_log=False,
        timeout_graceful_shutdown=1, server_header=False, date_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # pages wait to the end
    when_ready(server, lambda: _open(address, browser))
    end_well(server)
    with listener:
        server.run(sockets=[listener])


def _open(address: str, browser: bool) -> None:
    print(f"playing at {address} until Ctrl-C", flush=True)
    if browser:
        webbrowser.open(address)
