"""Which executor a sweep uses: how many networks train at once, on how many devices.

The table beside this file was measured (`python -m benchmarks.executors`) and decides, so that the
same call takes the same way on every machine of a kind.
"""

import json
from importlib import resources
from typing import Any

import jax

from jaxmlp.checks import unknown_name
from jaxmlp.networks import NetworkConfig
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.training.executor import Executor

_TABLE: list[dict[str, Any]] = json.loads(
    resources.files(__package__).joinpath("executor_table.json").read_text()
)["rows"]
_NAMES = ("vmap", "one", "chunks of N", "measure")


def choose_executor(
    executor: str | Executor | None,
    config: NetworkConfig,
    batch_size: int,
    n_members: int,
    shared_batches: bool = False,
) -> Executor:
    """Return the way asked for, or the one that the table names.

    Args:
        executor: None for the table's; "vmap", "one", "chunks of 16"; or an `Executor`.
        config: the network.
        batch_size: rows a step.
        n_members: how many there are.
        shared_batches: whether all members see the same batches.

    Returns:
        The executor; it uses all local devices, at most one a member.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> from jaxmlp import MLPConfig
        >>> str(choose_executor("chunks of 16", MLPConfig((2, 3, 1)), 32, 64))
        'chunks of 16'
    """
    if isinstance(executor, Executor):
        return executor
    devices = min(jax.local_device_count(), n_members)
    largest = -(-n_members // devices)
    if executor is None:
        return Executor(min(_table_chunk(config, batch_size, shared_batches), largest), devices)
    words = str(executor).replace(":", " of ").split()
    if executor == "vmap":
        return Executor(largest, devices)
    if executor == "one":
        return Executor(1, devices)
    if len(words) == 3 and words[0] == "chunks" and words[2].isdigit() and int(words[2]):
        return Executor(min(int(words[2]), largest), devices)
    raise unknown_name("executor", executor, _NAMES)


def candidates(config: NetworkConfig, n_members: int) -> list[Executor]:
    """Return what "measure" tries: chunks of 1, 4, 16, ... and all at once."""
    devices = min(jax.local_device_count(), n_members)
    largest = -(-n_members // devices)
    sizes = sorted({min(4**i, largest) for i in range(5)} | {largest})
    return [Executor(size, devices) for size in sizes if size <= 256]


def _table_chunk(config: NetworkConfig, batch_size: int, shared_batches: bool) -> int:
    """Look up the first row that the network fits into."""
    if isinstance(config, TabularConfig):
        batch_size *= config.front.members  # what the layers take at once
    platform = jax.default_backend()
    rows = [row for row in _TABLE if row["platform"] == platform] or _TABLE
    for row in rows:
        if config.n_parameters <= row["parameters"] and batch_size <= row["batch_size"]:
            return int(row["chunk"])
    return 1 if platform == "cpu" else 16
