"""The input side of a network for tables in an ONNX graph."""

from typing import TYPE_CHECKING

import numpy as np

from jaxmlp.interchange.front_plan import Bins, FrontPlan, Waves

if TYPE_CHECKING:
    from jaxmlp.interchange.onnx_graph import Graph


def add_front(g: "Graph", front: FrontPlan, x: str) -> str:
    """Add what the layers take: (batch, n_in) -> (members * batch, n), member after member."""
    parts = []
    if front.numbers:
        numbers = _columns(g, x, front.numbers)
        if isinstance(front.embedding, Bins):
            numbers = _in_bins(g, front.embedding, numbers)
        elif isinstance(front.embedding, Waves):
            numbers = _in_waves(g, front.embedding, numbers)
        parts.append(numbers)
    if front.others:
        parts.append(_columns(g, x, front.others))
    if front.categories:
        parts.append(_levels(g, front, x))
    e = g("Concat", *parts, axis=1)
    members, n = front.factors.shape
    h = g("Mul", e, g.constant("factors", front.factors.reshape(members, 1, n)))
    return g("Reshape", h, _whole(g, -1, n))


def add_mean(g: "Graph", front: FrontPlan, z: str, n_out: int) -> str:
    """Add the mean of the members' predictions, as logits: (members * batch, n_out) -> (batch,)."""
    members = len(front.factors)
    z = g("Reshape", z, _whole(g, members, -1, n_out))
    log_members = g.number(float(np.log(members)))
    if front.link == "identity":
        return g("ReduceMean", z, axes=[0], keepdims=0)
    if front.link == "sigmoid":
        yes, no = (_log_sum(g, g("Neg", _softplus(g, part))) for part in (g("Neg", z), z))
        return g("Sub", yes, no)
    if front.link == "softmax":
        z = g("Sub", z, g("ReduceLogSumExp", z, axes=[2], keepdims=1))
    return g("Sub", _log_sum(g, z), log_members)


def _log_sum(g: "Graph", z: str) -> str:
    return g("ReduceLogSumExp", z, axes=[0], keepdims=0)


def _softplus(g: "Graph", z: str) -> str:
    tail = g("Log", g("Add", g("Exp", g("Neg", g("Abs", z))), g.number(1.0)))
    return g("Add", g("Relu", z), tail)


def _whole(g: "Graph", *numbers: int) -> str:
    return g.constant(f"whole_{'_'.join(map(str, numbers))}", np.array(numbers, np.int64))


def _columns(g: "Graph", x: str, columns: tuple[int, ...]) -> str:
    return g("Gather", x, _whole(g, *columns), axis=1)


def _flat(g: "Graph", h: str) -> str:
    """(batch, ...) -> (batch, all)."""
    return g("Flatten", h, axis=1)


def _in_bins(g: "Graph", bins: Bins, numbers: str) -> str:
    d, n_bins, m = bins.base.shape
    x = g("Unsqueeze", numbers, _whole(g, 2))
    begun = g("LessOrEqual", g.constant("bins_next", bins.start[:, 1:]), x)
    place = g("ReduceSum", g("Cast", begun, to=g.types.INT64), _whole(g, 2), keepdims=0)
    place = g("Add", place, _whole(g, *range(0, d * n_bins, n_bins)))
    start, base, slope = (
        g("Gather", g.constant(f"bins_{name}", table), place, axis=0)
        for name, table in (
            ("start", bins.start.reshape(-1, 1)),
            ("base", bins.base.reshape(-1, m)),
            ("slope", bins.slope.reshape(-1, m)),
        )
    )
    return _flat(g, g("Add", base, g("Mul", slope, g("Sub", x, start))))


def _in_waves(g: "Graph", waves: Waves, numbers: str) -> str:
    x = g("Unsqueeze", numbers, _whole(g, 2))
    w, c, V, a = (g.constant(f"waves_{name}", part) for name, part in waves._asdict().items())
    angle = g("Add", g("Mul", x, w), c)
    shifted = g("Add", angle, g.number(np.pi / 2))  # onnxruntime has no Cos in float64
    rows = g("Unsqueeze", g("Sin", shifted), _whole(g, 2))  # (batch, d, 1, K)
    mixed = g("Add", g("Squeeze", g("MatMul", rows, V), _whole(g, 2)), a)
    return _flat(g, g("Concat", mixed, x, axis=2))


def _levels(g: "Graph", front: FrontPlan, x: str) -> str:
    columns, sizes, firsts = zip(*front.categories, strict=True)
    level = g("Cast", _columns(g, x, columns), to=g.types.INT64)
    level = g("Max", g("Min", level, _whole(g, *(n - 1 for n in sizes))), _whole(g, 0))
    rows = g("Add", level, _whole(g, *firsts))
    return _flat(g, g("Gather", g.constant("levels", front.E), rows, axis=0))
