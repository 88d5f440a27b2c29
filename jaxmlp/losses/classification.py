"""Losses of predictions that are classes, each with its gradient by hand.

The link (softmax, sigmoid) is fused into the loss: log(softmax(o)) computed in two steps would
overflow or lose its digits. `jax.grad` of the values is an independent check of the gradient.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmlp.losses.base import Logits, Targets, ValuesAndGrad, named_options
from jaxmlp.losses.targets import at_least_float32, check_option, class_targets, real_targets
from jaxmlp.types import ScalarLike


@named_options
def softmax_cross_entropy(
    logits: Logits,
    targets: Int[Array, " batch"] | Float[Array, "batch n_out"],
    *,
    label_smoothing: ScalarLike = 0.0,
) -> ValuesAndGrad:
    """l = -sum_k q_k log p_k,  dl/do = p sum(q) - q,  p = softmax(o).

    q is 1 at the label and 0 elsewhere, or the soft label itself; smoothing by e makes it
    (1 - e) q + e / n_out.

    Args:
        logits: o, (batch, n_out), n_out >= 2.
        targets: labels 0 to n_out - 1, integers (batch,); or soft labels (batch, n_out), >= 0,
            of sum 1. A label outside 0..n_out-1 has q = 0: no loss and no gradient, as if its
            weight were 0 (`check_target_values` finds such labels before training does).
        label_smoothing: e in [0, 1); may be traced.

    Returns:
        Values (batch,), in nats, and gradient (batch, n_out).

    Raises:
        ValueError: if the shapes do not fit, n_out is 1, or label_smoothing is outside [0, 1).
        TypeError: for labels (batch,) that are not integers.

    Example:
        >>> values, d_logits = softmax_cross_entropy(jnp.array([[1e4, 0.0]]), jnp.array([1]))
        >>> values.tolist(), d_logits.tolist()
        ([10000.0], [[1.0, -1.0]])

    Reference: Bridle, 1990; Szegedy et al., 2016 (label smoothing).
    """
    o, q = class_targets("softmax_cross_entropy", logits, targets)
    e = check_option("label_smoothing", label_smoothing, o.dtype)
    mass = jnp.sum(q, axis=1, keepdims=True)
    q = (1 - e) * q + e / o.shape[1] * mass
    log_p = _log_softmax(o)
    return -jnp.sum(q * log_p, axis=1), jnp.exp(log_p) * mass - q


@named_options
def sigmoid_binary_cross_entropy(
    logits: Logits, targets: Targets, *, label_smoothing: ScalarLike = 0.0
) -> ValuesAndGrad:
    """l = -sum_k (y_k log p_k + (1 - y_k) log(1 - p_k)),  dl/do = p - y,  p = sigmoid(o).

    Computed with s = sigmoid(-|o|), so that neither 1 - p nor p - y cancels; smoothing by e makes
    y (1 - e) y + e / 2.

    Args:
        logits: o, (batch, n_out); several outputs are several independent labels.
        targets: y in [0, 1], (batch, n_out), or (batch,) if n_out is 1; any dtype.
        label_smoothing: e in [0, 1); may be traced.

    Returns:
        Values (batch,), in nats, and gradient (batch, n_out).

    Raises:
        ValueError: if the shapes do not fit, or label_smoothing is outside [0, 1).

    Example:
        >>> values, d_logits = sigmoid_binary_cross_entropy(jnp.array([[-1e4]]), jnp.array([1]))
        >>> values.tolist(), d_logits.tolist()
        ([10000.0], [[-1.0]])

    Reference: Cox, 1958 (logistic regression).
    """
    o, y = real_targets("sigmoid_binary_cross_entropy", logits, targets)
    e = check_option("label_smoothing", label_smoothing, o.dtype)
    y = (1 - e) * y + 0.5 * e
    odds = jnp.exp(jnp.where(o > 0, -o, o))  # exp(-|o|), with a derivative at 0
    s = odds / (1 + odds)
    values = jnp.where(o > 0, (1 - y) * o, -y * o) + jnp.log1p(odds)
    return jnp.sum(values, axis=1), jnp.where(o > 0, (1 - y) - s, s - y)


def _log_softmax(o: Logits) -> Logits:
    shifted = o - jax.lax.stop_gradient(jnp.max(o, axis=1, keepdims=True))
    return shifted - jnp.log(jnp.sum(jnp.exp(shifted), axis=1, keepdims=True))


def softmax_link(logits: Logits) -> Float[Array, "batch n_out"]:
    """Turn logits into class probabilities, (batch, n_out), rows summing to 1."""
    return jnp.exp(_log_softmax(at_least_float32(logits)))


def sigmoid_link(logits: Logits) -> Float[Array, "batch n_out"]:
    """Turn logits into the probability of each label, (batch, n_out)."""
    return jax.lax.logistic(at_least_float32(logits))
