"""Tests that need eight devices; `tests/training/test_sharding.py` runs them where there are."""

import os

ENOUGH = os.environ.get("JAX_NUM_CPU_DEVICES") == "8"
collect_ignore_glob = [] if ENOUGH else ["test_*.py"]
