"""Leave for a microcontroller: a model as one C99 header, float32, no heap, math.h alone."""

import re
from pathlib import Path

import numpy as np

from jaxmlp.files import write_atomically
from jaxmlp.interchange.c_front import FrontCode, front_code
from jaxmlp.interchange.c_table import RowsCode, table_code
from jaxmlp.interchange.c_text import c_float, c_string, c_table
from jaxmlp.interchange.example_rows import ExampleRows, example_rows
from jaxmlp.interchange.export_plan import ACTIVATION_NUMBERS, Plan, Scaling, plan_of
from jaxmlp.models.model import NetworkLike, as_model

# Body of `static inline float <name>_<activation>(float z)`.
_ACTIVATION_CODE = {
    "relu": "return z <= 0.0f ? 0.0f : z;",
    "leaky_relu": "return z > 0.0f ? z : {slope} * z;",
    "sigmoid": (
        "const float e = expf(-fabsf(z));  /* at most 1: nothing overflows */\n"
        "    return (z >= 0.0f ? 1.0f : e) / (1.0f + e);"
    ),
    "tanh": "return tanhf(z);",
    "elu": "return z > 0.0f ? z : expm1f(z);",
    "selu": "return {selu_scale} * (z > 0.0f ? z : {selu_alpha} * expm1f(z));",
    "softplus": "return (z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z)));",
    "gelu": "return z * {name}_sigmoid({gelu_factor} * z * (1.0f + {gelu_cubic} * z * z));",
    "gelu_exact": "return 0.5f * z * erfcf({minus_root_half} * z);",
    "silu": "return z * {name}_sigmoid(z);",
    "mish": "return z * tanhf({name}_softplus(z));",
}
_CALLED = {"gelu": "sigmoid", "silu": "sigmoid", "mish": "softplus"}

_TEMPLATE = """\
/* A trained multilayer perceptron, {sizes}, written by jaxmlp.
 *
 * C99, {precision}, no heap, nothing but math.h. The constants take {constant_bytes} bytes, the
 * buffers on the stack {stack_bytes} at most. One example at a time:
 *
{usage} *
 * To check it where it runs (this adds stdio.h, for the check alone):
 *
 *     cc -std=c99 -D{NAME}_CHECK -x c {file} -lm && ./a.out
 */
#ifndef {NAME}_H
#define {NAME}_H

#include <math.h>

#define {NAME}_INPUTS {n_in}
#define {NAME}_OUTPUTS {n_out}
#define {NAME}_WIDEST {widest}

{constants}
{activations}
/* out = W x + b, where W has a row for each output. */
static inline void {name}_affine(const float *W, const float *b, int n_in, int n_out,
                                 const float *x, float *out)
{{
    for (int j = 0; j < n_out; ++j) {{
        float sum = b[j];
        for (int i = 0; i < n_in; ++i) {{
            sum += W[j * n_in + i] * x[i];
        }}
        out[j] = sum;
    }}
}}

/* The outputs of the {layers_of}, in y[{NAME}_OUTPUTS]. */
static inline void {name}_{layers}(const float *x, float *y)
{{
{logits_code}}}
{front_code}
/* The same through the link: {what}, in y[{NAME}_OUTPUTS]. */
static inline void {name}_predict(const float *x, float *y)
{{
    {name}_logits(x, y);
{link_code}}}
{label_code}{table_code}
#ifdef {NAME}_CHECK
#include <stdio.h>

{check_constants}
int main(void)
{{
    float y[{NAME}_OUTPUTS], error = 0.0f, largest = 0.0f;
    for (int row = 0; row < {n_rows}; ++row) {{
{check_call}        for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
            const float wanted = {name}_check_logits[row * {NAME}_OUTPUTS + j];
            error = fmaxf(error, fabsf(y[j] - wanted));
            largest = fmaxf(largest, fabsf(wanted));
            if (y[j] != y[j]) {{
                error = INFINITY;
            }}
        }}
    }}
    printf("self-check %s: logits agree to %g\\n", error <= 1e-5f * largest ? "passed" : "FAILED",
           (double)error);
    return error <= 1e-5f * largest ? 0 : 1;
}}
#endif
#endif
"""

_LABEL = """
/* The index of the most probable class; -1 where a feature is NaN. */
static inline int {name}_label(const float *x)
{{
    float y[{NAME}_OUTPUTS];
    {name}_logits(x, y);
    for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
        if (y[j] != y[j]) {{
            return -1;
        }}
    }}
{choice}}}

/* The name of a class, in UTF-8; "NaN" of none. */
static inline const char *{name}_class(int label)
{{
    static const char *const names[{n_classes}] = {{
{names}
    }};
    return label < 0 ? "NaN" : names[label];
}}
"""
_ARGMAX = """\
    int best = 0;
    for (int j = 1; j < {NAME}_OUTPUTS; ++j) {{
        if (y[j] > y[best]) {{
            best = j;
        }}
    }}
    return best;
"""
_SOFTMAX = """\
    float largest = y[0], sum = 0.0f;
    for (int j = 1; j < {NAME}_OUTPUTS; ++j) {{
        largest = fmaxf(largest, y[j]);
    }}
    for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
        y[j] = expf(y[j] - largest);
        sum += y[j];
    }}
    for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
        y[j] /= sum;
    }}
"""
_EACH = """\
    for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
        y[j] = {expression};
    }}
"""


def to_c(model: NetworkLike, path: str | Path, name: str | None = None) -> str:
    """Write a model as a C99 header for microcontrollers, weights included, with its own check.

    Args:
        model: the model, in float32.
        path: the file to write, such as model.h.
        name: prefix of everything in it; the file's name by default.

    Returns:
        Its source: `<name>_logits(x, y)`, `<name>_predict(x, y)` (linked) and, for classes with
        names, `<name>_label(x)` and `<name>_class(label)`; all `static`, so that only what is
        called takes room. With -D<NAME>_CHECK it is a program that compares with what ours says.
        Of a model of a table also a struct `<name>_row` of its cells, `<name>_encode(row, x)`,
        `<name>_predict_row(row, y)` and `<name>_label_row(row)`: a number is a double, NAN if it is
        missing (with decimal commas it is text); words, truths and dates are UTF-8 text, read as in
        training.

    Raises:
        OSError: if the file cannot be written.
        ValueError: as `plan_of`; for float64; or for a name that is none in C.

    Example:
        >>> import jax, jaxmlp, tempfile
        >>> config = jaxmlp.MLPConfig((2, 4, 3))
        >>> model = jaxmlp.Network(config, jaxmlp.init(config, jax.random.key(0)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(to_c(model, folder + "/digits.h").splitlines()[0])
        /* A trained multilayer perceptron, 2-4-3, written by jaxmlp.

    Differences: batch normalization is folded into the layers. The mean of a standardized feature
        is kept in two floats, so that a year such as 2026.5 loses nothing beside a spread of 1.
    """
    model = as_model(model)
    path, plan = Path(path), plan_of(model)
    name = re.sub(r"\W", "_", path.stem) if name is None else name
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name):
        raise ValueError(f"{name!r} is no name in C; give a letter first, then letters and digits.")
    if plan.dtype != np.float32:
        raise ValueError(
            "the C header computes in float32, but the model is in float64: convert it, with "
            "config.replace(dtype='float32') and params to match, or export to numpy."
        )
    source = _source(plan, example_rows(model, plan), name, path.name)
    write_atomically(path, source.encode())
    return source


def _source(plan: Plan, rows: ExampleRows, name: str, file: str) -> str:
    names = {"name": name, "NAME": name.upper()}
    widest = max(plan.sizes[1 if plan.inputs is None else 0 : -1], default=0)
    rows_code = _table_rows(plan, rows, name) if plan.table else _matrix_rows(plan, rows, names)
    stack = 4 * (2 * widest + (plan.n_in if plan.table else 0))
    front = front_code(plan.front, name, plan.sizes[-1]) if plan.front else FrontCode("", "", 0, 0)
    return _TEMPLATE.format(
        **names,
        sizes="-".join(str(size) for size in plan.sizes),
        file=file,
        precision="float; in the encoding of the row double" if plan.table else "float",
        constant_bytes=4 * _count(plan) + rows_code.n_bytes + front.n_bytes,
        stack_bytes=stack + front.stack,
        layers="layers" if plan.front else "logits",
        layers_of="layers for a member's x"
        if plan.front
        else f"network for the raw features x[{name.upper()}_INPUTS]",
        front_code=front.code and f"\n{front.code}",
        what=plan.meaning,
        usage=rows_code.usage,
        n_in=plan.n_in,
        n_out=plan.sizes[-1],
        widest=widest,
        constants=_constants(plan, name) + front.constants,
        activations=_activations(plan, name),
        logits_code=_logits_code(plan, names),
        link_code=_link_code(plan, names),
        label_code=_label_code(plan, names),
        table_code=rows_code.code,
        check_constants=rows_code.check + c_table(f"{name}_check_logits", rows.logits),
        check_call=rows_code.check_call,
        n_rows=len(rows.logits),
    )


def _matrix_rows(plan: Plan, rows: ExampleRows, names: dict[str, str]) -> RowsCode:
    """Inputs that are numbers."""
    name, NAME = names["name"], names["NAME"]
    lines = [
        f"float x[{NAME}_INPUTS], y[{NAME}_OUTPUTS];",
        f"{name}_predict(x, y);  // y: {plan.meaning}",
        *[f"puts({name}_class({name}_label(x)));"] * bool(plan.decision),
    ]
    return RowsCode(
        "".join(f" *     {line}\n" for line in lines),
        "",
        c_table(f"{name}_check_x", np.asarray(rows.x)),
        f"        {name}_logits({name}_check_x + row * {NAME}_INPUTS, y);\n",
        0,
    )


def _table_rows(plan: Plan, rows: ExampleRows, name: str) -> RowsCode:
    if plan.table is None or not isinstance(rows.x, dict):
        raise TypeError("these rows are no table.")
    return table_code(plan.table, name, plan.meaning, rows.x, labels=bool(plan.decision))


def _count(plan: Plan) -> int:
    """Number of floats among the constants."""
    layers = sum(
        step.W.size + step.b.size * (1 if step.alpha is None else 2) for step in plan.steps
    )
    inputs = 0 if plan.inputs is None else 3 * plan.sizes[0]
    per_target = 0 if plan.targets is None else 2 if plan.targets.bounds is None else 4
    return layers + inputs + per_target * plan.sizes[-1]


def _constants(plan: Plan, name: str) -> str:
    tables = []
    if plan.inputs is not None:
        high, low = _split(plan.inputs)
        tables += [c_table(f"{name}_center", high), c_table(f"{name}_center_rest", low)]
        tables.append(c_table(f"{name}_scale", plan.inputs.scale))
    for l, step in enumerate(plan.steps):
        tables += [c_table(f"{name}_W{l}", step.W.T), c_table(f"{name}_b{l}", step.b)]
        tables += [] if step.alpha is None else [c_table(f"{name}_alpha{l}", step.alpha)]
    if plan.targets is not None:
        tables.append(c_table(f"{name}_target_center", plan.targets.center))
        tables.append(c_table(f"{name}_target_scale", plan.targets.scale))
        if plan.targets.bounds is not None:
            low, high = plan.targets.bounds
            tables += [c_table(f"{name}_target_low", low), c_table(f"{name}_target_high", high)]
    return "".join(tables)


def _split(inputs: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """The center as the sum of two floats: x - high is exact for x near it (Sterbenz, 1974)."""
    high = inputs.center.astype(np.float32)
    return high, inputs.center - high


def _activations(plan: Plan, name: str) -> str:
    wanted = {step.activation for step in plan.steps}
    wanted |= {"sigmoid"} if plan.link == "sigmoid" else set()
    wanted |= {_CALLED[activation] for activation in wanted & set(_CALLED)}
    numbers = {key: c_float(value) for key, value in ACTIVATION_NUMBERS.items()}
    source = ""
    for activation, body in _ACTIVATION_CODE.items():
        if activation in wanted:
            code = body.format(name=name, **numbers)
            source += f"static inline float {name}_{activation}(float z)\n{{\n    {code}\n}}\n\n"
    return source


def _logits_code(plan: Plan, names: dict[str, str]) -> str:
    """Data go from one buffer to the other, layer by layer; the last writes to y."""
    name = names["name"]
    n_layers = len(plan.steps)
    lines, source = [], "x"
    if plan.inputs is not None or n_layers > 1:
        lines.append(f"float a[{names['NAME']}_WIDEST];")
    if n_layers > (1 if plan.inputs is not None else 2):
        lines.append(f"float b[{names['NAME']}_WIDEST];")
    if plan.inputs is not None:
        expression = f"(x[i] - {name}_center[i] - {name}_center_rest[i]) / {name}_scale[i]"
        lines += _loop("i", plan.sizes[0], f"a[i] = {expression};")
        source = "a"
    for l, step in enumerate(plan.steps):
        target = "y" if l == n_layers - 1 else ("b" if source == "a" else "a")
        n_in, n_out = step.W.shape
        lines.append(
            f"{name}_affine({name}_W{l}, {name}_b{l}, {n_in}, {n_out}, {source}, {target});"
        )
        if step.activation != "identity":
            bent = f"{name}_{step.activation}({target}[j])"
            call = f"{target}[j] = {bent};"
            if step.alpha is not None:
                call = f"{target}[j] += {name}_alpha{l}[j] * ({bent} - {target}[j]);"
            lines += _loop("j", n_out, call)
        source = target
    return "".join(f"    {line}\n" for line in lines)


def _loop(index: str, size: int, statement: str) -> list[str]:
    head = f"for (int {index} = 0; {index} < {size}; ++{index}) {{"
    return [head, f"    {statement}", "}"]


def _link_code(plan: Plan, names: dict[str, str]) -> str:
    code = {
        "identity": "",
        "softmax": _SOFTMAX.format(**names),
        "sigmoid": _EACH.format(expression=f"{names['name']}_sigmoid(y[j])", **names),
        "exp": _EACH.format(expression="expf(y[j])", **names),
    }[plan.link]
    if plan.targets is not None:
        name = names["name"]
        expressions = [f"y[j] * {name}_target_scale[j] + {name}_target_center[j]"]
        if plan.targets.bounds is not None:  # fminf and fmaxf would make a number of NaN
            expressions += [
                f"y[j] < {name}_target_low[j] ? {name}_target_low[j] : y[j]",
                f"y[j] > {name}_target_high[j] ? {name}_target_high[j] : y[j]",
            ]
        code += "".join(_EACH.format(expression=each, **names) for each in expressions)
    return code


def _label_code(plan: Plan, names: dict[str, str]) -> str:
    if plan.decision is None or plan.class_names is None:
        return ""
    choice = (
        _ARGMAX.format(**names)
        if plan.decision == "argmax"
        else "    return y[0] > 0.0f ? 1 : 0;\n"
    )
    texts = ",\n".join(f"        {c_string(text)}" for text in plan.class_names)
    n_classes = len(plan.class_names)
    return _LABEL.format(**names, n_classes=n_classes, names=texts, choice=choice)
