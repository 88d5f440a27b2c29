"""Which settings to try: a grid, a list, or a sample of a space."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss
from jaxmlp.networks import NetworkConfig, mlp_of, with_layers

GridPoint = dict[str, Any]
"""Hyperparameters by name: what one member of a sweep is trained with."""
Grid = Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Any]]
_SWEPT = ("l2", "dropout_rate", "init_scale", "seed")
_CONFIG_NAMES = (
    *(f.name for f in fields(MLPConfig) if f.name not in ("dtype", "compute_dtype")),
    "hidden_layer_sizes",
)
_SHAPES = (*_CONFIG_NAMES, "batch_size")  # what makes another program


def expand(grid: Grid) -> list[GridPoint]:
    """List the settings of a grid: every combination of a mapping's values, or the list itself.

    Args:
        grid: name -> values, or an iterable of name -> value mappings.

    Returns:
        One dictionary a setting, in the order of `itertools.product`.

    Raises:
        ValueError: for an empty grid, or a value that is no list.

    Example:
        >>> expand({"learning_rate": [0.1, 0.01], "seed": range(2)})[1]
        {'learning_rate': 0.1, 'seed': 1}
    """
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise ValueError(f"grid[{name!r}] is {values!r}; give a list of values to try.")
        names = list(grid)
        settings = [
            dict(zip(names, values, strict=True)) for values in itertools.product(*grid.values())
        ]
    else:
        settings = [dict(setting) for setting in grid]
    if not settings:
        raise ValueError("the grid is empty; give at least one value for each name.")
    return settings


def sample(
    space: Mapping[str, Any], n: int, *, seed: int = 0, method: str = "random"
) -> list[GridPoint]:
    """Draw settings from a space of distributions.

    Args:
        space: name -> a frozen `scipy.stats` distribution, such as loguniform(1e-4, 1e-1), or a
            list to choose from.
        n: how many settings.
        seed: the same seed draws the same settings.
        method: "random", or "sobol" for points that fill the space evenly (best with a power of 2).

    Returns:
        One dictionary a setting, to be passed as `grid=`.

    Raises:
        ValueError: for an unknown method, or an entry that is neither distribution nor list.

    Example:
        >>> from scipy.stats import loguniform
        >>> space = {"learning_rate": loguniform(1e-4, 1e-1), "activation": ["relu", "tanh"]}
        >>> drawn = sample(space, 4, method="sobol")
        >>> len(drawn), all(1e-4 <= s["learning_rate"] <= 1e-1 for s in drawn)
        (4, True)

    Reference: Bergstra & Bengio, "Random search for hyper-parameter optimization", JMLR 2012.
    """
    if method == "random":
        points = np.random.default_rng(seed).random((n, len(space)))
    elif method == "sobol":
        from scipy.stats import qmc

        sampler = qmc.Sobol(len(space), seed=seed)
        points = sampler.random_base2((n - 1).bit_length())[:n] if n > 1 else sampler.random(1)
    else:
        raise unknown_name("method", method, ("random", "sobol"))
    columns = [_draw(name, values, points[:, j]) for j, (name, values) in enumerate(space.items())]
    return [dict(zip(space, row, strict=True)) for row in zip(*columns, strict=True)]


def _draw(name: str, values: Any, points: np.ndarray) -> list[Any]:
    if hasattr(values, "ppf"):
        return [value.item() for value in np.asarray(values.ppf(points))]
    if isinstance(values, Sequence) and not isinstance(values, str) and len(values):
        return [values[min(int(p * len(values)), len(values) - 1)] for p in points]
    raise ValueError(
        f"space[{name!r}] is {values!r:.60}; give a scipy.stats distribution, such as "
        "loguniform(1e-4, 1e-1), or a list."
    )


def optimizer_names(factory: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names that an optimizer factory takes.

    >>> from jaxmlp import sgd
    >>> optimizer_names(sgd)
    ('learning_rate',)
    """
    parameters = inspect.signature(factory).parameters.values()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


def check_names(settings: list[GridPoint], factory: Callable[..., Any], loss: Loss) -> None:
    """Refuse names that nothing would read, and settings that do not name the same things."""
    options = tuple(name for name, _ in loss.options)
    known = (*optimizer_names(factory), *_SWEPT, *options, *_SHAPES)
    for setting in settings:
        for name in setting:
            if name not in known:
                raise unknown_name("name in the grid", name, known)
        if setting.keys() != settings[0].keys():
            raise ValueError(
                f"the settings name different things: {sorted(settings[0])} and "
                f"{sorted(setting)}. Name the same in all of them."
            )


def with_shape(
    config: NetworkConfig, batch_size: int | None, setting: GridPoint
) -> tuple[Any, Any]:
    """Return the config and the batch size that a setting asks for.

    >>> with_shape(MLPConfig((3, 8, 1)), 64, {"hidden_layer_sizes": (4, 4)})[0].layer_sizes
    (3, 4, 4, 1)
    """
    layers = mlp_of(config)
    changes = {name: setting[name] for name in _CONFIG_NAMES if name in setting}
    if "hidden_layer_sizes" in changes:
        hidden = changes.pop("hidden_layer_sizes")
        hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        changes["layer_sizes"] = (layers.layer_sizes[0], *hidden, layers.layer_sizes[-1])
    if changes:
        config = with_layers(config, layers.replace(**changes))
    return config, setting.get("batch_size", batch_size)
