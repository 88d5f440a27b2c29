"""What every benchmark shares: timing, the machine's description, tables and JSON."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jaxmlp", "jax", "jaxlib", "numpy", "optax", "flax", "scikit-learn", "torch")


def measure(work: Callable[[], Any], repeats: int = 7) -> dict[str, float]:
    """Time a call: once to warm up, then `repeats` times; seconds."""
    first = _timed(work)
    times = [_timed(work) for _ in range(repeats)]
    return {
        "first": first,
        "median": statistics.median(times),
        "min": min(times),
        "max": max(times),
    }


def _timed(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - begin


def environment() -> dict[str, Any]:
    """Describe what the figures were measured with."""
    device = jax.devices()[0]
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "versions": versions,
        "device": f"{device.platform}: {device.device_kind}",
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "command": _command(),
    }


def _command() -> str:
    """The command line, without where its result went to."""
    arguments = sys.argv[1:]
    if "--out" in arguments:
        at = arguments.index("--out")
        del arguments[at : at + 2]
    return " ".join(["python -m", f"benchmarks.{Path(sys.argv[0]).stem}", *arguments])


def write_json(path: Path, content: Any) -> None:
    """Write a result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Format rows with equal keys as a markdown table."""
    names = list(rows[0])
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(_cell(row[name]) for name in names) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
