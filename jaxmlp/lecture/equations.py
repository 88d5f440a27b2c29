"""The lecture's equations for one network, as text: symbols, shapes and numbers.

The lecture writes one example as a column vector, z = W^T x + b. Here examples are rows, so the
same W makes z = x W + b; both forms are given.
"""

from collections.abc import Iterator

import numpy as np
from jax.typing import ArrayLike

from jaxmlp.lecture.trace import Trace
from jaxmlp.messages import Message, counted, in_language, joined, phrase

_MAX_NUMBERS = 24  # arrays up to this size are written out


def equations(trace: Trace, language: str = "en") -> str:
    """Return the walk-through of both passes, in a language."""
    lines = [
        *_heading(trace),
        "",
        phrase("FORWARD"),
        *_forward(trace),
        "",
        phrase("BACKWARD"),
        *_backward(trace),
    ]
    return "\n".join(in_language(line, language) for line in lines)


def _show(value: ArrayLike, indent: int = 6) -> str:
    """Write an array's numbers, or its shape and norm if it is large."""
    array = np.asarray(value, np.float64)
    if array.size > _MAX_NUMBERS:
        return phrase("{shape}, norm {norm:.4g}", shape=_shape(array), norm=np.linalg.norm(array))
    if array.ndim == 0:
        return f"{float(array):.6g}"
    text = np.array2string(array, precision=4, suppress_small=True, floatmode="maxprec")
    return text.replace("\n", "\n" + " " * indent)


def _shape(array: ArrayLike) -> str:
    return "(" + ", ".join(map(str, np.shape(array))) + ")"


def _equals(left: str, value: ArrayLike, indent: int = 6) -> Message:
    return joined("", (left, _show(value, indent)))


def _heading(trace: Trace) -> list[str]:
    said = {
        "sizes": "-".join(map(str, trace.config.layer_sizes)),
        "hidden": ", ".join(phi.name for phi in trace.config.activations[:-1]),
        "loss": trace.loss.name,
        "l2": trace.l2,
    }
    network = (
        counted(
            "Network {sizes} ({hidden}), loss {loss}, l2 = {l2:g}, {n} example.",
            "Network {sizes} ({hidden}), loss {loss}, l2 = {l2:g}, {n} examples.",
            n=len(trace.x),
            **said,
        )
        if trace.n_layers > 1
        else counted(
            "Network {sizes} (no hidden layer), loss {loss}, l2 = {l2:g}, {n} example.",
            "Network {sizes} (no hidden layer), loss {loss}, l2 = {l2:g}, {n} examples.",
            n=len(trace.x),
            **said,
        )
    )
    order = phrase(
        "First the lecture's form for one example as a column, then the same for examples in rows."
    )
    return [network, order]


def _named(name: str, value: ArrayLike) -> Iterator[str]:
    yield _equals(f"  {name} = ", value, indent=5 + len(name))


def _forward(trace: Trace) -> Iterator[str]:
    yield from _named("x", trace.x)
    for l, layer in enumerate(trace.params):
        W, b, z, h = (trace.name(letter, l) for letter in "Wbzh")
        below = trace.below(l)
        last = l == trace.n_layers - 1
        inputs = trace.h[l - 1] if l else trace.x
        yield from _named(W, layer.W)
        yield from _named(b, layer.b)
        yield phrase("  {z} = {W}^T {below} + {b}    columns", z=z, W=W, below=below, b=b)
        yield phrase(
            "  {z} = {below} {W} + {b}      rows: {inputs}{weights} + {biases} -> {outputs}",
            z=z,
            below=below,
            W=W,
            b=b,
            inputs=_shape(inputs),
            weights=_shape(layer.W),
            biases=_shape(layer.b),
            outputs=_shape(trace.z[l]),
        )
        yield _equals("    = ", trace.z[l])
        if not last:
            yield f"  {h} = {trace.config.activations[l].name}({z})"
            yield _equals("    = ", trace.h[l])
    yield from _named("y", trace.y)
    yield phrase("  L = l(o, y), mean over the examples = {value:.6g}", value=trace.value)
    yield phrase("  s = (l2/2) sum of all W^2 = {penalty:.6g}", penalty=trace.penalty)
    yield f"  J = L + s = {trace.value + trace.penalty:.6g}"


def _backward(trace: Trace) -> Iterator[str]:
    last, n = trace.n_layers - 1, len(trace.x)
    yield (
        phrase("(1) dJ/do = dl/do / {n}, its share in the mean", n=n)
        if n > 1
        else "(1) dJ/do = dl/do"
    )
    yield _equals("    = ", trace.d_h[last])
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
    sizes = {"W": W, "z": z, "below": below, "n_in": n_in, "n_out": n_out}
    slide = {**sizes, "printed": "dl/do" if number == 2 else f"dJ/d{z}"}
    rows = {**sizes, "inputs": _shape(inputs.T), "delta": _shape(trace.d_z[l])}
    yield f"({number}) dJ/d{W} = {below} (dJ/d{z})^T{penalty}"
    yield (
        phrase(
            "    The slide has ({printed}) {below}^T: ({n_out}, 1)(1, {n_in}) -> ({n_out}, {n_in}),"
            " but {W} is ({n_in}, {n_out}), with rows and columns the other way round.",
            **slide,
        )
        if n_in == n_out
        else phrase(
            "    The slide has ({printed}) {below}^T: ({n_out}, 1)(1, {n_in}) -> ({n_out}, {n_in}),"
            " but {W} is ({n_in}, {n_out}).",
            **slide,
        )
    )
    yield phrase(
        "    {below} (dJ/d{z})^T: ({n_in}, 1)(1, {n_out}) -> ({n_in}, {n_out}) fits.", **sizes
    )
    yield (
        phrase(
            "    rows: {below}^T dJ/d{z}: {inputs}{delta} -> ({n_in}, {n_out}), which sums over "
            "the examples",
            **rows,
        )
        if len(trace.x) > 1
        else phrase("    rows: {below}^T dJ/d{z}: {inputs}{delta} -> ({n_in}, {n_out})", **rows)
    )
    yield _equals("    = ", trace.d_W[l])


def _biases(trace: Trace, l: int, number: int) -> Iterator[str]:
    """Equations 3 and 7."""
    b, z = trace.name("b", l), trace.name("z", l)
    yield f"({number}) dJ/d{b} = dJ/d{z}"
    yield phrase(
        "    rows: the sum of dJ/d{z} over the rows: {delta} -> {result}",
        z=z,
        delta=_shape(trace.d_z[l]),
        result=_shape(trace.d_b[l]),
    )
    yield _equals("    = ", trace.d_b[l])


def _through_weights(trace: Trace, l: int) -> Iterator[str]:
    """Equation 4, from layer l to the output of the layer below."""
    W, z, below = trace.name("W", l), trace.name("z", l), trace.below(l)
    n_in, n_out = trace.params[l].W.shape
    printed = "dl/do" if l == trace.n_layers - 1 else f"dJ/d{z}"
    sizes = {"W": W, "z": z, "n_in": n_in, "n_out": n_out}
    yield f"(4) dJ/d{below} = {W} dJ/d{z}"
    yield (
        phrase(
            "    The slide has ({printed}) {W}: ({n_out}, 1)({n_in}, {n_out}) fits no rule of "
            "multiplication.",
            printed=printed,
            **sizes,
        )
        if n_in > 1
        else phrase(
            "    The slide has ({printed}) {W}: ({n_out}, 1)({n_in}, {n_out}) is "
            "({n_out}, {n_out}).",
            printed=printed,
            **sizes,
        )
    )
    yield phrase("    {W} dJ/d{z}: ({n_in}, {n_out})({n_out}, 1) -> ({n_in}, 1) fits.", **sizes)
    yield phrase(
        "    rows: dJ/d{z} {W}^T: {delta}{weights} -> {result}",
        z=z,
        W=W,
        delta=_shape(trace.d_z[l]),
        weights=_shape(trace.params[l].W.T),
        result=_shape(trace.d_h[l - 1]),
    )
    yield _equals("    = ", trace.d_h[l - 1])


def _through_activation(trace: Trace, l: int) -> Iterator[str]:
    """Equation 5."""
    z, h = trace.name("z", l), trace.name("h", l)
    phi = trace.config.activations[l]
    residual = trace.h[l] if phi.residual == "output" else trace.z[l]
    yield phrase("(5) dJ/d{z} = dJ/d{h} * {phi}'({z}), entry by entry", z=z, h=h, phi=phi.name)
    prime = f"    {phi.name}'({z}) = "
    yield _equals(prime, phi.derivative(residual), indent=len(prime))
    yield _equals("    = ", trace.d_z[l])
