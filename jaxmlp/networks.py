"""Which functions compute a network: those of network.py, or those for tables.

Both modules offer predict, forward, backward, objective, value_and_grad with the same arguments, so
whatever trains or measures a network asks here, by its config, and never again.
"""

from types import ModuleType
from typing import Any, TypeAlias

from jaxmlp import checks, network, normalization, tabular_network
from jaxmlp.config import MLPConfig
from jaxmlp.tabular_config import TabularConfig, TabularParams
from jaxmlp.types import Params, State

NetworkConfig: TypeAlias = MLPConfig | TabularConfig
NetworkParams: TypeAlias = Params | TabularParams


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


def layers_of(params: Any) -> Params:
    """Return the layers of parameters, gradients, moments or a cache, without an input side."""
    layers: Params = getattr(params, "layers", params)
    return layers


def init_state(config: NetworkConfig) -> State:
    """Return the running statistics of the layers before any training.

    >>> init_state(MLPConfig((2, 1)))
    ()
    """
    return normalization.init_state(mlp_of(config))


def check_params(config: NetworkConfig, params: object) -> None:
    """Refuse parameters that are not those of the config."""
    if isinstance(config, TabularConfig):
        tabular_network.check_params(config, params)
    else:
        checks.check_params(config.layer_sizes, config.normalized, params)


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
