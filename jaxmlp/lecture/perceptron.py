"""One neuron: the McCulloch-Pitts threshold unit, and Rosenblatt's rule that teaches it.

A unit answers 1 on one side of the hyperplane w x + b = 0 and 0 on the other, so it can be AND, OR
and NOT, but not XOR: no line has (0, 1) and (1, 0) on one side and (0, 0) and (1, 1) on the other.
"""

from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmlp.checks import as_array, check_rows
from jaxmlp.types import Scalar, ScalarLike

_Unit: TypeAlias = tuple[Array, Array]
"""Weights and bias."""


def threshold_unit(
    w: Float[Array, " n_in"], b: ScalarLike, x: Float[Array, "*batch n_in"]
) -> Float[Array, "*batch"]:
    """Fire if the weighted sum of the inputs exceeds the threshold: 1 if w x + b > 0, else 0.

    Args:
        w: weights, (n_in,).
        b: bias, the negative of the threshold.
        x: inputs, (..., n_in).

    Returns:
        0.0 or 1.0 for each input, (...).

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> threshold_unit(jnp.array([1.0, 1.0]), -1.5, x).tolist()  # AND
        [0.0, 0.0, 0.0, 1.0]
        >>> threshold_unit(jnp.array([1.0, 1.0]), -0.5, x).tolist()  # OR
        [0.0, 1.0, 1.0, 1.0]
        >>> threshold_unit(jnp.array([-1.0]), 0.5, jnp.array([[0.0], [1.0]])).tolist()  # NOT
        [1.0, 0.0]

    Reference: lecture, chapter II; McCulloch & Pitts, 1943.
    """
    w, x = as_array("w", w), _as_float("x", x)
    dtype = x.dtype
    if w.ndim != 1 or x.ndim == 0 or x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"w has shape {w.shape} and x has shape {x.shape}, but they must be (n_in,) and "
            "(..., n_in): one weight for each input."
        )
    return (_net_input(w.astype(dtype), jnp.asarray(b, dtype), x) > 0).astype(dtype)


class PerceptronResult(NamedTuple):
    """What `fit_perceptron` found.

    Attributes:
        w: weights after the last epoch, (n_in,).
        b: bias after the last epoch, ().
        mistakes: examples on the wrong side (or on the line) as their turn came, one number an
            epoch, (epochs,); the rule stands still once it is 0.
        path: (w, b) after each epoch, (epochs, n_in + 1).
        converged: whether the last epoch made no mistake: the examples are linearly separable,
            and w, b separate them.
        period: if the last (w, b) also ended an earlier epoch, how many epochs ago, else 0. The
            rule is deterministic: with a period and mistakes it goes round for ever, and since
            it would converge on separable examples, these are not.
    """

    w: Float[Array, " n_in"]
    b: Scalar
    mistakes: Int[Array, " epochs"]
    path: Float[Array, "epochs n_weights"]
    converged: Bool[Array, ""]
    period: Int[Array, ""]


def fit_perceptron(
    x: Float[Array, "batch n_in"],
    y: Int[Array, " batch"],
    *,
    learning_rate: ScalarLike = 1.0,
    epochs: int = 100,
) -> PerceptronResult:
    """Learn a threshold unit by Rosenblatt's rule, one example after another.

    For each example that lies on the wrong side, or on the line:
        w <- w + learning_rate (2 y - 1) x,   b <- b + learning_rate (2 y - 1),   from w = 0, b = 0.

    If some unit vector (w*, b*) has every (x, 1) at least gamma on its right side, and none of them
    is longer than R, the rule makes at most (R / gamma)^2 mistakes in all, in any order (Novikoff).
    If none has, it never ends, but its weights stay bounded (Block & Levin): with whole-numbered
    inputs it must then repeat itself, which `period` shows.

    Args:
        x: examples in rows, (batch, n_in); taken in this order in every epoch.
        y: 0 or 1, (batch,).
        learning_rate: > 0; from w = 0 it scales w and b, no more.
        epochs: passes over the examples; static under `jax.jit`.

    Returns:
        Weights, bias, mistakes in each epoch, the path, and whether it converged or cycles.

    Raises:
        ValueError: if shapes do not fit, labels are not 0 and 1, or epochs is below 1.

    Example:
        >>> x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> result = fit_perceptron(x, jnp.array([0, 0, 0, 1]))
        >>> bool(result.converged), threshold_unit(result.w, result.b, x).tolist()
        (True, [0.0, 0.0, 0.0, 1.0])
        >>> xor = fit_perceptron(x, jnp.array([0, 1, 1, 0]))
        >>> bool(xor.converged), int(xor.period)
        (False, 1)

    Differences: sklearn.linear_model.Perceptron(shuffle=False, tol=None, max_iter=epochs) takes
        the same steps.

    Reference: lecture, chapters I and II; Rosenblatt, 1958; Novikoff, 1962; Minsky & Papert, 1969;
        Block & Levin, 1970.
    """
    x = _as_float("x", x)
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}, but must be (batch, n_in): one row an example.")
    y = check_rows("y", y, x.shape[:1])
    if not isinstance(y, jax.core.Tracer) and not np.isin(np.asarray(y), (0, 1)).all():
        raise ValueError(
            "y has labels other than 0 and 1. For two classes pass (y == positive_class)."
        )
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs is {epochs!r}; give a whole number >= 1.")
    sign, rate = 2 * y.astype(x.dtype) - 1, jnp.asarray(learning_rate, x.dtype)
    result: PerceptronResult = _fit(x, sign, rate, epochs)
    return result


@partial(jax.jit, static_argnames="epochs")
def _fit(x: Array, sign: Array, learning_rate: Array, epochs: int) -> PerceptronResult:
    def visit(unit: _Unit, example: tuple[Array, Array]) -> tuple[_Unit, Array]:
        (w, b), (x, sign) = unit, example
        mistake = sign * _net_input(w, b, x) <= 0
        step = jnp.where(mistake, learning_rate * sign, 0.0)
        return (w + step * x, b + step), mistake

    def epoch(unit: _Unit, _: None) -> tuple[_Unit, tuple[Array, Array]]:
        unit, mistaken = jax.lax.scan(visit, unit, (x, sign))
        return unit, (jnp.sum(mistaken), jnp.append(*unit))

    start = (jnp.zeros(x.shape[1], x.dtype), jnp.zeros((), x.dtype))
    (w, b), (mistakes, path) = jax.lax.scan(epoch, start, None, length=epochs)
    converged = mistakes[-1] == 0
    return PerceptronResult(w, b, mistakes, path, converged, _period(path, converged))


def _as_float(name: str, value: object) -> Array:
    """Binary inputs are often whole numbers or booleans."""
    array = as_array(name, value)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


def _net_input(w: Array, b: Array, x: Array) -> Array:
    return x @ w + b


def _period(path: Float[Array, "epochs n_weights"], converged: Array) -> Int[Array, ""]:
    """Epochs since the last weights were met before; 0 if never, or once nothing moves."""
    last = len(path) - 1
    met = jnp.all(path[:-1] == path[-1:], axis=1)
    ago = jnp.where(met, last - jnp.arange(last), 0)
    latest = jnp.min(ago, where=met, initial=last + 1)
    return jnp.where(converged | ~jnp.any(met), 0, latest)
