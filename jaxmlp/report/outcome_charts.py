"""Charts of what a model does on a test set: calibration, residuals, importance."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxmlp.report.importance import Importance
from jaxmlp.report.scores import wilson_interval
from jaxmlp.report.style import BLUE, DASHES, FAINT, INK, SIZE, panel, plain_numbers

_BINS, _SHOWN_COLUMNS, _SHOWN_POINTS = 10, 15, 2000


def reliability(
    correct: Float[np.ndarray, " rows"], confidence: Float[np.ndarray, " rows"], title: str
) -> Figure:
    """Draw how often what was said with a probability came true, in bins of equal size.

    Args:
        correct: 1 where it came true, else 0.
        confidence: the probability that was said.
        title: of the panel.

    Returns:
        The figure; on the diagonal, probabilities mean what they say.
    """
    figure, axes = panel(title)
    order = np.argsort(confidence, kind="stable")
    # Not more bins than different probabilities, nor fewer than 20 rows in one.
    bins = np.array_split(order, max(1, min(_BINS, len(order) // 20)))
    said = np.array([confidence[rows].mean() for rows in bins])
    true = np.array([correct[rows].mean() for rows in bins])
    ends = np.array([wilson_interval(int(correct[rows].sum()), len(rows)) for rows in bins]).T
    low = float(min(said.min(), ends.min()))
    axes.plot([low, 1], [low, 1], color=INK, linewidth=0.8, linestyle=DASHES, label="perfect")
    bars = np.abs(ends - true)
    axes.errorbar(
        said, true, yerr=bars, fmt="o-", color=BLUE, linewidth=1.2, markersize=4, label="test set"
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_xlabel("probability that was said")
    axes.set_ylabel("how often it came true")
    axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    return figure


def predicted_against_true(
    y: Float[np.ndarray, " rows"], predicted: Float[np.ndarray, " rows"], name: str
) -> Figure:
    """Draw predictions over the truth, a point a row; of many rows, 2000."""
    figure, axes = panel(f"predicted {name} against the true one")
    rows = np.random.default_rng(0).permutation(len(y))[:_SHOWN_POINTS]
    axes.plot(y[rows], predicted[rows], ".", color=BLUE, markersize=3, alpha=0.4)
    ends = [float(min(y.min(), predicted.min())), float(max(y.max(), predicted.max()))]
    axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle=DASHES)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    return figure


def residuals(
    y: Float[np.ndarray, " rows"], predicted: Float[np.ndarray, " rows"], name: str
) -> Figure:
    """Draw the distribution of predicted - true, the outermost 1% gathered at the ends."""
    figure, axes = panel(f"error of {name}: predicted minus true")
    errors = predicted - y
    low, high = np.quantile(errors, [0.005, 0.995])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 41)
    counts, _ = np.histogram(np.clip(errors, low, high), bins=edges)
    axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.85)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=DASHES)
    axes.set_ylabel("rows")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    plain_numbers(axes.xaxis)
    return figure


def importance_bars(found: Sequence[Importance], measure: str) -> Figure:
    """Draw the most important columns, the first on top."""
    shown = list(found[:_SHOWN_COLUMNS])[::-1]
    figure, axes = panel(f"{measure} when a column is shuffled")
    figure.set_size_inches(SIZE[0], max(1.6, 0.9 + 0.24 * len(shown)))
    axes.barh(
        range(len(shown)),
        [entry.loss for entry in shown],
        xerr=[entry.deviation for entry in shown],
        color=BLUE,
        error_kw={"ecolor": INK, "elinewidth": 0.8},
    )
    names = [e.name if len(e.name) <= 24 else f"{e.name[:23]}…" for e in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    plain_numbers(axes.xaxis)
    return figure


def confidence_of_truth(
    y: Int[np.ndarray, " rows"], p: Float[np.ndarray, "rows classes"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `reliability` draws: of two classes the second, of more the likeliest one.

    >>> correct, confidence = confidence_of_truth(np.array([1]), np.array([[0.3, 0.7]]))
    >>> correct.tolist(), confidence.tolist()
    ([1.0], [0.7])
    """
    if p.shape[1] == 2:
        return (y == 1).astype(float), p[:, 1]
    return (p.argmax(axis=1) == y).astype(float), p.max(axis=1)
