"""Batch normalization and dropout, each forward pass beside its hand-written backward pass."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.checks import check_rows
from jaxmlp.config import MLPConfig
from jaxmlp.hashing import random_bits
from jaxmlp.types import Cache, Key, NormCache, NormState, ScalarLike, State, wide_dtype


def init_state(config: MLPConfig) -> State:
    """Return the running statistics before any training: mean 0, variance 1.

    Args:
        config: the network.

    Returns:
        `()` without batch normalization, else one entry a layer.

    Example:
        >>> init_state(MLPConfig((2, 3, 1)))
        ()
        >>> init_state(MLPConfig((2, 3, 1), batch_norm=True))[0].var.tolist()
        [1.0, 1.0, 1.0]

    Reference: lecture, chapter VI.
    """
    if not any(config.normalized):
        return ()
    dtype = wide_dtype(config.dtype)
    return tuple(
        NormState(jnp.zeros((size,), dtype), jnp.ones((size,), dtype)) if norm else None
        for size, norm in zip(config.layer_sizes[1:], config.normalized, strict=True)
    )


def batch_norm_forward(
    z: Float[Array, "batch n_out"],
    gamma: Float[Array, " n_out"],
    beta: Float[Array, " n_out"],
    weight: Float[Array, " batch"],
    eps: float,
) -> tuple[Float[Array, "batch n_out"], NormCache]:
    """Normalize each unit over the batch, then scale and shift.

    mean = sum_i p_i z_i,  var = sum_i p_i (z_i - mean)^2  (biased, as everyone normalizes),
    x_hat = (z - mean) / sqrt(var + eps),  output = gamma x_hat + beta.

    Args:
        z: pre-activations, (batch, n_out).
        gamma: scale, (n_out,).
        beta: shift, (n_out,).
        weight: each row's share p_i, (batch,), summing to 1; a padded row has share 0 and leaves
            the statistics as if it were absent.
        eps: added to the variance, in units of z^2.

    Returns:
        The normalized values, (batch, n_out), and the cache for `batch_norm_backward`, which
        also holds the batch's statistics.

    Example:
        >>> z = jnp.array([[1.0], [3.0]])
        >>> y, cache = batch_norm_forward(z, jnp.ones(1), jnp.zeros(1), jnp.full(2, 0.5), 0.0)
        >>> y.tolist(), cache.statistics.mean.tolist(), cache.statistics.var.tolist()
        ([[-1.0], [1.0]], [2.0], [1.0])

    Reference: Ioffe & Szegedy, 2015, arXiv 1502.03167, algorithm 1; lecture, chapter VI.
    """
    wide = wide_dtype(z.dtype)  # bfloat16 has too few digits for a variance
    share = weight.astype(wide)[:, None]
    z_wide = z.astype(wide)
    mean = jnp.sum(share * z_wide, axis=0)
    centred = z_wide - mean[None, :]
    var = jnp.sum(share * centred**2, axis=0)
    inv_std = jax.lax.rsqrt(var + eps)
    x_hat = (centred * inv_std[None, :]).astype(z.dtype)
    cache = NormCache(x_hat, inv_std, weight, NormState(mean, var))
    return gamma[None, :] * x_hat + beta[None, :], cache


def batch_norm_inference(
    z: Float[Array, "batch n_out"],
    gamma: Float[Array, " n_out"],
    beta: Float[Array, " n_out"],
    state: NormState,
    eps: float,
) -> tuple[Float[Array, "batch n_out"], NormCache]:
    """Normalize with the running statistics: at prediction, and in frozen layers.

    output = gamma (z - mean) / sqrt(var + eps) + beta, with mean and var constants.

    Args:
        z: pre-activations, (batch, n_out).
        gamma: scale, (n_out,).
        beta: shift, (n_out,).
        state: running mean and variance, (n_out,) each.
        eps: added to the variance.

    Returns:
        The normalized values, (batch, n_out), and a cache whose statistics are those of `state`.

    Example:
        >>> state = NormState(mean=jnp.array([1.0]), var=jnp.array([4.0]))
        >>> y, _ = batch_norm_inference(jnp.array([[5.0]]), jnp.ones(1), jnp.zeros(1), state, 0.0)
        >>> y.tolist()
        [[2.0]]

    Reference: Ioffe & Szegedy, 2015, arXiv 1502.03167, algorithm 2.
    """
    inv_std = jax.lax.rsqrt(state.var + eps)
    wide_x_hat = (z.astype(inv_std.dtype) - state.mean[None, :]) * inv_std[None, :]
    x_hat = wide_x_hat.astype(z.dtype)
    return gamma[None, :] * x_hat + beta[None, :], NormCache(x_hat, inv_std, None, state)


def batch_norm_backward(
    cache: NormCache, gamma: Float[Array, " n_out"], d_y: Float[Array, "batch n_out"]
) -> tuple[Float[Array, "batch n_out"], Float[Array, " n_out"], Float[Array, " n_out"]]:
    """Carry a gradient back through the scale, the shift, and both batch statistics.

    With g = d_y gamma and shares p_i,
    d_z_i = (g_i - p_i sum_j g_j - p_i x_hat_i sum_j g_j x_hat_j) / std;
    the two subtracted terms are the ways through the mean and through the variance, and are
    absent where the statistics were constants.

    Args:
        cache: from the forward pass.
        gamma: scale, (n_out,).
        d_y: gradient of the objective with respect to the layer's output, (batch, n_out).

    Returns:
        The gradients with respect to z (batch, n_out), gamma (n_out,) and beta (n_out,).

    Example:
        >>> z, ones = jnp.array([[1.0], [3.0]]), jnp.ones(1)
        >>> _, cache = batch_norm_forward(z, ones, 0 * ones, jnp.full(2, 0.5), 0.0)
        >>> d_z, d_gamma, d_beta = batch_norm_backward(cache, ones, jnp.array([[1.0], [0.0]]))
        >>> d_z.tolist(), d_gamma.tolist(), d_beta.tolist()
        ([[0.0], [0.0]], [-1.0], [1.0])

    Reference: Ioffe & Szegedy, 2015, arXiv 1502.03167, section 3.
    """
    wide = cache.inv_std.dtype
    d_y, x_hat = d_y.astype(wide), cache.x_hat.astype(wide)
    d_gamma = jnp.sum(d_y * x_hat, axis=0)
    d_beta = jnp.sum(d_y, axis=0)
    scale = gamma.astype(wide)
    d_z = d_y * scale[None, :]
    if cache.weight is not None:
        share = cache.weight.astype(wide)[:, None]
        d_z -= share * (scale * d_beta)[None, :] + share * x_hat * (scale * d_gamma)[None, :]
    return d_z * cache.inv_std[None, :], d_gamma, d_beta


def fold_statistics(running: NormState, batch: NormState, momentum: float) -> NormState:
    """Move the running statistics towards a batch's.

    running = momentum running + (1 - momentum) batch, for mean and variance.

    Args:
        running: the statistics so far, (n_out,) each.
        batch: one batch's (weighted) mean and biased variance, (n_out,) each.
        momentum: the weight of the *old* statistic, in [0, 1].

    Returns:
        The new running statistics.

    Differences: `momentum` is flax's; PyTorch's is 1 - momentum, and PyTorch keeps the unbiased
    variance, B/(B-1) times this one.

    Example:
        >>> old, new = NormState(jnp.zeros(1), jnp.ones(1)), NormState(jnp.ones(1), jnp.zeros(1))
        >>> [round(float(s[0]), 3) for s in fold_statistics(old, new, 0.9)]
        [0.1, 0.9]
    """
    folded: NormState = jax.tree.map(
        lambda old, new: (momentum * old + (1 - momentum) * new).astype(old.dtype), running, batch
    )
    return folded


def dropout_forward(
    key: Key, h: Float[Array, "batch n_out"], rate: ScalarLike
) -> tuple[Float[Array, "batch n_out"], Float[Array, "batch n_out"]]:
    """Drop each activation with probability `rate`, and scale up the survivors.

    mask_ij = 0 with probability rate, else 1 / (1 - rate);  output = h mask.
    The expectation of the output is h, so prediction needs no correction.

    Args:
        key: a random key; the same key drops the same units, in every dtype.
        h: activations, (batch, n_out).
        rate: probability to *drop*, in [0, 1); may be a traced array.

    Returns:
        The output and the mask, both (batch, n_out).

    Example:
        >>> out, mask = dropout_forward(jax.random.key(0), jnp.ones((2, 4)), 0.5)
        >>> bool((out == mask).all()), sorted(set(mask.ravel().tolist()))
        (True, [0.0, 2.0])

    Reference: Srivastava et al., 2014, JMLR 15:1929 (inverted form).
    """
    rate = jnp.asarray(rate, jnp.float32)  # compared in 32 bits, so that x64 keeps the mask
    kept = random_bits(key, h.shape) >= (rate * jnp.float32(2**32)).astype(jnp.uint32)
    mask = jnp.where(kept, 1 / (1 - rate), jnp.zeros_like(rate)).astype(h.dtype)
    return h * mask, mask


def dropout_backward(
    mask: Float[Array, "batch n_out"], d_output: Float[Array, "batch n_out"]
) -> Float[Array, "batch n_out"]:
    """Let the gradient through where the activation went through: d_h = d_output mask.

    Args:
        mask: of the forward pass, (batch, n_out).
        d_output: gradient with respect to the dropped-out activations, (batch, n_out).

    Returns:
        The gradient with respect to the activations, (batch, n_out).

    Example:
        >>> dropout_backward(jnp.array([[0.0, 2.0]]), jnp.array([[3.0, 3.0]])).tolist()
        [[0.0, 6.0]]

    Reference: Srivastava et al., 2014, JMLR 15:1929.
    """
    return d_output * mask


def batch_statistics(cache: Cache) -> State:
    """Collect the batch's mean and variance from a forward pass, shaped like `init_state`.

    Args:
        cache: from `forward`.

    Returns:
        `()` without batch normalization, else one `NormState` or None a layer.

    Example:
        >>> from jaxmlp import MLPConfig, forward, init
        >>> config = MLPConfig((2, 3, 1), batch_norm=True)
        >>> x = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> _, cache = forward(config, init(config, jax.random.key(0)), x)
        >>> batch_statistics(cache)[0].mean.shape
        (3,)

    Reference: Ioffe & Szegedy, 2015, arXiv 1502.03167.
    """
    if all(kept.norm is None for kept in cache):
        return ()
    return tuple(None if kept.norm is None else kept.norm.statistics for kept in cache)


def row_shares(
    batch: int, sample_weight: Float[Array, " batch"] | None, dtype: Any
) -> Float[Array, " batch"]:
    """Return each row's share in a weighted mean, w_i / sum_j w_j; 1 / batch without weights.

    Args:
        batch: number of rows.
        sample_weight: non-negative weights, (batch,), or None.
        dtype: of the result.

    Returns:
        Shares, (batch,), summing to 1; all 0 if all weights are 0, so that such a batch has
        value 0 and gradient 0 instead of NaN.

    Raises:
        ValueError: if `sample_weight` is not of shape (batch,).

    Example:
        >>> row_shares(3, jnp.array([1.0, 3.0, 0.0]), jnp.float32).tolist()
        [0.25, 0.75, 0.0]
    """
    if sample_weight is None:
        return jnp.full((batch,), 1.0 / batch, dtype)
    weight = check_rows("sample_weight", sample_weight, (batch,)).astype(dtype)
    total = jnp.sum(weight)
    return weight / jnp.where(total > 0, total, jnp.ones_like(total))
