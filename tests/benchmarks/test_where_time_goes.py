"""The study of where the time goes, on a small sample."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import where_time_goes as study
from benchmarks.harness.cold import write_problem
from benchmarks.harness.problems import digits_128


def test_a_trace_finds_the_kernels_of_every_step():
    steps, W = 37, jnp.eye(32)

    @jax.jit
    def work(h):
        return jax.lax.fori_loop(0, steps, lambda _, h: jnp.tanh(h @ W), h)

    jax.block_until_ready(work(jnp.ones((16, 32))))
    kinds, kernels = study._trace(lambda: jax.block_until_ready(work(jnp.ones((16, 32)))), steps)
    assert kernels >= 2  # a product and its tanh, at least
    assert kinds[study.PRODUCTS] > 0
    assert kinds[study.REST] > 0


def test_a_row_reads_all_weights():
    reading = study.one_row(rounds=1)
    assert reading["weights (MB)"] == pytest.approx(4 * (784 * 512 + 512 * 512 + 512 * 10) / 1e6)


@pytest.mark.slow
def test_a_cold_start_is_the_sum_of_its_parts(tmp_path):
    data = tmp_path / "data.npz"
    write_problem(data, digits_128(quick=True), {})
    command = [sys.executable, "-m", "benchmarks.cold_parts", "fit", str(data)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(seconds >= 0 for seconds in found["parts"].values())
    assert found["parts"]["compiling"] >= max(found["programs"].values())
    assert found["n_programs"] >= len(found["programs"])
