"""What a run's test shows, and the model that is kept."""

from typing import Any

import numpy as np
from rich.console import Console

from jaxmlp import training
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.prepared_table import PreparedTable
from jaxmlp.models import Model, calibrate
from jaxmlp.report.outcome import Outcome, measure_outcome

# From fewer rows than these a temperature costs an honest network more than 0.01 of its log loss,
# and now and then 1 and more.
_LEAST_ROWS = 50
METRIC_NAMES = {"log loss": "loss", "balanced accuracy": "balanced_accuracy"}


def measure_model(
    data: PreparedData,
    result: training.FitResult,
    *,
    importance: bool = True,
    ensemble: tuple[Any, ...] = (),
    console: Console | None = None,
) -> tuple[Model, Outcome]:
    """Test what was learnt; return the model, with its scores, and all that the test showed.

    Args:
        data: of the run.
        result: of its training.
        importance: whether the worth of each column is measured, too.
        ensemble: (params, state) of networks whose predictions are averaged with its.
        console: where the temperature is said, of data whose models are calibrated.
    """
    model = Model(
        result.config, result.params, result.state, data.loss, data.preprocessing,
        data.feature_names, data.train.class_names, target_transform=data.target_transform,
        extra=data.extra, ensemble=ensemble,
    )  # fmt: skip
    if data.is_calibrated:
        model = _calibrated(model, data, console or Console(quiet=True))
    y, groups, start = data.test.y, [], 0
    if data.target_transform is not None:
        y = data.target_transform.inverse_transform(y.astype(np.float64)[:, None])[:, 0]
    if isinstance(data, PreparedTable) and importance:
        for encoder in data.preprocessing.encoders:
            end = start + len(encoder.feature_names)
            groups.append((encoder.name, range(start, end)))
            start = end
    outcome = measure_outcome(
        model, np.asarray(data.test.x), y, target=data.target_name, groups=groups
    )
    names = {name: f"test_{METRIC_NAMES.get(name, name)}" for name in outcome.scores}
    metrics = {names[name]: score.value for name, score in outcome.scores.items()}
    return model._replace(metrics={**model.metrics, **metrics}), outcome


def _calibrated(model: Model, data: PreparedData, console: Console) -> Model:
    """Fit the temperature; where the validation part tells none, leave the model as it is."""
    validation, n_rows = data.validation, len(data.validation.x)
    try:
        if n_rows < _LEAST_ROWS:
            raise ValueError(f"{n_rows} validation examples tell no temperature, {_LEAST_ROWS} do")
        model, T = calibrate(model, validation.x, validation.y)
    except ValueError as error:
        why = str(error).partition(". ")[0]
        console.print(f"{why}; the probabilities stay as they are\n", soft_wrap=True)
        return model
    console.print(f"calibrated on {n_rows} validation examples: temperature {T:.3f}\n")
    return model
