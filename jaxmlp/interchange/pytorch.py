"""Weights from PyTorch: nn.Linear and nn.BatchNorm1d, with or without torch installed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.config import ActivationLike
from jaxmlp.files import read_tensors
from jaxmlp.interchange.foreign import (
    Dense,
    Names,
    Norm,
    arrange,
    assemble,
)
from jaxmlp.interchange.pytorch_module import TORCH_ACTIVATIONS
from jaxmlp.networks import Network

if TYPE_CHECKING:
    import torch


def from_torch(
    source: "Mapping[str, Any] | str | Path | torch.nn.Module",
    *,
    activation: ActivationLike | tuple[ActivationLike, ...] | None = None,
    layers: Names | None = None,
    batch_norm_eps: float = 1e-5,
    batch_norm_momentum: float = 0.9,
) -> Network:
    """Read a PyTorch network of nn.Linear and nn.BatchNorm1d layers.

    torch keeps a weight as (out, in), y = x weight^T + bias; here W = weight^T, (in, out).

    Args:
        source: a `state_dict` (name -> tensor or numpy array); the path of a .safetensors file; of
            a .pt or .pth file, read by `torch.load(weights_only=True)`, which runs no code; or an
            nn.Sequential, whose activations, eps and momentum are read as well.
        activation: of the hidden layers, which weights do not tell; "relu" if None.
        layers: the name of each linear layer in the order of use, such as ["fc1", "fc2"], or a pair
            ("fc1", "bn1") with its normalization; other weights are ignored then. None to infer
            the order: from the numbers of an nn.Sequential, or from sizes if one order fits.
        batch_norm_eps: eps of the BatchNorm1d layers.
        batch_norm_momentum: weight of the *old* statistic if training goes on; 1 - torch's.

    Returns:
        (config, params, state).

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: for a .pt file, if torch is not installed.
        ValueError: if it holds other layers, or their order is not clear; or float64 weights while
            JAX runs without 64-bit types.

    Example:
        >>> weights = {"0.weight": np.ones((3, 2), np.float32), "0.bias": np.zeros(3, np.float32),
        ...            "2.weight": np.ones((1, 3), np.float32)}
        >>> config, params, state = from_torch(weights, activation="tanh")
        >>> config.layer_sizes, params[0].W.shape, params[1].b.tolist()
        ((2, 3, 1), (2, 3), [0.0])

    Differences: a normalization comes before the activation, as `nn.Sequential(Linear, BatchNorm1d,
        ReLU)` has it; one after the activation (seen by the numbers of an nn.Sequential) or at the
        input is folded into the next layer: the same outputs, but no batch statistics in further
        training. torch's running variance is that of the sample (n - 1), ours that of the
        population (n): predictions use the number as it is, and further training moves it to ours.

    Reference: lecture, chapter VIII.
    """
    if hasattr(source, "state_dict"):
        source, found, batch_norm = _open(source)
        activation = activation or found
        batch_norm_eps = batch_norm.get("eps", batch_norm_eps)
        batch_norm_momentum = batch_norm.get("momentum", batch_norm_momentum)
    in_order = hasattr(source, "_metadata")  # from a module, which registers layers in order
    dense, norms = _sort(_read(source), layers)
    blocks = arrange(dense, norms, layers, in_order=in_order, eps=batch_norm_eps)
    return assemble(blocks, activation or "relu", eps=batch_norm_eps, momentum=batch_norm_momentum)


def _read(source: Any) -> dict[str, np.ndarray]:
    """Arrays by name, of a mapping or a file."""
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}.")
        if path.suffix == ".safetensors":
            return read_tensors(path, path.read_bytes())
        source = _torch_load(path)
    for key in ("state_dict", "model_state_dict"):  # a checkpoint around the weights
        if isinstance(source, Mapping) and isinstance(source.get(key), Mapping):
            source = source[key]
    if not isinstance(source, Mapping):
        raise ValueError(
            f"a {type(source).__name__} holds no weights by name; pass module.state_dict()."
        )
    return {name: _as_numpy(name, tensor) for name, tensor in source.items()}


def _torch_load(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{path} needs PyTorch, which is not installed. Convert it to .safetensors where "
            "PyTorch is, or install it: pip install torch"
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch fails in many ways
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{path} is not a file of weights alone, or is damaged ({reason:.120}); save "
            "module.state_dict() in it."
        ) from error


def _as_numpy(name: str, tensor: Any) -> np.ndarray:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        narrow = "bfloat16" in str(tensor.dtype)  # which numpy does not know
        tensor = tensor.float().numpy().astype(jnp.bfloat16) if narrow else tensor.numpy()
    if not isinstance(tensor, np.ndarray | np.generic):
        raise ValueError(f"{name!r} is a {type(tensor).__name__}, not a tensor; pass a state_dict.")
    return np.asarray(tensor)


def _sort(
    arrays: Mapping[str, np.ndarray], layers: Names | None
) -> tuple[dict[str, Dense], dict[str, Norm]]:
    """Gather the arrays of each module, and tell linear layers from normalizations."""
    modules: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        module, _, field = name.rpartition(".")
        modules.setdefault(module, {})[field] = array
    wanted = None
    if layers is not None:
        wanted = {
            name for entry in layers for name in ((entry,) if isinstance(entry, str) else entry)
        }
    dense, norms = {}, {}
    for name, fields in modules.items():
        if wanted is not None and name not in wanted:
            continue
        weight = fields.get("weight")
        if "running_mean" in fields and "running_var" in fields:
            mean, var = fields["running_mean"], fields["running_var"]
            norms[name] = Norm(weight, fields.get("bias"), mean, var)
        elif weight is not None and weight.ndim == 2 and set(fields) <= {"weight", "bias"}:
            dense[name] = Dense(weight.T, fields.get("bias"))
        else:
            shapes = ", ".join(f"{field} {array.shape}" for field, array in fields.items())
            raise ValueError(
                f"module {name!r} ({shapes}) is neither nn.Linear nor nn.BatchNorm1d with running "
                "statistics; name the layers to take with layers=[...]."
            )
    return dense, norms


def _open(module: Any) -> tuple[Mapping[str, Any], tuple[str, ...] | None, dict[str, float]]:
    """Weights, and of an nn.Sequential also its activations, eps and momentum (ours)."""
    from torch import nn

    if not isinstance(module, nn.Sequential):
        return module.state_dict(), None, {}
    idle = nn.Sequential | nn.Dropout | nn.Flatten | nn.Identity
    leaves = [leaf for leaf in module.modules() if not isinstance(leaf, idle)]
    return nn.Sequential(*leaves).state_dict(), *_activations_of(leaves)


def _activations_of(leaves: list["torch.nn.Module"]) -> tuple[tuple[str, ...], dict[str, float]]:
    from torch import nn

    found: list[str] = []
    batch_norm = {}
    pending = False  # whether the last linear layer has no activation yet
    for leaf in leaves:
        if isinstance(leaf, nn.Linear):
            found += ["identity"] if pending else []
            pending = True
        elif isinstance(leaf, nn.BatchNorm1d):
            batch_norm = {"eps": leaf.eps}
            if leaf.momentum is not None:  # None is a mean over all batches, which we have not
                batch_norm["momentum"] = 1 - leaf.momentum
        else:
            name = _name_activation(leaf)
            if not pending:
                raise ValueError(f"{leaf} is the second activation in a row; give weights alone.")
            found.append(name)
            pending = False
    if not pending and found:  # an activation of the outputs
        raise ValueError(
            f"the network ends with the activation {found[-1]!r}, but the outputs of ours are "
            "logits: leave it out, and choose a loss whose link it is."
        )
    return tuple(found), batch_norm


def _name_activation(leaf: "torch.nn.Module") -> str:
    for name, (kind, options) in TORCH_ACTIVATIONS.items():
        defaults = {"approximate": "none", "alpha": 1.0, "beta": 1.0} | options
        same = all(
            getattr(leaf, field, value) == value
            for field, value in defaults.items()
            if field != "threshold"
        )
        if type(leaf).__name__ == kind and same:
            return name
    raise ValueError(
        f"{leaf} has no counterpart here; known are {', '.join(sorted(ACTIVATIONS))}. Pass "
        "module.state_dict() with an activation of your own."
    )
