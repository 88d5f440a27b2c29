"""Passes through a backbone, after its head has been trained on fixed features."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from jaxmlp import training
from jaxmlp.backbones.backbone import differentiable
from jaxmlp.backbones.differentiable import choose_frozen
from jaxmlp.cli.extraction import extract_features
from jaxmlp.cli.media import PreparedMedia
from jaxmlp.cli.options import Options
from jaxmlp.cli.training_run import Improvement
from jaxmlp.data import Dataset
from jaxmlp.finetuning import TunedBackbone, finetune_backbone
from jaxmlp.models import Model
from jaxmlp.optimizers import adam


def check_blocks(data: PreparedMedia, frozen: Sequence[str] | None) -> None:
    """Refuse blocks that the backbone does not have, before anything trains."""
    names = differentiable(data.backbone).parameters
    if frozen and len(choose_frozen(names, frozen)) == len(names):
        raise ValueError("--freeze names every block of the backbone; leave one that trains.")


def tune_backbone(
    epochs: int,
    frozen: Sequence[str],
    rate: float,
    options: Options,
    data: PreparedMedia,
    console: Console,
    result: training.FitResult,
    seconds: float,
    metric: str,
) -> Improvement:
    """Train head and upper blocks together; keep that if the validation part is better for it.

    Args:
        epochs: passes through the backbone.
        frozen: blocks that do not train; none: the lower half.
        rate: learning rate of the backbone.
        options: of the run.
        data: with the files, and the backbone.
        console: where progress is shown.
        result: of the head's training.
        seconds: that it took.
        metric: what decides which epoch is kept.
    """
    head = Model(
        result.config, result.params, (), data.loss, data.preprocessing, data.feature_names,
        data.train.class_names,
    )  # fmt: skip
    parts = [([str(p) for p in data.paths[k]], part.y) for k, part in enumerate(_parts(data)[:2])]
    columns = (TextColumn("tuning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal or console.quiet
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("")
        tuned = finetune_backbone(
            data.backbone, parts[0], key=jax.random.key(options.seed + 2), mode="finetune",
            head=head, epochs=epochs, batch_size=min(options.batch_size or 16, 16),
            optimizer=adam(options.rate / 10), backbone_optimizer=adam(rate),
            frozen=tuple(frozen) or None, l2=options.l2, dropout_rate=options.dropout,
            validation_data=parts[1], early_stopping=training.EarlyStopping(metric, epochs),
            progress=lambda done, all_: bar.update(task, completed=done, total=all_),
            callback=lambda row: console.print(_told(row), soft_wrap=True),
        )  # fmt: skip
    interrupted = tuned.status is training.FitStatus.INTERRUPTED
    record: dict[str, Any] = {
        "epochs": tuned.history.n_epochs, "frozen": len(tuned.frozen),
        "before": float(result.history[metric][max(result.epoch, 1) - 1]),
    }  # fmt: skip
    if not _is_better(tuned, metric, record["before"]):
        console.print("the validation part is no better for it: the features stay as they were\n")
        return Improvement(options, result, record={**record, "kept": False}, kind="tuning",
                           interrupted=interrupted)  # fmt: skip
    console.print(f"the backbone and its head of pass {tuned.best_epoch} are kept\n")
    history = {name: tuned.history[name] for name in result.history}
    history["epoch"] = history["epoch"] + result.history.n_epochs
    learnt = replace(
        result, params=tuned.model.params, history=result.history.extended(history),
        best_epoch=result.history.n_epochs + tuned.best_epoch,
        epoch=result.history.n_epochs + tuned.best_epoch, diagnostics=None,
    )  # fmt: skip
    return Improvement(
        options, learnt, record={**record, "kept": True, "best": tuned.best_epoch},
        interrupted=interrupted, data=_with_tuned_features(data, tuned, console), kind="tuning",
    )  # fmt: skip


def _parts(data: PreparedMedia) -> tuple[Dataset, Dataset, Dataset]:
    return data.train, data.validation, data.test


def _told(row: dict[str, float]) -> str:
    named = {n: v for n, v in row.items() if n not in ("epoch", "seconds")}
    said = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in named.items())
    return f"pass {row['epoch']:.0f}: {said} ({row['seconds']:.1f} s)"


def _is_better(tuned: TunedBackbone, metric: str, before: float) -> bool:
    if not tuned.best_epoch:
        return False
    after = tuned.history[metric][tuned.best_epoch - 1]
    return bool(after > before if metric.endswith("accuracy") else after < before)


def _with_tuned_features(
    data: PreparedMedia, tuned: TunedBackbone, console: Console
) -> PreparedMedia:
    """The same files, seen by the tuned backbone; what it cannot read was left out before."""
    parts = []
    for part, paths in zip(_parts(data), data.paths, strict=True):
        x = extract_features(tuned.backbone, paths, console).x
        parts.append(part._replace(x=data.preprocessing.transform(x)))
    changed = tuned.model.extra["backbone"]["tuned"]
    return replace(
        data, train=parts[0], validation=parts[1], test=parts[2], backbone=tuned.backbone,
        tuned={name: np.asarray(array) for name, array in changed.items()},
    )  # fmt: skip
