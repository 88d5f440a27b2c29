"""`jaxmlp export`."""

import json
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer
from rich.console import Console

from jaxmlp import interchange
from jaxmlp.checks import unknown_name
from jaxmlp.data import Standardizer
from jaxmlp.files import safetensors_module, write_atomically
from jaxmlp.interchange.example_rows import example_rows
from jaxmlp.interchange.export_plan import Plan, plan_of
from jaxmlp.interchange.onnx_table import onnx_inputs
from jaxmlp.interchange.pytorch_module import torch_source
from jaxmlp.models import Model, load
from jaxmlp.optional import import_optional

_FILES = {
    "onnx": "model.onnx",
    "numpy": "predictor.py",
    "c": "model.h",
    "torch": "model_torch.safetensors",
    "flax": "model_flax.safetensors",
    "sklearn": "model.skops",
}
_WEIGHTS_ONLY = ("torch", "flax")  # which have no place for preprocessing


def export(
    run: Annotated[Path, typer.Argument(help="A folder that train wrote, or its model file.")],
    to: Annotated[str, typer.Option(help="onnx, numpy, c, torch, flax or sklearn.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; default: beside the model.", show_default=False),
    ] = None,
    network_only: Annotated[
        bool,
        typer.Option(
            "--network-only",
            help="Leave out the preprocessing: the network takes prepared inputs then.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Take a trained network elsewhere: other libraries, a plain Python file, a microcontroller.

    For instance, with RUN = runs/digits-1:
        jaxmlp export RUN --to onnx       # for onnxruntime: features to labels
        jaxmlp export RUN --to numpy      # one Python file that needs numpy alone
        jaxmlp export RUN --to c          # one C99 header: float, no heap, math.h
        jaxmlp export RUN --to torch      # weights of an nn.Sequential
        jaxmlp export RUN --to flax       # weights of linen's Dense and BatchNorm
        jaxmlp export RUN --to sklearn    # a fitted pipeline, kept by skops

    What can be run here is run at once, and compared with the network.
    """  # fmt: skip
    if to not in _FILES:
        raise unknown_name("target of --to", to, _FILES)
    with jax.enable_x64(True):  # the model may be one in float64; one in float32 stays that
        model = load(run)
        model, left_out = _choose_parts(model, to, network_only)
        path = out or (run if run.is_dir() else run.parent) / _FILES[to]
        if path.exists() and not force:
            raise FileExistsError(f"{path} exists already. Choose another --out, or pass --force.")
        remark = _WRITERS[to](model, path)
    if as_json:
        said = {"out": str(path), "to": to, "n_bytes": path.stat().st_size}
        print(json.dumps(said | {"notes": [*left_out, *remark.splitlines()]}))
        return
    console = Console(highlight=False, soft_wrap=True)
    for note in left_out:
        console.print(f"[yellow]note[/yellow]: {note}")
    console.print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    console.print(remark, markup=False)


def _choose_parts(model: Model, to: str, network_only: bool) -> tuple[Model, list[str]]:
    """Leave out what the target has no place for; return also what is to be said of it."""
    preprocessing = model.preprocessing
    if to in _WEIGHTS_ONLY:
        parts = {"preprocessing": preprocessing, "target transform": model.target_transform}
        left = [name for name, part in parts.items() if part is not None]
        notes = []
        if left and not network_only:
            stay = "stay" if len(left) > 1 else "stays"
            notes = [f"weights alone; the {' and the '.join(left)} {stay} in the model file"]
        return model._replace(preprocessing=None, target_transform=None, feature_names=None), notes
    if network_only:
        names = getattr(preprocessing, "feature_names", None)  # such as town=A, of a table
        return model._replace(preprocessing=None, feature_names=names), []
    if to == "sklearn" and not isinstance(preprocessing, Standardizer | None):
        raise ValueError(
            "the encoding of a table cannot be written for sklearn. Pass --network-only for the "
            "network alone, whose inputs are what load(...).preprocessing.transform(table) makes."
        )
    return model, []


def _onnx(model: Model, path: Path) -> str:
    content = interchange.to_onnx(model, path).SerializeToString()
    try:
        import onnxruntime
    except ImportError:
        return "not run: onnxruntime is not installed"
    session = onnxruntime.InferenceSession(content)
    inputs, outputs = (
        ", ".join(value.name for value in values)
        for values in (session.get_inputs(), session.get_outputs())
    )
    error = _error(model, lambda x: session.run(["logits"], onnx_inputs(plan_of(model), x))[0])
    return (
        f"input{'s' * (', ' in inputs)} {inputs}; outputs {outputs}\n"
        f"checked with onnxruntime: logits agree to {error:.1e}"
    )


def _numpy(model: Model, path: Path) -> str:
    interchange.to_numpy(model, path)
    error = _error(model, runpy.run_path(str(path))["logits"])
    return f"run it: python {path} data.csv\nchecked with numpy: logits agree to {error:.1e}"


def _c(model: Model, path: Path) -> str:
    interchange.to_c(model, path)
    name = path.stem.upper()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return f"not run, since there is no C compiler; check it with cc -D{name}_CHECK -x c"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "check")
        options = ("-std=c99", "-O2", f"-D{name}_CHECK", "-x", "c", path, "-o", program, "-lm")
        built = subprocess.run((compiler, *options), capture_output=True, text=True)
        if built.returncode:
            raise ValueError(f"{compiler} does not compile {path}: {built.stderr.splitlines()[0]}")
        done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{path} was compiled, but its {done.stdout.strip()}.")
    return f"compiled with {Path(compiler).name}; {done.stdout.strip()}"


def _torch(model: Model, path: Path) -> str:
    _write_tensors(path, interchange.to_torch(model))
    return (
        f"its module, for load_state_dict(safetensors.torch.load_file(...)):\n{torch_source(model)}"
    )


def _flax(model: Model, path: Path) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(interchange.to_flax(model))
    _write_tensors(path, {".".join(key.key for key in keys): leaf for keys, leaf in leaves})
    return (
        "its variables: flax.traverse_util.unflatten_dict(safetensors.flax.load_file(...), sep='.')"
    )


def _write_tensors(path: Path, tensors: dict[str, Any]) -> None:
    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    write_atomically(path, safetensors_module().numpy.save(arrays))


def _sklearn(model: Model, path: Path) -> str:
    skops = import_optional(
        "skops.io", "a file of scikit-learn without pickle needs skops", "skops"
    )
    estimator = interchange.to_sklearn(model)
    content = skops.dumps(estimator)
    rows: Any = example_rows(model, plan_of(model)).x
    if model.feature_names is not None:  # else it warns that they are missing
        import pandas as pd

        rows = pd.DataFrame(rows, columns=list(model.feature_names))
    if not np.array_equal(skops.loads(content).predict(rows), estimator.predict(rows)):
        raise ValueError("skops reads back another estimator; please report this bug.")
    write_atomically(path, content)
    return (
        f"read it: skops.io.load({str(path)!r})\nchecked with scikit-learn: loads, same predictions"
    )


def _error(model: Model, logits: Callable[[Any], np.ndarray]) -> float:
    """The largest difference from the network on a few rows; refuse what is no rounding."""
    plan: Plan = plan_of(model)
    rows = example_rows(model, plan)
    error = float(np.abs(logits(rows.x) - rows.logits).max())
    limit = (1e-5 if plan.dtype == np.float32 else 1e-12) * float(np.abs(rows.logits).max())
    if not error <= limit:
        raise ValueError(f"what was written differs by {error:.1e}; please report this bug.")
    return error


_WRITERS: dict[str, Callable[[Model, Path], str]] = {
    "onnx": _onnx, "numpy": _numpy, "c": _c, "torch": _torch, "flax": _flax, "sklearn": _sklearn,
}  # fmt: skip
