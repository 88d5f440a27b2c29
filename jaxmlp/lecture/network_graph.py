"""The computational graph of an MLP's objective, laid out from left to right as the lecture has it.

The parameters stand above and below the operation that uses them; the penalty s runs along the
top and meets the loss L in J = L + s.
"""

import numpy as np
from jax.typing import ArrayLike

from jaxmlp.lecture.graph import ComputationalGraph, Edge, Node
from jaxmlp.lecture.trace import Trace

_MAX_NUMBERS = 6  # values up to this size are written beside their edge
_DX, _DY = 1.7, 1.7


def network_graph(trace: Trace) -> ComputationalGraph:
    """Build the graph of one forward and backward pass."""
    nodes = [Node("x", "x", False, (0.0, 0.0))]
    edges: list[Edge] = []
    place, source, value, gradient = _DX, "x", trace.x, trace.d_x
    for l, layer in enumerate(trace.params):
        W, b, z, h = (trace.name(letter, l) for letter in "Wbzh")
        affine = f"affine{l + 1}"
        nodes += [
            Node(affine, "× +", True, (place, 0.0)),
            Node(W, W, False, (place, _DY)),
            Node(b, b, False, (place, -_DY)),
            Node(z, z, False, (place + _DX, 0.0)),
        ]
        edges += [
            _edge(source, affine, value, gradient, labelled=l == 0),
            _edge(W, affine, layer.W, trace.d_W[l] - trace.l2 * layer.W),
            _edge(b, affine, layer.b, trace.d_b[l]),
            _edge(affine, z, trace.z[l], trace.d_z[l]),
        ]
        source, place = z, place + 2 * _DX
        if l < trace.n_layers - 1:
            phi = f"phi{l + 1}"
            nodes += [
                Node(phi, trace.config.activations[l].name, True, (place, 0.0)),
                Node(h, h, False, (place + _DX, 0.0)),
            ]
            edges += [Edge(z, phi), _edge(phi, h, trace.h[l], trace.d_h[l])]
            source, value, gradient = h, trace.h[l], trace.d_h[l]
            place += 2 * _DX
    return ComputationalGraph(*_with_objective(trace, nodes, edges, place))


def _with_objective(
    trace: Trace, nodes: list[Node], edges: list[Edge], place: float
) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """Add loss, penalty and their sum."""
    total = trace.value + trace.penalty
    nodes += [
        Node("l", "l", True, (place, 0.0)),
        Node("y", "y", False, (place, -_DY)),
        Node("L", "L", False, (place + _DX, 0.0)),
        Node("+", "+", True, (place + 2 * _DX, 0.0)),
        Node("J", "J", False, (place + 3 * _DX, 0.0)),
        Node("l2", "½λ∑W²", True, (place, 2 * _DY)),
        Node("s", "s", False, (place + 2 * _DX, 2 * _DY)),
    ]
    edges += [
        Edge("o", "l"),
        Edge("y", "l", _short(trace.y), backward=False),
        _edge("l", "L", trace.value, 1.0),
        Edge("L", "+"),
        _edge("+", "J", total, 1.0),
        _edge("l2", "s", trace.penalty, 1.0),
        Edge("s", "+"),
        *(
            Edge(trace.name("W", l), "l2", gradient=_short(trace.l2 * p.W) if trace.l2 else "")
            for l, p in enumerate(trace.params)
        ),
    ]
    return tuple(nodes), tuple(edges)


def _edge(
    source: str, target: str, value: ArrayLike, gradient: ArrayLike, labelled: bool = True
) -> Edge:
    if not labelled:
        return Edge(source, target)
    return Edge(source, target, _short(value), _short(gradient))


def _short(value: ArrayLike) -> str:
    """Write a few numbers, or a shape."""
    array = np.asarray(value, np.float64)
    if array.size > _MAX_NUMBERS:
        return "(" + "×".join(map(str, array.shape)) + f")\n|·|={np.linalg.norm(array):.3g}"
    if array.ndim == 0:
        return f"{float(array):.4g}"
    return np.array2string(array, precision=3, suppress_small=True, floatmode="maxprec")
