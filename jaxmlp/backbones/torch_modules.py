"""What all backbones of PyTorch share: weights, their digest, the head that is left out."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from jaxmlp.backbones.differentiable import Parameters, Pull
from jaxmlp.backbones.source import Extractor
from jaxmlp.optional import import_optional

_DIGITS = 16  # of a digest that is shown


def import_torch() -> Any:
    """Import PyTorch, or say how to get it."""
    return import_optional("torch", "this backbone is a module of PyTorch", "torch")


def _digest_of(module: Any) -> str:
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


Run: TypeAlias = Callable[..., Any]
"""A module's call, of tensors by position or by name; numbers arrive in the module's precision."""


class TorchModel:
    """A module of PyTorch as a `DifferentiableModel`.

    It stays in evaluation mode: norms use and keep their running statistics, nothing is dropped.

    Args:
        module: a `torch.nn.Module`; it is kept, and changed by none but `replaced` models' copies.
        features: (run, items) -> tensor (items, features), where `run` calls the module.
        device: where the module computes.
    """

    traceable = False
    ordered = True

    def __init__(self, module: Any, features: Callable[[Run, list[Any]], Any], device: str) -> None:
        """Put the module on its device; nothing runs yet."""
        self.module, self.device = module.eval().to(device), device
        self._features = features
        self._tuned: Any = None

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Return the module's parameters by name."""
        return {n: p.detach().cpu().numpy() for n, p in self.module.named_parameters()}

    def extract(self, items: list[Any]) -> np.ndarray:
        """Return features, without anything kept for gradients, (items, features)."""
        with import_torch().inference_mode():
            found: np.ndarray = self._features(self.module, items).float().cpu().numpy()
        return found

    def inputs(self, items: list[Any]) -> list[Any]:
        """Return the items: they are prepared batch by batch."""
        return items

    def features(self, parameters: Parameters, inputs: list[Any]) -> np.ndarray:
        """Return features with some parameters exchanged, (items, features)."""
        run, _ = self._with(parameters)
        with import_torch().no_grad():
            found: np.ndarray = self._features(run, inputs).cpu().numpy()
        return found

    def features_and_pull(
        self, parameters: Parameters, inputs: list[Any]
    ) -> tuple[np.ndarray, Pull]:
        """Return features, and the way back through PyTorch's autograd to `parameters`."""
        torch = import_torch()
        run, own = self._with(parameters)
        chosen = [own[name] for name in parameters]
        found = self._features(run, inputs)

        def pull(d_features: Any) -> dict[str, np.ndarray]:
            if not chosen:
                return {}
            d = torch.tensor(np.asarray(d_features), dtype=found.dtype, device=self.device)
            grads = torch.autograd.grad(found, chosen, d, allow_unused=True)
            return {
                name: (torch.zeros_like(p) if g is None else g).cpu().numpy()
                for name, p, g in zip(parameters, chosen, grads, strict=True)
            }

        return found.detach().cpu().numpy(), pull

    def _with(self, parameters: Parameters) -> tuple[Run, dict[str, Any]]:
        """Return a copy's call and parameters, those given in place; only these keep gradients."""
        torch = import_torch()
        if self._tuned is None:
            self._tuned = deepcopy(self.module)
        double = any(np.asarray(p).dtype == np.float64 for p in parameters.values())
        module = self._tuned.double() if double else self._tuned.float()
        own = dict(module.named_parameters())
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.requires_grad_(name in parameters)
            for name, array in parameters.items():
                own[name].copy_(torch.tensor(np.asarray(array)))

        def run(*inputs: Any, **named: Any) -> Any:
            return module(
                *(_as_precise(value, double) for value in inputs),
                **{name: _as_precise(value, double) for name, value in named.items()},
            )

        return run, own

    def replaced(self, parameters: Parameters) -> Self:
        """Return a model with some parameters exchanged; this one keeps its own."""
        torch, module = import_torch(), deepcopy(self.module)
        own = dict(module.named_parameters())
        with torch.no_grad():
            for name, array in parameters.items():
                own[name].copy_(torch.tensor(np.asarray(array)))
        return type(self)(module, self._features, self.device)

    def digest(self) -> str:
        """Name the weights by their content."""
        return _digest_of(self.module)


def module_extractor(module: Any, name: str) -> Extractor:
    """Make an extractor of a module of one's own, which takes a batch of arrays.

    Args:
        module: a `torch.nn.Module`, (items, ...) -> (items, ...); a copy of it is used.
        name: what it is.
    """
    torch = import_torch()
    device = next((str(p.device) for p in module.parameters()), "cpu")

    def features(run: Run, items: list[Any]) -> Any:
        shapes = {np.shape(item) for item in items}
        if len(shapes) > 1:
            raise ValueError(f"the items have the shapes {sorted(shapes)}; pass equal ones.")
        return run(torch.from_numpy(np.stack(items)).to(device)).flatten(1)

    model = TorchModel(deepcopy(module), features, device)
    return Extractor("array", model.extract, f"{name} sha256:{model.digest()}", 0, model=model)


def _as_precise(value: Any, double: bool) -> Any:
    """Tensors of floats in the precision of the parameters, also within a dictionary."""
    if isinstance(value, Mapping):
        return {name: _as_precise(entry, double) for name, entry in value.items()}
    floats = getattr(value, "is_floating_point", None)
    return value.double() if double and floats is not None and floats() else value


@contextmanager
def drawn_from(seed: int) -> Any:
    """Draw random weights by a seed, and leave PyTorch's own generator as it was."""
    torch = import_torch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
