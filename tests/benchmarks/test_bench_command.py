"""`python -m benchmarks`: every workload in its quick form, files, pictures, and how it fails."""

import json
import os
import subprocess
import sys

import jax
import pytest
from matplotlib.image import imread

from benchmarks import ROOT
from benchmarks.__main__ import app
from benchmarks.harness import read_results
from benchmarks.harness.environment import allowed_difference
from benchmarks.harness.runner import ALL, TARGETS, WORKLOADS
from jaxmlp.cli.main import run


@pytest.fixture(autouse=True)
def _session(monkeypatch):
    """Start JAX before a workload can ask for more devices; let peers promote as they do.

    Where OPENBLAS_CORETYPE is set, the command starts itself anew, out of these tests' sight.
    """
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    jax.devices()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def bench(tmp_path, workload, *options):
    path = tmp_path / "result.json"
    assert run([workload, "--quick", "--out", str(path), *options], command=app) == 0
    results = read_results(path)
    assert results.rows
    assert all(row.value >= 0 for row in results.rows)
    return results


def test_the_floor(tmp_path, capsys):
    results = bench(tmp_path, "floor", "--plot")
    assert {row.unit for row in results.rows} == {"FLOP/s", "bytes/s"}
    assert "GFLOP/s" in capsys.readouterr().out
    assert imread(tmp_path / "result-floor.png").shape[1] > 500
    environment = results.environment
    assert environment["versions"]["jax"] == jax.__version__
    assert environment["command"]
    assert not any(word in json.dumps(environment) for word in ("commit", str(tmp_path)))


def test_fit(tmp_path, capsys):
    options = ("--only", "jaxmlp", "--only", "numpy, by hand")
    results = bench(tmp_path, "fit-digits", *options)
    names = {row.contender for row in results.rows}
    assert names == {"jaxmlp", "numpy, by hand", "floor"}
    steps = {row.contender: row for row in results.rows if row.metric == "one step"}
    assert steps["jaxmlp"].details["seeds"] >= 5
    assert steps["jaxmlp"].processor > 0
    assert "one step" in capsys.readouterr().out


def test_inference(tmp_path):
    results = bench(tmp_path, "inference")
    assert {row.contender for row in results.rows} == {"jaxmlp", "scikit-learn"}
    assert not any(row.void for row in results.rows)


@pytest.mark.slow
def test_per_example(tmp_path):
    results = bench(tmp_path, "per-example")
    memory = {r.contender: r.value for r in results.rows if r.metric == "temporary memory"}
    assert memory["per-example norms"] < memory["norms by vmap(grad)"]
    assert not any(row.void for row in results.rows)


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["sweep", "members"])
def test_many_networks(tmp_path, workload):
    bench(tmp_path, workload, "--only", "jaxmlp", "--only", "sweep")


@pytest.mark.slow
def test_scaling(tmp_path):
    bench(tmp_path, "scaling", "--only", "scikit-learn", "--only", "sweep", "--plot")
    assert imread(tmp_path / "result-scaling.png").size


@pytest.mark.slow
def test_cold(tmp_path):
    options = ("--only", "scikit-learn", "--only", "jaxmlp")
    results = bench(tmp_path, "cold", *options)
    names = {row.contender for row in results.rows}
    assert names == {"jaxmlp", "jaxmlp, compilation cache", "scikit-learn"}


@pytest.mark.slow
def test_one_thread_in_a_process_of_its_own(tmp_path):
    results = bench(tmp_path, "floor", "--threads", "1")
    assert results.environment["threads"]["OMP_NUM_THREADS"] == "1"


@pytest.mark.slow
def test_the_precision_of_products_is_that_of_all_contenders(tmp_path):
    results = bench(tmp_path, "floor", "--precision", "float32")
    assert results.environment["products of float32"] == "float32 (precision: float32)"


def test_results_may_differ_more_where_factors_are_rounded_to_tf32(monkeypatch):
    assert allowed_difference() == 1e-4
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert allowed_difference() == 1e-2
    before = jax.config.values["jax_default_matmul_precision"]
    jax.config.update("jax_default_matmul_precision", "float32")
    exact = allowed_difference()
    jax.config.update("jax_default_matmul_precision", before)
    assert exact == 1e-4


@pytest.mark.slow
def test_the_command_in_another_folder(tmp_path):
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks", "floor", "--quick", "--out", "floor.json"]
    command += ["--threads", "1"]  # by a child, which must find the package too
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = read_results(tmp_path / "floor.json")
    assert results.environment["command"].startswith("python -m benchmarks floor")


def test_what_is_not_installed_gets_one_sentence(tmp_path):
    command = [sys.executable, "-I", "-S", str(ROOT / "benchmarks")]  # -S: without site-packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the benchmarks find no module 'typer'. Run")


def test_all_and_targets_know_every_workload():
    assert set(ALL) | set(TARGETS) == set(WORKLOADS)
    assert set(WORKLOADS) - set(ALL) == {"fit-digits", "fit-images"}


def test_a_picture_and_a_table_of_a_file(tmp_path, capsys):
    bench(tmp_path, "floor")
    capsys.readouterr()
    path = str(tmp_path / "result.json")
    assert run(["plot", path], command=app) == 0
    assert imread(tmp_path / "result-floor.png").size
    assert run(["table", path], command=app) == 0
    assert "bandwidth" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fits"], "Did you mean 'fit'"),
        (["plot"], "name the result"),
        (["plot", "nowhere.json"], "nowhere.json"),
        (["fit", "out.json"], "--out out.json"),
        (["fit", "--rounds", "0"], "--rounds is 0"),
        (["fit", "--threads", "0"], "--threads is 0"),
        (["fit", "--precision", "float23"], "Did you mean 'float32'"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, message, capsys):
    assert run(arguments, command=app) == 2
    assert message in capsys.readouterr().err
