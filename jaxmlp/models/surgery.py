"""Surgery on trained networks: features of a layer, another head, more or fewer layers."""

from typing import TypeVar

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxmlp.config import MLPConfig
from jaxmlp.models.model import NetworkLike, as_network
from jaxmlp.network import forward, init
from jaxmlp.networks import Network
from jaxmlp.types import Key, Layer, Params, State

_T = TypeVar("_T")


def features(
    config: MLPConfig,
    params: Params,
    x: Float[ArrayLike, "batch n_in"],
    layer: int = -1,
    *,
    state: State = (),
) -> Float[Array, "batch width"]:
    """Compute the activations of one hidden layer: what the network has learnt to see in x.

    h^(0) = x,  h^(l) = phi(h^(l-1) W^(l) + b^(l)), without dropout and with the running
    statistics; the features are h after layer `layer`.

    Args:
        config: the network.
        params: its parameters.
        x: examples in rows, (batch, n_in).
        layer: a hidden layer, counted from 0, or from the end: -1 is the last one, whose output
            the head reads.
        state: running statistics; needed with batch normalization only.

    Returns:
        Features, (batch, width of the layer), in config.dtype; under jit the layers above are
        not computed.

    Raises:
        ValueError: if there is no such hidden layer, or shapes do not fit the config.

    Example:
        >>> import jax
        >>> config = MLPConfig((2, 8, 3, 1))
        >>> params = init(config, jax.random.key(0))
        >>> features(config, params, jnp.ones((5, 2))).shape
        (5, 3)

    Reference: lecture, chapter VIII, feature extraction.
    """
    layer = hidden_layer(config, layer)
    # Frozen layers normalize and drop as at prediction, and the cache holds each layer's input.
    everything = range(config.n_layers)
    _, cache = forward(config, params, x, state=state, frozen=everything)
    return cache[layer + 1].inputs.astype(config.dtype)


def hidden_layer(config: MLPConfig, layer: int) -> int:
    """Return the index of a hidden layer, counted from 0.

    Raises:
        ValueError: if there is none of that number.

    >>> hidden_layer(MLPConfig((2, 8, 3, 1)), -1)
    1
    """
    n_hidden = config.n_layers - 1
    if n_hidden == 0:
        raise ValueError(
            f"the network {config.layer_sizes} has no hidden layer, so no features to take."
        )
    if not -n_hidden <= layer < n_hidden:
        raise ValueError(
            f"layer is {layer}, but the hidden layers are 0 to {n_hidden - 1}; -1 is the last one."
        )
    return layer % n_hidden


def attach_head(trunk: NetworkLike, head: NetworkLike, layer: int = -1) -> Network:
    """Put a network on top of another's features, in the place of the layers above.

    Args:
        trunk: the network whose hidden layers 0..layer stay.
        head: a network whose inputs are their features.
        layer: a hidden layer of the trunk, counted from 0 or from the end.

    Returns:
        One network: predict(result, x) = predict(head, features(trunk, x, layer)).

    Raises:
        ValueError: if the widths differ, or dtypes or batch normalization settings do.

    Example:
        >>> import jax
        >>> def network(*sizes):
        ...     config = MLPConfig(sizes)
        ...     return Network(config, init(config, jax.random.key(0)))
        >>> attach_head(network(2, 8, 3, 1), network(8, 5, 4), layer=0).config.layer_sizes
        (2, 8, 5, 4)

    Reference: lecture, chapter VIII (the last layers are replaced).
    """
    trunk, head = as_network(trunk), as_network(head)
    n = hidden_layer(trunk.config, layer) + 1
    if trunk.config.layer_sizes[n] != head.config.layer_sizes[0]:
        raise ValueError(
            f"the head takes {head.config.layer_sizes[0]} features, but layer {n - 1} of the trunk "
            f"has {trunk.config.layer_sizes[n]} units. Make the head with layer_sizes="
            f"({trunk.config.layer_sizes[n]}, ...)."
        )
    for field in ("dtype", "compute_dtype", "batch_norm_momentum", "batch_norm_eps"):
        below, above = getattr(trunk.config, field), getattr(head.config, field)
        if below != above:
            raise ValueError(
                f"{field} is {below!r} in the trunk, but {above!r} in the head; make them equal."
            )
    lower, upper = _spread(trunk.config), _spread(head.config)
    config = trunk.config.replace(
        layer_sizes=trunk.config.layer_sizes[: n + 1] + head.config.layer_sizes[1:],
        **_joined(**{field: lower[field][:n] + upper[field] for field in lower}),
    )
    state = _whole(trunk)[:n] + _whole(head)
    return Network(config, trunk.params[:n] + head.params, state if any(config.normalized) else ())


def detach_head(network: NetworkLike, layer: int = -1) -> Network:
    """Take the layers above a hidden layer as a network of its own, whose inputs are features.

    Args:
        network: the network.
        layer: a hidden layer, counted from 0 or from the end.

    Returns:
        The head: predict(network, x) = predict(head, features(network, x, layer)).

    Raises:
        ValueError: if there is no such hidden layer.

    Example:
        >>> import jax
        >>> config = MLPConfig((2, 8, 3, 1))
        >>> whole = Network(config, init(config, jax.random.key(0)))
        >>> detach_head(whole).config.layer_sizes, detach_head(whole, 0).config.layer_sizes
        ((3, 1), (8, 3, 1))

    Reference: lecture, chapter VIII, feature extraction (a simpler model on top).
    """
    network = as_network(network)
    n = hidden_layer(network.config, layer) + 1
    config = network.config.replace(
        layer_sizes=network.config.layer_sizes[n:],
        **_joined(**{field: entries[n:] for field, entries in _spread(network.config).items()}),
    )
    state = _whole(network)[n:] if any(config.normalized) else ()
    return Network(config, network.params[n:], state)


def replace_head(
    network: NetworkLike,
    key: Key,
    n_out: int,
    *,
    layer: int = -1,
    hidden: tuple[int, ...] = (),
    activation: str = "relu",
    dropout: bool = False,
) -> Network:
    """Cut a network above a hidden layer, and put a freshly drawn head there.

    Args:
        network: the trained network.
        key: random key of the new weights.
        n_out: outputs of the new head, such as the number of new classes.
        layer: the last hidden layer that stays, counted from 0 or from the end.
        hidden: sizes of new hidden layers between it and the outputs.
        activation: of the new hidden layers.
        dropout: drop activations of the new hidden layers in training.

    Returns:
        The new network; its layers 0..layer are the old ones, bit for bit.

    Raises:
        ValueError: if there is no such hidden layer, or a size is below 1.

    Example:
        >>> import jax
        >>> config = MLPConfig((64, 32, 10))
        >>> network = Network(config, init(config, jax.random.key(0)))
        >>> new = replace_head(network, jax.random.key(1), 2)
        >>> new.config.layer_sizes
        (64, 32, 2)

    Reference: lecture, chapter VIII, fine-tuning (replace the last layer).
    """
    network = as_network(network)
    config = network.config
    width = config.layer_sizes[hidden_layer(config, layer) + 1]
    head = config.replace(
        layer_sizes=(width, *hidden, n_out), activation=activation, weight_init="auto",
        batch_norm=False, dropout=dropout,
    )  # fmt: skip
    return attach_head(network, Network(head, init(head, key)), layer)


def truncate(network: NetworkLike, layer: int = -1) -> Network:
    """Make a network of its own that returns the features of a hidden layer.

    The outputs of a network are linear, so the features pass an output layer with W = I, b = 0:
    `features` computes the same without that product; this one can be saved and exported.

    Args:
        network: the network.
        layer: a hidden layer, counted from 0 or from the end.

    Returns:
        The network: predict(result, x) = features(network, x, layer).

    Raises:
        ValueError: if there is no such hidden layer.

    Example:
        >>> import jax
        >>> config = MLPConfig((2, 8, 3, 1))
        >>> truncate(Network(config, init(config, jax.random.key(0))), 0).config.layer_sizes
        (2, 8, 8)

    Reference: lecture, chapter VIII, feature extraction.
    """
    network = as_network(network)
    config = network.config
    width = config.layer_sizes[hidden_layer(config, layer) + 1]
    dtype = jnp.dtype(config.dtype)
    head = config.replace(
        layer_sizes=(width, width), activation="relu", weight_init="auto", batch_norm=False,
        dropout=False, parametric_activation=False,
    )  # fmt: skip
    outputs = Layer(jnp.eye(width, dtype=dtype), jnp.zeros((width,), dtype))
    return attach_head(network, Network(head, (outputs,)), layer)


def insert(network: NetworkLike, layer: int = -1, *, key: Key | None = None) -> Network:
    """Insert a hidden layer above a hidden layer, of the same width and activation.

    Without a key it starts as the identity, W = I and b = 0, and the network computes the same
    function as before, since relu(relu(z)) = relu(z).

    Args:
        network: the network.
        layer: the hidden layer below the new one, counted from 0 or from the end.
        key: random key, to draw the new layer with the config's initializer instead.

    Returns:
        The deeper network; the new layer has neither batch normalization nor dropout, nor a
        parametric activation.

    Raises:
        ValueError: without a key, for an activation that changes the function, such as tanh.

    Example:
        >>> import jax
        >>> config = MLPConfig((2, 8, 1))
        >>> params, x = init(config, jax.random.key(0)), jnp.ones((1, 2))
        >>> deeper = insert(Network(config, params))
        >>> from jaxmlp import predict
        >>> bool(predict(config, params, x) == predict(deeper.config, deeper.params, x))
        True

    Reference: Chen, Goodfellow & Shlens, Net2Net, 2016, arXiv 1511.05641 (Net2DeeperNet).
    """
    config, params, state = as_network(network)
    n = hidden_layer(config, layer) + 1
    phi, width, dtype = config.activations[n - 1], config.layer_sizes[n], jnp.dtype(config.dtype)
    alike = phi.name == "identity" or (phi.name == "relu" and not config.parametric[n - 1])
    if key is None and not alike:
        raise ValueError(
            f"a layer that starts as the identity keeps the function only under relu, but layer "
            f"{n - 1} has {'parametric ' * config.parametric[n - 1]}{phi.name}; pass "
            "key=jax.random.key(0) to draw the layer instead."
        )
    if key is None:
        W = jnp.eye(width, dtype=dtype)
    else:
        W = config.initializers[n - 1](key, (width, width), dtype)
    new = Layer(W, jnp.full((width,), config.bias_init if key is not None else 0.0, dtype))

    def grown(entries: tuple[_T, ...], entry: _T) -> tuple[_T, ...]:
        return (*entries[:n], entry, *entries[n:])

    settings = _spread(config)
    added = {
        "activation": settings["activation"][n - 1], "weight_init": settings["weight_init"][n - 1],
        "batch_norm": False, "dropout": False, "parametric_activation": False,
    }  # fmt: skip
    deeper = config.replace(
        layer_sizes=grown(config.layer_sizes, width),
        **_joined(**{field: grown(entries, added[field]) for field, entries in settings.items()}),
    )
    return Network(deeper, grown(params, new), grown(state, None) if state else ())


def _whole(network: Network) -> State:
    """The state with an entry for each layer, even if none is normalized."""
    if not any(network.config.normalized):
        return (None,) * network.config.n_layers
    return network.state


def _spread(config: MLPConfig) -> dict[str, tuple[object, ...]]:
    """The settings that may differ between layers, one entry a layer, spelled as they were."""
    n_hidden, n_layers = config.n_layers - 1, config.n_layers
    per_hidden = ("activation", "batch_norm", "dropout", "parametric_activation")
    lengths = dict.fromkeys(per_hidden, n_hidden)
    return {
        field: value if isinstance(value := getattr(config, field), tuple) else (value,) * n
        for field, n in (lengths | {"weight_init": n_layers}).items()
    }


def _joined(**entries: tuple[object, ...]) -> dict[str, object]:
    """Settings for `MLPConfig`: one value where all layers have the same, its default for none."""
    return {
        field: values if len(set(values)) > 1 else (*values, getattr(MLPConfig, field))[0]
        for field, values in entries.items()
    }
