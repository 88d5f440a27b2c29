"""The rows of a batch, divided among devices: one sum over all of them a step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from jaxmlp.distributed import AXIS, gathered, spread_rows
from jaxmlp.training.data import TrainData, bucket, real_rows
from jaxmlp.training.metrics import MetricSums, total
from jaxmlp.types import PyTree

_ROWS, _ALL = PartitionSpec(AXIS), PartitionSpec()
_ODD = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, made odd


def sum_of_devices(
    value: Array, grads: PyTree, sums: MetricSums, weight: Array
) -> tuple[Array, PyTree, MetricSums, Array]:
    """Turn what each device found for its rows into what one device finds for all of them.

    J = sum_k w_k J_k / sum_k w_k, and the gradient likewise, w_k the sum of the weights of device
    k's rows; the penalty is in every J_k, so it is in J once. All of it is one flat vector, hence
    one all-reduce: a tree would be one ring a leaf.

    Args:
        value: J_k, a scalar.
        grads: its gradient.
        sums: metrics of the rows.
        weight: w_k, a scalar.

    Returns:
        J, its gradient, the sums as those of one row (1, ...), and sum_k w_k.
    """
    weighted = jax.tree.map(lambda leaf: leaf * weight.astype(leaf.dtype), (value, grads))
    flat, restore = ravel_pytree((weighted, total(sums), weight))
    (value, grads), sums, weight = restore(jax.lax.psum(flat, AXIS))
    share = 1 / jnp.where(weight > 0, weight, jnp.ones_like(weight))
    value, grads = jax.tree.map(lambda leaf: leaf * share.astype(leaf.dtype), (value, grads))
    return value, grads, jax.tree.map(lambda leaf: leaf[None], sums), weight


def on_all_devices(
    mesh: Mesh, train: Callable[..., Any], carry: PyTree, members: PyTree, shared: Any, numbers: Any
) -> Any:
    """Run a chunk on every device, each with its own rows.

    Args:
        mesh: the devices.
        train: ((carry, members), shared, numbers) -> (carry, records).
        carry: where training stands; every device has a copy.
        members: what a run is called with, likewise.
        shared: its data; their rows are those of the devices, one part after the other.
        numbers: of steps.
    """
    specs = jax.tree.map(lambda _: _ALL, shared)
    parts = {"train": shared.train, "validation": shared.validation}
    specs = specs._replace(**{name: _specs(part) for name, part in parts.items() if part})

    def on_one(carry: PyTree, members: PyTree, shared: Any, numbers: Any) -> Any:
        own = {name: _own(part) for name in parts if (part := getattr(shared, name)) is not None}
        return train((carry, members), shared._replace(**own), numbers)

    return jax.shard_map(
        on_one, mesh=mesh, in_specs=(_ALL, _ALL, specs, _ALL), out_specs=_ALL, check_vma=False
    )(carry, members, shared, numbers)


def _specs(data: TrainData) -> TrainData:
    weight = None if data.weight is None else _ROWS
    return TrainData(_ROWS, _ROWS, weight, None, _ROWS, _ALL)


def _own(data: TrainData) -> TrainData:
    return data._replace(n_rows=data.n_rows[0])


def spread_data(mesh: Mesh, data: TrainData, regression: bool) -> tuple[TrainData, int]:
    """Divide the rows of every process among its devices.

    Args:
        mesh: all devices.
        data: the rows of this process, padded or not.
        regression: whether R2 needs the variance of all targets.

    Returns:
        The rows of all processes, and how many the fullest device has.
    """
    data = real_rows(data)
    x, y = np.asarray(data.x), np.asarray(data.y)
    weight = None if data.weight is None else np.asarray(data.weight)
    n_devices = jax.local_device_count()
    parts = np.array_split(np.arange(len(x)), n_devices)
    counts = gathered(np.array([max(map(len, parts)), weight is not None], np.int64))
    fullest, weighted = (int(n) for n in counts.max(axis=0))
    if weight is None and weighted:
        weight = np.ones(len(x), np.float32)
    size = bucket(fullest)

    def spread(rows: np.ndarray) -> jax.Array:
        padding = [size - len(part) for part in parts]
        widths = [[(0, n), *[(0, 0)] * (rows.ndim - 1)] for n in padding]
        padded = [np.pad(rows[p], w) for p, w in zip(parts, widths, strict=True)]
        return spread_rows(mesh, np.concatenate(padded))

    spread_of_targets = np.asarray(data.spread)
    if regression:
        spread_of_targets = _variance(y, weight).astype(spread_of_targets.dtype)
    shared = TrainData(
        spread(x), spread(y), None if weight is None else spread(weight), None,
        spread_rows(mesh, np.array([len(part) for part in parts], np.int32)), spread_of_targets,
    )  # fmt: skip
    return shared, fullest


def rows_of_process(data: TrainData) -> tuple[np.ndarray | None, ...]:
    """Return (x, y, weight) of the devices of this process, without padding."""
    counts = [int(shard.data[0]) for shard in _own_shards(data.n_rows)]

    def real(array: Any) -> np.ndarray | None:
        if array is None:
            return None
        parts = zip(_own_shards(array), counts, strict=True)
        return np.concatenate([np.asarray(shard.data)[:n] for shard, n in parts])

    return real(data.x), real(data.y), real(data.weight)


def _own_shards(array: Any) -> list[Any]:
    return sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)


def _variance(y: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Variance of each target over the rows of all processes."""
    targets = np.asarray(y, np.float64).reshape(len(y), -1)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    own = np.concatenate([[w.sum()], w @ targets])
    n, *sums = gathered(own).sum(axis=0)
    deviations = w @ (targets - np.array(sums) / n) ** 2
    found: np.ndarray = gathered(deviations).sum(axis=0) / n
    return found


def digest_of_rows(*arrays: Any) -> str:
    """Name rows by their content, whatever process has which and in whatever order.

    Args:
        arrays: of this process, equally many rows each, or None.

    Returns:
        The sum of a hash of each row over all processes, and their number, in hex.
    """
    parts = [np.asarray(a) for a in arrays if a is not None]
    rows = [np.ascontiguousarray(a.reshape(len(a), -1)).view(np.uint8) for a in parts]
    content = np.concatenate(rows, axis=1)
    content = np.pad(content, [(0, 0), (0, -content.shape[1] % 8)]).view(np.uint64)
    with np.errstate(over="ignore"):
        factors = np.cumprod(np.full(content.shape[1], _ODD, np.uint64))
        hashes = (content ^ (content >> np.uint64(31))) * factors
        row = hashes.sum(axis=1, dtype=np.uint64)
        row = (row ^ (row >> np.uint64(29))) * np.uint64(_ODD)
        own = np.array([row.sum(dtype=np.uint64), len(row)], np.uint64)
        found = gathered(own.view(np.int64)).view(np.uint64).sum(axis=0, dtype=np.uint64)
    return f"{found[0]:016x}-{found[1]}"
