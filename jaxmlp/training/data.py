"""Examples: checked on the host, padded to a few sizes, put on the device, and taken in batches.

A program is compiled for the shapes of its arguments. So the rows are padded up to one of a few
sizes (`bucket`), and their real number is an argument: data of similar size share a program, and
what is computed does not depend on the padding, which is copies of the first row with weight 0.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int, Shaped

from jaxmlp.blocks import pad_rows
from jaxmlp.checks import check_dtype_available, check_feature_shape, check_numbers
from jaxmlp.losses import Loss, check_target_values
from jaxmlp.networks import NetworkConfig
from jaxmlp.training.metrics import target_spread
from jaxmlp.training.rows import take_rows
from jaxmlp.types import Absent, ScalarLike, wide_dtype

_SMALLEST_BUCKET = 32  # rows
_LARGEST_PADDED = 64 << 20  # bytes of features; copying more takes longer than sharing saves
_LARGEST_EXPONENT = 32  # of weights: sums of a billion rows stay far inside float32


class TrainData(NamedTuple):
    """Examples as the compiled loop reads them; fields are None where others stand in for them.

    Attributes:
        x: features, (capacity, n_in); rows past the last real one are padding.
        y: targets, (capacity,) or (capacity, n_out).
        weight: sample weights, (capacity,), or None for equal ones.
        rows: index table that selects rows of x, (capacity,), or None for all; a fold of a
            cross-validation is one table over the shared x.
        n_rows: how many entries of the table (or rows of x) are real; int or traced.
        spread: variance of each target, for R2; from `metrics.target_spread`.
    """

    x: Float[Array, "capacity n_in"] | Absent
    y: Shaped[Array, " capacity *n_out"] | Absent
    weight: Float[Array, " capacity"] | Absent
    rows: Int[Array, " capacity"] | Absent
    n_rows: ScalarLike
    spread: Float[Array, " n_out"] | Absent


class Batch(NamedTuple):
    """One step's examples; a row of weight 0 is padding."""

    x: Float[Array, "batch n_in"]
    y: Shaped[Array, " batch *n_out"]
    weight: Float[Array, " batch"]


def bucket(n_rows: int) -> int:
    """Return how many rows a program is made for: powers of two, from 256 on quarters between.

    >>> [bucket(n) for n in (3, 100, 257, 1000, 1100)]
    [32, 128, 320, 1024, 1280]
    """
    power = 1 << (max(n_rows, _SMALLEST_BUCKET) - 1).bit_length()
    if power <= 256:
        return power
    quarter = power // 8
    return -(-n_rows // quarter) * quarter


def pad_data(data: TrainData) -> TrainData:
    """Pad the rows up to the bucket, unless the data are so large that copying them costs more."""
    if data.x.nbytes > _LARGEST_PADDED:
        return data
    size = bucket(len(data.x))
    x, y, weight = (
        None if part is None else _padded(part, size) for part in (data.x, data.y, data.weight)
    )
    return data._replace(x=x, y=y, weight=weight)


def _padded(part: jax.Array, size: int) -> jax.Array:
    if _on_host(part):
        return to_device(pad_rows(np.asarray(part), size))
    return jnp.pad(part, [(0, size - len(part)), *[(0, 0)] * (part.ndim - 1)])


def real_rows(data: TrainData) -> TrainData:
    """Return the data without their padding."""
    n = int(data.n_rows)
    if len(data.x) == n:
        return data
    x, y, weight = (
        None if part is None else to_device(np.asarray(part)[:n])
        for part in (data.x, data.y, data.weight)
    )
    return data._replace(x=x, y=y, weight=weight)


def capacity(data: TrainData) -> int:
    """Return how many rows the data have at most; fixed at trace time."""
    return len(data.x if data.rows is None else data.rows)


def take_batch(
    data: TrainData, order: Int[Array, " length"], start: ScalarLike, size: int
) -> Batch:
    """Gather the rows order[start : start + size]; what lies past the last row gets weight 0.

    Args:
        data: the examples.
        order: a permutation of the rows, padded to a multiple of `size`.
        start: position of the first one.
        size: of the batch.

    Returns:
        The batch, of fixed shape.
    """
    position = jnp.asarray(start, jnp.int32) + jnp.arange(size, dtype=jnp.int32)
    rows = jnp.take(order, position, mode="clip")
    if data.rows is not None:
        rows = jnp.take(data.rows, rows, mode="clip")
    real = position < jnp.asarray(data.n_rows, jnp.int32)
    weight = real.astype(wide_dtype(data.x.dtype))
    if data.weight is not None:
        weight *= jnp.take(data.weight, rows, mode="clip")
    return Batch(take_rows(data.x, rows), jnp.take(data.y, rows, axis=0, mode="clip"), weight)


def prepare_data(
    config: NetworkConfig, loss: Loss, data: Any, sample_weight: Any = None, what: str = "data"
) -> TrainData:
    """Check examples and put them on the device in the network's dtype, without padding.

    Args:
        config: the network.
        loss: the loss, which knows what targets it takes.
        data: (x, y): (n, n_in) and (n,) or (n, n_out).
        sample_weight: non-negative weights, (n,), or None.
        what: what to call the data in messages.

    Returns:
        The examples.

    Raises:
        TypeError: if `data` is no pair, or holds something other than numbers.
        ValueError: for wrong shapes, NaN or infinity, targets that do not suit the loss, or
            weights that are negative or all zero.
    """
    check_dtype_available(config.dtype, "config.dtype")
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"{what} is a {type(data).__name__}; pass a pair (x, y) of arrays.")
    x = _cast(check_numbers("x", _plain(data[0])), config.dtype)
    check_feature_shape(config.layer_sizes, x.shape)
    if not all_finite(x):
        row, column = np.argwhere(~np.isfinite(np.asarray(x)))[0]
        raise ValueError(
            f"{what}: x[{row}, {column}] is {float(x[row, column])}; every value must be finite in "
            f"{config.dtype}. Fill in or leave out such rows first."
        )
    y = np.asarray(_plain(data[1]))
    if y.ndim == 0 or len(y) != len(x):
        got = "no rows" if y.ndim == 0 else f"{len(y)} rows"
        raise ValueError(f"{what}: x has {len(x)} rows, but y has {got}; pass one target a row.")
    check_target_values(loss, config.layer_sizes[-1], y)
    weight = _check_weight(sample_weight, len(x), x.dtype)
    dtype = np.int32 if y.dtype.kind in "iub" and _takes_labels(loss, y, config) else config.dtype
    spread = target_spread(loss, y, None if weight is None else np.asarray(weight))
    return TrainData(
        to_device(x),
        to_device(y.astype(dtype)),
        weight,
        None,
        np.int32(len(x)),
        to_device(spread.astype(wide_dtype(x.dtype))),
    )


def to_device(array: Any) -> jax.Array:
    """Put an array of the right dtype on the device; `jnp.asarray` compiles for each shape."""
    return jax.device_put(array)


def all_finite(array: Any) -> bool:
    """Whether all is finite; asked on the host if it is there, where no shape is compiled for."""
    if isinstance(array, jax.Array) and not _on_host(array):
        return bool(jnp.all(jnp.isfinite(array)))
    values = np.asarray(array)
    with np.errstate(over="ignore", invalid="ignore"):  # a sum is four times as fast as isfinite
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def all_positive(weight: Any) -> bool:
    """Whether no row is left out by a weight of 0."""
    return weight is None or bool((np.asarray(weight) > 0).all())


def _on_host(array: jax.Array) -> bool:
    return all(device.platform == "cpu" for device in array.devices())


def _cast(x: Any, dtype: Any) -> Any:
    """Change the dtype on the host if the array is there: on the device each shape compiles."""
    if isinstance(x, jax.Array) and (x.dtype == jnp.dtype(dtype) or not _on_host(x)):
        return x.astype(dtype)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return np.asarray(x).astype(dtype, copy=False)


def _takes_labels(loss: Loss, y: np.ndarray, config: NetworkConfig) -> bool:
    """Whether integers are class indices for this loss, rather than numbers."""
    return loss.task == "classification" and y.ndim == 1 and config.layer_sizes[-1] > 1


def _plain(value: Any) -> Any:
    """An array as it is; a DataFrame or a list as a numpy array."""
    return value if isinstance(value, jax.Array | np.ndarray) else np.asarray(value)


def _check_weight(value: Any, n_rows: int, dtype: Any) -> jax.Array | None:
    if value is None:
        return None
    weight = np.asarray(value, np.float64)
    if weight.shape != (n_rows,):
        raise ValueError(
            f"sample_weight has shape {weight.shape}, but must be ({n_rows},), one weight a row."
        )
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ValueError(
            "sample_weight must be finite, not negative, and not all zero; 0 leaves a row out."
        )
    return to_device(in_scale(weight).astype(wide_dtype(dtype)))


def in_scale(weight: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Bring weights that float32 or its sums cannot hold near 1; only their ratios count.

    >>> in_scale(np.array([2e-40, 1e-40])) / in_scale(np.array([2e-40, 1e-40])).max()
    array([1. , 0.5])
    >>> in_scale(np.array([3.0, 4.0]))
    array([3., 4.])
    """
    exponent = int(np.frexp(weight.max())[1])
    # By a power of 2, so that no digit changes; and as they are where that does no harm.
    return weight if abs(exponent) <= _LARGEST_EXPONENT else np.ldexp(weight, -exponent)
