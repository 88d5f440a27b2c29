"""`python -m benchmarks ...`: one harness for this library and its peers."""

import sys

import typer

from benchmarks.command import bench
from jaxmlp.cli.main import run

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(bench)

if __name__ == "__main__":
    sys.exit(run(command=app))
