"""How several networks train in one program: all at once, chunk after chunk, on how many devices.

`vmap` pushes the members into every operation: fewer and larger operations, but parameters and
moments of all members pass through the cache at every step. `lax.map` over chunks trains a chunk
to its end before the next. Which is faster depends on the size of the network and of the batch;
`jaxmlp.sweeps.choose_executor` knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmlp.types import PyTree


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
        devices = jax.local_devices()[: self.devices]  # of several processes, those of this one
        return jax.make_mesh(
            (self.devices,), ("members",), axis_types=(AxisType.Auto,), devices=devices
        )

    def place(self, members: PyTree) -> PyTree:
        """Spread the leading axis of `padded(...)` members over the devices, under `jit` or not.

        A program is compiled for where its arguments lie: what is placed before the first call
        lies where the results of that call will.
        """
        if self.devices == 1:
            return members
        spread = NamedSharding(self.mesh, PartitionSpec("members"))
        return jax.lax.with_sharding_constraint(members, spread)

    def map(self, fn: Callable[..., Any], members: PyTree, *shared: PyTree) -> Any:
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

        def on_device(members: PyTree, *shared: PyTree) -> Any:
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
