"""Charts of a run, one panel each, as SVG that takes the colours of the page it stands in."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxmlp.formatting import format_number
from jaxmlp.report.plots import draw_curves
from jaxmlp.report.style import DASHES, FAINT, INK, layer_color, log_scale, panel


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as an <svg> element without fixed ink: text and axes follow the page.

    Args:
        figure: what to draw.
        name: of the chart; makes its ids unique in the page.

    Returns:
        The element, with text as text.

    Example:
        >>> svg = to_svg(Figure(figsize=(1, 1)), "empty")
        >>> svg.startswith("<svg"), "currentColor" in svg or "#333333" not in svg
        (True, True)
    """
    text = io.StringIO()
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    ):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = svg.replace(INK, "currentColor").replace(INK.lower(), "currentColor")
    svg = svg.replace(FAINT.lower(), "var(--grid)").replace(FAINT, "var(--grid)")
    svg = re.sub(r'(id=")', rf"\g<1>{name}-", svg)  # ids are global in a page
    svg = re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{name}-", svg)
    return svg.strip()


def curve(
    history: Mapping[str, Any],
    metric: str,
    best_epoch: int | None = None,
    chance: float | None = None,
) -> Figure:
    """Draw one metric over the epochs, training against validation.

    Args:
        history: columns "epoch", "train_<metric>" and "validation_<metric>", as far as measured.
        metric: such as "loss" or "accuracy".
        best_epoch: marked, if given.
        chance: what the best constant prediction reaches, drawn dotted, if given.

    Returns:
        The figure.
    """
    figure, axes = panel(f"{metric} by epoch")
    draw_curves(axes, history, metric, best_epoch, chance)
    return figure


def by_layer(
    steps: Sequence[int],
    values: Float[np.ndarray, "records layers"],
    title: str,
    *,
    log: bool = True,
    guide: float | None = None,
) -> Figure:
    """Draw one reading of every layer over the steps.

    Args:
        steps: number of steps taken up to each record.
        values: (records, layers).
        title: of the panel.
        log: logarithmic values.
        guide: a usual value, drawn dashed.

    Returns:
        The figure.
    """
    figure, axes = panel(title)
    n_layers = values.shape[1]
    shown = np.where(values > 0, values, np.nan) if log else values
    for l in range(n_layers):
        color = layer_color(l, n_layers)
        marker = "o" if len(values) == 1 else None
        axes.plot(
            steps, shown[:, l], color=color, linewidth=1.5, label=f"layer {l + 1}", marker=marker
        )
    if guide is not None:
        axes.axhline(guide, color=INK, linewidth=0.8, linestyle=DASHES, label=format_number(guide))
    if log and np.isfinite(shown).any():
        log_scale(axes, shown)
    elif not log:
        axes.set_ylim(0, max(0.1, 1.05 * float(np.nanmax(values, initial=0.0))))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.set_xlabel("step")
    if n_layers <= 8:
        figure.legend(
            loc="outside lower center", frameon=False, labelcolor=INK, fontsize=8, ncols=4
        )  # below, where it hides no line
    return figure


def histograms(samples: Sequence[Float[np.ndarray, " n"]], title: str) -> Figure:
    """Draw the distribution of the activations of each hidden layer, as ridges from the bottom up.

    Args:
        samples: the values of each layer.
        title: of the panel.

    Returns:
        The figure.
    """
    figure, axes = panel(title)
    low = min(float(np.quantile(values, 0.001)) for values in samples)
    high = max(float(np.quantile(values, 0.999)) for values in samples)
    edges = np.linspace(low, high if high > low else low + 1, 60)
    for l, values in enumerate(samples):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
        height = np.sqrt(counts / max(counts.max(), 1))  # or a spike at 0 would hide the rest
        color = layer_color(l, len(samples))
        axes.stairs(l + 0.85 * height, edges, baseline=l, fill=True, color=color, alpha=0.85)
    axes.set_yticks(range(len(samples)), [f"layer {l + 1}" for l in range(len(samples))])
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("activation (heights: square root of the count)")
    return figure
