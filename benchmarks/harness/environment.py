"""What the figures were measured with: versions, device, threads, precision of products."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = (
    "jaxmlp", "jax", "jaxlib", "numpy", "optax", "flax", "equinox", "scikit-learn", "torch",
)  # fmt: skip
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment() -> dict[str, Any]:
    """Describe the machine and the software; no name of host, user, path or revision."""
    device = jax.devices()[0]
    return {
        "command": command_line(),
        "python": platform.python_version(),
        "versions": _versions(),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": cpu_count(),
        "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "products of float32": product_precision(),
    }


def cpu_count() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def on_cpu() -> bool:
    """Whether JAX computes on the CPU."""
    return jax.default_backend() == "cpu"


def product_precision() -> str:
    """Say how float32 products are computed: a GPU may round their factors to TF32."""
    setting = str(jax.config.values["jax_default_matmul_precision"] or "default")
    if jax.default_backend() == "gpu" and setting in ("default", "tensorfloat32"):
        return f"TF32 where the device has it (precision: {setting})"
    return f"float32 (precision: {setting})"


def allowed_difference() -> float:
    """Return by how much equal results may differ: TF32 keeps 10 bits of a factor, not 23."""
    return 1e-4 if product_precision().startswith("float32") else 1e-2


def command_line() -> str:
    """Return the command, without the places of its results."""
    arguments = sys.argv[1:]
    for option in ("--out", "--json", "--cache", "--folder"):
        if option in arguments:
            at = arguments.index(option)
            del arguments[at : at + 2]
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return " ".join(["python -m", program.parent.name, *arguments])
    if program.suffix == ".py":
        return " ".join(["python -m", f"{program.parent.name}.{program.stem}", *arguments])
    return " ".join([program.name, *arguments])


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    """Name the processor, where the system says it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
