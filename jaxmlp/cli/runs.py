"""`jaxmlp runs`: what has been trained, as a table; and two runs beside each other."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from jaxmlp.checks import unknown_name
from jaxmlp.cli import arguments
from jaxmlp.cli.run_folder import read_run
from jaxmlp.formatting import format_number, format_share
from jaxmlp.training.stopping import higher_is_better

_METRICS = ("test_accuracy", "test_auc", "test_loss", "test_rmse", "test_r2")
_SETTINGS = ("run", "data", "target", "network", "epochs", "seed", "status")


def runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="A folder of runs; or two runs to compare.", show_default="runs"),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="Column to sort by, the best first; else by time.", show_default=False),
    ] = None,
    as_json: arguments.AsJson = False,
) -> None:
    """List the runs of a folder with what they reached; or compare two of them.

        jaxmlp runs

        jaxmlp runs --sort test_accuracy

        jaxmlp runs runs/titanic-1 runs/titanic-2
    """  # fmt: skip
    folders = folders or [Path("runs")]
    if len(folders) > 2:
        raise ValueError(f"{len(folders)} folders were given; give one of runs, or two runs.")
    if len(folders) == 2:
        _compare(folders, as_json)
        return
    rows = [_row(folder) for folder in _found(folders[0])]
    if sort is not None:
        rows = _sorted(rows, sort)
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _show(rows)


def _found(folder: Path) -> list[Path]:
    """The runs in a folder, the oldest first."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; train writes runs/NAME-1 and so on.")
    found = [path.parent for path in folder.glob("*/run.json")]
    if not found:
        raise FileNotFoundError(f"{folder} holds no run that train or finetune wrote.")
    return sorted(found, key=lambda run: ((run / "run.json").stat().st_mtime, run.name))


def _row(folder: Path) -> dict[str, Any]:
    """Return what the table shows of a run."""
    run = read_run(folder)
    options, table = run.get("options", {}), run.get("table", {})
    epochs, kept = run.get("epochs"), run.get("epoch")
    return {
        "run": folder.name,
        "data": Path(str(options.get("data", ""))).name,
        "target": table.get("target"),
        "network": "-".join(map(str, run.get("layer_sizes", ()))),
        "epochs": epochs if kept in (None, epochs) else f"{kept} of {epochs}",
        "seed": options.get("seed"),
        "status": run.get("status"),
        **{name: run["metrics"][name] for name in _METRICS if name in run.get("metrics", {})},
    }


def _sorted(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Sort by a column, the best or the first in the alphabet first; runs without it come last."""
    known = [name for name in (*_SETTINGS, *_METRICS) if any(name in row for row in rows)]
    if column not in known:
        raise unknown_name("column", column, known)
    sign = -1 if higher_is_better(column) or column.endswith("auc") else 1

    def key(row: dict[str, Any]) -> tuple[bool, Any]:
        value = row.get(column)
        if column in _METRICS:
            return value is None, 0.0 if value is None else sign * value
        return value is None, str(value)

    return sorted(rows, key=key)


def _show(rows: list[dict[str, Any]]) -> None:
    """Print a line a run, with the one score that its task is judged by."""
    names = [name for name in _SETTINGS if any(row.get(name) is not None for row in rows)]
    if all(row["status"] in ("completed", None) for row in rows):
        names.remove("status")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in (*names, "test score"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        cells = ("" if row.get(name) is None else str(row[name]) for name in names)
        table.add_row(*cells, _score(row))
    Console(highlight=False).print(table)


def _score(row: dict[str, Any]) -> str:
    for name, short in (("test_accuracy", "accuracy"), ("test_rmse", "RMSE")):
        if name in row:
            return f"{short} {_cell(name, row[name])}"
    return ""


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return format_share(value) if name.endswith("accuracy") else format_number(value)


def _flat(run: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings and metrics under their own names, which differ; no intervals.

    >>> _flat({"options": {"seed": 1}, "intervals": {"auc": [0, 1]}, "status": "completed"})
    {'seed': 1, 'status': 'completed'}
    """
    flat: dict[str, Any] = {}
    for name, value in run.items():
        if isinstance(value, dict):
            flat |= {} if name in ("intervals", "seeds", "folds") else _flat(value)
        else:
            flat[name] = value
    return flat


def _compare(folders: list[Path], as_json: bool) -> None:
    """Show what differs between two runs."""
    one, other = (_flat(read_run(folder)) for folder in folders)
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    if as_json:
        found = {name: [one.get(name), other.get(name)] for name in names}
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", *(folder.name for folder in folders)):
        table.add_column(heading, justify="right" if heading else "left", overflow="fold")
    for name in names:
        cells = (_compared(name, run.get(name)) for run in (one, other))
        table.add_row(name.replace("_", " "), *cells)
    if table.row_count:
        console.print(table)
    else:
        console.print("The two runs do not differ, in their settings or in what they reached.")


def _compared(name: str, value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else _cell(name, value)
