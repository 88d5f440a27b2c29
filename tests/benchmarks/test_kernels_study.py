"""The study of the kernels in its quick form: contenders find the same."""

import subprocess
import sys

import pytest

from benchmarks import ROOT
from benchmarks.harness.environment import on_cpu
from benchmarks.kernels import gradients, members


def test_contenders_find_the_same():
    rows = [*gradients(quick=True, rounds=1), *members(quick=True, rounds=1)]
    assert len(rows) == 4
    for row in rows:
        assert row["difference"] < (2e-2 if "bfloat16" in row["work"] else 1e-5), row["work"]
        assert row["fused (ms)"] > 0


@pytest.mark.skipif(not on_cpu(), reason="there, times are measured")
def test_times_of_interpreted_kernels_are_refused():
    command = [sys.executable, "-m", "benchmarks.kernels"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pass --quick" in done.stderr
