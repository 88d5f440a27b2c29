"""Several processes, on one machine or many, that train one network: how they meet and agree.

The rows of a batch are divided among all devices of all processes, along one axis named "data".
Everything here is called by every process, in the same order.
"""

import os
import sys
import traceback
from types import TracebackType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxmlp.types import PyTree

__all__ = ["initialize"]

AXIS = "data"
"""The axis of the mesh, and of the sums over it."""
_HEARTBEAT = 30  # seconds; JAX waits for 100
_SHUTDOWN = 1800  # seconds that others wait at their end for the one that tests and writes
_LOST = (
    "a process that trains with this one has ended or cannot be reached, so this one ends too; "
    "start all of them again, and a run that was saved goes on from its newest checkpoint"
)


def initialize(
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat: int = _HEARTBEAT,
) -> None:
    """Join the processes that train together; call it before anything else of JAX.

    A process that dies takes the others down within the heartbeat: none of them waits for ever. An
    exception that nobody catches ends its process at once, so that the others notice.

    Args:
        coordinator: "host:port" of process 0, the same in every process; None where SLURM,
            Kubernetes, Open MPI or a Cloud TPU tells.
        processes: how many there are; None likewise.
        process_id: which one this is, from 0; None likewise.
        heartbeat: seconds without a sign of life after which a process counts as dead.

    Raises:
        ValueError: if only some of the three are given, or they cannot be; if no cluster is found.
        RuntimeError: if JAX has begun to compute.

    Example:
        >>> initialize("127.0.0.1:5501", processes=2, process_id=0)  # doctest: +SKIP

    Reference: `jax.distributed`.
    """
    given = (coordinator, processes, process_id)
    if any(part is None for part in given) != all(part is None for part in given):
        raise ValueError("give coordinator, processes and process_id together, or none of them.")
    if process_id is not None and processes is not None and not 0 <= process_id < processes:
        raise ValueError(f"process_id is {process_id}; give 0 to {processes - 1}.")
    try:
        jax.distributed.initialize(
            coordinator, processes, process_id,
            coordinator_bind_address=coordinator if process_id == 0 else None,
            heartbeat_timeout_seconds=heartbeat, shutdown_timeout_seconds=_SHUTDOWN,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(
            "no cluster was found (SLURM, Kubernetes, Open MPI, Cloud TPU); give coordinator, "
            "processes and process_id."
        ) from error
    sys.excepthook = _end_at_once


def _end_at_once(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say what went wrong, and leave without waiting for processes that wait for this one."""
    traceback.print_exception(kind, error, trace)
    if issubclass(kind, jax.errors.JaxRuntimeError):
        print(_LOST, file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def leave(code: int) -> None:
    """End this process at once if others train with it and something went wrong; else return.

    Python's own end would wait for the others, who may wait for this one.
    """
    if code and jax.distributed.is_initialized() and jax.process_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def told_by_first(text: str) -> str:
    """Return what process 0 says; every process calls this.

    >>> told_by_first("runs/digits-1")
    'runs/digits-1'
    """
    if jax.process_count() == 1:
        return text
    own = text.encode() if is_first() else b""
    length = int(agreed(len(own))[0])
    words = np.frombuffer(own.ljust(length + -length % 8 or 8, b"\0"), np.int64)
    content: bytes = gathered(words)[0].tobytes()
    return content[:length].decode()


def agreed(*values: float) -> tuple[float, ...]:
    """Return the largest of what the processes say of each value: the same everywhere.

    >>> agreed(2.0, False)
    (2.0, 0.0)
    """
    if jax.process_count() == 1:
        return tuple(float(value) for value in values)
    return tuple(np.max(gathered(np.array(values, np.float64)), axis=0).tolist())


def gathered(values: np.ndarray) -> np.ndarray:
    """Collect an array of equal shape from every process.

    Args:
        values: of float64 or int64; their bits go through as they are.

    Returns:
        (processes, ...).
    """
    bits = np.ascontiguousarray(values).view(np.uint32)  # without x64, JAX would cut them
    found = np.asarray(multihost_utils.process_allgather(bits))
    return found.reshape(jax.process_count(), *bits.shape).view(values.dtype)


def data_mesh() -> Mesh:
    """All devices of all processes, along the axis "data"."""
    return Mesh(np.array(jax.devices()), (AXIS,))


def spread_rows(mesh: Mesh, rows: np.ndarray) -> jax.Array:
    """Make a global array of the rows of every process, in their order.

    Args:
        mesh: the devices.
        rows: of this process, equally many in each.
    """
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    spread: jax.Array = jax.make_array_from_process_local_data(sharding, rows)
    return spread


def everywhere(mesh: Mesh, tree: PyTree) -> PyTree:
    """Put a copy of what is equal in all processes on every device.

    Args:
        mesh: the devices.
        tree: arrays and random keys.
    """
    sharding = NamedSharding(mesh, PartitionSpec())

    def copy(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(
                copy(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf)
            )
        return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

    return jax.tree.map(copy, tree)


def own_copy(tree: PyTree) -> PyTree:
    """Return this process's copy of arrays that every device has."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
