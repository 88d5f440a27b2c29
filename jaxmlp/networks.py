"""Which functions compute a network: those of network.py, or those for tables.

Both modules offer predict, forward, backward, objective, value_and_grad with the same arguments, so
whatever trains or measures a network asks here, by its config, and never again.
"""

from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxmlp import checks, network, normalization, tabular_network
from jaxmlp.config import MLPConfig
from jaxmlp.tabular_config import TabularConfig, TabularParams
from jaxmlp.types import Params, State

NetworkConfig: TypeAlias = MLPConfig | TabularConfig
NetworkParams: TypeAlias = Params | TabularParams


class Network(NamedTuple):
    """A network as one value; functions take its parts.

    Attributes:
        config: its description.
        params: its parameters.
        state: running statistics of batch normalization, or ().
    """

    config: MLPConfig
    params: Params
    state: State = ()


def functions_of(config: NetworkConfig) -> ModuleType:
    """Return the module whose functions compute a network of this config.

    >>> functions_of(MLPConfig((2, 1))).__name__
    'jaxmlp.network'
    """
    return tabular_network if isinstance(config, TabularConfig) else network


def mlp_of(config: NetworkConfig) -> MLPConfig:
    """Return the config of the layers.

    >>> mlp_of(MLPConfig((2, 1))).layer_sizes
    (2, 1)
    """
    return config.mlp if isinstance(config, TabularConfig) else config


def with_layers(config: NetworkConfig, layers: MLPConfig) -> NetworkConfig:
    """Return the config with others for its layers.

    >>> with_layers(MLPConfig((2, 1)), MLPConfig((2, 3, 1))).layer_sizes
    (2, 3, 1)
    """
    return replace(config, mlp=layers) if isinstance(config, TabularConfig) else layers


def layers_of(parts: Any) -> Any:
    """Return the layers of parameters, gradients, moments or a cache, without an input side."""
    return getattr(parts, "layers", parts)


def layers_inputs(config: NetworkConfig, params: Any, x: Any) -> jax.Array:
    """Return what the layers see of rows x: of a table's network, each member's rows in turn.

    >>> layers_inputs(MLPConfig((2, 1)), (), jnp.ones((3, 2))).shape
    (3, 2)
    """
    if isinstance(config, TabularConfig):
        return tabular_network.layers_inputs(config, params, x)
    return jnp.asarray(x)


def init_state(config: NetworkConfig) -> State:
    """Return the running statistics of the layers before any training.

    >>> init_state(MLPConfig((2, 1)))
    ()
    """
    return normalization.init_state(mlp_of(config))


def without_dropout(config: NetworkConfig) -> NetworkConfig:
    """Return the config without what is not part of the computation: dropout, how weights start.

    >>> without_dropout(MLPConfig((2, 3, 1), dropout=True)).dropped
    (False, False)
    """
    layers = mlp_of(config).replace(weight_init="auto", bias_init=0.0, dropout=False)
    return with_layers(config, layers)


def check_params(config: NetworkConfig, params: object) -> None:
    """Refuse parameters that are not those of the config."""
    if isinstance(config, TabularConfig):
        tabular_network.check_params(config, params)
    else:
        checks.check_params(config.layer_sizes, config.normalized, config.parametric, params)


def trainable(params: Any, frozen: tuple[int, ...]) -> Any:
    """Return what trains; the optimizer never sees frozen layers and constants."""
    if isinstance(params, TabularParams):
        return tabular_network.trainable(params, frozen)
    return tuple(layer for l, layer in enumerate(params) if l not in frozen)


def merge(params: Any, trained: Any, frozen: tuple[int, ...]) -> Any:
    """Return all parameters, those that train taken from `trained`."""
    if isinstance(params, TabularParams):
        return tabular_network.merge(params, trained, frozen)
    layers = iter(trained)
    return tuple(layer if l in frozen else next(layers) for l, layer in enumerate(params))
