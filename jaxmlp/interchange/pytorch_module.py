"""Weights to PyTorch: the nn.Sequential of a network, its state_dict, its source."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import LEAKY_SLOPE
from jaxmlp.interchange.foreign import known_activation, layers_alone
from jaxmlp.models.model import Model, NetworkLike

if TYPE_CHECKING:
    import torch

# What nn.Module to use for each activation. Softplus would cut off at 20, an error of 2e-9.
TORCH_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "identity": ("Identity", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": LEAKY_SLOPE}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "elu": ("ELU", {}),
    "selu": ("SELU", {}),
    "softplus": ("Softplus", {"threshold": 40}),
    "gelu": ("GELU", {"approximate": "tanh"}),
    "gelu_exact": ("GELU", {}),
    "silu": ("SiLU", {}),
    "mish": ("Mish", {}),
}


def to_torch(model: NetworkLike) -> dict[str, np.ndarray]:
    """Write a network's weights as the `state_dict` of an nn.Sequential; torch is not needed.

    Args:
        model: the network; its preprocessing and link are not part of a state_dict.

    Returns:
        name -> array: `<number>.weight` (out, in) and `<number>.bias` of Linear, and those of
        BatchNorm1d with `running_mean`, `running_var` and `num_batches_tracked`; numbered as in
        `to_torch_module`, whose `load_state_dict` takes them as tensors.

    Raises:
        ValueError: if params or state do not fit the config.

    Example:
        >>> import jax, jaxmlp
        >>> config = jaxmlp.MLPConfig((2, 3, 1), batch_norm=True)
        >>> params = jaxmlp.init(config, jax.random.key(0))
        >>> weights = to_torch(Model(config, params, jaxmlp.init_state(config)))
        >>> [name for name in weights if name.startswith("0")], weights["0.weight"].shape
        (['0.weight'], (3, 2))

    Differences: momentum is torch's, the weight of the new statistic, in `to_torch_module`; the
        running variance is that of the population, where torch's own is that of the sample.
    """
    model = layers_alone(model)
    weights: dict[str, np.ndarray] = {}
    for number, (kind, l) in enumerate(_modules(model)):
        if kind == "Linear":
            weights[f"{number}.weight"] = np.ascontiguousarray(np.asarray(model.params[l].W).T)
            if model.params[l].b is not None:
                weights[f"{number}.bias"] = np.asarray(model.params[l].b)
        elif kind == "BatchNorm1d":
            layer, state = model.params[l], model.state[l]
            arrays = (layer.gamma, layer.beta, state.mean, state.var)
            fields = ("weight", "bias", "running_mean", "running_var")
            for field, array in zip(fields, arrays, strict=True):
                weights[f"{number}.{field}"] = np.asarray(array)
            weights[f"{number}.num_batches_tracked"] = np.asarray(0)
    return weights


def to_torch_module(model: NetworkLike) -> "torch.nn.Sequential":
    """Make the nn.Sequential of a network, with its weights, in eval mode.

    Args:
        model: the network; preprocessing and link are left to the caller.

    Returns:
        An nn.Sequential that turns inputs (batch, n_in) into logits (batch, n_out). A layer with
        dropout has an nn.Dropout of rate 0.5: the rate is no part of a network here.

    Raises:
        ImportError: if torch is not installed.
        ValueError: if an activation is not in the registry, or params do not fit the config.

    Example: (needs torch)
        `torch.save(to_torch_module(model).state_dict(), "model.pt")`
    """
    import torch

    model = layers_alone(model)
    config = model.config
    modules: list[torch.nn.Module] = []
    for kind, l in _modules(model):
        n_in, n_out = config.layer_sizes[l : l + 2]
        if kind == "Linear":
            modules.append(torch.nn.Linear(n_in, n_out, bias=not config.normalized[l]))
        elif kind == "BatchNorm1d":
            eps, momentum = config.batch_norm_eps, 1 - config.batch_norm_momentum
            modules.append(torch.nn.BatchNorm1d(n_out, eps, momentum))
        elif kind == "Dropout":
            modules.append(torch.nn.Dropout())
        else:
            name, options = TORCH_ACTIVATIONS[kind]
            modules.append(getattr(torch.nn, name)(**options))
    module = torch.nn.Sequential(*modules).to(getattr(torch, config.dtype))
    weights = {
        name: torch.from_numpy(
            np.array(array, np.float32) if array.dtype == jnp.bfloat16 else np.array(array)
        )
        for name, array in to_torch(model).items()
    }
    module.load_state_dict(weights)
    return module.eval()


def torch_source(model: NetworkLike) -> str:
    """Write the Python expression of the nn.Sequential that takes `to_torch`'s weights."""
    model = layers_alone(model)
    lines = []
    for kind, l in _modules(model):
        n_in, n_out = model.config.layer_sizes[l : l + 2]
        if kind == "Linear":
            bias = ", bias=False" if model.config.normalized[l] else ""
            lines.append(f"nn.Linear({n_in}, {n_out}{bias})")
        elif kind == "BatchNorm1d":
            eps, momentum = model.config.batch_norm_eps, 1 - model.config.batch_norm_momentum
            lines.append(f"nn.BatchNorm1d({n_out}, eps={eps:g}, momentum={momentum:g})")
        elif kind == "Dropout":
            lines.append("nn.Dropout()")
        else:
            name, options = TORCH_ACTIVATIONS[kind]
            settings = ", ".join(f"{key}={value!r}" for key, value in options.items())
            lines.append(f"nn.{name}({settings})")
    return "nn.Sequential(\n" + "".join(f"    {line},\n" for line in lines) + ")"


def _modules(model: Model) -> list[tuple[str, int]]:
    """The modules of the nn.Sequential in order: (kind or activation, layer)."""
    config, modules = model.config, []
    for l, phi in enumerate(config.activations):
        modules.append(("Linear", l))
        if config.normalized[l]:
            modules.append(("BatchNorm1d", l))
        if l < config.n_layers - 1:
            modules.append((known_activation(phi, TORCH_ACTIVATIONS, "PyTorch"), l))
        if config.dropped[l]:
            modules.append(("Dropout", l))
    return modules
