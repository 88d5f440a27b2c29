"""Where digits are lost: the same forward and backward pass in several precisions."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.network import backward, forward
from jaxmlp.types import Params

_PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class _PrecisionRow:
    """One tensor of one layer in one precision, against float64.

    Attributes:
        dtype: "float32" or "bfloat16".
        layer: counted from 0.
        tensor: "outputs" (of the layer, after its activation) or "gradient of W".
        relative_error: ||a - a64|| / ||a64|| (Frobenius). For outputs, the norm below is that of
            their deviation from their mean over the batch: an offset that all examples share says
            nothing, and digits spent on it are lost.
        digits: decimal digits that are right, -log10 of that.
        lost: digits lost since the tensor it was computed from: the layer below on the way up, the
            layer above on the way down; for the first one, since its inputs were rounded.
    """

    dtype: str
    layer: int
    tensor: str
    relative_error: float
    digits: float
    lost: float


@dataclass(frozen=True)
class PrecisionReport:
    """How many digits survive, layer by layer.

    Attributes:
        rows: in the order of computing: outputs upwards, then gradients downwards, per precision.
    """

    rows: tuple[_PrecisionRow, ...]

    def worst(self, dtype: str) -> _PrecisionRow:
        """Return the row where the most digits are lost at once."""
        return max((row for row in self.rows if row.dtype == dtype), key=lambda row: row.lost)

    def __str__(self) -> str:
        """Format as a table, with the place of the largest loss below."""
        lines = [
            f"{'dtype':9} {'layer':>5}  {'tensor':14} {'rel. error':>10} {'digits':>7} {'lost':>6}"
        ]
        for r in self.rows:
            lines.append(
                f"{r.dtype:9} {r.layer:5d}  {r.tensor:14} {r.relative_error:10.1e} "
                f"{r.digits:7.1f} {r.lost:6.1f}"
            )
        for dtype in dict.fromkeys(row.dtype for row in self.rows):
            row = self.worst(dtype)
            lines.append(
                f"{dtype} loses most at layer {row.layer} ({row.tensor}): {row.lost:.1f} digits, "
                f"{row.digits:.1f} are left"
            )
        return "\n".join(lines)


def precision_report(
    config: MLPConfig,
    params: Params,
    data: tuple[Any, Any],
    loss: str | Loss,
    *,
    precisions: Iterable[str] = _PRECISIONS,
) -> PrecisionReport:
    """Compare float32 and bfloat16 with float64, layer by layer, forward and backward.

    Every precision starts from the same parameters and examples, rounded to it; errors are
    relative, so that 6e-8 (float32) or 4e-3 (bfloat16) is what rounding alone makes of a number.

    Args:
        config: the network; its dtype does not matter here, dropout is left out.
        params: its parameters, in any dtype.
        data: (x, y), a batch: (batch, n_in) and targets as the loss takes them; float64 arrays
            keep their digits as the reference.
        loss: name of a loss, or a `Loss`.
        precisions: of "float32" and "bfloat16".

    Returns:
        The report; print it.

    Raises:
        ValueError: for another precision, or data that do not fit.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((2, 8, 1), activation="tanh")
        >>> params, data = init(config, jax.random.key(0)), (np.eye(2) + 1000, np.ones(2))
        >>> report = precision_report(config, params, data, "squared_error")
        >>> [row.tensor for row in report.rows[:4]]
        ['outputs', 'outputs', 'gradient of W', 'gradient of W']

    Reference: lecture, chapter VI (rounding errors); Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, chapter 3.
    """
    loss, rows = get_loss(loss), []
    masters = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params)]
    x, y = (np.asarray(part) for part in data)
    with jax.enable_x64(True):
        exact = _tensors(config, "float64", params, masters, x, y, loss)
        for dtype in precisions:
            if dtype not in _PRECISIONS:
                raise unknown_name("precision", dtype, _PRECISIONS)
            found = _tensors(config, dtype, params, masters, x, y, loss)
            rows += _compare(dtype, found, exact)
    return PrecisionReport(tuple(rows))


_Tensors = list[tuple[int, str, np.ndarray]]


def _tensors(
    config: MLPConfig, dtype: str, params: Params, masters: list[Any], x: Any, y: Any, loss: Loss
) -> _Tensors:
    """All outputs and gradients, as float64 copies, in the order of computing."""
    config = config.replace(dtype=dtype, compute_dtype=None, dropout=False, weight_init="auto")
    leaves = [jnp.asarray(leaf, dtype) for leaf in masters]
    rounded = jax.tree.unflatten(jax.tree.structure(params), leaves)
    x = jnp.asarray(x, dtype)
    y = jnp.asarray(y, jnp.int32 if y.dtype.kind in "iub" and y.ndim == 1 else dtype)
    outputs, gradients = _pass(config, loss, rounded, x, y)
    result = [(l, "outputs", h) for l, h in enumerate(outputs)]
    result += [(l, "gradient of W", gradients[l]) for l in reversed(range(config.n_layers))]
    return [(l, tensor, np.asarray(array, np.float64)) for l, tensor, array in result]


@partial(jax.jit, static_argnums=1)
def _pass(
    config: MLPConfig, loss: Loss, params: Params, x: Any, y: Any
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Each layer's outputs and the gradient of its weights."""
    outputs, cache = forward(config, params, x)
    _, d_outputs = loss.value_and_grad(outputs, y)
    d_outputs = (d_outputs / len(x)).astype(outputs.dtype)
    grads, _ = backward(config, params, cache, d_outputs)
    return [*(kept.inputs for kept in cache[1:]), outputs], [grad.W for grad in grads]


def _compare(dtype: str, found: _Tensors, exact: _Tensors) -> list[_PrecisionRow]:
    rows: list[_PrecisionRow] = []
    unit = float(jnp.finfo(dtype).eps) / 2  # what rounding to the nearest does to one number
    before = -math.log10(unit)
    for (l, tensor, rounded), (_, _, true) in zip(found, exact, strict=True):
        telling = true - true.mean(axis=0) if tensor == "outputs" else true
        size = np.linalg.norm(telling) or np.linalg.norm(true) or 1.0
        error = float(np.linalg.norm(rounded - true) / size)
        digits = -math.log10(max(error, unit)) if math.isfinite(error) else 0.0
        rows.append(_PrecisionRow(dtype, l, tensor, error, digits, before - digits))
        before = digits
    return rows
