"""Second derivatives of the objective, matrix-free: products, extreme eigenvalues, conditioning.

The backward pass is plain JAX code without `custom_vjp`, so `jax.jvp` of the hand-written gradient
is the Hessian-vector product: forward-over-reverse, at the cost of about two gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from jaxmlp.checks import unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.diagnostics.lanczos import lanczos
from jaxmlp.losses import Loss, get_loss
from jaxmlp.network import backward, forward, value_and_grad
from jaxmlp.normalization import row_shares
from jaxmlp.types import Key, Params, ScalarLike

_MATRICES = ("hessian", "gauss_newton")


@lru_cache(maxsize=256)
def hvp(config: MLPConfig, loss: str | Loss) -> Callable[..., Params]:
    """Make the product of the objective's Hessian with a vector, from the hand-written gradient.

    H v = d/dt grad J(theta + t v) at t = 0.

    Args:
        config: the network.
        loss: name of a loss, or a `Loss`.

    Returns:
        product(params, v, x, y, **options) -> H v; v and H v are shaped like the parameters, the
        options are those of `value_and_grad`.

    Raises:
        ValueError: for an unknown loss.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((1, 1))
        >>> params = init(config, jax.random.key(0))
        >>> x, y = jnp.array([[3.0]]), jnp.array([[1.0]])
        >>> v = jax.tree.map(jnp.ones_like, params)
        >>> Hv = hvp(config, "squared_error")(params, v, x, y)
        >>> Hv[0].W.tolist(), Hv[0].b.tolist()  # H = [[9, 3], [3, 1]]
        ([[12.0]], [4.0])

    Reference: Pearlmutter, 1994; lecture, chapter VI (the Hessian).
    """
    gradient = value_and_grad(config, loss)

    def product(params: Params, v: Params, x: Any, y: Any, **options: Any) -> Params:
        return jax.jvp(lambda p: gradient(p, x, y, **options)[1], (params,), (v,))[1]

    return product


@lru_cache(maxsize=256)
def gauss_newton_product(config: MLPConfig, loss: str | Loss) -> Callable[..., Params]:
    """Make the product of the generalized Gauss-Newton matrix with a vector.

    G v = J^T (H_o (J v)) + l2 v_W, with J the derivative of the logits with respect to the
    parameters and H_o the Hessian of the loss with respect to the logits. G is the Hessian without
    the network's own curvature; it is positive semi-definite where the loss is convex in the
    logits. J^T is the hand-written backward pass.

    Args:
        config: the network.
        loss: name of a loss, or a `Loss`.

    Returns:
        product(params, v, x, y, **options) -> G v, shaped like the parameters; options as in
        `value_and_grad`.

    Raises:
        ValueError: for an unknown loss.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((1, 1))
        >>> params = init(config, jax.random.key(0))
        >>> v = jax.tree.map(jnp.ones_like, params)
        >>> product = gauss_newton_product(config, "squared_error")
        >>> product(params, v, jnp.array([[3.0]]), jnp.array([[1.0]]))[0].W.tolist()
        [[12.0]]

    Reference: Schraudolph, 2002; Martens, 2010.
    """
    loss = get_loss(loss)

    def product(
        params: Params,
        v: Params,
        x: Any,
        y: Any,
        *,
        l2: ScalarLike = 0.0,
        sample_weight: Any = None,
        loss_options: Any = None,
        **options: Any,
    ) -> Params:
        def logits(params: Params) -> Any:
            return forward(config, params, x, sample_weight=sample_weight, **options)

        outputs, d_outputs, cache = jax.jvp(logits, (params,), (v,), has_aux=True)

        def loss_gradient(outputs: Array) -> Array:
            values, d_values = loss.value_and_grad(outputs, y, **(loss_options or {}))
            return row_shares(len(values), sample_weight, d_values.dtype)[:, None] * d_values

        curved = jax.jvp(loss_gradient, (outputs,), (d_outputs,))[1]
        grads, _ = backward(config, params, cache, curved)
        return tuple(
            g._replace(W=g.W + jnp.asarray(l2, g.W.dtype) * u.W)
            for g, u in zip(grads, v, strict=True)
        )

    return product


@dataclass(frozen=True)
class Curvature:
    """The extreme eigenvalues of a curvature matrix.

    Attributes:
        largest: the largest eigenvalue. Gradient descent is stable near a minimum only for
            learning rates below 2 / largest.
        smallest: the smallest one that was found: an upper bound on the true one.
        largest_error: bound on the distance from `largest` to a true eigenvalue.
        smallest_error: the same for `smallest`.
        products: number of products with the matrix.
    """

    largest: float
    smallest: float
    largest_error: float
    smallest_error: float
    products: int

    @property
    def condition_number(self) -> float:
        """largest / smallest, a lower bound; infinite for a matrix that is not positive.

        A network's Hessian is usually indefinite and nearly singular, also when all is well.
        """
        return self.largest / self.smallest if self.smallest > 0 else float("inf")

    @property
    def largest_stable_rate(self) -> float:
        """2 / largest; infinite where nothing curves upwards."""
        return 2 / self.largest if self.largest > 0 else float("inf")


def curvature(
    config: MLPConfig,
    params: Params,
    data: tuple[Any, Any],
    loss: str | Loss,
    *,
    matrix: str = "hessian",
    steps: int = 40,
    key: Key | None = None,
    l2: ScalarLike = 0.0,
    **options: Any,
) -> Curvature:
    """Find the largest and smallest eigenvalues of the Hessian, by Lanczos, without forming it.

    Args:
        config: the network.
        params: its parameters.
        data: (x, y), (batch, n_in) and targets: the examples over which the objective is taken,
            all at once.
        loss: name of a loss, or a `Loss`.
        matrix: "hessian" or "gauss_newton".
        steps: products to spend, each about two gradients; 40 vectors of the size of the
            parameters are kept.
        key: random key of the start vector; None is `jax.random.key(0)`.
        l2: weight of the penalty.
        **options: as in `value_and_grad`, such as `key` under dropout.

    Returns:
        The `Curvature`.

    Raises:
        ValueError: for an unknown loss or matrix.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((1, 1))
        >>> data = jnp.array([[3.0]]), jnp.array([[1.0]])  # H = [[9, 3], [3, 1]]
        >>> found = curvature(config, init(config, jax.random.key(0)), data, "squared_error")
        >>> round(found.largest, 4)
        10.0

    Reference: lecture, chapter VI (ill-conditioning); LeCun, Simard & Pearlmutter, 1993.
    """
    if matrix not in _MATRICES:
        raise unknown_name("matrix", matrix, _MATRICES)
    steps = min(steps, config.n_parameters)
    key = jax.random.key(0) if key is None else key
    x, y = (jnp.asarray(part) for part in data)
    options = {"l2": l2, **options}
    values, errors = jax.device_get(
        _extremes(config, get_loss(loss), matrix, steps, params, x, y, key, options)
    )
    return Curvature(float(values[0]), float(values[1]), float(errors[0]), float(errors[1]), steps)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _extremes(
    config: MLPConfig,
    loss: Loss,
    matrix: str,
    steps: int,
    params: Params,
    x: Array,
    y: Array,
    key: Key,
    options: dict[str, Any],
) -> tuple[Array, Array]:
    """(largest, smallest) Ritz value, and bounds on their errors."""
    make = hvp if matrix == "hessian" else gauss_newton_product
    flat, unravel = ravel_pytree(params)

    def product(v: Array) -> Array:
        return ravel_pytree(make(config, loss)(params, unravel(v), x, y, **options))[0]

    ritz = lanczos(product, flat.size, steps, key, flat.dtype)
    rounding = jnp.finfo(flat.dtype).eps * jnp.max(jnp.abs(ritz.values))
    ends = jnp.array([-1, 0])
    return ritz.values[ends], jnp.maximum(ritz.residuals[ends], rounding)
