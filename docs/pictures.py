"""What several pages draw: points of two or three classes, and where a network says which."""

import matplotlib.pyplot as plt
import numpy as np

COLORS = ("#D55E00", "#0072B2", "#009E73")
MARKERS = ("o", "s", "^")


def panels(titles, **options):
    """Return one square panel a title, side by side."""
    _, axes = plt.subplots(1, len(titles), figsize=(2.1 * len(titles), 2.3), **options)
    for panel, title in zip(np.atleast_1d(axes), titles, strict=True):
        panel.set_title(title)
        panel.grid(False)
    return np.atleast_1d(axes)


def points(axes, x, labels, size=45):
    """Mark examples by their class."""
    for label in np.unique(labels):
        chosen = np.asarray(x)[np.asarray(labels) == label].T
        style = {"color": COLORS[label], "marker": MARKERS[label], "edgecolor": "white"}
        axes.scatter(*chosen, s=size, zorder=3, linewidth=0.6, **style)


def regions(axes, classify, low=-0.5, high=1.5):
    """Tint the plane by class, with lines between; `classify` takes points (n, 2)."""
    ticks = np.linspace(low, high, 161, dtype=np.float32)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    answers = np.asarray(classify(grid)).reshape(len(ticks), -1).astype(int)
    levels = np.arange(-0.5, len(COLORS))
    axes.contourf(ticks, ticks, answers, levels=levels, colors=COLORS, alpha=0.15)
    axes.set_aspect("equal")
