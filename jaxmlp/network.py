"""The network: h^(l) = phi(h^(l-1) W^(l) + b^(l)), its objective, and its gradient by hand.

Read it top to bottom: init, predict, forward, backward, objective, value_and_grad. Rows of `x` are
examples, so the lecture's z = W^T x + b for one column vector x reads z = x W + b here.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.normalization import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_statistics,
    dropout_backward,
    dropout_forward,
    row_shares,
)
from jaxmlp.parametric import activation_backward, activation_forward
from jaxmlp.penalty import add_penalty_gradient, penalty
from jaxmlp.products import affine, at_border, back_product, rows_product, written
from jaxmlp.types import Cache, Key, Layer, LayerCache, LayerDelta, Params, ScalarLike, State


def init(config: MLPConfig, key: Key) -> Params:
    """Draw the parameters of a network.

    W^(l) comes from the config's initializer, b^(l) is constant, gamma = 1 and beta = bias_init
    under batch normalization, alpha = 1 in a parametric activation. Layer l draws with
    `fold_in(key, l)`: another layer on top leaves those below as they were.

    Args:
        config: the network.
        key: a random key; `jax.vmap(init, (None, 0))(config, keys)` makes an ensemble.

    Returns:
        One `Layer` a layer: W (n_in, n_out), b (n_out,), in config.dtype.

    Raises:
        TypeError: if `key` is not a random key.

    Example:
        >>> params = init(MLPConfig((64, 128, 10)), jax.random.key(0))
        >>> [layer.W.shape for layer in params]
        [(64, 128), (128, 10)]

    Reference: lecture, chapters III and VI.
    """
    checks.check_key(key)
    checks.check_dtype_available(config.dtype, "config.dtype")
    params: Params = _draw(config, key)
    return params


@jax.jit  # one compilation instead of one an operation
def _draw(config: MLPConfig, key: Key) -> Params:
    dtype = jnp.dtype(config.dtype)
    layers = []
    for l, initializer in enumerate(config.initializers):
        n_in, n_out = config.layer_sizes[l : l + 2]
        W = initializer(jax.random.fold_in(key, l), (n_in, n_out), dtype)
        bias = jnp.full((n_out,), config.bias_init, dtype)
        ones = jnp.ones((n_out,), dtype)
        layer = Layer(W, None, ones, bias) if config.normalized[l] else Layer(W, bias)
        layers.append(layer._replace(alpha=ones) if config.parametric[l] else layer)
    return tuple(layers)


def predict(
    config: MLPConfig, params: Params, x: Float[ArrayLike, "batch n_in"], *, state: State = ()
) -> Float[Array, "batch n_out"]:
    """Compute the network's logits, keeping nothing for a backward pass.

    h^(0) = x,  h^(l) = phi(h^(l-1) W^(l) + b^(l)),  outputs = h^(L).

    Args:
        config: the network.
        params: its parameters.
        x: examples in rows, (batch, n_in).
        state: running statistics; needed with batch normalization only.

    Returns:
        Logits, (batch, n_out), in config.dtype; `Loss.link` turns them into probabilities.

    Raises:
        ValueError: if `x`, `params` or `state` do not fit the config.

    Example:
        >>> config = MLPConfig((2, 3, 1))
        >>> predict(config, init(config, jax.random.key(0)), jnp.ones((5, 2))).shape
        (5, 1)

    Reference: lecture, chapter V, forward propagation 1-3.
    """
    h = _check_inputs(config, params, x)
    checks.check_state(config.normalized, config.layer_sizes, state)
    for l, (layer, phi) in enumerate(zip(params, config.activations, strict=True)):
        layer = _cast(config, layer)
        z = affine(h, layer.W, layer.b)
        if config.normalized[l]:
            z, _ = batch_norm_inference(z, layer.gamma, layer.beta, state[l], config.batch_norm_eps)
        h, _ = activation_forward(phi, layer.alpha, z)
    return h.astype(config.dtype)


def forward(
    config: MLPConfig,
    params: Params,
    x: Float[ArrayLike, "batch n_in"],
    *,
    key: Key | None = None,
    sample_weight: Float[Array, " batch"] | None = None,
    state: State = (),
    frozen: Iterable[int] = (),
    dropout_rate: ScalarLike = 0.5,
) -> tuple[Float[Array, "batch n_out"], Cache]:
    """Run the training pass: the logits, and the intermediates that `backward` needs.

    z^(l) = h^(l-1) W^(l) + b^(l),  h^(l) = phi(z^(l)); under batch normalization z is normalized
    with this batch's statistics before phi, under dropout h is masked after it.

    Args:
        config: the network.
        params: its parameters.
        x: examples in rows, (batch, n_in).
        key: random key of the dropout masks; needed with dropout only.
        sample_weight: non-negative weights of the rows in batch statistics, (batch,).
        state: running statistics, which *frozen* layers normalize with.
        frozen: indices of layers that do not train.
        dropout_rate: probability to drop, in [0, 1); may be traced.

    Returns:
        Logits (batch, n_out), and one `LayerCache` a layer.

    Raises:
        ValueError: if shapes do not fit the config, if dropout lacks its key, or if batch
            normalization gets a single row.

    Example:
        >>> config = MLPConfig((2, 3, 1))
        >>> outputs, cache = forward(config, init(config, jax.random.key(0)), jnp.ones((5, 2)))
        >>> [layer.inputs.shape for layer in cache]
        [(5, 2), (5, 3)]

    Reference: lecture, chapter V, forward propagation 1-3.
    """
    h = _check_inputs(config, params, x)
    frozen = checks.check_frozen(config.n_layers, frozen)
    checks.check_training_pass(config.normalized, config.dropped, h.shape[0], key, frozen)
    checks.check_state(config.normalized, config.layer_sizes, state, frozen)
    share = row_shares(h.shape[0], sample_weight, jnp.dtype(config.dtype))
    eps, cache = config.batch_norm_eps, []
    for l, (layer, phi) in enumerate(zip(params, config.activations, strict=True)):
        inputs, layer, norm, mask = h, _cast(config, layer), None, None
        z = affine(inputs, layer.W, layer.b)
        if config.normalized[l] and l in frozen:
            z, norm = batch_norm_inference(z, layer.gamma, layer.beta, state[l], eps)
        elif config.normalized[l]:
            z, norm = batch_norm_forward(z, layer.gamma, layer.beta, share, eps)
        h, residual = activation_forward(phi, layer.alpha, z)
        if key is not None and config.dropped[l] and l not in frozen:
            h, mask = dropout_forward(jax.random.fold_in(key, l), h, dropout_rate)
        h = at_border(l, h)
        cache.append(LayerCache(inputs, residual, norm, mask))
    return h.astype(config.dtype), tuple(cache)


def backward(
    config: MLPConfig, params: Params, cache: Cache, d_outputs: Float[Array, "batch n_out"]
) -> tuple[Params, Float[Array, "batch n_in"]]:
    """Carry dJ/d outputs back to every parameter and to the inputs, by the chain rule.

    For l = L..1, with dJ/dh^(L) = d_outputs and one row an example:
        dJ/dz^(l)   = dJ/dh^(l) * phi'(z^(l))        (lecture's equation 5)
        dJ/dW^(l)   = h^(l-1)^T dJ/dz^(l)            (equations 2 and 6)
        dJ/db^(l)   = sum over rows of dJ/dz^(l)     (equations 3 and 7)
        dJ/dh^(l-1) = dJ/dz^(l) W^(l)^T              (equation 4)

    The slides print equation 2 as (dl/do) h^T and equation 4 as (dl/do) W_o; with column vectors
    o (q,), h (n,) and W_o (n, q) the orders that fit the shapes are h (dl/do)^T and W_o (dl/do).
    Transposed for examples in rows and summed over them, those are the lines above.

    Args:
        config: the network.
        params: its parameters, as given to `forward`.
        cache: from `forward`.
        d_outputs: gradient of the objective with respect to the logits, (batch, n_out).

    Returns:
        Gradients shaped like `params`, and the gradient with respect to the inputs (batch, n_in);
        under jit, what is not used of these is not computed either.

    Raises:
        ValueError: if `d_outputs` does not have the shape of the logits.

    Example:
        >>> config = MLPConfig((2, 3, 1))
        >>> params = init(config, jax.random.key(0))
        >>> outputs, cache = forward(config, params, jnp.ones((5, 2)))
        >>> grads, d_x = backward(config, params, cache, jnp.ones_like(outputs))
        >>> grads[1].b.tolist(), d_x.shape
        ([5.0], (5, 2))

    Reference: lecture, chapter V, backward propagation; Rumelhart, Hinton & Williams, 1986.
    """
    checks.check_params(config.layer_sizes, config.normalized, config.parametric, params)
    rows = (len(cache[0].inputs), config.layer_sizes[-1])
    d_outputs = checks.check_rows("d_outputs", d_outputs, rows)
    deltas = layer_deltas(config, params, cache, d_outputs)
    grads = tuple(map(layer_gradient, params, cache, deltas))
    return grads, deltas[0].d_inputs.astype(config.dtype)


def layer_deltas(
    config: MLPConfig, params: Params, cache: Cache, d_outputs: Float[Array, "batch n_out"]
) -> tuple[LayerDelta, ...]:
    """Carry dJ/d outputs down the layers: one `LayerDelta` a layer, one row an example.

    dJ/dz^(l) = dJ/dh^(l) * phi'(z^(l)),  dJ/dh^(l-1) = dJ/dz^(l) W^(l)^T  (equations 5 and 4).
    """
    d_h, deltas = d_outputs.astype(config.product_dtype), []
    layers = zip(params, cache, config.activations, strict=True)
    for layer, kept, phi in reversed(list(layers)):
        if kept.mask is not None:
            d_h = dropout_backward(kept.mask, d_h)
        d_z, d_alpha = activation_backward(phi, layer.alpha, kept.residual, d_h)
        d_gamma = d_beta = None
        if kept.norm is not None:
            d_z, d_gamma, d_beta = batch_norm_backward(kept.norm, layer.gamma, d_z)
            d_z = d_z.astype(kept.inputs.dtype)
        d_z = written(d_z)
        d_h = back_product(d_z, layer.W.astype(d_z.dtype))
        deltas.append(LayerDelta(d_z, d_h, d_gamma, d_beta, d_alpha))
    return tuple(reversed(deltas))


def layer_gradient(layer: Layer, kept: LayerCache, delta: LayerDelta) -> Layer:
    """Sum over the examples: dJ/dW = h^T dJ/dz, dJ/db = sum of dJ/dz (equations 2, 3, 6, 7)."""
    d_W = rows_product(kept.inputs, delta.d_z, layer.W.dtype)
    d_b = None if layer.b is None else jnp.sum(delta.d_z, axis=0, dtype=layer.b.dtype)
    d_alpha = None if delta.d_alpha is None else jnp.sum(delta.d_alpha, axis=0)
    wide = Layer(d_W, d_b, delta.d_gamma, delta.d_beta, d_alpha)
    return Layer(*jax.tree.map(lambda g, p: g.astype(p.dtype), wide, layer))


@lru_cache(maxsize=256)  # one function object per network, so that jax.jit of it is cached too
def objective(
    config: MLPConfig, loss: str | Loss, *, frozen: tuple[int, ...] = (), has_aux: bool = False
) -> Callable[..., Any]:
    """Make the function that training minimizes, J = L + s.

    L = sum_i w_i l(o_i, y_i) / sum_i w_i,   s = (l2 / 2) sum_l ||W^(l)||^2  (weights only).

    Args:
        config: the network.
        loss: name of a loss, or a `Loss`.
        frozen: indices of layers that do not train.
        has_aux: also return (logits, batch statistics).

    Returns:
        J(params, x, y, *, l2=0.0, sample_weight=None, key=None, state=(), dropout_rate=0.5,
        loss_options=None) -> scalar, or (scalar, aux); its jax.grad is `value_and_grad`'s oracle.

    Raises:
        ValueError: for an unknown loss, or targets that do not fit the logits.

    Example:
        >>> config = MLPConfig((2, 3, 1))
        >>> J = objective(config, "squared_error")
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> float(J(params, jnp.ones((4, 2)), jnp.full((4, 1), 3.0)))
        4.5

    Reference: lecture, chapter V (J = L + s in the computational graph).
    """
    loss = get_loss(loss)

    def J(params: Params, x: Any, y: Any, *, l2: ScalarLike = 0.0, **options: Any) -> Any:
        params = tuple(
            jax.lax.stop_gradient(layer) if l in frozen else layer for l, layer in enumerate(params)
        )
        outputs, cache, (value, _) = _loss_pass(config, loss, frozen, params, x, y, **options)
        value += penalty(params, l2, value.dtype)
        return (value, (outputs, batch_statistics(cache))) if has_aux else value

    return J


@lru_cache(maxsize=256)
def value_and_grad(
    config: MLPConfig, loss: str | Loss, *, frozen: tuple[int, ...] = (), has_aux: bool = False
) -> Callable[..., Any]:
    """Make the objective's value and its gradient, by hand.

    dJ/do_i = (w_i / sum_j w_j) dl/do_i starts the backward pass; dJ/dW^(l) gains l2 W^(l).

    Args:
        config: the network.
        loss: name of a loss, or a `Loss`.
        frozen: indices of layers that do not train; their gradients are zero.
        has_aux: also return (logits, batch statistics).

    Returns:
        A function with the arguments of `objective`'s and the result of
        `jax.value_and_grad(objective(...), has_aux=has_aux)`.

    Raises:
        ValueError: for an unknown loss, or targets that do not fit the logits.

    Example:
        >>> config = MLPConfig((2, 3, 1))
        >>> params = jax.tree.map(jnp.zeros_like, init(config, jax.random.key(0)))
        >>> grad = value_and_grad(config, "squared_error")
        >>> value, grads = grad(params, jnp.ones((4, 2)), jnp.full((4, 1), 3.0))
        >>> float(value), grads[1].b.tolist()
        (4.5, [-3.0])

    Reference: lecture, chapter V, backward propagation 1-7.
    """
    loss = get_loss(loss)

    def value_and_gradient(params: Params, x: Any, y: Any, **options: Any) -> Any:
        value, grads, _ = loss_gradients(config, loss, frozen, params, x, y, **options)
        return (value if has_aux else value[0]), grads

    return value_and_gradient


def loss_gradients(
    config: MLPConfig,
    loss: Loss,
    frozen: tuple[int, ...],
    params: Params,
    x: Any,
    y: Any,
    *,
    l2: ScalarLike = 0.0,
    **options: Any,
) -> tuple[tuple[Array, tuple[Array, State]], Params, Float[Array, "batch n_in"]]:
    """Compute (J, (logits, batch statistics)), dJ/d params, and dJ/dx, which goes on."""
    outputs, cache, (value, d_outputs) = _loss_pass(config, loss, frozen, params, x, y, **options)
    grads, d_x = backward(config, params, cache, d_outputs)
    value += penalty(params, l2, value.dtype)
    grads = tuple(
        jax.tree.map(jnp.zeros_like, grad) if l in frozen else add_penalty_gradient(grad, W, l2)
        for l, (grad, (W, *_)) in enumerate(zip(grads, params, strict=True))
    )
    return (value, (outputs, batch_statistics(cache))), grads, d_x


def _cast(config: MLPConfig, layer: Layer) -> Layer:
    """Parameters in the dtype that products are computed in."""
    cast: Layer = jax.tree.map(lambda leaf: leaf.astype(config.product_dtype), layer)
    return cast


def _loss_pass(
    config: MLPConfig,
    loss: Loss,
    frozen: tuple[int, ...],
    params: Params,
    x: Any,
    y: Any,
    *,
    sample_weight: Float[Array, " batch"] | None = None,
    loss_options: Mapping[str, ScalarLike] | None = None,
    **options: Any,
) -> tuple[Array, Cache, tuple[Array, Array]]:
    """Forward pass and loss: (logits, cache, (L, dL/d logits))."""
    outputs, cache = forward(
        config, params, x, sample_weight=sample_weight, frozen=frozen, **options
    )
    values, d_values = loss.value_and_grad(outputs, y, **(loss_options or {}))
    share = row_shares(len(values), sample_weight, values.dtype)
    return outputs, cache, (jnp.sum(share * values), share[:, None] * d_values)


def _check_inputs(config: MLPConfig, params: Params, x: Any) -> Float[Array, "batch n_in"]:
    checks.check_dtype_available(config.product_dtype, "config.dtype")
    checks.check_params(config.layer_sizes, config.normalized, config.parametric, params)
    return checks.check_features(config.layer_sizes, x).astype(config.product_dtype)
