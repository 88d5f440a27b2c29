"""What all backbones of PyTorch share: weights, their digest, the head that is left out."""

import hashlib
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmlp.optional import import_optional

_DIGITS = 16  # of a digest that is shown


def import_torch() -> Any:
    """Import PyTorch, or say how to get it."""
    return import_optional("torch", "this backbone is a module of PyTorch", "torch")


def digest_of(module: Any) -> str:
    """Name a module's weights by their content: the start of their SHA-256, in hex.

    Args:
        module: a `torch.nn.Module`.
    """
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        found.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        found.update(array.view(-1).view(import_torch().uint8).numpy().tobytes())
    return found.hexdigest()[:_DIGITS]


def read_weights(module: Any, path: str | Path) -> None:
    """Load the weights of a file into a module: of torch.save, or safetensors.

    Args:
        module: a `torch.nn.Module`.
        path: the file; it is read without running what it holds.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is of another model.
    """
    torch, path = import_torch(), Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; weights= takes the path of weights.")
    if path.suffix == ".safetensors":
        safetensors = import_optional(
            "safetensors.torch", "this file is read with safetensors", "safetensors"
        )
        weights = safetensors.load_file(path)
    else:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    try:
        module.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{path} holds no weights of this model: {first}") from error


def cut_head(module: Any) -> int:
    """Put the identity in place of the last linear layer; return how wide its input is.

    Args:
        module: a `torch.nn.Module` that classifies.

    Raises:
        ValueError: for a module without a linear layer.
    """
    torch = import_torch()
    linear = [n for n, part in module.named_modules() if isinstance(part, torch.nn.Linear)]
    if not linear:
        raise ValueError(
            f"{type(module).__name__} has no linear layer that could be its head; wrap it in a "
            "function, Backbone(function, name)."
        )
    parent, _, name = linear[-1].rpartition(".")
    owner = module.get_submodule(parent)
    width = int(getattr(owner, name).in_features)
    setattr(owner, name, torch.nn.Identity())
    return width


def features_of(
    module: Any, inputs: Any, read: Callable[[Any], Any] = lambda outputs: outputs
) -> Float[np.ndarray, "items features"]:
    """Ask a module for features, without anything kept for gradients.

    Args:
        module: in evaluation mode.
        inputs: a tensor, or arguments by name.
        read: what the module returns -> (items, features).

    Returns:
        float32, (items, features).
    """
    torch = import_torch()
    with torch.inference_mode():
        outputs = module(**inputs) if hasattr(inputs, "keys") else module(inputs)
        found: np.ndarray = read(outputs).float().cpu().numpy()
    return found


@contextmanager
def drawn_from(seed: int) -> Any:
    """Draw random weights by a seed, and leave PyTorch's own generator as it was."""
    torch = import_torch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
