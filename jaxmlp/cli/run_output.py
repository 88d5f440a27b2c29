"""What a run leaves behind: model.safetensors, history.csv, pictures, run.json, report."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.figure import Figure

from jaxmlp.cli.run_folder import whole_folder, write_json
from jaxmlp.formatting import format_share
from jaxmlp.losses.deviance import shown_as
from jaxmlp.models import save
from jaxmlp.models.model_file import MODEL_FILE
from jaxmlp.report.outcome_charts import predicted_against_true
from jaxmlp.report.plots import confusion_matrix, learning_curves
from jaxmlp.report.run_record import RunRecord
from jaxmlp.report.run_report import run_report
from jaxmlp.training import History


def write_run(
    folder: Path,
    run: RunRecord,
    *,
    schema: Mapping[str, object] | None = None,
    pictures: Mapping[str, Figure] = MappingProxyType({}),
    kept: Sequence[str] = (),
) -> None:
    """Write everything under a temporary name, then rename: the folder is whole or absent.

    Args:
        folder: where to; an existing one is replaced.
        run: what to write.
        schema: of the table it was trained on, JSON-ready.
        pictures: further ones, by file name.
        kept: names of what stays of the folder that is replaced.
    """
    model, result, outcome = run.model, run.result, run.outcome
    with whole_folder(folder) as temporary:
        save(temporary / MODEL_FILE, model)
        (temporary / "history.csv").write_text(_history_csv(result.history), encoding="utf-8")
        for name, figure in {**_figures(run, folder.name), **pictures}.items():
            figure.savefig(temporary / name, dpi=150)
        intervals = {name: [score.low, score.high] for name, score in outcome.scores.items()}
        measured = {"metrics": dict(model.metrics), "intervals": intervals}
        ended = {
            "status": result.status.name.lower(),
            "epochs": result.history.n_epochs,
            "epoch": result.epoch,
            "layer_sizes": list(model.config.layer_sizes),
        }
        write_json(temporary / "run.json", {**run.settings, **measured, **ended})
        if schema is not None:
            write_json(temporary / "schema.json", schema)
        (temporary / "report.html").write_text(run_report(run), encoding="utf-8")
        for name in kept:
            if (folder / name).exists():
                os.replace(folder / name, temporary / name)


def _figures(run: RunRecord, title: str) -> dict[str, Figure]:
    """Draw what every run shows, by file name."""
    history, names, outcome = run.result.history, run.model.class_names, run.outcome
    figures = {}
    if history.n_epochs:
        metric = "accuracy" if names else "rmse"
        best = run.result.best_epoch or None
        figures["curves.png"] = learning_curves(
            history, loss=shown_as(run.model.loss), metric=metric, best_epoch=best, title=title
        )
    if outcome.counts is None:
        figures["predicted.png"] = predicted_against_true(
            outcome.y, outcome.outputs, outcome.target
        )
    else:
        right, n = np.trace(outcome.counts), outcome.counts.sum()
        accuracy = f"test set: {format_share(right / n)} of {n:,} right"
        figures["confusion.png"] = confusion_matrix(outcome.counts, names or (), title=accuracy)
    return figures


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
