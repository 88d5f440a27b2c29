"""`python -m benchmarks`: the harness; beside it, studies that run by name."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # of the repository: the commands work in any folder
RESULTS = ROOT / "benchmarks" / "results"
