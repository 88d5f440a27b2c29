"""The page of a training run: what was measured, drawn and put into words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.data.tables.pitfalls import Doubt
from jaxmlp.diagnostics import LayerReadings, UnitActivity, layer_activity
from jaxmlp.diagnostics.finding import Finding
from jaxmlp.diagnostics.flatness import activation_outputs
from jaxmlp.diagnostics.units import seen_rows
from jaxmlp.formatting import count_from_one, format_number, format_share
from jaxmlp.lecture import explain_backward
from jaxmlp.losses import get_loss
from jaxmlp.losses.deviance import shown_as, to_deviance
from jaxmlp.models import Model
from jaxmlp.network import forward
from jaxmlp.networks import NetworkConfig, NetworkParams, layers_inputs, layers_of, mlp_of
from jaxmlp.once import jit_once
from jaxmlp.report.charts import by_layer, curve, histograms
from jaxmlp.report.network_chart import network_chart
from jaxmlp.report.outcome import Outcome
from jaxmlp.report.outcome_charts import (
    confidence_of_truth,
    importance_bars,
    predicted_against_true,
    reliability,
    residuals,
)
from jaxmlp.report.page import Chart, FindingText, report_page
from jaxmlp.report.plots import confusion_matrix
from jaxmlp.report.run_record import RunRecord
from jaxmlp.report.scores import SCORE_NAMES, Score
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.training import FitResult
from jaxmlp.training.metrics import METRICS

_SAMPLE_ROWS = 1024
_DRAWN_UNITS, _DRAWN_LAYERS = 8, 4  # of a network whose every operation is drawn
_FLOW = (
    ("gradient_norm", "gradient norm of each layer's weights", None,
     "Lines that stay together: the gradient reaches every layer."),
    ("update_ratio", "size of an update over size of the weights", 1e-3,
     "About a thousandth a step is usual; a tenth is too fast, a millionth learns nothing."),
    ("activation_variance", "variance of each layer's outputs", None,
     "Falling from layer to layer: the signal dies; growing: it explodes."),
)  # fmt: skip


def run_report(run: RunRecord) -> str:
    """Compose the page of a run: an HTML document without anything outside it."""
    model, result, outcome = run.model, run.result, run.outcome
    sections = {
        "Test set": _outcome_charts(outcome, model.class_names),
        "Learning": _learning_charts(run),
    }
    if result.probed is not None and len(result.probe_steps):
        sections["Gradient flow"] = _flow_charts(result.probe_steps, result.probed)
    if model.config.n_layers > 1:
        sections["Units"] = _unit_charts(model, result, run.train[0])
    if not any(model.config.normalized):
        sections["Computational graph"] = [_graph_chart(model, *run.train)]
    scores = {SCORE_NAMES.get(k, k): _score(k, score) for k, score in outcome.scores.items()}
    return report_page(
        run.title,
        _summary(run),
        scores,
        [*map(_doubt, run.doubts), *map(_words, run.findings)],
        sections,
        {k: _shown_setting(value) for k, value in run.settings.items() if k != "trees"},
    )


def _shown_setting(value: object) -> object:
    """Leave out what was not set, and the folders that a file lies in."""
    if isinstance(value, Mapping):
        return {k: _shown_setting(v) for k, v in value.items() if v not in (None, "", [], ())}
    is_path = isinstance(value, str) and Path(value).is_absolute()
    return Path(str(value)).name if is_path else value


def _in_units(run: RunRecord, loss: float, exact: float) -> float:
    """Return a loss as it is shown; `exact` is that of exact predictions of the same rows."""
    return loss if shown_as(run.model.loss) == "loss" else to_deviance(loss, exact)


def _learning_charts(run: RunRecord) -> list[Chart]:
    """Draw the loss and the metrics over the epochs."""
    result, seen = run.result, run.result.diagnostics
    if not result.history.n_epochs:
        return []
    charts = []
    for metric in METRICS[get_loss(run.model.loss).task]:
        chance = None
        if metric == "loss":
            metric = shown_as(run.model.loss)
            chance = None if seen is None else _in_units(run, seen.chance, seen.exact)
        figure = curve(result.history, metric, result.best_epoch, chance)
        caption = f"The {metric} on the data it learns from, and on data it never sees."
        charts.append(Chart(f"curve-{metric}", figure, caption))
    return charts


def _flow_charts(steps: Sequence[int], readings: LayerReadings) -> list[Chart]:
    """Draw what the monitor recorded: gradients, updates and variances of each layer.

    Args:
        steps: number of steps up to each record.
        readings: (records, layers) each.

    Returns:
        One chart a reading.
    """
    charts = []
    for name, title, guide, caption in _FLOW:
        figure = by_layer(steps, getattr(readings, name), title, guide=guide)
        charts.append(Chart(name.replace("_", "-"), figure, caption))
    return charts


def _unit_charts(model: Model, result: FitResult, x: np.ndarray) -> list[Chart]:
    """Draw the activations of the trained network, and its dead or saturated units over time.

    Args:
        model: what was learnt.
        result: of `fit`.
        x: standardized training features.

    Returns:
        One or two charts.
    """
    config, layers = mlp_of(model.config).replace(dropout=False), layers_of(model.params)
    outputs = jax.device_get(_hidden_outputs(model.config, model.params, x[:_SAMPLE_ROWS]))
    samples = [np.asarray(h, np.float64).ravel() for h in outputs]
    activity = layer_activity(config, layers, seen_rows(model.config, model.params, x))
    dead = _dead_units(activity)
    if result.diagnostics is not None:
        dead += f" (before training: {_dead_units(result.diagnostics.activity[0])})"
    charts = [
        Chart(
            "activations",
            histograms(samples, "activations of the hidden layers"),
            f"Units that are dead (off for every training example), by layer: {dead}.",
        )
    ]
    if result.probed is not None and len(result.probe_steps):
        readings = result.probed
        flat = np.maximum(readings.dead_fraction, readings.saturated_fraction)[:, :-1]
        title = "share of dead units, or of saturated outputs, in a batch"
        figure = by_layer(result.probe_steps, flat, title, log=False)
        charts.append(Chart("flat", figure, "What is flat passes no gradient on."))
    return charts


@jit_once
def _hidden_outputs(
    config: NetworkConfig, params: NetworkParams, x: Float[Array, "rows n_in"]
) -> list[Array]:
    """What the hidden layers put out."""
    layers, h = layers_of(params), layers_inputs(config, params, x)
    config = mlp_of(config).replace(dropout=False)
    _, cache = forward(config, layers, h)
    return [
        activation_outputs(phi, kept.residual, layer.alpha)
        for phi, kept, layer in zip(config.activations[:-1], cache[:-1], layers[:-1], strict=True)
    ]


def _outcome_charts(outcome: Outcome, class_names: tuple[str, ...] | None) -> list[Chart]:
    """Draw what a test showed.

    Args:
        outcome: of the test.
        class_names: None for numbers.

    Returns:
        Confusions and calibration, or errors; and what it relies on, if that was measured.
    """
    y, outputs = outcome.y, outcome.outputs
    if class_names is None:
        caption = "On the dashed line, the prediction is right."
        spread = "Centred on the dashed line: no bias. The outermost 1% stand at the ends."
        charts = [
            Chart("against", predicted_against_true(y, outputs, outcome.target), caption),
            Chart("residuals", residuals(y, outputs, outcome.target), spread),
        ]
    else:
        assert outcome.counts is not None
        matrix = confusion_matrix(outcome.counts, class_names)
        caption = "Rows: what it is. Columns: what it was taken for."
        of = f"that it is {class_names[1]}" if len(class_names) == 2 else "of the likeliest class"
        figure = reliability(*confidence_of_truth(y, outputs), f"calibration: probability {of}")
        bars = "On the dashed line, 70% means 70%. Bars: 95% intervals."
        charts = [Chart("confusion", matrix, caption), Chart("calibration", figure, bars)]
    if any(entry.loss > 0 for entry in outcome.importance):
        figure = importance_bars(outcome.importance, outcome.measure)
        caption = "Bars: mean of five shuffles. Columns that say the same share their importance."
        charts.append(Chart("importance", figure, caption))
    return charts


def _graph_chart(model: Model, x: np.ndarray, y: np.ndarray) -> Chart:
    """Draw the objective's computational graph, which every gradient takes backwards.

    Args:
        model: a network without batch normalization.
        x: standardized training features; two rows are used.
        y: targets.

    Returns:
        A wide chart.
    """
    sizes = mlp_of(model.config).layer_sizes
    fronted = isinstance(model.config, TabularConfig)
    if fronted or max(sizes) > _DRAWN_UNITS or model.config.n_layers > _DRAWN_LAYERS:
        caption = (
            "Forward, the root mean square of what a layer hands on; in each box the norm of its "
            "weights' gradient, over 256 training rows."
        )
        return Chart("graph", network_chart(model, x, y), caption, wide=True)
    config = model.config.replace(dropout=False)
    walk = explain_backward(config, model.params, x[:2], y[:2], model.loss, show=False)
    caption = "From the inputs to the objective; the gradient takes every arrow backwards."
    return Chart("graph", walk.graph.draw(), caption, wide=True)


def _dead_units(activity: Sequence[UnitActivity]) -> str:
    return ", ".join(f"{int(a.dead.sum())} of {len(a.dead)}" for a in activity)


def _summary(run: RunRecord) -> str:
    model, result = run.model, run.result
    sizes = "-".join(str(size) for size in model.config.layer_sizes)
    if isinstance(model.config, TabularConfig) and model.config.front.members > 1:
        sizes += f" of {model.config.front.members} members"
    if model.ensemble:
        sizes += f", the best of {1 + len(model.ensemble)} whose predictions are averaged"
    status = result.status.name.lower().replace("_", " ")
    n_epochs = result.history.n_epochs
    text = (
        f"Network {sizes}, {model.config.n_parameters:,} parameters; {status} after "
        f"{n_epochs} epochs and {result.n_steps:,} steps"
    )
    text += (
        "." if result.epoch == n_epochs else f"; the parameters of epoch {result.epoch} are kept."
    )
    text += _beside_trees(run.settings.get("trees"))
    seen = result.diagnostics
    if seen is None:
        return text
    first, chance = (
        format_number(_in_units(run, v, seen.exact)) for v in (seen.first_loss, seen.chance)
    )
    return f"{text} {shown_as(model.loss).title()} before training {first}, chance level {chance}."


def _beside_trees(trees: Any) -> str:
    """Say what boosted trees reached on the same rows, if they were asked."""
    if not trees:
        return ""
    scores = (
        f"{SCORE_NAMES.get(name, name)} "
        + (format_share if name.endswith("accuracy") else format_number)(value)
        for name, value in trees["metrics"].items()
    )
    return f" Boosted trees on the same rows: {', '.join(scores)}."


def _score(name: str, score: Score) -> str:
    shares = ("accuracy", "balanced accuracy")
    write = format_share if name in shares else format_number
    value, low, high = (write(v) for v in score[:3])
    return f"{value} ({low} – {high})"


def _doubt(doubt: Doubt) -> FindingText:
    return FindingText("warning", *doubt)


def _words(finding: Finding) -> FindingText:
    where = "" if finding.layer is None else f" in layer {finding.layer}"
    words = (finding.kind.value.replace("_", " ") + where, finding.evidence, finding.remedy)
    return FindingText(finding.severity.name.lower(), *map(count_from_one, words))
