"""Leave without JAX: a model as one Python file that needs numpy alone."""

import json
import textwrap
from pathlib import Path

import numpy as np

from jaxmlp.files import write_atomically
from jaxmlp.interchange.cells import read_rows
from jaxmlp.interchange.example_rows import ExampleRows, example_rows
from jaxmlp.interchange.export_plan import ACTIVATION_NUMBERS, Plan, plan_of
from jaxmlp.interchange.numpy_front import front_code, front_data
from jaxmlp.interchange.numpy_table import table_code
from jaxmlp.interchange.own_source import array_expression, source_of
from jaxmlp.models.model import NetworkLike, as_model

# Source of each function that a predictor may need; others that it calls come before it.
_FUNCTIONS = {
    "relu": ((), "return np.where(z <= 0, z.dtype.type(0), z)"),
    "leaky_relu": ((), "return np.where(z > 0, z, {slope} * z)"),
    "sigmoid": (
        (),
        "e = np.exp(-np.abs(z))  # at most 1: nothing overflows\n"
        "return np.where(z >= 0, z.dtype.type(1), e) / (1 + e)",
    ),
    "tanh": ((), "return np.tanh(z)"),
    "elu": ((), "return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))"),
    "selu": (
        (),
        "return {selu_scale} * np.where(z > 0, z, {selu_alpha} * np.expm1(np.minimum(z, 0)))",
    ),
    "softplus": ((), "return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))"),
    "gelu": (
        ("sigmoid",),
        "return z * sigmoid({gelu_factor} * z * (1 + {gelu_cubic} * z * z))",
    ),
    "gelu_exact": (
        (),
        "erfc = np.vectorize(math.erfc, otypes=[z.dtype])  # numpy has none\n"
        "return 0.5 * z * erfc(-math.sqrt(0.5) * z)",
    ),
    "silu": (("sigmoid",), "return z * sigmoid(z)"),
    "mish": (("softplus",), "return z * np.tanh(softplus(z))"),
    "softmax": (
        (),
        "e = np.exp(z - z.max(axis=1, keepdims=True))\nreturn e / e.sum(axis=1, keepdims=True)",
    ),
    "exp": ((), "return np.exp(z)"),
}
_TEMPLATE = '''\
"""{title}

Needs numpy alone. Use it as a program or as a module:

    python {file}              # checks itself
    python {file} data.csv     # prints a prediction for each row

    from {module} import predict{label_import}
"""

from __future__ import annotations

import base64
import csv
{imports}import sys

import numpy as np

FEATURE_NAMES = {feature_names}
CLASS_NAMES = {class_names}


{functions}def array(text, shape, dtype="{dtype}"):
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


{inputs}def layers(h):
    for W, b, activation in LAYERS:
        h = activation(h @ W + b)
    return h


def logits(x):
    """Outputs of the network, (rows, {n_out}), for {what_x}."""
{preparation}
    return {outputs}


def predict(x):
    """{predict_doc}"""
    return {predict_code}


{label}def self_check():
    """Compare with what the trained network said about a few rows; returns the largest error."""
    error = np.abs(logits(CHECK_X) - CHECK_LOGITS).max()
    if not error <= {tolerance} * np.abs(CHECK_LOGITS).max():
        raise SystemExit(f"self-check FAILED: logits differ by {{error:.1e}}")
    return error


{read_csv}

def main(arguments):
    if not arguments:
        print(f"self-check passed: logits agree to {{self_check():.1e}}")
        return
    try:
        x = read_csv(arguments[0])
        outputs = {main_outputs}
    except (OSError, ValueError) as error:
        raise SystemExit(str(error))
    for row in outputs:
        print({main_print})


{data}{columns}

if __name__ == "__main__":
    main(sys.argv[1:])
'''


_CHECK_MATRIX = """\
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != {n_in}:
        raise ValueError(f"x has shape {{x.shape}}, but must be (rows, {n_in}).")
"""
_READ_CSV = '''\
def read_csv(path):
    """Features of a CSV file; columns go by name if the first line has the names."""
    rows = read_rows(path, ",", FEATURE_NAMES or [])
    columns = range(len(rows[0]))
    try:
        [float(cell) for cell in rows[0]]
    except ValueError:
        heading = [cell.strip() for cell in rows.pop(0)]
        if FEATURE_NAMES is not None:
            missing = [name for name in FEATURE_NAMES if name not in heading]
            if missing:
                raise SystemExit(f"{path} lacks the column {missing[0]!r}.")
            columns = [heading.index(name) for name in FEATURE_NAMES]
    try:
        return np.array([[float(row[k]) for k in columns] for row in rows]).reshape(len(rows), -1)
    except (ValueError, IndexError):
        raise SystemExit(f"{path} holds something that is not a number.")
'''


def to_numpy(model: NetworkLike, path: str | Path) -> str:
    """Write a model as a Python program of numpy alone, weights included, readable and checked.

    Args:
        model: the model; any network passes for one.
        path: the file to write, such as predictor.py.

    Returns:
        Its source: functions `logits`, `predict` (linked) and, for classes with names,
        `predict_label`; the weights as base64; rows with the logits that ours has for them, with
        which `self_check` (run as a program without arguments) compares. Of a model of a table
        they take its cells: a dict of columns, a DataFrame, or a list of rows whose cells are text,
        numbers, dates or None, read as in training; `encode` gives the inputs of the network.

    Raises:
        OSError: if the file cannot be written.
        ValueError: as `plan_of`.

    Example:
        >>> import jax, jaxmlp, runpy, tempfile
        >>> config = jaxmlp.MLPConfig((2, 4, 3))
        >>> model = jaxmlp.Network(config, jaxmlp.init(config, jax.random.key(0)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = to_numpy(model, folder + "/predictor.py")
        ...     names = runpy.run_path(folder + "/predictor.py")
        >>> names["predict"](np.zeros((1, 2))).shape
        (1, 3)

    Differences: batch normalization is folded into the layers; weights in bfloat16 compute in
        float32.
    """
    model = as_model(model)
    path = Path(path)
    plan = plan_of(model)
    delimiter = model.extra.get("reading", {}).get("delimiter") or ","
    source = _TEMPLATE.format(
        **_texts(plan, path),
        **_code(plan),
        **_inputs(plan, delimiter),
        data=_data(plan, example_rows(model, plan)),
    )
    write_atomically(path, source.encode())
    return source


def _texts(plan: Plan, path: Path) -> dict[str, str | int]:
    sizes = "-".join(str(size) for size in plan.sizes)
    return {
        "title": f"A trained multilayer perceptron, {sizes}, written by jaxmlp.",
        "file": path.name,
        "module": path.stem,
        "feature_names": _literal(plan.feature_names),
        "class_names": _literal(plan.class_names),
        "n_out": plan.sizes[-1],
        "dtype": plan.dtype.newbyteorder("<").str,
        "tolerance": "1e-5" if plan.dtype == np.float32 else "1e-12",
    }


def _literal(names: tuple[str, ...] | None) -> str:
    if names is None:
        return "None"
    texts = (json.dumps(name, ensure_ascii=False) for name in names)
    return "[\n" + "".join(f"    {text},\n" for text in texts) + "]"


def _code(plan: Plan) -> dict[str, str]:
    predicted = "logits(x)" if plan.link == "identity" else f"{plan.link}(logits(x))"
    if plan.targets is not None:
        predicted = f"{predicted} * TARGET_SCALE + TARGET_CENTER"
        if plan.targets.bounds is not None:
            predicted = f"np.clip({predicted}, *TARGET_BOUNDS)"
    choice = {
        "argmax": "z.argmax(axis=1)",
        "sign": "(z[:, 0] > 0).astype(int)",
        None: "",
    }[plan.decision]
    label = (
        "def predict_label(x):\n"
        '    """Name of the most probable class of each row; "NaN" where a feature is NaN."""\n'
        "    z = logits(x)\n"
        f"    rows = zip({choice}, np.isnan(z).any(axis=1))\n"
        '    return ["NaN" if unknown else CLASS_NAMES[k] for k, unknown in rows]\n\n\n'
    )
    labels = plan.decision is not None
    return {
        "predict_doc": f"{plan.meaning.capitalize()}, (rows, {plan.sizes[-1]}).",
        "predict_code": predicted,
        "label": label if labels else "",
        "label_import": ", predict_label" if labels else "",
        "main_outputs": "predict_label(x)" if labels else "predict(x)",
        "main_print": "row" if labels else '*(f"{value:.9g}" for value in row), sep=","',
    }


def _inputs(plan: Plan, delimiter: str) -> dict[str, str]:
    """Code from what the user has to the inputs of the layers, and all functions that are used."""
    functions, to_dtype = _functions(plan), f".astype(np.{plan.dtype.name})"
    modules = {"math"} if "math." in functions else set()
    outputs, front_functions = "layers(h)", ""
    if plan.front is not None:
        outputs, front_functions = "in_blocks(h)", front_code(plan.front)
    if plan.table is not None:
        code = table_code(plan.table, delimiter)
        modules |= code.pop("modules")
        return {
            **code,
            "outputs": outputs,
            "functions": functions + front_functions + code["functions"] + "\n\n",
            "imports": _imports(modules),
            "what_x": "the cells of a table, as encode takes them",
            "preparation": f"    h = encode(x){to_dtype}",
        }
    prepared = f"    h = x{to_dtype}"
    reading, used = source_of([read_rows])
    if plan.inputs is not None:
        prepared = (
            "    x = x if x.dtype == np.float64 else x.astype(np.float32)\n"
            "    h = ((x - CENTER) / SCALE).astype(x.dtype)  # in float64, rounded once\n"
            f"    h = h{to_dtype}"
        )
    return {
        "outputs": outputs,
        "functions": f"{functions}{front_functions}{reading}\n\n",
        "imports": _imports(modules | used),
        "inputs": "",
        "what_x": f"raw features x, (rows, {plan.n_in})",
        "preparation": _CHECK_MATRIX.format(n_in=plan.n_in) + prepared,
        "read_csv": _READ_CSV,
        "columns": "",
    }


def _imports(modules: set[str]) -> str:
    return "".join(f"import {name}\n" for name in sorted(modules - {"np", "csv"}))


def _functions(plan: Plan) -> str:
    """Source of all functions in use, each after those that it calls."""
    wanted = {step.activation for step in plan.steps} | {plan.link}
    wanted |= {needed for name in wanted & set(_FUNCTIONS) for needed in _FUNCTIONS[name][0]}
    source = ""
    for name, (_, body) in _FUNCTIONS.items():
        if name in wanted:
            indented = textwrap.indent(body.format(**ACTIVATION_NUMBERS), "    ")
            source += f"def {name}(z):\n{indented}\n\n\n"
    source += "def identity(z):\n    return z\n\n\n"
    if any(step.alpha is not None for step in plan.steps):
        source += "def parametric(phi, alpha):\n    return lambda z: z + alpha * (phi(z) - z)\n\n\n"
    return source


def _data(plan: Plan, rows: ExampleRows) -> str:
    lines = []
    for l, step in enumerate(plan.steps):
        lines += [f"W{l} = {array_expression(step.W)}", f"b{l} = {array_expression(step.b)}"]
        lines += [] if step.alpha is None else [f"alpha{l} = {array_expression(step.alpha)}"]
    functions = (
        step.activation if step.alpha is None else f"parametric({step.activation}, alpha{l})"
        for l, step in enumerate(plan.steps)
    )
    layers = (f"    (W{l}, b{l}, {function}),\n" for l, function in enumerate(functions))
    lines.append(f"LAYERS = [\n{''.join(layers)}]")
    if plan.front is not None:
        lines += front_data(plan.front)
    if plan.inputs is not None:
        lines += [
            f"CENTER = {array_expression(plan.inputs.center)}",
            f"SCALE = {array_expression(plan.inputs.scale)}",
        ]
    if plan.targets is not None:
        for name, values in zip(("CENTER", "SCALE", "BOUNDS"), plan.targets, strict=True):
            if values is None:
                continue
            lines.append(f"TARGET_{name} = {array_expression(values.astype(plan.dtype))}")
    x = rows.x if isinstance(rows.x, dict) else array_expression(rows.x)
    lines += [f"CHECK_X = {x}", f"CHECK_LOGITS = {array_expression(rows.logits)}"]
    return "\n".join(lines) + "\n"
