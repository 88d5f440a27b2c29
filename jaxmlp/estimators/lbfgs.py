"""`solver="lbfgs"`: scipy's L-BFGS-B on the hand-written gradient, in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from jaxmlp.blocks import pad_rows
from jaxmlp.config import MLPConfig
from jaxmlp.estimators.rows import Rows
from jaxmlp.losses import Loss
from jaxmlp.network import value_and_grad
from jaxmlp.training.data import bucket, to_device
from jaxmlp.types import Params


def minimize(
    config: MLPConfig,
    loss: Loss,
    params: Params,
    rows: Rows,
    *,
    l2: float,
    loss_options: dict[str, float],
    frozen: tuple[int, ...],
    max_iter: int,
    max_fun: int,
    tol: float,
    listener: Callable[[int, float, Params], bool] | None,
) -> tuple[Params, Any]:
    """Minimize J = sum_i w_i l_i / sum_i w_i + l2 / (2 sum_i w_i) sum W^2 over all parameters.

    Float64 throughout, whatever the network's dtype: in float32 the line search stops early, since
    neighbouring values of J cannot be told apart.

    Args:
        config: the network.
        loss: the loss.
        params: where to start, (n_in, n_out) and (n_out,) a layer.
        rows: all training examples.
        l2: weight of the penalty.
        loss_options: of the loss.
        frozen: layers that do not train.
        max_iter: most iterations.
        max_fun: most evaluations of J.
        tol: stop where no entry of the gradient is larger.
        listener: called with (iteration from 1, J, parameters); True stops the run.

    Returns:
        The parameters, in config.dtype, and scipy's result (`fun`, `nit`, `status`, `message`).

    Reference: Liu & Nocedal, 1989; Byrd et al., 1995 (L-BFGS-B).
    """
    from scipy.optimize import minimize as scipy_minimize

    with jax.enable_x64(True):
        wide = config.replace(dtype="float64")
        size = bucket(len(rows.x))
        weight = np.ones(len(rows.x)) if rows.weight is None else rows.weight
        padded = (pad_rows(rows.x, size), pad_rows(rows.y, size), np.zeros(size))
        padded[2][: len(weight)] = weight  # padding counts for nothing
        data = [to_device(_wide(array)) for array in padded]
        flat, unravel = ravel_pytree(jax.tree.map(_wide, params))
        share = np.float64(l2 / weight.sum())
        numbers = {name: np.float64(value) for name, value in loss_options.items()}

        def fun(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = _value_and_grad(
                wide, loss, frozen, unravel(jnp.asarray(theta)), *data, share, numbers
            )
            return float(value), np.asarray(gradient, np.float64)

        report = None if listener is None else _Reporter(listener, unravel)
        result = scipy_minimize(
            fun, np.asarray(flat), jac=True, method="L-BFGS-B", callback=report,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
        )  # fmt: skip
        best = jax.device_get(unravel(jnp.asarray(result.x)))
    dtype = np.dtype(config.dtype)
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), best), result


@partial(jax.jit, static_argnames=("loss", "frozen"))
def _value_and_grad(
    config: MLPConfig,
    loss: Loss,
    frozen: tuple[int, ...],
    params: Params,
    x: Array,
    y: Array,
    weight: Array,
    l2: Any,
    loss_options: dict[str, Any],
) -> tuple[Array, Array]:
    gradient = value_and_grad(config, loss, frozen=frozen)
    value, grads = gradient(params, x, y, l2=l2, sample_weight=weight, loss_options=loss_options)
    return value, ravel_pytree(grads)[0]


class _Reporter:
    """Tell a listener about each iteration; scipy stops on StopIteration."""

    def __init__(self, listener: Callable[[int, float, Params], bool], unravel: Any) -> None:
        self.listener, self.unravel, self.iteration = listener, unravel, 0

    def __call__(self, intermediate_result: Any) -> None:
        self.iteration += 1
        params = jax.device_get(self.unravel(jnp.asarray(intermediate_result.x)))
        if self.listener(self.iteration, float(intermediate_result.fun), params):
            raise StopIteration


def _wide(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
