"""The network for tables: an input side before the layers, and k members that share these.

Its functions have the names, arguments and results of network.py's, whose layers they use:

    h = front(x)                          k rows for each row of the table
    outputs = network(h)                  one output of each member
    J = mean over members of their J      each member learns by its own loss
    predict = link^-1(mean over members of link(outputs))

so what a member adds to a gradient is 1/k of what it would be alone.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp import checks, network
from jaxmlp.front import front_backward, front_forward, init_front
from jaxmlp.front_config import FrontConfig
from jaxmlp.front_types import Bins, Front, Piecewise
from jaxmlp.losses import Loss, get_loss
from jaxmlp.tabular_config import TabularCache, TabularConfig, TabularParams
from jaxmlp.types import Key, ScalarLike, State

__all__ = [
    "average_logits", "backward", "forward", "init", "layers_inputs", "mean_logits",
    "member_logits", "objective", "predict", "value_and_grad",
]  # fmt: skip


def init(
    config: TabularConfig,
    key: Key,
    bins: Bins | None = None,
) -> TabularParams:
    """Draw the parameters of a network for tables.

    Args:
        config: the network.
        key: a random key.
        bins: starts and widths of the bins of a piecewise embedding, (d, T) each.

    Returns:
        The parameters, in config.dtype.

    Raises:
        TypeError: if `key` is not a random key.
        ValueError: if bins are missing or of another shape.

    Example:
        >>> from jaxmlp import FrontConfig, MLPConfig
        >>> front = FrontConfig(3, numbers=(0, 1), embedding="periodic", members=4)
        >>> config = TabularConfig(front, MLPConfig((front.n_out, 16, 1)))
        >>> init(config, jax.random.key(0)).layers[0].W.shape
        (17, 16)
    """
    checks.check_key(key)
    checks.check_dtype_available(config.dtype, "config.dtype")
    params: TabularParams = _draw(config, key, bins)
    return params


@jax.jit  # one compilation instead of one an operation
def _draw(config: TabularConfig, key: Key, bins: Bins | None) -> TabularParams:
    front = init_front(config.front, jax.random.fold_in(key, config.n_layers), bins, config.dtype)
    return TabularParams(front, network.init(config.mlp, key))


def predict(
    config: TabularConfig,
    params: TabularParams,
    x: Float[Array, "batch n_in"],
    *,
    state: State = (),
) -> Float[Array, "batch n_out"]:
    """Compute the logits whose link is the mean of the members' predictions.

    Args:
        config: the network.
        params: its parameters.
        x: rows of a prepared table, (batch, n_in).
        state: running statistics; needed with batch normalization only.

    Returns:
        Logits, (batch, n_out).

    Raises:
        ValueError: if `x`, `params` or `state` do not fit the config.

    Example:
        >>> from jaxmlp import FrontConfig, MLPConfig
        >>> front = FrontConfig(3, numbers=(0, 1), embedding="periodic", members=4)
        >>> config = TabularConfig(front, MLPConfig((front.n_out, 16, 1)))
        >>> predict(config, init(config, jax.random.key(0)), jnp.ones((5, 3))).shape
        (5, 1)
    """
    return mean_logits(config, member_logits(config, params, x, state=state))


def member_logits(
    config: TabularConfig,
    params: TabularParams,
    x: Float[Array, "batch n_in"],
    *,
    state: State = (),
) -> Float[Array, "k_batch n_out"]:
    """Compute each member's logits, (k batch, n_out): those of member 1 first."""
    h = layers_inputs(config, params, x)
    return network.predict(config.mlp, params.layers, h, state=state)


def layers_inputs(
    config: TabularConfig, params: TabularParams, x: Float[Array, "batch n_in"]
) -> Float[Array, "k_batch n"]:
    """Compute what the layers see: each member's rows, (k batch, n), those of member 1 first."""
    x = _check_inputs(config, params, x)
    h, _ = front_forward(config.front, params.front, x)
    return h


def mean_logits(
    config: TabularConfig, outputs: Float[Array, "k_batch n_out"]
) -> Float[Array, "batch n_out"]:
    """Return the logits o with link(o) = mean_k link(o_k): link^-1 of the mean prediction."""
    k = config.front.members
    if k == 1:
        return outputs
    return average_logits(config.link, outputs.reshape(k, -1, outputs.shape[1]))


def average_logits(
    link: str, outputs: Float[Array, "k batch n_out"]
) -> Float[Array, "batch n_out"]:
    """Return the logits o with link(o) = mean_k link(o_k), of predictions of any k networks.

    Args:
        link: "softmax", "sigmoid", "exp" or "identity".
        outputs: logits of each, (k, batch, n_out).

    Returns:
        Logits, (batch, n_out).

    Example:
        >>> o = jnp.log(jnp.array([[[0.2, 0.8]], [[0.6, 0.4]]]))
        >>> jax.nn.softmax(average_logits("softmax", o)).round(3).tolist()
        [[0.4..., 0.6...]]
    """
    log_k = jnp.asarray(jnp.log(len(outputs)), outputs.dtype)
    if link == "softmax":
        return jax.nn.logsumexp(jax.nn.log_softmax(outputs), axis=0) - log_k
    if link == "sigmoid":
        yes, no = (jax.nn.logsumexp(jax.nn.log_sigmoid(z), axis=0) for z in (outputs, -outputs))
        return yes - no
    if link == "exp":
        return jax.nn.logsumexp(outputs, axis=0) - log_k
    return jnp.mean(outputs, axis=0)


def forward(
    config: TabularConfig,
    params: TabularParams,
    x: Float[Array, "batch n_in"],
    *,
    key: Key | None = None,
    sample_weight: Float[Array, " batch"] | None = None,
    state: State = (),
    frozen: Iterable[int] = (),
    dropout_rate: ScalarLike = 0.5,
) -> tuple[Float[Array, "k_batch n_out"], TabularCache]:
    """Run the training pass: every member's logits, and what `backward` needs.

    Args:
        config: the network.
        params: its parameters.
        x: rows of a prepared table, (batch, n_in).
        key: random key of the dropout masks; needed with dropout only.
        sample_weight: non-negative weights of the rows in batch statistics, (batch,).
        state: running statistics, which frozen layers normalize with.
        frozen: indices of layers that do not train.
        dropout_rate: probability to drop, in [0, 1); may be traced.

    Returns:
        Logits (k batch, n_out), those of member 1 first, and the cache.

    Raises:
        ValueError: as `jaxmlp.forward`.

    Example:
        >>> from jaxmlp import FrontConfig, MLPConfig
        >>> front = FrontConfig(3, numbers=(0, 1), embedding="periodic", members=4)
        >>> config = TabularConfig(front, MLPConfig((front.n_out, 16, 1)))
        >>> outputs, cache = forward(config, init(config, jax.random.key(0)), jnp.ones((5, 3)))
        >>> outputs.shape, cache.layers[0].inputs.shape
        ((20, 1), (20, 17))
    """
    x = _check_inputs(config, params, x)
    h, front = front_forward(config.front, params.front, x)
    outputs, layers = network.forward(
        config.mlp, params.layers, h,
        key=key, sample_weight=for_members(config, sample_weight), state=state, frozen=frozen,
        dropout_rate=dropout_rate,
    )  # fmt: skip
    return outputs, TabularCache(front, layers)


def backward(
    config: TabularConfig,
    params: TabularParams,
    cache: TabularCache,
    d_outputs: Float[Array, "k_batch n_out"],
) -> tuple[TabularParams, Float[Array, "batch n_in"]]:
    """Carry dJ/d outputs back through the layers, and on through the input side.

    Args:
        config: the network.
        params: its parameters.
        cache: from `forward`.
        d_outputs: gradient of the objective by every member's logits, (k batch, n_out).

    Returns:
        Gradients shaped like `params`, and the gradient by the columns, (batch, n_in).

    Raises:
        ValueError: if `d_outputs` does not have the shape of the logits.

    Example:
        >>> from jaxmlp import FrontConfig, MLPConfig
        >>> front = FrontConfig(3, numbers=(0, 1), embedding="periodic", members=4)
        >>> config = TabularConfig(front, MLPConfig((front.n_out, 16, 1)))
        >>> params = init(config, jax.random.key(0))
        >>> outputs, cache = forward(config, params, jnp.ones((5, 3)))
        >>> grads, d_x = backward(config, params, cache, jnp.ones_like(outputs))
        >>> grads.layers[1].b.tolist(), d_x.shape
        ([20.0], (5, 3))
    """
    layers, d_h = network.backward(config.mlp, params.layers, cache.layers, d_outputs)
    front, d_x = front_backward(config.front, params.front, cache.front, d_h)
    return TabularParams(front, layers), d_x


@lru_cache(maxsize=256)  # one function object per network, so that jax.jit of it is cached too
def objective(
    config: TabularConfig, loss: str | Loss, *, frozen: tuple[int, ...] = (), has_aux: bool = False
) -> Callable[..., Any]:
    """Make the function that training minimizes: the mean over members of L, plus the penalty s.

    Args:
        config: the network.
        loss: name of a loss, or a `Loss`.
        frozen: indices of layers that do not train.
        has_aux: also return (logits of the mean prediction, batch statistics).

    Returns:
        A function with the arguments of `jaxmlp.objective`'s; its jax.grad is `value_and_grad`'s
        oracle.

    Raises:
        ValueError: for an unknown loss, or targets that do not fit the logits.
    """
    layers_objective = network.objective(config.mlp, loss, frozen=frozen, has_aux=True)

    def J(params: TabularParams, x: Any, y: Any, **options: Any) -> Any:
        x = _check_inputs(config, params, x)
        h, _ = front_forward(config.front, _with_constants(params.front), x)
        value, (outputs, statistics) = layers_objective(
            params.layers, h, for_members(config, y), **_member_options(config, options)
        )
        return (value, (mean_logits(config, outputs), statistics)) if has_aux else value

    return J


@lru_cache(maxsize=256)
def value_and_grad(
    config: TabularConfig, loss: str | Loss, *, frozen: tuple[int, ...] = (), has_aux: bool = False
) -> Callable[..., Any]:
    """Make the objective's value and its gradient, by hand.

    Args:
        config: the network.
        loss: name of a loss, or a `Loss`.
        frozen: indices of layers that do not train; their gradients are zero.
        has_aux: also return (logits of the mean prediction, batch statistics).

    Returns:
        A function with the arguments of `objective`'s and the result of
        `jax.value_and_grad(objective(...), has_aux=has_aux)`.

    Raises:
        ValueError: for an unknown loss, or targets that do not fit the logits.
    """
    loss = get_loss(loss)

    def value_and_gradient(params: TabularParams, x: Any, y: Any, **options: Any) -> Any:
        x = _check_inputs(config, params, x)
        h, cache = front_forward(config.front, params.front, x)
        (value, (outputs, statistics)), layers, d_h = network.loss_gradients(
            config.mlp, loss, frozen, params.layers, h, for_members(config, y),
            **_member_options(config, options),
        )  # fmt: skip
        front, _ = front_backward(config.front, params.front, cache, d_h)
        aux = mean_logits(config, outputs), statistics
        return ((value, aux) if has_aux else value), TabularParams(front, layers)

    return value_and_gradient


def trainable(params: TabularParams, frozen: tuple[int, ...]) -> TabularParams:
    """Return what trains: all but the constants of the input side and the frozen layers."""
    layers = tuple(layer for l, layer in enumerate(params.layers) if l not in frozen)
    return TabularParams(_exchange_constants(params.front, None, None), layers)


def merge(params: TabularParams, trained: TabularParams, frozen: tuple[int, ...]) -> TabularParams:
    """Return all parameters, those that train taken from `trained`."""
    front, known = trained.front, params.front.numbers
    if isinstance(known, Piecewise):
        front = _exchange_constants(front, known.starts, known.widths)
    layers = iter(trained.layers)
    kept = (layer if l in frozen else next(layers) for l, layer in enumerate(params.layers))
    return TabularParams(front, tuple(kept))


def check_params(config: TabularConfig, params: object) -> None:
    """Refuse parameters that are not those of the config."""
    if not isinstance(params, TabularParams):
        raise TypeError(
            f"params is a {type(params).__name__}, not a jaxmlp.TabularParams. Make it with "
            "jaxmlp.tabular_network.init(config, key, bins)."
        )
    mlp = config.mlp
    checks.check_params(mlp.layer_sizes, mlp.normalized, mlp.parametric, params.layers)
    if _front_shapes(config.front) != jax.tree.map(jnp.shape, params.front):
        raise ValueError(
            "params.front has other arrays than the config's input side asks for. Use the config "
            "that the params were made with."
        )


@lru_cache(maxsize=64)  # it is traced anew otherwise, wherever parameters are looked at
def _front_shapes(front: FrontConfig) -> Front:
    """The shapes of an input side's parameters, in their places."""
    no_bins = (np.zeros((len(front.numbers), front.bins)),) * 2
    expected = jax.eval_shape(lambda: init_front(front, jax.random.key(0), no_bins))
    shapes: Front = jax.tree.map(jnp.shape, expected)
    return shapes


def _with_constants(front: Front) -> Front:
    """The front with its bins held constant, as `value_and_grad` takes them."""
    if not isinstance(front.numbers, Piecewise):
        return front
    return _exchange_constants(
        front, *map(jax.lax.stop_gradient, (front.numbers.starts, front.numbers.widths))
    )


def _exchange_constants(front: Front, starts: Any, widths: Any) -> Front:
    if not isinstance(front.numbers, Piecewise):
        return front
    return front._replace(numbers=front.numbers._replace(starts=starts, widths=widths))


def for_members(config: TabularConfig, rows: Any) -> Any:
    """Repeat targets or weights of the rows for every member."""
    if rows is None or config.front.members == 1:
        return rows
    rows = jnp.asarray(rows)
    return jnp.tile(rows, (config.front.members, *[1] * (rows.ndim - 1)))


def _member_options(config: TabularConfig, options: dict[str, Any]) -> dict[str, Any]:
    weight = for_members(config, options.get("sample_weight"))
    return {**options, "sample_weight": weight}


def _check_inputs(
    config: TabularConfig, params: TabularParams, x: Any
) -> Float[Array, "batch n_in"]:
    checks.check_dtype_available(config.dtype, "config.dtype")
    check_params(config, params)
    return checks.check_features(config.layer_sizes, x).astype(config.dtype)
