"""The reliability diagram: how often answers of each confidence are right."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxmlp.formatting import format_share
from jaxmlp.models.calibration import Reliability
from jaxmlp.report.style import BLUE, DASHES, GREEN, INK, ORANGE, PINK, plain

_COLORS = (ORANGE, BLUE, GREEN, PINK)


def reliability_diagram(found: Mapping[str, Reliability], *, title: str = "") -> Figure:
    """Draw accuracy over confidence, and how many answers have which confidence.

    Args:
        found: what was measured, by name, such as before and after calibration; at most four.
        title: above the diagram.

    Returns:
        The figure.

    Raises:
        ValueError: for none, or more than four.

    Example:
        >>> bins = Reliability(np.array([0.6, 0.9]), np.array([0.5, 0.9]), np.array([10, 30]))
        >>> [text.get_text() for text in reliability_diagram({"network": bins}).axes[0].texts]
        ['network: error 2.5%']

    Reference: Guo et al., 2017, arXiv 1706.04599, figure 4.
    """
    if not 1 <= len(found) <= len(_COLORS):
        raise ValueError(f"there are {len(found)} reliabilities; give 1 to {len(_COLORS)}.")
    figure = Figure(figsize=(4.8, 5.4), dpi=150, layout="constrained")
    figure.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left")
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    curve.plot([0, 1], [0, 1], color=INK, linewidth=1.2, linestyle=DASHES)
    for rank, ((name, bins), color) in enumerate(zip(found.items(), _COLORS, strict=False)):
        curve.plot(bins.confidence, bins.accuracy, "o-", color=color, markersize=5, linewidth=1.8)
        curve.text(
            0.03, 0.95 - 0.07 * rank, f"{name}: error {format_share(bins.error)}", color=color,
            transform=curve.transAxes, va="top",
        )  # fmt: skip
        share = bins.rows / bins.rows.sum()
        counts.plot(bins.confidence, share, "o-", color=color, markersize=3, linewidth=1.2)
    low = min(float(np.min(bins.confidence)) for bins in found.values())
    curve.set_xlim(max(0.0, low - 0.05), 1.02)
    curve.set_ylim(-0.02, 1.02)
    curve.set_ylabel("share of right answers")
    counts.set_ylabel("share of all")
    counts.set_ylim(bottom=0)
    counts.set_xlabel("confidence (largest probability)")
    for axes in (curve, counts):
        plain(axes)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    return figure
