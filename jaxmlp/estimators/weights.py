"""Between scikit-learn's lists of arrays (`coefs_`, `intercepts_`) and the library's pytrees."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.network import init
from jaxmlp.types import Layer, NormState, Params, State


class _BatchNorm(NamedTuple):
    """What a normalized layer has beside its weights and shift, on the host, (n_out,) each."""

    gamma: Any
    mean: Any
    var: Any


def draw_weights(config: MLPConfig, initializer: Any, random_state: Any) -> tuple[Params, State]:
    """Draw initial weights: scikit-learn's, number for number, unless an initializer is named.

    W and b are uniform in +-sqrt(6 / (n_in + n_out)), or sqrt(2 / ...) with the sigmoid, in float64
    from `random_state`, W before b, layer by layer.

    Args:
        config: the network.
        initializer: None, or whether the config's own initializers draw instead.
        random_state: numpy's RandomState; it moves on.

    Returns:
        The parameters and the running statistics, as numpy arrays.

    Reference: Glorot & Bengio, 2010.
    """
    dtype = np.dtype(config.dtype)
    if initializer is not None:
        key = jax.random.key(random_state.randint(2**31 - 1))
        params = jax.device_get(init(config, key))
    else:
        params = tuple(_draw_layer(config, l, random_state) for l in range(config.n_layers))
    state: Any = ()
    if any(config.normalized):
        sizes = zip(config.layer_sizes[1:], config.normalized, strict=True)
        state = tuple(_fresh_statistics(size, dtype) if norm else None for size, norm in sizes)
    return params, state


def _fresh_statistics(size: int, dtype: Any) -> NormState:
    mean: Any = np.zeros(size, dtype)
    var: Any = np.ones(size, dtype)
    return NormState(mean, var)


def _draw_layer(config: MLPConfig, l: int, random_state: Any) -> Layer:
    n_in, n_out = config.layer_sizes[l : l + 2]
    dtype = np.dtype(config.dtype)
    hidden = config.activations[min(l, max(0, config.n_layers - 2))]
    bound = np.sqrt((2.0 if hidden.name == "sigmoid" else 6.0) / (n_in + n_out))
    W = random_state.uniform(-bound, bound, (n_in, n_out)).astype(dtype)
    b: Any = random_state.uniform(-bound, bound, n_out).astype(dtype)
    if config.normalized[l]:
        b[:] = 1  # drawn all the same: the layers above have the numbers they would have had
        return Layer(W, None, b, np.zeros_like(b))
    return Layer(W, b)


def to_attributes(params: Params, state: State) -> dict[str, Any]:
    """Return `coefs_`, `intercepts_` and `batch_norm_`; a normalized layer's beta is an intercept.

    >>> params = (Layer(np.ones((2, 1)), np.zeros(1)),)
    >>> {name: len(value) for name, value in to_attributes(params, ()).items()}
    {'coefs_': 1, 'intercepts_': 1, 'batch_norm_': 1}
    """
    params, state = jax.device_get((params, state))
    entries: Any = state or (None,) * len(params)
    norms = [
        None if layer.gamma is None else _BatchNorm(layer.gamma, entry.mean, entry.var)
        for layer, entry in zip(params, entries, strict=True)
    ]
    return {
        "coefs_": [np.array(layer.W) for layer in params],
        "intercepts_": [np.array(layer.beta if layer.b is None else layer.b) for layer in params],
        "batch_norm_": [None if norm is None else tuple(norm) for norm in norms],
    }


def from_attributes(estimator: Any, config: MLPConfig) -> tuple[Params, State]:
    """Return the parameters and running statistics that an estimator's attributes hold.

    The attributes are what counts: whoever sets `coefs_` and `intercepts_` sets the network.
    """
    dtype = np.dtype(config.dtype)
    norms = getattr(estimator, "batch_norm_", [None] * config.n_layers)
    params: list[Layer] = []
    state: list[Any] = []
    arrays: Any = (
        (np.asarray(W, dtype), np.asarray(b, dtype))
        for W, b in zip(estimator.coefs_, estimator.intercepts_, strict=True)
    )
    for (W, b), norm in zip(arrays, norms, strict=True):
        if norm is None:
            params.append(Layer(W, b))
            state.append(None)
        else:
            gamma, mean, var = _as_type(norm, dtype)
            params.append(Layer(W, None, gamma, b))
            state.append(NormState(mean, var))
    return tuple(params), tuple(state) if any(config.normalized) else ()


def _as_type(vectors: Any, dtype: Any) -> Any:
    return [np.asarray(vector, dtype) for vector in vectors]


def replace_initial(config: MLPConfig, params: Params, coefs: Any, intercepts: Any) -> Params:
    """Put a user's initial weights in the place of drawn ones; None entries keep these.

    Raises:
        ValueError: for a wrong number of layers or shape; the message says which.
    """
    fields = {"coefs_init": coefs, "intercepts_init": intercepts}
    layers = list(params)
    for name, values in fields.items():
        if values is None:
            continue
        if len(values) != config.n_layers:
            raise ValueError(
                f"{name} has {len(values)} entries, but the network has {config.n_layers} layers; "
                "give one array a layer, or None for a layer to be drawn."
            )
        for l, value in enumerate(values):
            if value is None:
                continue
            field = "W" if name == "coefs_init" else "b" if layers[l].b is not None else "beta"
            old = getattr(layers[l], field)
            new: Any = np.asarray(value, old.dtype)
            if new.shape != old.shape:
                raise ValueError(
                    f"{name}[{l}] has shape {new.shape}, but layer {l} of a network of sizes "
                    f"{config.layer_sizes} needs {old.shape}."
                )
            if not np.isfinite(new).all():
                raise ValueError(f"{name}[{l}] holds NaN or infinity; give finite numbers.")
            layers[l] = layers[l]._replace(**{field: new})
    return tuple(layers)


def stack(members: list[Any]) -> Any:
    """Stack the pytrees of an ensemble along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *members)
