"""What a loss accepts: shapes, dtypes and options at trace time, values on the host."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from jaxmlp.checks import as_array
from jaxmlp.types import ScalarLike, wide_dtype

_Pair = tuple[Float[Array, "batch n_out"], Float[Array, "batch n_out"]]


def at_least_float32(logits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Cast bfloat16 and float16 up: a sum of exponentials needs the digits."""
    return logits.astype(wide_dtype(logits.dtype))


def real_targets(loss: str, logits: Float[Array, "batch n_out"], targets: Any) -> _Pair:
    """Return logits and targets of one dtype and shape; (batch,) becomes a column."""
    o = at_least_float32(_check_logits(logits))
    y = as_array("targets", targets)
    check_target_shape(loss, y, o.shape)
    return o, y.astype(o.dtype).reshape(o.shape)


def class_targets(loss: str, logits: Float[Array, "batch n_out"], targets: Any) -> _Pair:
    """Return logits and soft labels of one dtype; integer labels become one-hot rows."""
    o = at_least_float32(_check_logits(logits))
    y = as_array("targets", targets)
    check_target_shape(loss, y, o.shape)
    if y.ndim == 1:
        return o, jax.nn.one_hot(y.astype(jnp.int32), o.shape[1], dtype=o.dtype)
    return o, y.astype(o.dtype)


@dataclass(frozen=True)
class _Range:
    """Numbers x with low < x < high, or low <= x < high."""

    low: float
    high: float = math.inf
    with_low: bool = False

    def __contains__(self, number: float) -> bool:
        """Whether a number lies in the range."""
        above = self.low <= number if self.with_low else self.low < number
        return above and number < self.high

    def __str__(self) -> str:
        """Write the range as in mathematics."""
        return f"{'[' if self.with_low else '('}{self.low:g}, {self.high:g})"


OPTION_RANGES = {
    "label_smoothing": _Range(0.0, 1.0, with_low=True),
    "delta": _Range(0.0),
    "quantile": _Range(0.0, 1.0),
}
"""Where each option of the built-in losses has a meaning."""


def check_range(name: str, value: Any) -> None:
    """Refuse an option's value outside its range."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {value!r:.60}, but must be a number.") from error
    if number not in OPTION_RANGES[name]:
        raise ValueError(f"{name} is {number:g}, but must lie in {OPTION_RANGES[name]}.")


def check_option(name: str, value: ScalarLike, dtype: Any) -> Float[Array, ""]:
    """Cast an option to the logits' dtype; check its range unless it is traced."""
    if jnp.shape(value) != ():
        raise ValueError(
            f"{name} has shape {jnp.shape(value)}, but is one number for the whole batch; "
            "jax.vmap maps over several."
        )
    if not isinstance(value, jax.core.Tracer):
        check_range(name, value)
    return as_array(name, value).astype(dtype)


def check_target_shape(loss: str, targets: Num[Any, "..."], shape: tuple[int, ...]) -> None:
    """Refuse targets whose shape or dtype the loss cannot take, for logits of this shape."""
    batch, n_out = shape
    by_class = loss == "softmax_cross_entropy"
    if by_class and n_out == 1:
        raise ValueError(
            "softmax_cross_entropy over 1 output is always 0. Use sigmoid_binary_cross_entropy, "
            "or one output for each class."
        )
    accepted: list[tuple[int, ...]] = [(batch, n_out)]
    if by_class or n_out == 1:
        accepted.append((batch,))
    if targets.shape not in accepted:
        expected = " or ".join(str(s) for s in accepted)
        raise ValueError(
            f"targets has shape {targets.shape}, but {loss} on logits of shape {shape} takes "
            f"{expected}. {_shape_fix(by_class, targets.shape, shape)}"
        )
    if by_class and targets.ndim == 1 and jnp.issubdtype(targets.dtype, jnp.floating):
        raise TypeError(
            f"targets are {targets.dtype} of shape {targets.shape}, but class labels are integers. "
            f"Pass y.astype(int), or soft labels of shape {shape}."
        )


def _shape_fix(by_class: bool, got: tuple[int, ...], shape: tuple[int, ...]) -> str:
    batch, n_out = shape
    if not got or got[0] != batch:
        return "Pass one target for each row of x."
    if by_class and got == (batch, 1):
        return "Pass y[:, 0]."
    if got == (batch,):
        return f"For labels of {n_out} classes use softmax_cross_entropy."
    if len(got) == 2:
        return f"Pass {n_out} columns, or set the last of layer_sizes to {got[1]}."
    return f"Flatten each target, as in y.reshape(len(y), {n_out})."


def _check_logits(logits: Any) -> Float[Array, "batch n_out"]:
    o = as_array("logits", logits)
    if o.ndim != 2 or not jnp.issubdtype(o.dtype, jnp.floating):
        raise ValueError(
            f"logits are {o.dtype} of shape {o.shape}, but must be floating-point numbers of shape "
            "(batch, n_out), as jaxmlp.predict returns them."
        )
    return o


def numeric_targets(targets: Any) -> Num[np.ndarray, "..."]:
    """Return the targets as a numpy array, refusing names and objects."""
    y = np.asarray(targets)
    if not (jnp.issubdtype(y.dtype, jnp.floating) or y.dtype.kind in "biu"):
        raise TypeError(
            f"targets holds {y.dtype} values, not numbers. Encode names as integers, as in "
            "classes, y = np.unique(y, return_inverse=True)."
        )
    return y


def check_finite(targets: Num[np.ndarray, "..."]) -> None:
    """Refuse NaN and infinity."""
    _refuse(~np.isfinite(targets), targets, "a value that is not finite", "Drop such rows.")


def _check_labels(targets: Num[np.ndarray, "..."], n_out: int) -> None:
    if targets.ndim == 1:
        wrong = (targets < 0) | (targets >= n_out)
        what = f"a label outside 0..{n_out - 1}, the classes of {n_out} outputs"
        _refuse(
            wrong,
            targets,
            what,
            "Count classes from 0, as np.unique(y, return_inverse=True)[1] does, or set the last "
            "of layer_sizes to the number of classes.",
        )
        return
    _refuse(targets < 0, targets, "a soft label below 0", "Pass probabilities.")
    total = targets.sum(axis=1, dtype=np.float64)
    wrong = abs(total - 1) > 1e-3  # what rounding to bfloat16 does
    fix = "Divide them by y.sum(axis=1, keepdims=True); for several labels at once use "
    fix += "sigmoid_binary_cross_entropy."
    _refuse(wrong, total, "soft labels that do not sum to 1", fix)


def _check_binary(targets: Num[np.ndarray, "..."], n_out: int) -> None:
    del n_out
    fix = "(y > 0).astype(int) turns -1 and 1 into 0 and 1."
    _refuse((targets < 0) | (targets > 1), targets, "a value outside [0, 1]", fix)


def _check_counts(targets: Num[np.ndarray, "..."], n_out: int) -> None:
    del n_out
    fix = "Counts are 0 or more; targets of both signs go with squared_error."
    _refuse(targets < 0, targets, "a count below 0", fix)


def _refuse(wrong: Bool[np.ndarray, "..."], values: np.ndarray, what: str, fix: str) -> None:
    if wrong.any():
        row, *rest = (int(i) for i in np.argwhere(wrong)[0])
        value = values[(row, *rest)]
        where = f"row {row}, column {rest[0]}" if rest else f"row {row}"
        raise ValueError(f"targets has {what}: {value:g} at {where}. {fix}")


VALUE_CHECKS: dict[str, Callable[[Num[np.ndarray, "..."], int], None]] = {
    "softmax_cross_entropy": _check_labels,
    "sigmoid_binary_cross_entropy": _check_binary,
    "poisson": _check_counts,
}
"""What each loss asks of its targets beyond being finite; on the host."""
