"""Learning curves and confusion matrices, as matplotlib figures without global state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

# Okabe & Ito's palette: told apart with every kind of colour blindness, and in grey.
COLORS = {"train": "#0072B2", "validation": "#D55E00"}
INK, FAINT = "#333333", "#DDDDDD"


def learning_curves(
    history: Mapping[str, Any],
    *,
    metric: str = "accuracy",
    best_epoch: int | None = None,
    title: str = "",
) -> Figure:
    """Draw the loss and a metric over the epochs, training against validation.

    Args:
        history: columns of equal length: "epoch", "train_loss", and as far as they were measured
            "validation_loss", "train_<metric>" and "validation_<metric>".
        metric: what the second panel shows; shares such as accuracy are drawn in percent.
        best_epoch: marked in both panels; its parameters are the ones that were kept.
        title: above both panels.

    Returns:
        The figure; `figure.savefig("curves.png")` writes it.

    Raises:
        ValueError: if a needed column is missing.

    Example:
        >>> history = {"epoch": [1, 2], "train_loss": [0.7, 0.3], "validation_loss": [0.8, 0.5]}
        >>> [axes.get_ylabel() for axes in learning_curves(history, best_epoch=2).axes]
        ['loss']
    """
    for column in ("epoch", "train_loss"):
        if column not in history:
            raise ValueError(f"history has no column {column!r}; it has {', '.join(history)}.")
    panels = [
        name for name in ("loss", metric) if any(f"{part}_{name}" in history for part in COLORS)
    ]
    figure = Figure(figsize=(4.8 * len(panels), 3.6), dpi=150, layout="constrained")
    figure.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _plain(axes)
        _draw_curves(axes, history, name, best_epoch)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylabel(name)
    _scale_loss(figure.axes[0])
    if len(panels) == 2 and metric in ("accuracy",):
        figure.axes[1].yaxis.set_major_formatter(PercentFormatter(xmax=1))
    return figure


def confusion_matrix(
    counts: Int[np.ndarray, "classes classes"], class_names: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw a confusion matrix: numbers are counts, colours the share of the row's class.

    Args:
        counts: counts[i, j] examples of class i were predicted as class j.
        class_names: one for each class.
        title: above the matrix.

    Returns:
        The figure.

    Raises:
        ValueError: if the matrix is not square, or has not a name for each row.

    Example:
        >>> figure = confusion_matrix(np.array([[3, 1], [0, 2]]), ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['3', '1', '2']
    """
    n = len(class_names)
    if counts.shape != (n, n):
        raise ValueError(
            f"counts has shape {counts.shape}, but {n} class names ask for ({n}, {n})."
        )
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(3.5, 0.45 * n + 1.5)
    figure = Figure(figsize=(size, size), dpi=150, layout="constrained")
    figure.suptitle(title, color=INK, fontsize=11)
    axes = figure.subplots()
    # A square root, or the rare confusions would be as white as none.
    axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if share[row, column] > 0.4 else "black"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    long_names = max(map(len, class_names)) > 3
    slant: dict[str, Any] = {"rotation": 40, "ha": "right"} if long_names else {}
    axes.set_xticks(range(n), class_names, **slant)
    axes.set_yticks(range(n), class_names)
    axes.set_xlabel("predicted class", color=INK)
    axes.set_ylabel("true class", color=INK)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    return figure


def _draw_curves(axes: Axes, history: Mapping[str, Any], name: str, best_epoch: int | None) -> None:
    epochs = np.asarray(history["epoch"])
    for part, color in COLORS.items():
        if f"{part}_{name}" in history:
            values = np.asarray(history[f"{part}_{name}"], float)
            marker = "o" if np.isfinite(values).sum() == 1 else None  # a line needs two points
            axes.plot(epochs, values, color=color, label=part, linewidth=1.8, marker=marker)
            if best_epoch is not None and part == "validation":
                best = values[epochs == best_epoch]
                axes.plot(best_epoch, best[0], "o", color=color, markersize=6)
    if best_epoch is not None:
        label = f"best epoch: {best_epoch}"
        axes.axvline(best_epoch, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label=label)
    axes.legend(frameon=False, labelcolor=INK)


def _plain(axes: Axes) -> None:
    """Only the lines that carry information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def _scale_loss(axes: Axes) -> None:
    """A logarithmic axis where the loss falls by more than a factor of ten."""
    curves = [line.get_ydata() for line in axes.lines if line.get_label() in COLORS]
    values = np.concatenate([np.asarray(curve) for curve in curves])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
