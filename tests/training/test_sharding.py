"""The tests that need eight devices, in a process of their own that has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "eight_devices"


@pytest.mark.slow
def test_networks_on_eight_devices():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", FOLDER],
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"}, cwd=FOLDER.parents[1],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
