"""Wide networks: where each array of a network lies when one device cannot hold them all.

A plan says for every array which of its axes is cut, and over which axis of a mesh of devices. The
mathematics does not know of it: the compiler partitions the hand-written passes as they are, and
adds the collectives that the cuts ask for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmlp.checks import unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.products import BORDER
from jaxmlp.types import Layer, PyTree

__all__ = ["ShardingPlan", "plan"]

_Axis: TypeAlias = str | None
_KINDS = {"data": ("data",), "tensor": ("data", "model"), "fsdp": ("data",)}
"""kind of a plan -> the axes of its mesh."""


@jax.tree_util.register_static
@dataclass(frozen=True)
class ShardingPlan:
    """Where the arrays of a network lie; made by `plan`.

    Attributes:
        kind: "data", "tensor" or "fsdp".
        mesh: the devices.
        params: a `NamedSharding` for every array of the parameters, in their structure.
        borders: for each layer, how what it hands on lies, (batch, units).
    """

    kind: str
    mesh: Mesh
    params: tuple[Any, ...]
    borders: tuple[NamedSharding, ...]

    @property
    def n_data(self) -> int:
        """Devices that the rows of a batch are divided among."""
        return int(self.mesh.shape["data"])

    def place(self, tree: PyTree, frozen: tuple[int, ...] = ()) -> PyTree:
        """Put a tree on the devices.

        Args:
            tree: arrays. What has the structure of the parameters, or of those that train, such as
                moments, lies as they do; of all else every device has a copy.
            frozen: layers that do not train.

        Returns:
            The same arrays.
        """
        return jax.device_put(tree, self._shardings(tree, frozen))

    def constrain(self, tree: PyTree, frozen: tuple[int, ...] = ()) -> PyTree:
        """Have a compiled program leave a tree where `place` puts it; arguments as there."""
        return jax.lax.with_sharding_constraint(tree, self._shardings(tree, frozen))

    def divide_rows(self, tree: PyTree) -> PyTree:
        """Have a compiled program divide the rows of arrays among the data axis."""
        by_rows = NamedSharding(self.mesh, PartitionSpec("data"))
        return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, by_rows), tree)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Trace networks within a block so that what their layers hand on lies as planned."""
        token = BORDER.set(lambda l, h: jax.lax.with_sharding_constraint(h, self.borders[l]))
        try:
            yield
        finally:
            BORDER.reset(token)

    def _shardings(self, tree: PyTree, frozen: tuple[int, ...]) -> PyTree:
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        trained = tuple(layer for l, layer in enumerate(self.params) if l not in frozen)

        def of_layers(part: Any) -> Any:
            if not _is_layers(part):
                return everywhere
            planned = self.params if len(part) == len(self.params) else trained
            return jax.tree.map(
                lambda leaf, sharding: sharding if np.ndim(leaf) else everywhere, part, planned
            )

        return jax.tree.map(of_layers, tree, is_leaf=_is_layers)


def _is_layers(part: Any) -> bool:
    return isinstance(part, tuple) and bool(part) and all(isinstance(l, Layer) for l in part)


def plan(config: MLPConfig, mesh: Mesh, kind: str = "data") -> ShardingPlan:
    """Plan where the arrays of a network lie.

    "data": every device holds the network, and takes its share of the rows of a batch.
    "tensor": the units of every other hidden layer are divided among the axis "model": the weights
    into them by columns, those out of them by rows, which asks for one sum over the devices for
    each pair of layers (Megatron-LM). "fsdp": each device of the axis "data" holds a part of every
    weight, with its moments, and all of them meet where a layer is computed (ZeRO, stage 3).

    Args:
        config: the network.
        mesh: devices with the axes "data", and for "tensor" "model" too; their type is Auto:
            `jax.sharding.Mesh(np.array(jax.devices()), ("data",))`.
        kind: "data", "tensor" or "fsdp".

    Returns:
        The plan, for `fit(sharding=)`, or `plan.place(params)` and `jax.jit`. An array that does
        not divide evenly has a copy on every device, if it is small beside the others.

    Raises:
        TypeError: for something else than a network of layers and a mesh.
        ValueError: for an unknown kind, axes that are missing or Explicit, or hidden layers whose
            units do not divide evenly.

    Example:
        >>> mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
        >>> tuple(plan(MLPConfig((4, 8, 2)), mesh, "fsdp").params[0].W.spec)
        ('data', None)

    Reference: Shoeybi et al., 2019, arXiv 1909.08053; Rajbhandari et al., 2020, arXiv 1910.02054.
    """
    if not isinstance(config, MLPConfig):
        raise TypeError(f"plan takes an MLPConfig, not {type(config).__name__}.")
    _check_mesh(mesh, kind)
    specs = _specs(config, mesh, kind)
    params = tuple(
        _layer_shardings(config, l, mesh, rows, columns) for l, (rows, columns) in enumerate(specs)
    )
    borders = tuple(
        NamedSharding(mesh, PartitionSpec("data", columns if kind == "tensor" else None))
        for _, columns in specs
    )
    return ShardingPlan(kind, mesh, params, borders)


def _check_mesh(mesh: Mesh, kind: str) -> None:
    if kind not in _KINDS:
        raise unknown_name("kind of plan", kind, _KINDS)
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh is {mesh!r:.60}; pass a jax.sharding.Mesh.")
    missing = [axis for axis in _KINDS[kind] if axis not in mesh.axis_names]
    if missing:
        raise ValueError(
            f"a plan of kind {kind!r} needs a mesh with the axis {missing[0]!r}; this one has "
            f"{', '.join(map(str, mesh.axis_names))}."
        )
    explicit = [
        name
        for name, type_ in zip(mesh.axis_names, mesh.axis_types, strict=True)
        if type_ != AxisType.Auto
    ]
    if explicit:
        raise ValueError(
            f"the axis {explicit[0]!r} of the mesh is not Auto, and the backward pass by hand does "
            "not say where its products lie; make the mesh with jax.sharding.Mesh(devices, names), "
            "or with jax.make_mesh(..., axis_types=(jax.sharding.AxisType.Auto,) * n)."
        )


def _specs(config: MLPConfig, mesh: Mesh, kind: str) -> list[tuple[_Axis, _Axis]]:
    """By which axis of the mesh each layer's weights are cut: (rows, columns)."""
    pairs = list(zip(config.layer_sizes, config.layer_sizes[1:], strict=False))
    if kind == "data":
        return [(None, None)] * len(pairs)
    if kind == "fsdp":
        return [_first_even(sizes, mesh.shape["data"]) for sizes in pairs]
    n, found = mesh.shape["model"], list[tuple[_Axis, _Axis]]()
    for l, (n_in, n_out) in enumerate(pairs):
        if found and found[-1][1]:  # what comes in is divided: by rows
            found.append(("model", None))
        elif l == len(pairs) - 1:  # outputs are wanted whole
            found.append((None if n_in % n else "model", None))
        elif n_out % n:
            raise ValueError(
                f"hidden layer {l + 1} has {n_out} units, which {n} devices of the axis 'model' "
                "cannot share evenly; choose a multiple."
            )
        else:
            found.append((None, "model"))
    return found


def _first_even(sizes: tuple[int, int], n: int) -> tuple[_Axis, _Axis]:
    """Cut rows where they divide evenly, else columns, else nothing."""
    if sizes[0] % n == 0:
        return "data", None
    return (None, "data") if sizes[1] % n == 0 else (None, None)


def _layer_shardings(config: MLPConfig, l: int, mesh: Mesh, rows: _Axis, columns: _Axis) -> Layer:
    """Shardings of a layer's arrays; what has an entry a unit is cut as the columns are."""
    weights: Any = NamedSharding(mesh, PartitionSpec(rows, columns))
    vector: Any = NamedSharding(mesh, PartitionSpec(columns))
    normalized, last = config.normalized[l], l == config.n_layers - 1
    return Layer(
        weights,
        None if normalized else vector,
        vector if normalized else None,
        vector if normalized else None,
        vector if config.parametric[l] and not last else None,
    )
