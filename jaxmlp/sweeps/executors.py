"""How many networks at once: all, chunk after chunk, or one after another, on how many devices.

`vmap` pushes the members into every operation: fewer and larger operations, but parameters and
moments of all members pass through the cache at every step. `lax.map` over chunks trains a chunk
to its end before the next. Which is faster depends on the size of the network and of the batch; the
table beside this file was measured (`python -m benchmarks.executors`) and is what decides, so that
the same call takes the same way on every machine of a kind.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmlp.checks import unknown_name
from jaxmlp.config import MLPConfig

TABLE: list[dict[str, Any]] = json.loads(
    resources.files(__package__).joinpath("executor_table.json").read_text()
)["rows"]
NAMES = ("vmap", "one", "chunks of N", "measure")


@jax.tree_util.register_static
@dataclass(frozen=True)
class Executor:
    """A way to run members.

    Attributes:
        chunk: members at once on a device, at least 1.
        devices: number of devices that members are spread over.
    """

    chunk: int
    devices: int = 1

    def __str__(self) -> str:
        """Say it in words."""
        where = f" on {self.devices} devices" if self.devices > 1 else ""
        return ("one at a time" if self.chunk == 1 else f"chunks of {self.chunk}") + where

    def padded(self, n_members: int) -> int:
        """Return the number of members rounded up to whole chunks on every device.

        >>> Executor(chunk=4, devices=2).padded(9)
        16
        """
        size = self.chunk * self.devices
        return -(-n_members // size) * size

    @property
    def mesh(self) -> Mesh:
        """The devices, along one axis named "members"."""
        return jax.make_mesh((self.devices,), ("members",), axis_types=(AxisType.Auto,))

    def place(self, members: Any) -> Any:
        """Spread the leading axis of `padded(...)` members over the devices, under `jit` or not.

        A program is compiled for where its arguments lie: what is placed before the first call
        lies where the results of that call will.
        """
        if self.devices == 1:
            return members
        spread = NamedSharding(self.mesh, PartitionSpec("members"))
        return jax.lax.with_sharding_constraint(members, spread)

    def map(self, fn: Callable[..., Any], members: Any, *shared: Any) -> Any:
        """Apply fn(member, *shared) to each member; call it under `jax.jit`.

        Args:
            fn: a pure function of one member and of what all share.
            members: a pytree with a leading axis of `padded(...)` members.
            shared: pytrees that each call gets whole.

        Returns:
            The results, with the leading axis.

        Example:
            >>> import jax.numpy as jnp
            >>> square = lambda m: Executor(chunk=2).map(lambda x, y: x * y, m, 2.0)
            >>> jax.jit(square)(jnp.arange(4.0)).tolist()
            [0.0, 2.0, 4.0, 6.0]
        """

        def on_device(members: Any, *shared: Any) -> Any:
            n = jax.tree.leaves(members)[0].shape[0]
            if self.chunk >= n:
                return jax.vmap(lambda member: fn(member, *shared))(members)
            if self.chunk == 1:
                return jax.lax.map(lambda member: fn(member, *shared), members)
            return jax.lax.map(lambda member: fn(member, *shared), members, batch_size=self.chunk)

        if self.devices == 1:
            return on_device(members, *shared)
        spread, whole = PartitionSpec("members"), PartitionSpec()
        return jax.shard_map(
            on_device,
            mesh=self.mesh,
            in_specs=(spread, *(whole for _ in shared)),
            out_specs=spread,
            check_vma=False,  # a loop's fresh constants count as different from its results
        )(members, *shared)


def choose_executor(
    executor: str | Executor | None,
    config: MLPConfig,
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
    raise unknown_name("executor", executor, NAMES)


def candidates(config: MLPConfig, n_members: int) -> list[Executor]:
    """Return what "measure" tries: chunks of 1, 4, 16, ... and all at once."""
    devices = min(jax.local_device_count(), n_members)
    largest = -(-n_members // devices)
    sizes = sorted({min(4**i, largest) for i in range(5)} | {largest})
    return [Executor(size, devices) for size in sizes if size <= 256]


def _table_chunk(config: MLPConfig, batch_size: int, shared_batches: bool) -> int:
    """Look up the first row that the network fits into."""
    platform = jax.default_backend()
    rows = [row for row in TABLE if row["platform"] == platform] or TABLE
    for row in rows:
        if config.n_parameters <= row["parameters"] and batch_size <= row["batch_size"]:
            return int(row["chunk"])
    return 1 if platform == "cpu" else 16
