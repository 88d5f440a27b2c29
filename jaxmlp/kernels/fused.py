"""Loss and gradient of a narrow network in one kernel: no activation leaves the multiprocessor.

A program of the kernel walks over its tiles of rows; of each it computes logits, loss and the
backward pass, and adds dW and db to sums that it keeps. At the end there is one sum a program,
which XLA adds up in an order that does not change: the same bits at every call.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.config import MLPConfig
from jaxmlp.kernels.support import blocks, check_served, run_kernel, whole
from jaxmlp.losses import Loss, check_loss_options, get_loss
from jaxmlp.network import backward, forward
from jaxmlp.normalization import row_shares
from jaxmlp.penalty import add_penalty_gradient, penalty
from jaxmlp.types import Params, ScalarLike, wide_dtype

_TILE = 128  # rows whose activations are held at once
_SMALLEST_TILE = 16  # rows of the smallest product that tensor cores take
_PROGRAMS = 132  # multiprocessors of an H100; a constant, so that sums do not depend on the device


@lru_cache(maxsize=256)  # one function object per network, so that jax.jit of it is cached too
def value_and_grad_fused(
    config: MLPConfig, loss: str | Loss, *, frozen: tuple[int, ...] = (), has_aux: bool = False
) -> Callable[..., Any]:
    """Make the objective's value and its gradient, as `value_and_grad` does, in one kernel.

    With rows i in the tiles of program p, G_p = sum_i (w_i / sum_j w_j) dl_i/dW;  dJ/dW = sum_p G_p
    + l2 W. Products are those of the config's `compute_dtype`, sums are in float32 at least.

    Args:
        config: the network, of layers of at most 128 units, without batch normalization and
            dropout.
        loss: name of a loss, or a `Loss`.
        frozen: must be empty; the argument is there for the signature.
        has_aux: also return (logits, batch statistics), the latter ().

    Returns:
        A function with the arguments and the result of `value_and_grad`'s.

    Raises:
        ValueError: for a network that the kernel does not serve, an unknown loss, or targets that
            do not fit the logits.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((2, 3, 1))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> grad = value_and_grad_fused(config, "squared_error")
        >>> value, grads = grad(params, jnp.ones((4, 2)), jnp.full((4, 1), 3.0))
        >>> float(value), grads[1].b.tolist()
        (4.5, [-3.0])

    Reference: Müller et al., "Real-time neural radiance caching", 2021, arXiv 2106.12372 (fully
    fused networks, which write their activations for the backward pass).
    """
    check_served(config, frozen)
    loss = get_loss(loss)

    def value_and_gradient(
        params: Params,
        x: Float[Array, "batch n_in"],
        y: Array,
        *,
        l2: ScalarLike = 0.0,
        sample_weight: Float[Array, " batch"] | None = None,
        loss_options: Mapping[str, ScalarLike] | None = None,
        **unused: Any,  # of batch normalization and dropout, which this config has not
    ) -> Any:
        checks.check_params(config.layer_sizes, config.normalized, config.parametric, params)
        x = checks.check_features(config.layer_sizes, x).astype(config.product_dtype)
        share = row_shares(len(x), sample_weight, wide_dtype(config.dtype))
        options = _option_vectors(loss, loss_options or {}, share.dtype)
        (value, grads), outputs = _sum_tiles(
            config, loss, params, x, jnp.asarray(y), share, options
        )
        value += penalty(params, l2, value.dtype)
        grads = tuple(
            add_penalty_gradient(g, layer.W, l2) for g, layer in zip(grads, params, strict=True)
        )
        return ((value, (outputs, ())) if has_aux else value), grads

    return value_and_gradient


def _option_vectors(
    loss: Loss, given: Mapping[str, ScalarLike], dtype: Any
) -> dict[str, Float[Array, " 1"]]:
    """Return all options of a loss as arrays that a kernel can read; traced ones go unchecked."""
    traced = {name: v for name, v in given.items() if isinstance(v, jax.core.Tracer)}
    known = check_loss_options(loss, {n: v for n, v in given.items() if n not in traced})
    return {n: jnp.asarray(v, dtype).reshape(1) for n, v in {**known, **traced}.items()}


_Sums = tuple[Array, Params]
"""Loss and gradients, added up over rows."""


def _sum_tiles(
    config: MLPConfig,
    loss: Loss,
    params: Params,
    x: Array,
    y: Array,
    share: Array,
    options: dict[str, Array],
) -> tuple[_Sums, Array]:
    """Run the kernel over all rows; those past the end are copies of the last one, of share 0."""
    n_rows = len(x)
    tile = min(_TILE, max(_SMALLEST_TILE, pl.next_power_of_2(n_rows)))
    n_tiles = -(-n_rows // tile)
    n_programs = min(_PROGRAMS, n_tiles)
    rows = -(-n_tiles // n_programs) * tile
    padding = n_programs * rows - n_rows
    x, y = (jnp.pad(a, [(0, padding)] + [(0, 0)] * (a.ndim - 1), mode="edge") for a in (x, y))
    share = jnp.pad(share, (0, padding))
    sums = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((n_programs, *a.shape), a.dtype),
        jax.eval_shape(partial(_zeros, share.dtype), params),
    )
    logits = jax.ShapeDtypeStruct((len(x), config.layer_sizes[-1]), config.dtype)
    parts, outputs = run_kernel(
        partial(_kernel, config, loss, tile),
        (x, y, share, params, options),
        grid=(n_programs,),
        in_specs=(
            *(blocks(a, rows) for a in (x, y, share)),
            jax.tree.map(whole, params),
            jax.tree.map(whole, options),
        ),
        out_specs=(jax.tree.map(partial(blocks, rows=1), sums), blocks(logits, rows)),
        out_shape=(sums, logits),
    )
    value, grads = jax.tree.map(lambda part: jnp.sum(part, axis=0), parts)
    grads = jax.tree.map(lambda g, p: g.astype(p.dtype), grads, params)
    return (value, grads), outputs[:n_rows]


def _kernel(
    config: MLPConfig,
    loss: Loss,
    tile: int,
    x_ref: Any,
    y_ref: Any,
    share_ref: Any,
    param_refs: Any,
    option_refs: Any,
    sum_refs: Any,
    logits_ref: Any,
) -> None:
    """Add up the tiles of one program."""
    params = jax.tree.map(lambda ref: ref[...], param_refs)
    options = jax.tree.map(lambda ref: ref[0], option_refs)

    def add_tile(t: Array, sums: _Sums) -> _Sums:
        rows = pl.ds(t * tile, tile)
        outputs, cache = forward(config, params, x_ref[rows, :])
        logits_ref[rows, :] = outputs
        values, d_values = loss.value_and_grad(outputs, y_ref[rows, ...], **options)
        share = share_ref[rows].astype(values.dtype)
        grads, _ = backward(config, params, cache, share[:, None] * d_values)
        found = jnp.sum(share * values), grads
        added: _Sums = jax.tree.map(lambda s, part: s + part.astype(s.dtype), sums, found)
        return added

    n_tiles = share_ref.shape[0] // tile
    sums = jax.lax.fori_loop(0, n_tiles, add_tile, _zeros(share_ref.dtype, params))
    for ref, total in zip(jax.tree.leaves(sum_refs), jax.tree.leaves(sums), strict=True):
        ref[...] = total[None]


def _zeros(dtype: Any, params: Params) -> _Sums:
    return jnp.zeros((), dtype), jax.tree.map(lambda p: jnp.zeros(p.shape, dtype), params)
