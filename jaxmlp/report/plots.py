"""Learning curves and confusion matrices, as matplotlib figures without global state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxmlp.formatting import format_number
from jaxmlp.report.style import DASHES, INK, PART_COLORS, log_if_wide, plain, plain_numbers

_LOGARITHMIC = ("loss", "deviance", "rmse")


def learning_curves(
    history: Mapping[str, Any],
    *,
    loss: str = "loss",
    metric: str = "accuracy",
    best_epoch: int | None = None,
    title: str = "",
) -> Figure:
    """Draw the loss and a metric over the epochs, training against validation.

    Args:
        history: columns of equal length: "epoch", "train_loss", and as far as they were measured
            "validation_loss", "train_<metric>" and "validation_<metric>".
        loss: what the first panel shows: "loss", or "deviance" if the history has it.
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
    for column in ("epoch", f"train_{loss}"):
        if column not in history:
            raise ValueError(f"history has no column {column!r}; it has {', '.join(history)}.")
    panels = [
        name for name in (loss, metric) if any(f"{part}_{name}" in history for part in PART_COLORS)
    ]
    figure = Figure(figsize=(4.8 * len(panels), 3.6), dpi=150, layout="constrained")
    figure.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        plain(axes)
        draw_curves(axes, history, name, best_epoch)
        axes.set_ylabel(name)
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
        text = format_number(counts[row, column])
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


def draw_curves(
    axes: Axes,
    history: Mapping[str, Any],
    metric: str,
    best_epoch: int | None = None,
    chance: float | None = None,
) -> None:
    """Draw one metric over the epochs into a panel, training against validation.

    Args:
        axes: the panel.
        history: as for `learning_curves`.
        metric: which one; losses that fall by more than a factor of ten get a logarithmic axis.
        best_epoch: marked, if given.
        chance: what the best constant prediction reaches, drawn dotted, if given.
    """
    epochs = np.asarray(history["epoch"])
    shown = []
    for part, color in PART_COLORS.items():
        if f"{part}_{metric}" in history:
            values = np.asarray(history[f"{part}_{metric}"], float)
            marker = "o" if np.isfinite(values).sum() == 1 else None  # a line needs two points
            axes.plot(epochs, values, color=color, label=part, linewidth=1.8, marker=marker)
            if best_epoch and part == "validation":
                best = values[epochs == best_epoch]
                axes.plot(best_epoch, best[0], "o", color=color, markersize=6)
            shown.append(values)
    if chance is not None:
        axes.axhline(
            chance, color=INK, linewidth=1, linestyle=":", label=f"chance {format_number(chance)}"
        )
        shown.append(np.array([chance]))
    if best_epoch:
        label = f"best epoch: {best_epoch}"
        axes.axvline(best_epoch, color=INK, linewidth=0.9, linestyle=DASHES, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    if metric == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    elif metric in _LOGARITHMIC:
        plain_numbers(axes.yaxis)
        log_if_wide(axes, np.concatenate(shown))
    axes.legend(frameon=False, labelcolor=INK)
