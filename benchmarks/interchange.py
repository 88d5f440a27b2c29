"""How exactly networks come and go: errors of every converter and export, against jaxmlp.predict.

    python -m benchmarks.interchange [--rows 100000]

A network 64-128-64-10 with random weights for each activation of the registry, its first layer
batch-normalized with random statistics, its inputs standardized (years such as 2026.5, to be hard
on float32). "there" is the other side's outputs against `jaxmlp.predict`'s, "back" are ours after
the way back; relative 2-norm over all rows, the worst activation. A label that differs is a flip;
it is explained if the row's two largest logits are nearer to each other than twice the row's error.
"""

import argparse
import runpy
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp import interchange
from jaxmlp.data import Standardizer
from jaxmlp.models import Model
from jaxmlp.types import Layer, NormState

RESULTS = Path(__file__).parent / "results" / "interchange.json"
SIZES = (64, 128, 64, 10)
GCC = ("gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wpedantic")
LIMITS = {"float32": 2e-6, "float64": 1e-12}
DRIVER = """
#include <stdio.h>
#include "net.h"
int main(void)
{
    float x[NET_INPUTS], y[NET_OUTPUTS];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        net_logits(x, y);
        fwrite(y, sizeof y, 1, stdout);
    }
    return 0;
}
"""

Call = Callable[[np.ndarray], np.ndarray]


class Partner(NamedTuple):
    """Another library or program.

    Attributes:
        leave: model -> function from inputs to logits on the other side.
        back: model -> the network after the way there and back, or None.
        raw: whether it takes raw features, and standardizes them itself.
        activations: those that it has; None for all.
        dtypes: those that it has.
    """

    leave: Callable[[Model], Call]
    back: Callable[[Model], Any] | None = None
    raw: bool = False
    activations: tuple[str, ...] | None = None
    dtypes: tuple[str, ...] = ("float32", "float64")


def make_model(activation: Any, dtype: str, x: np.ndarray, sizes: tuple[int, ...] = SIZES) -> Model:
    """Draw a network: every number of it is random, also biases and statistics."""
    first = (True, *(False,) * (len(sizes) - 3))
    config = jaxmlp.MLPConfig(sizes, activation, batch_norm=first, dtype=dtype)
    rng = np.random.default_rng(0)

    def vector(n: int, around: float = 0.0) -> jax.Array:
        return jnp.asarray(around + rng.uniform(-0.3, 0.3, n), dtype)

    params, state = [], []
    for n_in, n_out, norm in zip(sizes, sizes[1:], config.normalized, strict=False):
        W = jnp.asarray(rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out)), dtype)
        layer = Layer(W, None, vector(n_out, 1), vector(n_out)) if norm else Layer(W, vector(n_out))
        params.append(layer)
        state.append(NormState(vector(n_out), vector(n_out, 1)) if norm else None)
    names = tuple(f"class {k}" for k in range(sizes[-1]))
    return Model(
        config, tuple(params), tuple(state), preprocessing=Standardizer.fit(x), class_names=names
    )


def ours(network: Any, x: np.ndarray) -> np.ndarray:
    """Logits of jaxmlp for standardized inputs."""
    return np.asarray(jax.jit(jaxmlp.predict)(network[0], network[1], x, state=network[2]))


def _torch(model: Model) -> Call:
    import torch

    module = interchange.to_torch_module(model)
    return lambda x: module(torch.from_numpy(x)).detach().numpy()


def _linen(model: Model) -> Call:
    from flax import linen as nn

    config = model.config

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for size, norm, phi in zip(
                config.layer_sizes[1:], config.normalized, config.activations, strict=True
            ):
                dtype = config.dtype
                x = nn.Dense(size, use_bias=not norm, dtype=dtype, precision="highest")(x)
                if norm:
                    x = nn.BatchNorm(True, epsilon=config.batch_norm_eps, dtype=dtype)(x)
                x = phi.fn(x)
            return x

    variables = interchange.to_flax(model)
    return lambda x: np.asarray(jax.jit(Network().apply)(variables, x))


def _nnx(model: Model) -> Call:
    from flax import nnx

    config, rngs, parts = model.config, nnx.Rngs(0), []
    for l, phi in enumerate(config.activations):
        n_in, n_out = config.layer_sizes[l : l + 2]
        kind = {"param_dtype": jnp.dtype(config.dtype), "rngs": rngs}
        parts.append(nnx.Linear(n_in, n_out, use_bias=not config.normalized[l], **kind))
        if config.normalized[l]:
            eps = config.batch_norm_eps
            parts.append(nnx.BatchNorm(n_out, use_running_average=True, epsilon=eps, **kind))
        parts.append(phi.fn)
    module = nnx.Sequential(*parts[:-1])
    state = nnx.state(module)
    nnx.replace_by_pure_dict(state, interchange.to_flax(model, api="nnx"))
    nnx.update(module, state)
    return lambda x: np.asarray(nnx.jit(module)(jnp.asarray(x)))


def _equinox(model: Model) -> Call:
    module = interchange.to_equinox(model._replace(preprocessing=None))
    return lambda x: np.asarray(jax.jit(jax.vmap(module))(x))


def _sklearn(model: Model) -> Call:
    estimator = interchange.to_sklearn(model._replace(preprocessing=None))

    def logits(x: np.ndarray) -> np.ndarray:
        """Its outputs before the softmax, which is the last thing that `_forward_pass` does."""
        estimator.out_activation_ = "identity"
        return estimator._forward_pass_fast(x, check_input=False)

    return logits


def _onnx(model: Model) -> Call:
    import onnxruntime

    session = onnxruntime.InferenceSession(interchange.to_onnx(model).SerializeToString())
    return lambda x: session.run(["logits"], {"x": x})[0]


def _numpy(model: Model) -> Call:
    with tempfile.TemporaryDirectory() as folder:
        interchange.to_numpy(model, Path(folder, "predictor.py"))
        names = runpy.run_path(str(Path(folder, "predictor.py")))
    names["self_check"]()
    return names["logits"]


def _c(model: Model) -> Call:
    def logits(x: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            program = compile_c(model, Path(folder))
            done = subprocess.run(program, input=x.tobytes(), capture_output=True, check=True)
        return np.frombuffer(done.stdout, np.float32).reshape(len(x), -1)

    return logits


def compile_c(model: Model, folder: Path) -> Path:
    """Compile the header, warnings being errors; run its own check; return a filter of rows."""
    interchange.to_c(model, folder / "net.h")
    (folder / "driver.c").write_text(DRIVER)
    check = (*GCC, "-DNET_CHECK", "-x", "c", folder / "net.h", "-o", folder / "check", "-lm")
    subprocess.run(check, check=True)
    subprocess.run(folder / "check", check=True, capture_output=True)
    program = folder / "driver"
    subprocess.run((*GCC, "-O2", folder / "driver.c", "-o", program, "-lm"), check=True)
    return program


def sizes_of_code(model: Model) -> dict[str, int]:
    """Bytes of code and of constants of `net_label` alone, compiled for size, says `size`."""
    with tempfile.TemporaryDirectory() as folder:
        interchange.to_c(model, Path(folder, "net.h"))
        source = Path(folder, "use.c")
        source.write_text(
            '#include "net.h"\nint use(const float *x);\n'
            "int use(const float *x) { return net_label(x); }\n"
        )
        command = (*GCC, "-Os", "-fno-asynchronous-unwind-tables", "-c", source)
        subprocess.run((*command, "-o", f"{folder}/use.o"), check=True)
        report = ("size", "-A", f"{folder}/use.o")
        text = subprocess.run(report, capture_output=True, text=True, check=True).stdout
    found = {"code": 0, "constants": 0, "variables": 0}
    kinds = {".text": "code", ".rodata": "constants", ".data": "variables", ".bss": "variables"}
    for line in text.splitlines():
        for prefix, kind in kinds.items():
            if line.startswith(prefix):
                found[kind] += int(line.split()[1])
    return found


def _back_from_flax(model: Model, api: Any) -> Any:
    weights = interchange.to_flax(model, api)
    names = [f"Dense_{l}" for l in range(model.config.n_layers)]
    layers = [(names[0], "BatchNorm_0"), *names[1:]] if api == "linen" else None
    return interchange.from_flax(weights, activation=model.config.activation, layers=layers)


def _back_from_equinox(model: Model) -> Any:
    return interchange.from_equinox(interchange.to_equinox(model._replace(preprocessing=None)))


def _back_from_sklearn(model: Model) -> Any:
    return interchange.from_sklearn(interchange.to_sklearn(model._replace(preprocessing=None)))


PARTNERS: dict[str, Partner] = {
    "PyTorch": Partner(_torch, lambda m: interchange.from_torch(interchange.to_torch_module(m))),
    "flax linen": Partner(_linen, lambda m: _back_from_flax(m, "linen")),
    "flax nnx": Partner(_nnx, lambda m: _back_from_flax(m, "nnx")),
    "equinox": Partner(_equinox, _back_from_equinox),
    "scikit-learn": Partner(
        _sklearn, _back_from_sklearn, activations=("identity", "sigmoid", "tanh", "relu")
    ),
    "ONNX (onnxruntime)": Partner(_onnx, raw=True),
    "numpy program": Partner(_numpy, raw=True),
    "C99 header (gcc)": Partner(_c, raw=True, dtypes=("float32",)),
}


def compare(partner: Partner, model: Model, x: np.ndarray) -> dict[str, Any]:
    """Errors and flipped labels of one network.

    Args:
        partner: the other side.
        model: the network.
        x: raw features, (rows, n_in).

    Returns:
        there, back: relative 2-norms (back is None without a way back); flips; unexplained.
    """
    prepared = model.preprocessing.transform(x)
    network = (model.config, model.params, model.state)
    expected = ours(network, prepared)
    got = partner.leave(model)(x if partner.raw else prepared)
    back = None if partner.back is None else ours(partner.back(model), prepared)
    flipped = got.argmax(axis=1) != expected.argmax(axis=1)
    two = np.sort(expected[flipped], axis=1)[:, -2:]
    largest = np.abs(got - expected)[flipped].max(axis=1, initial=0.0)
    return {
        "there": _error(got, expected),
        "back": None if back is None else _error(back, expected),
        "flips": int(flipped.sum()),
        "unexplained": int(np.sum(two[:, 1] - two[:, 0] > 2 * largest)),
    }


def _error(got: np.ndarray, expected: np.ndarray) -> float:
    wide = expected.astype(np.float64)
    return float(np.linalg.norm(got.astype(np.float64) - wide) / np.linalg.norm(wide))


def study(rows: int) -> dict[str, Any]:
    """Every partner, dtype and activation."""
    found: dict[str, Any] = {}
    for dtype in LIMITS:
        x = np.random.default_rng(1).normal(2026.5, 1.0, (rows, SIZES[0])).astype(dtype)
        for activation in jaxmlp.ACTIVATIONS:
            model = make_model(activation, dtype, x)
            for name, partner in PARTNERS.items():
                known = partner.activations is None or activation in partner.activations
                if dtype not in partner.dtypes or not known:
                    continue
                if (name, dtype, activation) == ("ONNX (onnxruntime)", "float64", "gelu_exact"):
                    continue  # refused: onnxruntime has no such error function
                entry = compare(partner, model, x)
                found.setdefault(name, {}).setdefault(dtype, {})[activation] = entry
                print(name, dtype, activation, entry, flush=True)
    return found


def summary(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each partner and dtype: the worst of all activations."""
    table = []
    for name, by_dtype in found.items():
        for dtype, entries in by_dtype.items():
            backs = [e["back"] for e in entries.values() if e["back"] is not None]
            table.append(
                {
                    "to": name,
                    "dtype": dtype,
                    "activations": len(entries),
                    "error there": f"{max(e['there'] for e in entries.values()):.1e}",
                    "error back": f"{max(backs):.1e}" if backs else "",
                    "labels flipped": sum(e["flips"] for e in entries.values()),
                    "of these unexplained": sum(e["unexplained"] for e in entries.values()),
                }
            )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with jax.enable_x64(True):
        found = study(arguments.rows)
        x = np.random.default_rng(1).normal(size=(100, SIZES[0]))
        code = sizes_of_code(make_model("relu", "float32", x))
    table = summary(found)
    result = {"rows": arguments.rows, "summary": table, "c_bytes": code, "cases": found}
    write_json(arguments.out, {**environment(), **result})
    print(markdown_table(table))
    print(f"C99, 64-128-64-10, gcc -Os: {code}")


if __name__ == "__main__":
    main()
