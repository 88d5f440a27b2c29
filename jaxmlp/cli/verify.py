"""`jaxmlp verify`."""

import importlib
import inspect
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from jaxmlp.cli.language import Language, chosen_language
from jaxmlp.config import MLPConfig
from jaxmlp.messages import in_language, phrase
from jaxmlp.verification.gradients import check_gradients
from jaxmlp.verification.input_side import check_input_side
from jaxmlp.verification.registry import Case, all_cases, check_cases, default_cases
from jaxmlp.verification.report import GradientReport, Verdict

_MARKS = {
    Verdict.PASS: phrase("pass"),
    Verdict.FAIL: phrase("FAIL"),
    Verdict.INCONCLUSIVE: phrase("unclear"),
}
_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.INCONCLUSIVE: "yellow"}


def verify(
    function: Annotated[
        str,
        typer.Argument(
            metavar="[MODULE:FUNCTION]",
            help="A gradient of your own: (params, *args) -> (value, grads), or grads.",
        ),
    ] = "",
    against: Annotated[
        str, typer.Option(metavar="MODULE:FUNCTION", help="The function it is the gradient of.")
    ] = "",
    params: Annotated[
        str,
        typer.Option(
            metavar="MODULE:NAME",
            help="Where to check it: a pytree of arrays, a function without arguments that makes "
            "one, or a file.npz with one array a parameter.",
        ),
    ] = "",
    args: Annotated[
        str, typer.Option(metavar="MODULE:NAME", help="A tuple of further arguments.")
    ] = "",
    kwargs: Annotated[
        str, typer.Option(metavar="MODULE:NAME", help="A dict of keyword arguments.")
    ] = "",
    config: Annotated[
        str,
        typer.Option(
            metavar="MODULE:NAME",
            help="The jaxmlp.MLPConfig of the network that it is the gradient of: lets the slip in "
            "the backward pass be named where the function is not recognised as an MLP by itself.",
        ),
    ] = "",
    full: Annotated[
        bool, typer.Option("--full", help="Every activation x loss x init x depth x dtype.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of data, parameters and probes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    language: Language = None,
) -> None:
    """Prove gradients: this library's, or one of your own.

    Each is compared with jax.grad, with finite differences, and with the order
    of its Taylor remainder; a value that comes with a gradient is compared, too.
    The exit code is 1 if any of them is wrong.

        jaxmlp verify

        jaxmlp verify homework:gradient --against homework:loss \\
            --params homework:params --args homework:data
    """  # fmt: skip
    spoken = chosen_language(language)
    if not function:
        if against or params or args or kwargs or config:
            raise ValueError("name the gradient to check first: jaxmlp verify MODULE:FUNCTION ...")
        cases = all_cases() if full else default_cases()
        raise typer.Exit(_verify_registry(cases, seed, as_json, spoken))
    if not against or not params:
        raise ValueError(
            f"to check {function}, name the function it is the gradient of and the parameters to "
            "check it at: --against MODULE:FUNCTION --params MODULE:NAME."
        )
    gradient, fn = _load_object(function), _load_object(against)
    point, rest, options = _value(params), _arguments(args), _value(kwargs) if kwargs else {}
    for path, called in ((function, gradient), (against, fn)):
        _check_call(path, called, (point, *rest), options)
    network = _config(config) if config else None
    report = check_gradients(
        gradient, fn, point, *rest, kwargs=options, config=network, seed=seed, language=spoken
    )
    print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) if as_json else report)
    raise typer.Exit(1 if report.verdict is Verdict.FAIL else 0)


def _verify_registry(cases: list[Case], seed: int, as_json: bool, language: str) -> int:
    """Check the library's own gradients; print a table or JSON; return the exit code."""
    console, begin = Console(highlight=False), time.perf_counter()
    found: list[tuple[Case, GradientReport]] = []
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as p:
        task = p.add_task("gradients", total=len(cases))
        for pair in check_cases(cases, seed):
            found.append(pair)
            p.update(task, advance=1)
        parts = check_input_side(seed)
    count = Counter(report.verdict for report in (*(r for _, r in found), *parts.values()))
    if as_json:
        rows = [{**case._asdict(), **report.to_dict()} for case, report in found]
        rows += [{"part": name, **report.to_dict()} for name, report in parts.items()]
        print(json.dumps(rows, indent=2))
    else:
        tables = (
            _pair_table(found, language),
            _depth_table(found, language),
            _part_table(parts, language),
        )
        for table in tables:
            console.print(table)
        named = [(", ".join(map(str, case)), report) for case, report in found]
        for name, report in (*named, *parts.items()):
            if report.verdict is not Verdict.PASS:
                console.print(f"\n{name}\n{report.in_language(language)}", markup=False)
        summary = phrase(
            "{n_networks} networks and {n_parts} parts of networks for tables: {n_passed} pass, "
            "{n_failed} fail, {n_unclear} inconclusive ({seconds:.0f} s)",
            n_networks=len(found),
            n_parts=len(parts),
            n_passed=count[Verdict.PASS],
            n_failed=count[Verdict.FAIL],
            n_unclear=count[Verdict.INCONCLUSIVE],
            seconds=time.perf_counter() - begin,
        )
        console.print(f"\n{in_language(summary, language)}")
    return 1 if count[Verdict.FAIL] else 0


def _pair_table(found: Iterable[tuple[Case, GradientReport]], language: str) -> Table:
    """Lay out activation x loss, in float64: the difference to jax.grad."""
    cells: dict[tuple[str, str], list[GradientReport]] = {}
    for case, report in found:
        if case.dtype == "float64":
            cells.setdefault((case.activation, case.loss), []).append(report)
    losses = list(dict.fromkeys(loss for _, loss in cells))
    title = phrase("relative difference to jax.grad, median leaf (float64)")
    table = Table(
        title=in_language(title, language), box=None, padding=(0, 1), title_justify="left"
    )
    table.add_column(in_language(phrase("activation"), language))
    for loss in losses:
        table.add_column(loss.replace("_", "\n"), justify="right", vertical="bottom")
    for activation in dict.fromkeys(name for name, _ in cells):
        row = [_cell(cells.get((activation, loss), [])) for loss in losses]
        table.add_row(activation, *row)
    return table


def _depth_table(found: Iterable[tuple[Case, GradientReport]], language: str) -> Table:
    """Lay out activation x depth, and x the narrower dtypes: passes and failures."""
    cells: dict[tuple[str, str], list[GradientReport]] = {}
    for case, report in found:
        depth = in_language(phrase("depth\n{depth}", depth=case.depth), language)
        column = depth if case.dtype == "float64" else case.dtype
        cells.setdefault((case.activation, column), []).append(report)
    columns = sorted({column for _, column in cells}, key=lambda c: (c.isalnum(), c))
    title = phrase("\nverdicts (and of how many networks)")
    table = Table(
        title=in_language(title, language), box=None, padding=(0, 1), title_justify="left"
    )
    table.add_column(in_language(phrase("activation"), language), no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", vertical="bottom")
    for activation in dict.fromkeys(name for name, _ in cells):
        table.add_row(
            activation, *(_verdict(cells.get((activation, c), []), language) for c in columns)
        )
    return table


def _part_table(parts: dict[str, GradientReport], language: str) -> Table:
    """Lay out the input side of a network for tables: difference to jax.grad, and verdict."""
    title = phrase("\nnetworks for tables: relative difference to jax.grad (float64), and verdict")
    table = Table(
        title=in_language(title, language),
        box=None,
        padding=(0, 1),
        title_justify="left",
        show_header=False,
    )
    for name, report in parts.items():
        table.add_row(name, _cell([report]), _verdict([report], language))
    return table


def _cell(reports: list[GradientReport]) -> str:
    if not reports:
        return ""
    # The median: some leaves are zero but for rounding, of which a relative error says nothing.
    errors = [np.median([leaf.autodiff_error or 0.0 for leaf in r.leaves]) for r in reports]
    shown = f"{max(errors):.0e}" if any(errors) else "0"
    return f"[{_STYLES[_worst(reports)]}]{shown}[/]"


def _verdict(reports: list[GradientReport], language: str) -> str:
    if not reports:
        return ""
    worst = _worst(reports)
    mark = in_language(_MARKS[worst], language)
    return f"[{_STYLES[worst]}]{mark}[/]" + (f" {len(reports)}" if len(reports) > 1 else "")


def _worst(reports: list[GradientReport]) -> Verdict:
    verdicts = {report.verdict for report in reports}
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)
    return next(verdict for verdict in order if verdict in verdicts)


def _load_object(path: str) -> Any:
    """Import MODULE:NAME, looking in the current folder too.

    Raises:
        ValueError: if the path has no colon, or the module no such name.
        ImportError: if there is no such module.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise ValueError(f"{path!r} is not of the form MODULE:NAME, such as homework:loss.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name.removesuffix(".py"))
    except ModuleNotFoundError as error:
        raise ImportError(
            f"there is no module {error.name!r} here; run the command in its folder."
        ) from error
    if not hasattr(module, name):
        raise ValueError(f"module {module_name} has nothing called {name!r}.")
    return getattr(module, name)


def _check_call(path: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Say in the command's own terms that a function does not take what it would be given."""
    if not callable(function):
        raise ValueError(f"{path} is a {type(function).__name__}, not a function.")
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise ValueError(
            f"{path} cannot be called with what --params, --args and --kwargs name: {error}."
        ) from error
    except ValueError:  # some compiled functions have no signature
        return


def _value(path: str) -> Any:
    """Return what a path names, or the arrays of a .npz file; a function is called for it."""
    if path.endswith(".npz"):
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    found = _load_object(path)
    return found() if callable(found) else found


def _config(path: str) -> MLPConfig:
    found = _load_object(path)
    if not isinstance(found, MLPConfig):
        raise ValueError(f"{path} is a {type(found).__name__}; --config names a jaxmlp.MLPConfig.")
    return found


def _arguments(path: str) -> tuple[Any, ...]:
    if not path:
        return ()
    found = _value(path)
    return tuple(found) if isinstance(found, tuple | list) else (np.asarray(found),)
