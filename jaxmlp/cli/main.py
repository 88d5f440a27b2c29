"""The command `jaxmlp`: its sub-commands, and how it fails."""

import gc
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, NoReturn

try:
    import typer
except ImportError:
    sys.exit("the command line needs typer and rich. Install them: pip install 'jaxmlp[cli]'")

import jaxmlp
from jaxmlp.cli.diagnose import diagnose
from jaxmlp.cli.export import export
from jaxmlp.cli.finetune import finetune
from jaxmlp.cli.play import play
from jaxmlp.cli.predict import predict
from jaxmlp.cli.program_cache import NO_CACHE, cache, keep_programs
from jaxmlp.cli.runs import runs
from jaxmlp.cli.serve import serve
from jaxmlp.cli.shuffle import shuffle
from jaxmlp.cli.sweep import sweep
from jaxmlp.cli.train import train
from jaxmlp.cli.verify import verify
from jaxmlp.cpu import compile_sooner
from jaxmlp.distributed import leave

_app = typer.Typer(
    help="Multilayer perceptrons in JAX, every gradient by hand and proven.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_app.command()(train)
_app.command()(sweep)
_app.command()(predict)
_app.command()(finetune)
_app.command()(runs)
_app.command()(diagnose)
_app.command()(verify)
_app.command()(export)
_app.command()(serve)
_app.command()(play)
_app.command()(shuffle)
_app.command()(cache)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jaxmlp {jaxmlp.__version__}")
        raise typer.Exit


@_app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    no_compilation_cache: Annotated[
        bool,
        typer.Option(NO_CACHE, help="Neither load nor keep compiled programs; any place will do."),
    ] = False,  # `main` takes it out of the arguments
) -> None:
    """Multilayer perceptrons in JAX, every gradient by hand and proven."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 if all is well, 2 with one sentence for bad input.

    Args:
        arguments: instead of those of the process.
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] not in (["serve"], ["play"]):
        # Libraries and programs stay to the end: to look them through for garbage at every 700 new
        # objects, and once more at the end, takes a fifth of a short command's time.
        gc.set_threshold(200_000, 50, 100)
    if NO_CACHE in arguments:
        arguments.remove(NO_CACHE)
    elif arguments[:1] != ["cache"]:
        keep_programs()
    with suppress(RuntimeError):  # JAX has computed something already: it will do
        jaxmlp.tune_cpu() if arguments[:1] == ["train"] else compile_sooner()
    code = run(arguments)
    leave(code)
    gc.freeze()
    sys.exit(code)


def _show_warning(message: Warning | str, category: type[Warning], *where: object) -> None:
    """Print a warning as a note: where in the code it was raised is of no use here."""
    print(f"note: {message}", file=sys.stderr)


def run(arguments: Sequence[str] | None = None, command: typer.Typer = _app) -> int:
    """Run a command line and return its exit code; bad input is one sentence, not a traceback."""
    try:
        with warnings.catch_warnings():  # of scikit-learn's, in its words, a user can do nothing
            warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
            command(arguments, prog_name="jaxmlp" if command is _app else None)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
