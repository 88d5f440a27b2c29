"""One self-contained HTML page about a run: no file beside it, no network, light and dark."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from matplotlib.figure import Figure

from jaxmlp.report.charts import to_svg

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #222222; --soft: #666666;
  --card: #f5f6f8; --grid: #dddddd; --info: #0072b2; --warning: #b36200; --critical: #c2272d; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171a; --ink: #e6e6e6; --soft: #a0a4aa;
  --card: #1f2227; --grid: #3a3e45; --info: #56b4e9; --warning: #e69f00; --critical: #ff6b6b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.6rem; }
p { margin: 0.3rem 0; } .soft { color: var(--soft); }
.figures { display: flex; flex-wrap: wrap; gap: 0.75rem 2rem; margin: 1rem 0; }
.figures b { display: block; font-size: 1.5rem; line-height: 1.2; }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.chart, .finding { background: var(--card); border-radius: 0.5rem; padding: 0.75rem; }
.chart svg { display: block; width: 100%; max-width: 36rem; height: auto; max-height: 24rem;
  margin: 0 auto; }
.charts > :last-child:nth-child(odd) { grid-column: 1 / -1; }
.chart.wide { grid-column: 1 / -1; overflow-x: auto; }
.chart.wide svg { min-width: 44rem; max-width: none; max-height: none; }
summary { display: block; cursor: zoom-in; } summary::-webkit-details-marker { display: none; }
details[open] summary { position: fixed; inset: 0; z-index: 1; overflow: auto; padding: 1rem;
  background: var(--ground); cursor: zoom-out; }
details[open] summary svg { width: max(96vw, 60rem); max-width: none; max-height: none;
  margin: 0; }
.scroll { overflow-x: auto; }
.finding { border-left: 0.3rem solid var(--tone); margin: 0.6rem 0; }
.finding b { color: var(--tone); }
.info { --tone: var(--info); } .warning { --tone: var(--warning); }
.critical { --tone: var(--critical); }
table { border-collapse: collapse; } td { padding: 0.15rem 1rem 0.15rem 0; vertical-align: top;
  overflow-wrap: anywhere; } td:first-child { color: var(--soft); }
"""


class Chart(NamedTuple):
    """A figure of the page, and a sentence that says how to read it."""

    name: str
    figure: Figure
    caption: str
    wide: bool = False


class FindingText(NamedTuple):
    """A finding in words: severity is "info", "warning" or "critical"."""

    severity: str
    title: str
    evidence: str
    remedy: str


def report_page(
    title: str,
    summary: str,
    figures: Mapping[str, str],
    findings: Sequence[FindingText],
    sections: Mapping[str, Sequence[Chart]],
    settings: Mapping[str, object],
) -> str:
    """Compose the page.

    Args:
        title: heading and browser title.
        summary: one sentence below it.
        figures: name -> value, shown large.
        findings: what is wrong, worst first; may be empty.
        sections: heading -> charts.
        settings: options and versions, JSON-ready, shown as a table.

    Returns:
        A complete HTML document.

    Example:
        >>> page = report_page("run", "All is well.", {"accuracy": "97%"}, [], {}, {"seed": 0})
        >>> page.startswith("<!doctype html>"), "97%" in page, "http" in page
        (True, True, False)
    """
    parts = [
        f"<h1>{escape(title)}</h1><p class='soft'>{escape(summary)}</p>",
        "<div class='figures'>",
        *(f"<div>{escape(name)}<b>{escape(value)}</b></div>" for name, value in figures.items()),
        "</div><h2>Findings</h2>",
        *(_finding(finding) for finding in findings),
    ]
    if not findings:
        parts.append("<p>Nothing that looks wrong.</p>")
    for heading, charts in sections.items():
        if charts:
            shown = "".join(_chart(chart) for chart in charts)
            parts.append(f"<h2>{escape(heading)}</h2><div class='charts'>{shown}</div>")
    parts.append("<p class='soft'>Layers are counted from 1; in Python, from 0.</p>")
    parts.append(f"<h2>Settings and versions</h2><div class='scroll'>{_table(settings)}</div>")
    return _document(title, "\n".join(parts))


def _document(title: str, body: str) -> str:
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><link rel='icon' href='data:,'>"
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _finding(finding: FindingText) -> str:
    return (
        f"<div class='finding {finding.severity}'><b>{escape(finding.severity)}: "
        f"{escape(finding.title)}</b><p>{escape(finding.evidence)}</p>"
        f"<p>Remedy: {escape(finding.remedy)}</p></div>"
    )


def _chart(chart: Chart) -> str:
    kind = "chart wide" if chart.wide else "chart"
    svg = _without_namespaces(to_svg(chart.figure, chart.name))
    zoomed = f"<details><summary title='click to zoom'>{svg}</summary></details>"
    return f"<div class='{kind}'>{zoomed}<p class='soft'>{escape(chart.caption)}</p></div>"


def _without_namespaces(svg: str) -> str:
    """Drop the XML namespaces that inline SVG does not need, and with them every address."""
    for name in ("xmlns:xlink", "xmlns"):
        start = svg.find(f' {name}="')
        if start >= 0:
            end = svg.index('"', start + len(name) + 3) + 1
            svg = svg[:start] + svg[end:]
    return svg.replace("xlink:href", "href")


def _table(settings: Mapping[str, object]) -> str:
    rows = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}: {key}", item) for key, item in value.items()]
        else:
            rows.append((name, value))
    cells = (
        f"<tr><td>{escape(str(name))}</td><td>{escape(_plain(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table>{''.join(cells)}</table>"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
