"""The lecture's equations for one network, as text: symbols, shapes and numbers.

The lecture writes one example as a column vector, z = W^T x + b. Here examples are rows, so the
same W makes z = x W + b; both forms are given.
"""

from collections.abc import Iterator

import numpy as np
from jax.typing import ArrayLike

from jaxmlp.lecture.trace import Trace

_MAX_NUMBERS = 24  # arrays up to this size are written out


def equations(trace: Trace) -> str:
    """Return the walk-through of both passes."""
    lines = [*_heading(trace), "", "FORWARD", *_forward(trace), "", "BACKWARD", *_backward(trace)]
    return "\n".join(lines)


def _show(value: ArrayLike, indent: int = 6) -> str:
    """Write an array's numbers, or its shape and norm if it is large."""
    array = np.asarray(value, np.float64)
    if array.size > _MAX_NUMBERS:
        return f"{_shape(array)}, norm {np.linalg.norm(array):.4g}"
    if array.ndim == 0:
        return f"{float(array):.6g}"
    text = np.array2string(array, precision=4, suppress_small=True, floatmode="maxprec")
    return text.replace("\n", "\n" + " " * indent)


def _shape(array: ArrayLike) -> str:
    return "(" + ", ".join(map(str, np.shape(array))) + ")"


def _heading(trace: Trace) -> list[str]:
    sizes = "-".join(map(str, trace.config.layer_sizes))
    hidden = ", ".join(phi.name for phi in trace.config.activations[:-1]) or "no hidden layer"
    n = len(trace.x)
    return [
        f"Network {sizes} ({hidden}), loss {trace.loss.name}, l2 = {trace.l2:g}, "
        f"{n} example{'s' if n > 1 else ''}.",
        "First the lecture's form for one example as a column, then the same for examples in rows.",
    ]


def _named(name: str, value: ArrayLike) -> Iterator[str]:
    yield f"  {name} = {_show(value, indent=5 + len(name))}"


def _forward(trace: Trace) -> Iterator[str]:
    yield from _named("x", trace.x)
    for l, layer in enumerate(trace.params):
        W, b, z, h = (trace.name(letter, l) for letter in "Wbzh")
        below = trace.below(l)
        last = l == trace.n_layers - 1
        inputs = trace.h[l - 1] if l else trace.x
        yield from _named(W, layer.W)
        yield from _named(b, layer.b)
        yield f"  {z} = {W}^T {below} + {b}    columns"
        yield (
            f"  {z} = {below} {W} + {b}      rows: "
            f"{_shape(inputs)}{_shape(layer.W)} + {_shape(layer.b)} -> {_shape(trace.z[l])}"
        )
        yield f"    = {_show(trace.z[l])}"
        if not last:
            yield f"  {h} = {trace.config.activations[l].name}({z})"
            yield f"    = {_show(trace.h[l])}"
    yield from _named("y", trace.y)
    yield f"  L = l(o, y), mean over the examples = {trace.value:.6g}"
    yield f"  s = (l2/2) sum of all W^2 = {trace.penalty:.6g}"
    yield f"  J = L + s = {trace.value + trace.penalty:.6g}"


def _backward(trace: Trace) -> Iterator[str]:
    last, n = trace.n_layers - 1, len(trace.x)
    mean = f" / {n}, its share in the mean" if n > 1 else ""
    yield f"(1) dJ/do = dl/do{mean}"
    yield f"    = {_show(trace.d_h[last])}"
    for l in reversed(range(trace.n_layers)):
        output = l == last
        if not output:
            yield from _through_weights(trace, l + 1)
            yield from _through_activation(trace, l)
        yield from _weights(trace, l, 2 if output else 6)
        yield from _biases(trace, l, 3 if output else 7)


def _weights(trace: Trace, l: int, number: int) -> Iterator[str]:
    """Equations 2 and 6."""
    W, z, below = trace.name("W", l), trace.name("z", l), trace.below(l)
    n_in, n_out = trace.params[l].W.shape
    inputs = trace.h[l - 1] if l else trace.x
    penalty = f" + l2 {W}" if trace.l2 else ""
    printed = "dl/do" if number == 2 else f"dJ/d{z}"
    yield f"({number}) dJ/d{W} = {below} (dJ/d{z})^T{penalty}"
    yield (
        f"    The slide has ({printed}) {below}^T: ({n_out}, 1)(1, {n_in}) -> ({n_out}, {n_in}), "
        f"but {W} is ({n_in}, {n_out})"
        + (", with rows and columns the other way round." if n_in == n_out else ".")
    )
    yield f"    {below} (dJ/d{z})^T: ({n_in}, 1)(1, {n_out}) -> ({n_in}, {n_out}) fits."
    yield (
        f"    rows: {below}^T dJ/d{z}: {_shape(inputs.T)}{_shape(trace.d_z[l])} -> "
        f"({n_in}, {n_out}){', which sums over the examples' if len(trace.x) > 1 else ''}"
    )
    yield f"    = {_show(trace.d_W[l])}"


def _biases(trace: Trace, l: int, number: int) -> Iterator[str]:
    """Equations 3 and 7."""
    b, z = trace.name("b", l), trace.name("z", l)
    yield f"({number}) dJ/d{b} = dJ/d{z}"
    yield (
        f"    rows: the sum of dJ/d{z} over the rows: {_shape(trace.d_z[l])} -> "
        f"{_shape(trace.d_b[l])}"
    )
    yield f"    = {_show(trace.d_b[l])}"


def _through_weights(trace: Trace, l: int) -> Iterator[str]:
    """Equation 4, from layer l to the output of the layer below."""
    W, z, below = trace.name("W", l), trace.name("z", l), trace.below(l)
    n_in, n_out = trace.params[l].W.shape
    printed = "dl/do" if l == trace.n_layers - 1 else f"dJ/d{z}"
    yield f"(4) dJ/d{below} = {W} dJ/d{z}"
    result = "fits no rule of multiplication" if n_in > 1 else f"is ({n_out}, {n_out})"
    yield f"    The slide has ({printed}) {W}: ({n_out}, 1)({n_in}, {n_out}) {result}."
    yield f"    {W} dJ/d{z}: ({n_in}, {n_out})({n_out}, 1) -> ({n_in}, 1) fits."
    yield (
        f"    rows: dJ/d{z} {W}^T: {_shape(trace.d_z[l])}{_shape(trace.params[l].W.T)} -> "
        f"{_shape(trace.d_h[l - 1])}"
    )
    yield f"    = {_show(trace.d_h[l - 1])}"


def _through_activation(trace: Trace, l: int) -> Iterator[str]:
    """Equation 5."""
    z, h = trace.name("z", l), trace.name("h", l)
    phi = trace.config.activations[l]
    residual = trace.h[l] if phi.residual == "output" else trace.z[l]
    yield f"(5) dJ/d{z} = dJ/d{h} * {phi.name}'({z}), entry by entry"
    prime = f"    {phi.name}'({z}) = "
    yield prime + _show(phi.derivative(residual), indent=len(prime))
    yield f"    = {_show(trace.d_z[l])}"
