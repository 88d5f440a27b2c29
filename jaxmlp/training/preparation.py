"""What `fit` and `evaluate` are given, checked on the host and put on the device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import check_dtype_available, check_features, check_params, unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, check_target_values
from jaxmlp.training.batches import TrainData
from jaxmlp.training.metrics import target_spread
from jaxmlp.training.program import Settings
from jaxmlp.training.stopping import EarlyStopping
from jaxmlp.types import wide_dtype


def prepare_data(
    config: MLPConfig, loss: Loss, data: Any, sample_weight: Any = None, what: str = "data"
) -> TrainData:
    """Check examples and put them on the device in the network's dtype.

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
    x = check_features(config.layer_sizes, _plain(data[0])).astype(config.dtype)
    if not _all_finite(x):
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
    wide = wide_dtype(x.dtype)
    return TrainData(
        x, jnp.asarray(y, dtype), weight, None, np.int32(len(x)), jnp.asarray(spread, wide)
    )


def _all_finite(array: jax.Array) -> bool:
    """Whether all is finite; asked on the host if it is there, where no shape is compiled for."""
    if any(device.platform != "cpu" for device in array.devices()):
        return bool(jnp.all(jnp.isfinite(array)))
    values = np.asarray(array)
    with np.errstate(over="ignore", invalid="ignore"):  # a sum is four times as fast as isfinite
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def _takes_labels(loss: Loss, y: np.ndarray, config: MLPConfig) -> bool:
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
    return jnp.asarray(weight, wide_dtype(dtype))


def check_batch_size(
    config: MLPConfig, batch_size: int | None, n_rows: int, frozen: tuple[int, ...]
) -> int:
    """Return the rows a step, at most all of them; refuse a last batch of one row where it hurts.

    >>> check_batch_size(MLPConfig((2, 3, 1)), 64, 10, ())
    10
    """
    if batch_size is None:
        batch_size = n_rows
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise TypeError(f"batch_size is {batch_size!r}; give a whole number, or None for all rows.")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give at least 1, or None for all rows.")
    size = min(int(batch_size), n_rows)
    needs_two = any(norm and l not in frozen for l, norm in enumerate(config.normalized))
    if needs_two and (size == 1 or n_rows % size == 1):
        fitting = [s for s in range(2, n_rows + 1) if n_rows % s != 1]
        if not fitting:
            raise ValueError("batch normalization needs at least 2 examples, but there is 1.")
        nearest = min(fitting, key=lambda s: abs(s - size))
        raise ValueError(
            f"with {n_rows} examples and batch_size={batch_size}, a batch has a single row, which "
            f"batch normalization cannot normalize. batch_size={nearest} works."
        )
    return size


def check_params_values(config: MLPConfig, params: Any) -> None:
    """Refuse parameters of another network or dtype, or with NaN in them."""
    check_params(config.layer_sizes, config.normalized, params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = f"params{jax.tree_util.keystr(path)}"
        if leaf.dtype != jnp.dtype(config.dtype):
            raise ValueError(
                f"{name} is {leaf.dtype}, but config.dtype is {config.dtype}. Use "
                f"config.replace(dtype='{leaf.dtype}'), or initialize with this config."
            )
        if not _all_finite(leaf):
            raise ValueError(f"{name} holds NaN or infinity; start from finite parameters.")


def check_optimizer_state(expected: Any, given: Any) -> None:
    """Refuse the state of another optimizer or network."""
    shapes = [
        jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), t)
        for t in (expected, given)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "optimizer_state does not belong to this optimizer and network. Pass the "
            "result.optimizer_state of a run with the same ones, or leave it out."
        )


def prepare_settings(
    loss: Loss,
    key: Any,
    l2: Any,
    dropout_rate: Any,
    loss_options: Any,
    stopping: EarlyStopping,
) -> Settings:
    """Check the numbers of a run and bring each into one type, so that none recompiles."""
    options = dict(loss.options)
    for name, value in dict(loss_options or {}).items():
        if name not in options:
            known = list(options) or ["none"]
            raise unknown_name(f"option of the loss {loss.name!r}:", name, known)
        options[name] = value
    return Settings(
        key,
        _number("l2", l2, "0, or a small positive number such as 1e-4", low=0.0),
        _number("dropout_rate", dropout_rate, "a probability to drop in [0, 1)", 0.0, below=1.0),
        {name: _number(name, value, "a finite number") for name, value in options.items()},
        np.int32(min(stopping.patience, np.iinfo(np.int32).max)),
        np.float64(stopping.min_delta),
    )


def _number(name: str, value: Any, wanted: str, low: float = -np.inf, below: float = np.inf) -> Any:
    if isinstance(value, jax.Array):
        value = np.asarray(value)
    try:
        number = np.float64(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; give {wanted}.") from None
    if np.ndim(number) or not np.isfinite(number) or not low <= number < below:
        raise ValueError(f"{name} is {value!r}; give {wanted}.")
    return number
