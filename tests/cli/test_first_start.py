"""The first start of a command: few programs to compile, and no heavy package for nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest

_COUNTING = """
import sys
from jax import monitoring

compiled = []
event = "/jax/core/compile/backend_compile_duration"
monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: compiled.append(name) if name == event else None
)
from jaxmlp.cli.main import run

assert run(sys.argv[1:]) == 0
print("programs", len(compiled))
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of 400 rows: ten columns of numbers, two of categories, a target of two classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 10))
    towns, sizes = rng.choice(list("abc"), 400), rng.choice(["large", "small"], 400)
    y = np.where(x[:, 0] - x[:, 1] + (towns == "a") > 0, "yes", "no")
    path = tmp_path_factory.mktemp("table") / "data.csv"
    lines = [",".join([*(f"n{k}" for k in range(10)), "town", "size", "y"])]
    for row, *words in zip(x.tolist(), towns, sizes, y, strict=True):
        lines.append(",".join([*(f"{value:.4f}" for value in row), *words]))
    path.write_text("\n".join(lines))
    return path


def started(code, *arguments, cwd):
    """What a new process prints."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cwd)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize(
    "data", [["data.csv", "--target", "y", "--epochs", "3"], ["digits", "--epochs", "3"]]
)
def test_a_training_compiles_few_programs(table, tmp_path, data):
    (tmp_path / "data.csv").write_text(table.read_text())
    out = started(_COUNTING, "train", *data, cwd=tmp_path)
    assert int(out.split()[-1]) < 30


def test_a_prediction_compiles_one_program(table, tmp_path):
    (tmp_path / "data.csv").write_text(table.read_text())
    started(_COUNTING, "train", "data.csv", "--target", "y", "--epochs", "1", cwd=tmp_path)
    out = started(_COUNTING, "predict", "runs/data-1", "data.csv", "--out", "p.csv", cwd=tmp_path)
    assert int(out.split()[-1]) == 1


def test_what_a_start_does_not_import(tmp_path):
    heavy = ("matplotlib", "scipy", "sklearn", "pandas", "pyarrow", "duckdb", "optax", "torch")
    code = f"import sys, jaxmlp.cli.main; print([n for n in {heavy} if n in sys.modules])"
    assert started(code, cwd=tmp_path).strip() == "[]"


def test_the_answer_comes_before_proof_and_report(table, tmp_path):
    (tmp_path / "data.csv").write_text(table.read_text())
    code = "import sys; from jaxmlp.cli.main import run; sys.exit(run(sys.argv[1:]))"
    out = started(code, "train", "data.csv", "--target", "y", "--epochs", "3", cwd=tmp_path)
    said = ["test accuracy", "gradient by hand = jax.grad", "wrote runs/data-1"]
    assert sorted(said, key=out.index) == said
