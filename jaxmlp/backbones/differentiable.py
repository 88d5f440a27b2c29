"""What fine-tuning asks of a pretrained model: features, and a way back for their gradient."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from jaxtyping import Array

from jaxmlp.checks import unknown_name

Parameters: TypeAlias = Mapping[str, Array | np.ndarray]
"""Arrays by the names that the model's library gives them."""

Pull: TypeAlias = Callable[[Any], dict[str, Any]]
"""d_features (items, features) -> the gradient of each parameter that trains."""


class DifferentiableModel(Protocol):
    """A pretrained model through which a gradient can go.

    Attributes:
        parameters: all that could train, by name; running statistics are none.
        traceable: whether JAX can compile `features_and_pull` together with what is around it.
        ordered: whether the order of the parameters is that of the computation.
    """

    traceable: bool
    ordered: bool

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Return all that could train."""

    def extract(self, items: list[Any]) -> np.ndarray:
        """Return the features of items, (items, features)."""

    def inputs(self, items: list[Any]) -> Any:
        """Return items in the form that the next two take."""

    def features(self, parameters: Parameters, inputs: Any) -> Any:
        """Return features with some parameters exchanged, (items, features)."""

    def features_and_pull(self, parameters: Parameters, inputs: Any) -> tuple[Any, Pull]:
        """Return features, and the function that carries their gradient to `parameters`."""

    def replaced(self, parameters: Parameters) -> Self:
        """Return a model with some parameters exchanged."""

    def digest(self) -> str:
        """Name the weights by their content."""


def blocks_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the layers that parameters belong to, in order: their names but for the last part.

    >>> blocks_of(["conv.weight", "conv.bias", "layer1.0.norm.weight", "scale"])
    ('conv', 'layer1.0.norm', 'scale')
    """
    return tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in names))


def choose_frozen(
    names: Iterable[str], frozen: Iterable[str] | Callable[[str], bool]
) -> tuple[str, ...]:
    """Return the parameters that a choice of blocks freezes.

    Args:
        names: of all parameters.
        frozen: blocks, each the beginning of names up to a dot ("layer1", "encoder.layer.3"), or a
            rule name -> bool.

    Raises:
        ValueError: for a block that there is not, with the nearest one.

    Example:
        >>> choose_frozen(["stem.weight", "layer1.0.weight", "layer10.weight"], ["layer1"])
        ('layer1.0.weight',)
    """
    names = tuple(names)
    if callable(frozen):
        return tuple(name for name in names if frozen(name))
    chosen = (frozen,) if isinstance(frozen, str) else tuple(frozen)
    parts = {name: {name, *_beginnings(name)} for name in names}
    known = dict.fromkeys(part for own in parts.values() for part in own)
    for block in chosen:
        if block not in known:
            raise unknown_name("block of the backbone", block, known)
    return tuple(name for name in names if parts[name] & {*chosen})


def _beginnings(name: str) -> Iterable[str]:
    while name:
        name = name.rpartition(".")[0]
        if name:
            yield name
