"""Pictures of a result: bars for the cases of a workload, lines where a size was swept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.harness.peers import OWN
from benchmarks.harness.results import Results, Row
from benchmarks.harness.tables import quantity

# Okabe & Ito's palette; in lines, markers tell the contenders apart as well.
ACCENT, OTHER, FLOOR, VOID = "#0072B2", "#A9A9A9", "#E69F00", "#DDDDDD"
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#E69F00")
MARKERS = "osD^vPX"
INK = "#333333"
OURS = (OWN, "sweep", "per-example")  # how our contenders begin
NO_BARS = {"compilation"}


def write_plots(results: Results, stem: Path) -> list[Path]:
    """Draw a picture for each workload; return the files.

    Args:
        results: of a run.
        stem: files are called STEM-WORKLOAD.png.

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not results.rows:
        raise ValueError("the file has no rows, so there is nothing to draw; measure first.")
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for workload in dict.fromkeys(row.workload for row in results.rows):
        rows = [row for row in results.rows if row.workload == workload]
        figure = lines(rows) if workload == "scaling" else bars(rows)
        device = results.environment.get("device", "")
        figure.suptitle(f"{workload}  ({device})", x=0.01, ha="left", fontsize=11, color=INK)
        path = stem.with_name(f"{stem.name}-{workload}.png")
        figure.savefig(path)
        paths.append(path)
    return paths


def bars(rows: Sequence[Row]) -> Figure:
    """Draw a panel for each case and metric: a bar a contender, whiskers between quartiles."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.metric not in NO_BARS:
            groups.setdefault((row.case, row.metric), []).append(row)
    per_fit = {case for case, metric in groups if metric == "whole fit"}
    shown = {
        key: found
        for key, found in groups.items()
        if not (key[1] == "whole fit" and (key[0], "one step") in groups) or key[0] not in per_fit
    }
    heights = [0.8 + 0.27 * len(found) for found in shown.values()]
    figure = Figure(figsize=(8, 0.6 + sum(heights)), dpi=130, layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, ((case, metric), found) in zip(panels, shown.items(), strict=True):
        _draw_bars(axes, found)
        axes.set_title(f"{case}: {metric}", fontsize=9, loc="left", color=INK)
    return figure


def _draw_bars(axes: Axes, rows: Sequence[Row]) -> None:
    values = np.array([row.value for row in rows])
    low = np.array([row.value if row.low is None else row.low for row in rows])
    high = np.array([row.value if row.high is None else row.high for row in rows])
    at = np.arange(len(rows))[::-1]
    colors = [_color(row) for row in rows]
    positive = values[values > 0]
    logarithmic = len(positive) and positive.max() > 30 * positive.min()
    if logarithmic:  # where no bar could start at zero: dots
        axes.scatter(values, at, s=42, color=colors, zorder=3)
        axes.hlines(at, 0, 1, transform=axes.get_yaxis_transform(), color="#EEEEEE", zorder=0)
    else:
        axes.barh(at, values, height=0.65, color=colors)
    reach = [np.maximum(values - low, 0), np.maximum(high - values, 0)]
    axes.errorbar(values, at, xerr=reach, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    for y, row in zip(at, rows, strict=True):
        text = quantity(row.value, row.unit) + ("  (void)" if row.void else "")
        end = max(row.value, row.high or 0.0)
        axes.annotate(
            text, (end, float(y)), xytext=(7, 0), textcoords="offset points", va="center",
            fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_yticks(at, [row.contender for row in rows], fontsize=8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(positive.min() / 2, positive.max() * 6)
    else:
        axes.set_xlim(0, max(values.max() * 1.35, 1e-12))
    _value_axis(axes, "x", rows[0].unit)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, colors=INK)


def _color(row: Row) -> str:
    if row.void:
        return VOID
    if row.contender == "floor":
        return FLOOR
    return ACCENT if row.contender.startswith(OURS) else OTHER


def lines(rows: Sequence[Row]) -> Figure:
    """Draw a panel for each swept size: both axes logarithmic, a line a contender."""
    cases = list(dict.fromkeys(row.case for row in rows))
    figure = Figure(figsize=(4.6 * len(cases), 4), dpi=130, layout="constrained")
    for axes, case in zip(figure.subplots(1, len(cases), squeeze=False)[0], cases, strict=True):
        found = [row for row in rows if row.case == case]
        for number, name in enumerate(dict.fromkeys(row.contender for row in found)):
            points = sorted((r.details["size"], r.value) for r in found if r.contender == name)
            axes.plot(
                *zip(*points, strict=True), label=name, linewidth=1.6, markersize=5,
                color="#000000" if name == "floor" else LINES[number % len(LINES)],
                marker=None if name == "floor" else MARKERS[number % len(MARKERS)],
                linestyle="--" if name == "floor" else "-",
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.set_xlabel(case.split(",")[0], color=INK)
        _value_axis(axes, "y", found[0].unit)
        axes.set_title(case, fontsize=9, loc="left", color=INK)
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _value_axis(axes: Axes, which: str, unit: str) -> None:
    axis: Any = getattr(axes, f"{which}axis")
    axis.set_major_formatter(FuncFormatter(lambda v, _: quantity(v, unit) if v else "0"))
    if axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if which == "y" else (1,), numticks=12))
        axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=8, colors=INK)
