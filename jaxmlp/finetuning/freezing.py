"""Which layers do not train: the `frozen` of `fit`, from indices, names or rules."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from jaxmlp.checks import check_frozen, unknown_name
from jaxmlp.config import MLPConfig

LayerChoice: TypeAlias = int | str | Iterable[int] | Callable[[int], bool]
"""An index, several, a name ("trunk", "head", "all", "layers.0"), or a rule l -> bool."""


def freeze(config: MLPConfig, layers: LayerChoice, frozen: Iterable[int] = ()) -> tuple[int, ...]:
    """Add layers to those that do not train.

    A frozen layer's gradient is zero, the optimizer keeps nothing for it, under jit neither the
    products for it nor those below the lowest layer that trains are computed; its batch
    normalization uses the running statistics and keeps them, its dropout is off.

    Args:
        config: the network.
        layers: an index, from 0 or from the end; several; "trunk" (all but the last layer),
            "head" (the last one), "all", or a layer's name in model files, such as "layers.0";
            or a function l -> bool.
        frozen: layers that are frozen already.

    Returns:
        The indices of the frozen layers, to pass as `frozen=`.

    Raises:
        ValueError: if there is no such layer.

    Example:
        >>> config = MLPConfig((64, 32, 16, 8, 10))
        >>> freeze(config, "trunk"), freeze(config, lambda l: l < 2), freeze(config, -1, (0,))
        ((0, 1, 2), (0, 1), (0, 3))

    Reference: lecture, chapter VIII, fine-tuning (freeze the low layers).
    """
    return check_frozen(
        config.n_layers, {*check_frozen(config.n_layers, frozen), *_chosen(config, layers)}
    )


def unfreeze(config: MLPConfig, layers: LayerChoice, frozen: Iterable[int]) -> tuple[int, ...]:
    """Take layers out of those that do not train.

    Args:
        config: the network.
        layers: as for `freeze`.
        frozen: the frozen layers so far.

    Returns:
        The indices of the layers that stay frozen.

    Raises:
        ValueError: if there is no such layer.

    Example:
        >>> config = MLPConfig((64, 32, 16, 10))
        >>> frozen = freeze(config, "trunk")
        >>> while frozen:  # unfreeze from the top, as ULMFiT does, and train after each step
        ...     frozen = unfreeze(config, max(frozen), frozen)
        ...     print(frozen)
        (0,)
        ()

    Reference: lecture, chapter VIII, fine-tuning (unfreeze the high layers); Howard & Ruder, 2018,
    arXiv 1801.06146 (gradual unfreezing).
    """
    return tuple(sorted({*check_frozen(config.n_layers, frozen)} - {*_chosen(config, layers)}))


def _chosen(config: MLPConfig, layers: LayerChoice) -> tuple[int, ...]:
    everything = tuple(range(config.n_layers))
    if isinstance(layers, str):
        names: dict[str, tuple[int, ...]] = {f"layers.{l}": (l,) for l in everything}
        names |= {"all": everything, "trunk": everything[:-1], "head": everything[-1:]}
        if layers not in names:
            raise unknown_name("layer", layers, names)
        return names[layers]
    if callable(layers):
        return tuple(l for l in everything if layers(l))
    return check_frozen(config.n_layers, (layers,) if isinstance(layers, int) else layers)
