"""The rows that an estimator trains on: on the host, and on the device."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array

from jaxmlp.blocks import pad_rows
from jaxmlp.losses import Loss
from jaxmlp.training.data import TrainData, bucket, to_device
from jaxmlp.training.metrics import target_spread
from jaxmlp.types import wide_dtype


class Rows(NamedTuple):
    """Examples on the host.

    Attributes:
        x: features, (n, n_in).
        y: targets as the loss takes them, (n,) or (n, n_out).
        weight: sample weights, (n,), or None.
        places: numbers of these rows in the data that several runs share, (n,), or None.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None
    places: np.ndarray | None = None


def device_data(rows: Rows, loss: Loss) -> TrainData:
    """Put examples on the device, padded."""
    x, y, weight = (None if p is None else _padded(p, len(rows.x)) for p in rows[:3])
    return TrainData(x, y, weight, None, np.int32(len(rows.x)), _spread(rows, loss))


def device_features(x: np.ndarray) -> TrainData:
    """Put the features that several runs share on the device, padded; the rest is theirs."""
    return TrainData(_padded(x, len(x)), None, None, None, np.int32(len(x)), None)


def member_data(rows: Rows, loss: Loss, n_shared: int) -> TrainData:
    """Return what is a run's own beside shared features: targets, weights and its row numbers.

    Args:
        rows: the examples, and their places among the shared ones.
        loss: the loss.
        n_shared: number of shared rows, padding included.

    Returns:
        The data, without features.
    """
    assert rows.places is not None
    table = _padded(rows.places.astype(np.int32), len(rows.x))
    y, weight = (
        None if part is None else to_device(_scattered(part, rows.places, n_shared))
        for part in (rows.y, rows.weight)
    )
    return TrainData(None, y, weight, table, np.int32(len(rows.x)), _spread(rows, loss))


def _padded(part: np.ndarray, n_rows: int) -> Array:
    return to_device(pad_rows(part, bucket(n_rows)))


def _scattered(part: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    whole = np.zeros((size, *part.shape[1:]), part.dtype)
    whole[places] = part
    return whole


def _spread(rows: Rows, loss: Loss) -> Array:
    """Variance of the targets; infinite where they are constant, for R2 is 1 - 0 then.

    None of the epochs is better than another.
    """
    spread = target_spread(loss, rows.y, rows.weight)
    spread = np.where(spread > 0, spread, np.inf)
    return to_device(spread.astype(wide_dtype(rows.x.dtype)))
