"""Models as ONNX graphs, from raw features to labels."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jaxmlp.activations as ours
from jaxmlp.files import write_atomically
from jaxmlp.interchange.export_plan import Plan, plan_of
from jaxmlp.interchange.onnx_front import add_front, add_mean
from jaxmlp.interchange.onnx_table import ML_OPSET, add_table, input_names
from jaxmlp.models.model import NetworkLike, as_model
from jaxmlp.optional import import_optional

if TYPE_CHECKING:
    import onnx

_OPSET = 17  # of 2022: everything is in it, and onnxruntime has read it since 1.12
_IR_VERSION = 8


class Graph:
    """The nodes and constants of a graph while it grows; an operation returns its value's name."""

    def __init__(self, dtype: np.dtype[Any], inputs: Iterable[str] = ()) -> None:
        """Start empty; `number` makes constants of this dtype; nothing is called as an input."""
        self.onnx = import_optional("onnx", "this needs onnx", "jaxmlp[interop]")
        self.types = self.onnx.TensorProto
        self.dtype, self.inputs = dtype, frozenset(inputs)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def __call__(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node; its value has this name, or that of its operation with a number."""
        name = self._free(name or f"{op}_{len(self.nodes)}")
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an array under a name."""
        self.constants[self._free(name)] = value
        return self._free(name)

    def number(self, value: float) -> str:
        """Add a scalar, once for all its uses."""
        return self.constant(f"number_{value!r}", np.array(value, self.dtype))

    def _free(self, name: str) -> str:
        while name in self.inputs:
            name += "_"
        return name


def to_onnx(model: NetworkLike, path: str | Path | None = None) -> "onnx.ModelProto":
    """Make an ONNX graph of a model: raw features in; logits, predictions and labels out.

    Args:
        model: the model; its standardization is computed in float64, as ours is.
        path: also write it there, at once (.onnx).

    Returns:
        An `onnx.ModelProto` of opset 17 with the input `x` (batch, n_in), batch of any size, in the
        dtype of the weights, and the outputs `logits` (batch, n_out), `predictions` (batch, n_out):
        probabilities, rates or values in the units of the targets; and, for classes with names,
        `label` (batch,), strings, "NaN" where a feature is NaN. `onnx.checker` has passed it. Names
        are in its metadata as JSON.
        Of a model of a table each column is an input (batch,) of its name (with _ behind it if an
        output has that name): text, "" if missing, for words and truths; float64, NaN if missing,
        for numbers, and for dates as days since 1970-01-01 (UTC). "inputs" in the metadata says so.
        Cells of text have no white space around them; upper and lower case, and 1.0 for 1, are
        known where training knew them.

    Raises:
        ImportError: if onnx is not installed.
        ValueError: as `plan_of`; also for "gelu_exact" in float64, for which onnxruntime has no
            error function.

    Example: (needs onnxruntime)
        `session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString())`
        `logits, probabilities, labels = session.run(None, {"x": x})`

    Differences: batch normalization is folded into the layers before it.

    Reference: https://onnx.ai/onnx/operators (opset 17).
    """
    model = as_model(model)
    plan = plan_of(model)
    if plan.dtype == np.float64 and any(step.activation == "gelu_exact" for step in plan.steps):
        raise ValueError(
            "onnxruntime has no error function in float64, which the activation 'gelu_exact' "
            "needs; export the model in float32."
        )
    graph = Graph(plan.dtype, () if plan.table is None else input_names(plan.table))
    h, inputs, meanings = _inputs(graph, plan)
    if plan.front is not None:
        h = add_front(graph, plan.front, h)
    proto = _finish(graph, plan, inputs, _network(graph, plan, h), meanings)
    graph.onnx.checker.check_model(proto, full_check=True)
    if path is not None:
        write_atomically(path, proto.SerializeToString(deterministic=True))
    return proto


def _inputs(graph: Graph, plan: Plan) -> tuple[str, list["onnx.ValueInfoProto"], dict[str, str]]:
    """Add what prepares the raw data; return its result, the inputs, and what tables take."""
    describe = graph.onnx.helper.make_tensor_value_info
    if plan.table is not None:
        h, columns, meanings = add_table(graph, plan.table)
        if graph.dtype == np.float64:
            h = graph("Cast", h, to=graph.types.DOUBLE)
        return h, [describe(name, kind, ["batch"]) for name, kind in columns], meanings
    h = "x"
    if plan.inputs is not None:
        wide = graph("Cast", h, name="x_float64", to=graph.types.DOUBLE)
        center, scale = (np.array(part, np.float64) for part in plan.inputs[:2])
        shifted = graph("Sub", wide, graph.constant("center", center))
        scaled = graph("Div", shifted, graph.constant("scale", scale))
        h = graph("Cast", scaled, name="x_standardized", to=_type(graph))
    return h, [describe("x", _type(graph), ["batch", plan.n_in])], {}


def _network(graph: Graph, plan: Plan, h: str) -> list[tuple[str, int]]:
    """Add the layers; return the outputs' names, each with its number of columns (0: a vector)."""
    for l, (W, b, activation, alpha) in enumerate(plan.steps):
        last = l == len(plan.steps) - 1
        named = last and plan.front is None
        parts = (graph.constant(f"W{l}", W), graph.constant(f"b{l}", b))
        z = graph("Gemm", h, *parts, name="logits" if named else f"z{l}")
        h = z if last else _ACTIVATION_NODES[activation](graph, z)
        if alpha is not None:
            bent = graph("Mul", graph("Sub", h, z), graph.constant(f"alpha{l}", alpha))
            h = graph("Add", z, bent)
    n_out = plan.sizes[-1]
    if plan.front is not None:
        h = graph("Identity", add_mean(graph, plan.front, h, n_out), name="logits")
    prediction = {
        "identity": lambda: h,
        "softmax": lambda: graph("Softmax", h, axis=1),
        "sigmoid": lambda: graph("Sigmoid", h),
        "exp": lambda: graph("Exp", h),
    }[plan.link]()
    if plan.targets is not None:
        center, scale = (np.array(part, plan.dtype) for part in plan.targets[:2])
        scaled = graph("Mul", prediction, graph.constant("target_scale", scale))
        prediction = graph("Add", scaled, graph.constant("target_center", center))
        if plan.targets.bounds is not None:
            low, high = (np.array(part, plan.dtype) for part in plan.targets.bounds)
            prediction = _clamp(graph, prediction, low, high)
    graph("Identity", prediction, name="predictions")
    outputs = [("logits", n_out), ("predictions", n_out)]
    if plan.decision is not None:
        index = (
            graph("ArgMax", h, axis=1, keepdims=0)
            if plan.decision == "argmax"
            else graph("Cast", _first_column(graph, h), to=graph.types.INT64)
        )
        names = np.array([*(plan.class_names or ()), "NaN"], dtype=object)
        no_class = graph.constant("no_class", np.array(len(names) - 1, np.int64))
        index = graph("Where", _any_nan(graph, h), no_class, index)
        graph("Gather", graph.constant("class_names", names), index, name="label")
        outputs.append(("label", 0))
    return outputs


def _clamp(graph: Graph, values: str, low: np.ndarray, high: np.ndarray) -> str:
    """Keep values within bounds; NaN stays NaN, of which Min and Max promise nothing."""
    for name, comparison, bound in (("low", "Less", low), ("high", "Greater", high)):
        at = graph.constant(f"target_{name}", bound)
        values = graph("Where", graph(comparison, values, at), at, values)
    return values


def _first_column(graph: Graph, logits: str) -> str:
    """Whether the only logit is positive, (batch,)."""
    positive = graph("Greater", logits, graph.number(0.0))
    return graph("Squeeze", positive, graph.constant("axis_1", np.array([1], np.int64)))


def _any_nan(graph: Graph, logits: str) -> str:
    """Whether a logit of the row is NaN, (batch,)."""
    unknown = graph("Cast", graph("IsNaN", logits), to=graph.types.INT64)
    unknown = graph("ReduceMax", unknown, axes=[1], keepdims=0)
    return graph("Cast", unknown, to=graph.types.BOOL)


def _type(graph: Graph) -> int:
    return int(graph.types.DOUBLE if graph.dtype == np.float64 else graph.types.FLOAT)


def _finish(
    graph: Graph,
    plan: Plan,
    inputs: list["onnx.ValueInfoProto"],
    outputs: Sequence[tuple[str, int]],
    meanings: dict[str, str],
) -> "onnx.ModelProto":
    """Wrap nodes, constants, inputs and outputs into a model."""
    helper, types = graph.onnx.helper, graph.types
    used = {name for node in graph.nodes for name in node.input}
    constants = [
        graph.onnx.numpy_helper.from_array(value, name)
        for name, value in graph.constants.items()
        if name in used
    ]
    infos = [
        helper.make_tensor_value_info(name, _type(graph), ["batch", n])
        if n
        else helper.make_tensor_value_info(name, types.STRING, ["batch"])
        for name, n in outputs
    ]
    body = helper.make_graph(graph.nodes, "jaxmlp", inputs, infos, constants)
    opsets = [helper.make_opsetid("", _OPSET)]
    if any(node.domain == ML_OPSET[0] for node in graph.nodes):
        opsets.append(helper.make_opsetid(*ML_OPSET))
    proto: onnx.ModelProto = helper.make_model(
        body, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="jaxmlp"
    )
    names = {
        "feature_names": plan.feature_names, "class_names": plan.class_names, "inputs": meanings,
    }  # fmt: skip
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in names.items() if value}
    helper.set_model_props(proto, texts)
    return proto


def _expm1_of_negative_part(g: Graph, z: str) -> str:
    """exp(min(z, 0)) - 1; onnxruntime has no Elu in float64."""
    return g("Sub", g("Exp", g("Min", z, g.number(0.0))), g.number(1.0))


def _elu(g: Graph, z: str) -> str:
    return g("Add", g("Relu", z), _expm1_of_negative_part(g, z))


def _selu(g: Graph, z: str) -> str:
    below = g("Mul", _expm1_of_negative_part(g, z), g.number(ours.SELU_ALPHA))
    return g("Mul", g("Add", g("Relu", z), below), g.number(ours.SELU_SCALE))


def _softplus(g: Graph, z: str) -> str:
    """max(z, 0) + log(1 + exp(-|z|)); onnxruntime has no Softplus in float64."""
    tail = g("Log", g("Add", g("Exp", g("Neg", g("Abs", z))), g.number(1.0)))
    return g("Add", g("Relu", z), tail)


def _gelu(g: Graph, z: str) -> str:
    """z sigmoid(sqrt(8/pi) z (1 + 0.044715 z^2)), as ours."""
    cubic = g("Mul", g("Mul", z, z), g.number(ours.GELU_CUBIC))
    argument = g("Mul", g("Mul", z, g.number(math.sqrt(8 / math.pi))), g("Add", cubic, g.number(1)))
    return g("Mul", z, g("Sigmoid", argument))


def _gelu_exact(g: Graph, z: str) -> str:
    erf = g("Erf", g("Mul", z, g.number(math.sqrt(0.5))))
    return g("Mul", g("Mul", z, g.number(0.5)), g("Add", erf, g.number(1.0)))


_ACTIVATION_NODES: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda g, z: z,
    "relu": lambda g, z: g("Relu", z),
    "leaky_relu": lambda g, z: g("Max", z, g("Mul", z, g.number(ours.LEAKY_SLOPE))),
    "sigmoid": lambda g, z: g("Sigmoid", z),
    "tanh": lambda g, z: g("Tanh", z),
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "gelu": _gelu,
    "gelu_exact": _gelu_exact,
    "silu": lambda g, z: g("Mul", z, g("Sigmoid", z)),
    "mish": lambda g, z: g("Mul", z, g("Tanh", _softplus(g, z))),
}
"""What each activation is made of, (graph, name of z) -> name of phi(z)."""
