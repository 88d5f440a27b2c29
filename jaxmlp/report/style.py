"""One look for all pictures: colours, axes, logarithmic scales."""

from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from jaxmlp.formatting import format_number

# Okabe & Ito's palette, told apart with every kind of colour blindness, and in grey; without its
# extremes, black and yellow, so that every line shows on light and on dark ground.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
BLUE, ORANGE, GREEN, PINK = _PALETTE[:4]
INK, FAINT = "#333333", "#DDDDDD"
PART_COLORS = {"train": BLUE, "validation": ORANGE}
DASHES = (0, (4, 3))
SIZE = (4.8, 3.1)  # inches: one column of the page, legible on a telephone
_DEEP_MAP = mpl.colormaps["viridis"]
_WIDE, _VERY_WIDE = 10.0, 1e3  # ratios of the largest value to the smallest


def layer_color(layer: int, n_layers: int) -> Any:
    """Return a layer's colour; those of a deep network shade from blue to green."""
    if n_layers <= len(_PALETTE):
        return _PALETTE[layer]
    return _DEEP_MAP(0.3 + 0.5 * layer / (n_layers - 1))


def panel(title: str) -> tuple[Figure, Axes]:
    """Start a chart of the page: one panel in its style."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """Leave only the lines that carry information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(which="both", colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def plain_numbers(axis: Axis) -> None:
    """Label an axis with whole numbers, not with shares of a power of ten beside it."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value, 6)))


def log_scale(axes: Axes, values: Float[np.ndarray, " n"]) -> None:
    """Make the vertical axis logarithmic: labels at 1, 2 and 5 in each decade, if these are few.

    Args:
        axes: the panel.
        values: what it shows.
    """
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) and values.max() < _VERY_WIDE * values.min():
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        plain_numbers(axes.yaxis)


def log_if_wide(axes: Axes, values: Float[np.ndarray, " n"]) -> None:
    """Make the vertical axis logarithmic where positive values span more than a factor of ten."""
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > _WIDE * values.min():
        log_scale(axes, values)
