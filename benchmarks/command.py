"""The command `python -m benchmarks`."""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.harness import Results, environment, read_results
from benchmarks.harness.backend import prepare_backend
from benchmarks.harness.effort import Effort
from benchmarks.harness.plots import write_plots
from benchmarks.harness.quiet import Watch, complaint
from benchmarks.harness.results import Row
from benchmarks.harness.runner import (
    ALL,
    TARGETS,
    WORKLOADS,
    in_a_process,
    relaunch,
)
from benchmarks.harness.tables import sheets, show, target_sheet
from benchmarks.harness.targets import anything_measured, judge
from jaxmlp.checks import unknown_name

PRECISIONS = ("tensorfloat32", "float32")
PUBLIC = ("fit", "cold", "sweep", "members", "per-example", "inference", "scaling", "floor")


def bench(
    workload: Annotated[
        str,
        typer.Argument(help=f"{', '.join(PUBLIC)}; all; targets; or plot, table of a FILE."),
    ] = "fit",
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A result, for plot and table.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny sizes, one turn: does everything work here?")
    ] = False,
    rounds: Annotated[int, typer.Option(help="Turns of each contender.")] = 7,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A contender to run, by its name in the table; may be repeated."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Processors to use; default: all.", show_default=False),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of float32 products on a GPU: tensorfloat32 (what JAX does), or float32.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON file to write.", show_default=False)
    ] = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw pictures beside --out (or here).")
    ] = False,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Time this library and its peers on the same work, in turns, beside the machine's floor.

    A row is void if its final loss is not within 2% of this library's own. Peers that are not
    installed are left out; the extra bench brings flax, equinox and scikit-learn.

        python -m benchmarks fit --out fit.json --plot

        python -m benchmarks targets
    """  # fmt: skip
    if workload in ("plot", "table"):
        _draw(workload, file)
        return
    if workload not in (*WORKLOADS, "all", "targets"):
        raise unknown_name("workload", workload, (*PUBLIC, "all", "targets", "plot", "table"))
    if file is not None:
        raise ValueError(f"{workload} takes no file; to write one, use --out {file}.")
    if rounds < 1:
        raise ValueError(f"--rounds is {rounds}; give at least 1.")
    if threads is not None and threads < 1:
        raise ValueError(f"--threads is {threads}; give at least 1.")
    if precision is not None and precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    effort = Effort(quick, 1 if quick else rounds, frozenset(only) if only else None)
    held = os.environ.get("OPENBLAS_CORETYPE") and not child
    if threads is not None or precision is not None or held:
        raise typer.Exit(relaunch(_arguments(workload, effort, out, plot), threads, precision))
    console = Console(highlight=False)
    results = _several(workload, effort, console) if workload in ("all", "targets") else _one(
        workload, effort, console, child
    )  # fmt: skip
    if not child and not quick and anything_measured(results.rows):
        results.targets = judge(results)
        show(console, target_sheet(_known(results.targets, workload)))
    if out is not None:
        results.write(out)
    if plot:
        for path in write_plots(results, (out or Path("benchmark.json")).with_suffix("")):
            console.print(f"wrote {path}")
    if out is not None and not child:
        console.print(f"wrote {out}")


def _arguments(workload: str, effort: Effort, out: Path | None, plot: bool) -> list[str]:
    """The same command again, but for --threads and --precision."""
    arguments = [workload, "--rounds", str(effort.rounds), *(["--quick"] if effort.quick else [])]
    for name in sorted(effort.only or ()):
        arguments += ["--only", name]
    return arguments + ([] if out is None else ["--out", str(out)]) + (["--plot"] if plot else [])


def _one(workload: str, effort: Effort, console: Console, child: bool) -> Results:
    """Run a workload here; a case's table is printed when the next one begins."""
    prepare_backend(workload)
    results, watch = Results(environment()), Watch()
    if not child:
        _show_environment(console, results.environment)
    waiting: list[Row] = []
    for row in WORKLOADS[workload](effort):
        if waiting and (row.workload, row.case) != (waiting[0].workload, waiting[0].case):
            _show_rows(console, waiting)
            waiting = []
        waiting.append(row)
        results.rows.append(row)
    _show_rows(console, waiting)
    if not child:
        _note_others(console, results, {workload: watch.others()})
    return results


def _several(workload: str, effort: Effort, console: Console) -> Results:
    """Run workloads one after another, each in a process of its own."""
    results, begin = Results(environment()), time.perf_counter()
    _show_environment(console, results.environment)
    others: dict[str, float] = {}
    for name in ALL if workload == "all" else TARGETS:
        names = effort.only or (TARGETS[name] if workload == "targets" else ())
        part = Effort(effort.quick, effort.rounds, frozenset(names) or None)
        watch = Watch()
        results.rows += in_a_process(name, part)
        others[name] = watch.others()
    _note_others(console, results, others)
    console.print(f"\n{time.perf_counter() - begin:.0f} s in all")
    return results


def _note_others(console: Console, results: Results, shares: dict[str, float]) -> None:
    """Keep what others used of the processors, and complain if it was much."""
    results.environment["used by other programs"] = shares
    if text := complaint(shares):
        console.print(f"\n{text}", style="yellow", soft_wrap=True)


def _known(targets: list[dict[str, Any]], workload: str) -> list[dict[str, Any]]:
    """All targets when they were asked for, else those that the workload measured."""
    return [t for t in targets if workload == "targets" or t["measured"] is not None or (
        not t["remark"].startswith("not measured")
    )]  # fmt: skip


def _show_rows(console: Console, rows: list[Row]) -> None:
    for sheet in sheets(rows):
        show(console, sheet)


def _show_environment(console: Console, found: dict[str, Any]) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    console.print(
        f"{found['device']} ({found['processor']}), {found['cpus']} processors; "
        f"products of float32: {found['products of float32']}\n"
        f"Python {found['python']}, {versions}",
        soft_wrap=True,
    )


def _draw(workload: str, file: Path | None) -> None:
    """Draw pictures or print tables of a result file."""
    if file is None:
        raise ValueError(f"name the result to read: python -m benchmarks {workload} FILE.json.")
    results, console = read_results(file), Console(highlight=False)
    if workload == "plot":
        for path in write_plots(results, file.with_suffix("")):
            console.print(f"wrote {path}")
        return
    _show_environment(console, results.environment)
    _show_rows(console, results.rows)
    if results.targets:
        show(console, target_sheet(results.targets))
