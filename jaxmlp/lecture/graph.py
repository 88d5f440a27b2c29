"""A computational graph with values and gradients: as graphviz source, and drawn without graphviz.

Squares are variables and circles are operations, as in the lecture's picture. An edge carries a
value forwards and, dashed, a gradient backwards.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORWARD, _BACKWARD = "#1f5fa8", "#b3261e"


@dataclass(frozen=True)
class Node:
    """A variable or an operation.

    Attributes:
        name: unique, such as "W_o".
        label: what is written in it.
        is_operation: a circle instead of a square.
        position: (x, y) in the drawing, in units of a node's distance.
    """

    name: str
    label: str
    is_operation: bool
    position: tuple[float, float]


@dataclass(frozen=True)
class Edge:
    """A value on its way from one node to the next, and its gradient on the way back.

    Attributes:
        source: name of a node.
        target: name of a node.
        value: written beside the forward arrow, or "".
        gradient: written beside the backward arrow, or "".
        backward: whether a gradient flows back at all.
    """

    source: str
    target: str
    value: str = ""
    gradient: str = ""
    backward: bool = True


@dataclass(frozen=True)
class ComputationalGraph:
    """Nodes and edges, to be written or drawn.

    Attributes:
        nodes: in no particular order.
        edges: from inputs to the objective.

    Example:
        >>> x, square = Node("x", "x", False, (0, 0)), Node("f", "x²", True, (1, 0))
        >>> graph = ComputationalGraph((x, square), (Edge("x", "f", "3", "6"),))
        >>> print(graph.source.splitlines()[3])
          "x" -> "f" [label="3", color="#1f5fa8", fontcolor="#1f5fa8"];
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def source(self) -> str:
        """The graph in the language of graphviz."""
        lines = ["digraph {  rankdir=LR; node [fontsize=11]; edge [fontsize=9];"]
        for node in self.nodes:
            shape = "circle" if node.is_operation else "box"
            lines.append(f'  "{node.name}" [label="{_quoted(node.label)}", shape={shape}];')
        for edge in self.edges:
            ends = f'  "{edge.source}" -> "{edge.target}"'
            colors = f'color="{_FORWARD}", fontcolor="{_FORWARD}"'
            lines.append(f'{ends} [label="{_quoted(edge.value)}", {colors}];')
            if edge.backward:
                back = f'  "{edge.target}" -> "{edge.source}"'
                colors = f'color="{_BACKWARD}", fontcolor="{_BACKWARD}"'
                style = "style=dashed, constraint=false"
                lines.append(f'{back} [label="{_quoted(edge.gradient)}", {colors}, {style}];')
        return "\n".join([*lines, "}"]) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write the graph: .svg, .png or .pdf as a drawing, .dot or .gv as graphviz source.

        Raises:
            ValueError: for another ending.
            ImportError: for a drawing without matplotlib.
        """
        path = Path(path)
        if path.suffix in (".dot", ".gv"):
            path.write_text(self.source)
        elif path.suffix in (".svg", ".png", ".pdf"):
            self.draw().savefig(path, dpi=150, bbox_inches="tight", facecolor="white")
        else:
            raise ValueError(
                f"{path.name} ends in {path.suffix!r}; the graph is written as .svg, .png, .pdf, "
                ".dot or .gv."
            )
        return path

    def draw(self) -> "Figure":
        """Draw the graph and return the matplotlib figure."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                "drawing needs matplotlib. Install it: pip install 'jaxmlp[plot]', or write the "
                "graphviz source with graph.save('graph.dot')."
            ) from error
        nodes = {node.name: node for node in self.nodes}
        xs, ys = zip(*(node.position for node in self.nodes), strict=True)
        width, height = max(xs) - min(xs) + 1.6, max(ys) - min(ys) + 1.6
        figure = Figure(figsize=(1.05 * width, 1.05 * height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(min(xs) - 0.8, max(xs) + 0.8), ylim=(min(ys) - 0.8, max(ys) + 0.8))
        axes.set_aspect("equal")
        axes.axis("off")
        for edge in self.edges:
            _draw_edge(axes, edge, nodes[edge.source], nodes[edge.target])
        for node in self.nodes:
            _draw_node(axes, node)
        _draw_legend(axes)
        return figure


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _draw_node(axes: "Axes", node: Node) -> None:
    box = "circle,pad=0.3" if node.is_operation else "square,pad=0.4"
    color = "#fff4d6" if node.is_operation else "#e8eef7"
    axes.text(
        *node.position,
        node.label,
        ha="center",
        va="center",
        fontsize=11,
        zorder=3,
        bbox={"boxstyle": box, "facecolor": color, "edgecolor": "#444444"},
    )


def _draw_legend(axes: "Axes") -> None:
    for words, color, drop in (
        ("→ values, forward", _FORWARD, -9),
        ("⇠ gradients of J, backward", _BACKWARD, -23),
    ):
        axes.annotate(
            words, (0.01, 1.0), (0, drop), "axes fraction", "offset points", color=color, fontsize=9
        )


def _radius(node: Node) -> float:
    """Return how far from a node's centre arrows end, in points."""
    return max(16.0, 4.0 + 4.4 * len(node.label)) if node.is_operation else 16.0


def _draw_edge(axes: "Axes", edge: Edge, start: Node, end: Node) -> None:
    source, target, length = start.position, end.position, math.dist(start.position, end.position)
    bend = f"arc3,rad={-0.24 / length:.4f}" if edge.backward else "arc3,rad=0"  # as far apart
    common = {"arrowstyle": "-|>", "connectionstyle": bend, "linewidth": 1.3}
    arrow = {"color": _FORWARD, "shrinkA": _radius(start), "shrinkB": _radius(end), **common}
    axes.annotate("", target, source, arrowprops=arrow, zorder=1)
    _label(axes, edge.value, source, target, _FORWARD, 1)
    if edge.backward:
        arrow |= {"color": _BACKWARD, "linestyle": (0, (4, 3))}
        arrow |= {"shrinkA": _radius(end), "shrinkB": _radius(start)}
        axes.annotate("", source, target, arrowprops=arrow, zorder=1)
        _label(axes, edge.gradient, source, target, _BACKWARD, -1)


def _label(
    axes: "Axes",
    text: str,
    source: tuple[float, float],
    target: tuple[float, float],
    color: str,
    side: int,
) -> None:
    """Write beside an arrow: values to the left of its direction, gradients to the right."""
    dx, dy = target[0] - source[0], target[1] - source[1]
    length = math.hypot(dx, dy) or 1.0
    normal = (-dy / length * side, dx / length * side)
    x, y = (source[0] + target[0]) / 2, (source[1] + target[1]) / 2
    flat = abs(dx) > abs(dy)
    axes.text(
        x + 0.17 * normal[0],
        y + 0.17 * normal[1],
        text,
        color=color,
        fontsize=8,
        family="monospace",
        ha="center" if flat else ("left" if normal[0] > 0 else "right"),
        va=("bottom" if normal[1] > 0 else "top") if flat else "center",
        zorder=4,
    )
