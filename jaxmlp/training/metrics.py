"""Loss and accuracy, or RMSE and R2: sums over batches, and what they come to."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.losses import LOSSES, Loss
from jaxmlp.types import ScalarLike

METRICS = {"classification": ("loss", "accuracy"), "regression": ("loss", "rmse", "r2")}
HIGHER_IS_BETTER = ("accuracy", "r2")


class MetricSums(NamedTuple):
    """What a pass over the data adds up, so that any number of batches gives the same metrics.

    One sum for each place in the batch, until `total` adds these up: a training step is then seven
    small kernels shorter than if it added up its batch (3% of a sweep of 64-128-10).

    Attributes:
        weight: sums of the sample weights, (batch,).
        loss: weighted sums of the losses, (batch,).
        score: weighted numbers of right predictions, (batch, 1); or squared errors,
            (batch, n_out).
    """

    weight: Float[Array, " *batch"]
    loss: Float[Array, " *batch"]
    score: Float[Array, "*batch n_out"]


def zero_sums(loss: Loss, batch_size: int, n_out: int, dtype: Any) -> MetricSums:
    """Return the sums over no data."""
    n_scores = 1 if loss.task == "classification" else n_out
    zeros = jnp.zeros((batch_size,), dtype)
    return MetricSums(zeros, zeros, jnp.zeros((batch_size, n_scores), dtype))


def total(sums: MetricSums) -> MetricSums:
    """Add up the places of the batch: scalars, and scores (n_out,)."""
    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), sums)


def metric_sums(
    loss: Loss,
    outputs: Float[Array, "batch n_out"],
    targets: Array,
    weight: Float[Array, " batch"],
    loss_options: Mapping[str, ScalarLike],
) -> MetricSums:
    """Return weight, loss and score of each example of one batch.

    Args:
        loss: the loss; its task says whether hits or squared errors are counted.
        outputs: logits, (batch, n_out).
        targets: as the loss takes them.
        weight: sample weights, (batch,); 0 leaves a row out.
        loss_options: of the loss, by name.

    Returns:
        The sums over one example each.
    """
    values, _ = loss.value_and_grad(outputs, targets, **loss_options)
    values = values.astype(weight.dtype)
    if loss.task == "classification":
        score = _hits(loss, outputs, targets).astype(weight.dtype)[:, None]
    else:
        targets = targets.reshape(outputs.shape).astype(weight.dtype)
        score = (loss.link(outputs).astype(weight.dtype) - targets) ** 2
    return MetricSums(weight, weight * values, weight[:, None] * score)


def finish(
    loss: Loss, sums: MetricSums, spread: Float[Array, " n_out"]
) -> Float[Array, " metrics"]:
    """Turn sums into metrics, in the order of `METRICS[loss.task]`.

    accuracy = hits / weight;  rmse = sqrt(squared errors / weight / n_out);
    r2 = mean over outputs of 1 - (squared errors / weight) / variance of the targets.

    Args:
        loss: the loss.
        sums: from `total`.
        spread: variance of each target, (n_out,); unused in classification.

    Returns:
        The metrics, NaN where the weights sum to 0.
    """
    mean_loss = sums.loss / sums.weight
    if loss.task == "classification":
        return jnp.stack([mean_loss, sums.score[0] / sums.weight])
    mse = sums.score / sums.weight
    return jnp.stack([mean_loss, jnp.sqrt(jnp.mean(mse)), 1 - jnp.mean(mse / spread)])


def target_spread(loss: Loss, targets: Any, weight: Any = None) -> np.ndarray:
    """Return the variance of each target, (n_out,), as R2 needs it; (1,) ones in classification.

    A constant target's variance is 0; R2 is then 1 for a perfect prediction and -inf or NaN
    otherwise.
    """
    if loss.task == "classification":
        return np.ones(1)
    targets = np.asarray(targets, np.float64).reshape(len(targets), -1)
    mean = np.average(targets, axis=0, weights=weight)
    return np.average((targets - mean) ** 2, axis=0, weights=weight)


def add_sums(a: MetricSums, b: MetricSums) -> MetricSums:
    """Add up two batches."""
    return jax.tree.map(jnp.add, a, b)


def _hits(loss: Loss, outputs: Float[Array, "batch n_out"], targets: Array) -> Array:
    """Share of right labels of each row: argmax, or thresholds where each output is a question."""
    if targets.ndim == 1 and outputs.shape[1] > 1:
        return _is_argmax(outputs, targets.astype(jnp.int32))
    targets = targets.reshape(outputs.shape)
    if loss.link is LOSSES["softmax_cross_entropy"].link:
        return _is_argmax(outputs, jnp.argmax(targets, axis=1).astype(jnp.int32))
    return jnp.mean((outputs > 0) == (targets > 0.5), axis=1)


def _is_argmax(outputs: Float[Array, "batch n_out"], labels: Array) -> Array:
    """argmax(outputs) == labels, the first of equals winning; without argmax's slow loop on CPU."""
    n_out = outputs.shape[1]
    column = jnp.arange(n_out, dtype=jnp.int32)[None, :]
    top = outputs == jnp.max(outputs, axis=1, keepdims=True)
    return jnp.min(jnp.where(top, column, jnp.int32(n_out)), axis=1) == labels
