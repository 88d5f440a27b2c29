"""What a run leaves behind: model.safetensors, history.csv, pictures, run.json, report."""

import csv
import io
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

import jaxmlp
from jaxmlp.models import Model, load, save
from jaxmlp.report.outcome import Outcome
from jaxmlp.report.outcome_charts import predicted_against_true
from jaxmlp.report.plots import confusion_matrix, learning_curves
from jaxmlp.training import FitResult, History

MODEL_FILE = "model.safetensors"


def choose_folder(out: Path | None, name: str, force: bool) -> Path:
    """Return where a run goes: `out`, or the next free runs/<name>-<number>.

    Raises:
        FileExistsError: if `out` holds anything and is not to be replaced.
    """
    if out is None:
        number = 1
        while Path("runs", f"{name}-{number}").exists():
            number += 1
        return Path("runs", f"{name}-{number}")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not force):
        raise FileExistsError(
            f"{out} exists already. Choose another --out, or pass --force to replace a folder."
        )
    return out


def write_run(
    folder: Path,
    model: Model,
    result: FitResult,
    outcome: Outcome,
    settings: dict[str, Any],
    page: str,
    schema: dict[str, Any] | None = None,
    pictures: Mapping[str, Figure] = MappingProxyType({}),
) -> None:
    """Write everything under a temporary name, then rename: the folder is whole or absent.

    Args:
        folder: where to; an existing one is replaced.
        model: the trained model.
        result: of `fit`.
        outcome: of the test.
        settings: options and versions of the run, JSON-ready.
        page: the report, as HTML.
        schema: of the table it was trained on, JSON-ready.
        pictures: further ones, by file name.
    """
    with whole_folder(folder) as temporary:
        save(temporary / MODEL_FILE, model)
        (temporary / "history.csv").write_text(_history_csv(result.history), encoding="utf-8")
        if result.history.n_epochs:
            best = result.best_epoch or None
            metric = "accuracy" if model.class_names else "rmse"
            curves = learning_curves(
                result.history, metric=metric, best_epoch=best, title=folder.name
            )
            curves.savefig(temporary / "curves.png")
        _draw(temporary, outcome, model.class_names)
        intervals = {name: [score.low, score.high] for name, score in outcome.scores.items()}
        description = {**settings, "metrics": dict(model.metrics), "intervals": intervals}
        for name, figure in pictures.items():
            figure.savefig(temporary / name)
        description["status"] = result.status.name.lower()
        write_json(temporary / "run.json", description)
        if schema is not None:
            write_json(temporary / "schema.json", schema)
        (temporary / "report.html").write_text(page, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to write into; it takes its name when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        _move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _draw(folder: Path, outcome: Outcome, class_names: tuple[str, ...] | None) -> None:
    counts = outcome.counts
    if counts is None:
        figure = predicted_against_true(outcome.y, outcome.outputs, outcome.target)
        figure.savefig(folder / "predicted.png", dpi=150)
        return
    accuracy = f"{np.trace(counts) / counts.sum():.1%} of {counts.sum():,} right"
    matrix = confusion_matrix(counts, class_names or (), title=f"test set: {accuracy}")
    matrix.savefig(folder / "confusion.png")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that people can read."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def _move(source: Path, target: Path) -> None:
    """Put a folder in the place of another, which is deleted only after that."""
    if not target.exists():
        os.replace(source, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    os.replace(target, old)
    os.replace(source, target)
    shutil.rmtree(old)


def _history_csv(history: History) -> str:
    """Format a history as CSV.

    >>> history = History({"epoch": np.array([1]), "train_loss": np.array([0.5])})
    >>> print(_history_csv(history), end="")
    epoch,train_loss
    1,0.5
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(history)
    writer.writerows(row.values() for row in history.rows())
    return text.getvalue()


def environment() -> dict[str, Any]:
    """Say what a run was made with."""
    device = jax.devices()[0]
    versions = {name: metadata.version(name) for name in ("jax", "jaxlib", "numpy")}
    versions["jaxmlp"] = jaxmlp.__version__
    return {
        "python": platform.python_version(),
        "versions": versions,
        "device": f"{device.platform}: {device.device_kind}",
    }


def load_run(run: Path) -> Model:
    """Load the model of a run folder, or a model file.

    Raises:
        FileNotFoundError: if there is no model.
    """
    if run.is_dir():
        if not (run / MODEL_FILE).is_file():
            raise FileNotFoundError(f"{run} has no {MODEL_FILE}; is it a folder that train wrote?")
        return load(run / MODEL_FILE)
    return load(run)
