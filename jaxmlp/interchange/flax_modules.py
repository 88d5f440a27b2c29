"""Weights from and to flax: Dense (nnx: Linear) and BatchNorm, of linen and of nnx."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from jaxmlp.config import ActivationLike
from jaxmlp.interchange.foreign import (
    Dense,
    Names,
    Norm,
    arrange,
    assemble,
    layers_alone,
    natural_key,
)
from jaxmlp.models.model import NetworkLike
from jaxmlp.networks import Network


def from_flax(
    source: Any,
    *,
    activation: ActivationLike | tuple[ActivationLike, ...] = "relu",
    layers: Names | None = None,
    batch_norm_eps: float = 1e-5,
    batch_norm_momentum: float = 0.99,
) -> Network:
    """Read a flax network of Dense and BatchNorm layers.

    flax keeps a kernel as W, (in, out), and the variance of the population, as here.

    Args:
        source: of linen, the variables {"params": ..., "batch_stats": ...} or the params alone; of
            nnx, a module, its state, or the pure dict of that.
        activation: of the hidden layers, which weights do not tell.
        layers: the name of each dense layer in the order of use, with dots between the levels, such
            as ["encoder.Dense_0", "head"], or a pair with its normalization; other weights are
            ignored then. None to infer the order, if only one fits.
        batch_norm_eps: epsilon of the BatchNorm layers (flax's default).
        batch_norm_momentum: weight of the old statistic if training goes on (flax's default).

    Returns:
        (config, params, state).

    Raises:
        ValueError: if it holds other layers, or their order is not clear; or float64 weights while
            JAX runs without 64-bit types.

    Example:
        >>> variables = {"params": {"Dense_0": {"kernel": np.ones((2, 3), np.float32)},
        ...                         "Dense_1": {"kernel": np.ones((3, 1), np.float32)}}}
        >>> config, params, state = from_flax(variables, activation="tanh")
        >>> config.layer_sizes, params[0].b.tolist()
        ((2, 3, 1), [0.0, 0.0, 0.0])

    Differences: a BatchNorm is taken to stand between its Dense and the activation.

    Reference: lecture, chapter VIII.
    """
    modules: dict[str, dict[str, np.ndarray]] = {}
    for path, leaf in _leaves(_pure(source)):
        *names, field = path
        if field in _FIELDS:
            modules.setdefault(".".join(names), {})[field] = np.asarray(leaf)
    dense, norms = {}, {}
    for name, fields in sorted(modules.items(), key=lambda item: natural_key(item[0])):
        kernel = fields.get("kernel")
        if kernel is not None and kernel.ndim == 2:
            dense[name] = Dense(kernel, fields.get("bias"))
        elif "mean" in fields and "var" in fields:
            mean, var = fields["mean"], fields["var"]
            norms[name] = Norm(fields.get("scale"), fields.get("bias"), mean, var)
        elif layers is None:
            shapes = ", ".join(f"{field} {array.shape}" for field, array in fields.items())
            raise ValueError(
                f"module {name!r} ({shapes}) is neither Dense nor BatchNorm with its batch_stats; "
                "pass all variables, or name the layers to take with layers=[...]."
            )
    blocks = arrange(dense, norms, layers, eps=batch_norm_eps)
    return assemble(blocks, activation, eps=batch_norm_eps, momentum=batch_norm_momentum)


_FIELDS = ("kernel", "bias", "scale", "mean", "var")


def _pure(source: Any) -> Any:
    """Nested dicts of arrays, of anything of linen or nnx."""
    if isinstance(source, Mapping) and set(source) & {"params", "batch_stats"}:
        return [source.get("params", {}), source.get("batch_stats", {})]
    if not isinstance(source, Mapping) or type(source).__module__.startswith("flax.nnx"):
        pure = _pure_nnx(source)
        if pure is None:
            raise ValueError(
                f"a {type(source).__name__} is not of flax; pass the variables of linen, or a "
                "module or state of nnx."
            )
        return [pure]
    return [source]


def _pure_nnx(source: Any) -> Any:
    """The dict of a module or a state of nnx, or None for anything else."""
    try:
        from flax import nnx
    except ImportError:
        return None
    if isinstance(source, nnx.Module):
        source = nnx.state(source)
    return nnx.to_pure_dict(source) if isinstance(source, nnx.State) else None


def _leaves(trees: list[Any]) -> list[tuple[tuple[str, ...], Any]]:
    """(path, array) of all dicts; linen keeps one module's arrays in several of them."""
    found: list[tuple[tuple[str, ...], Any]] = []

    def walk(tree: Any, path: tuple[str, ...]) -> None:
        if isinstance(tree, Mapping):
            for key, value in tree.items():
                walk(value, (*path, str(key)))
        else:
            found.append((path, getattr(tree, "value", tree)))

    for tree in trees:
        walk(tree, ())
    return found


def to_flax(model: NetworkLike, api: Literal["linen", "nnx"] = "linen") -> dict[str, Any]:
    """Write a network's weights as flax has them; flax is not needed.

    Args:
        model: the network; its preprocessing and link are not part of weights.
        api: "linen" for the variables of a compact module, whose layers are `Dense_<i>` and
            `BatchNorm_<i>`; "nnx" for the pure dict of an nnx.Sequential of Linear, BatchNorm,
            activation, ..., to be set with `nnx.replace_by_pure_dict`.

    Returns:
        {"params": {...}, "batch_stats": {...}} of linen (the latter with batch normalization only),
        or {"layers": {0: {...}, ...}} of nnx, where an activation counts as a layer.

    Raises:
        ValueError: for another api, or if params or state do not fit the config.

    Example:
        >>> import jax, jaxmlp
        >>> config = jaxmlp.MLPConfig((2, 3, 1))
        >>> model = jaxmlp.Network(config, jaxmlp.init(config, jax.random.key(0)))
        >>> sorted(to_flax(model)["params"]), sorted(to_flax(model, api="nnx")["layers"])
        (['Dense_0', 'Dense_1'], [0, 2])

    Differences: a Dense below a BatchNorm has no bias (`use_bias=False`).
    """
    if api not in ("linen", "nnx"):
        raise ValueError(f"api is {api!r}, but flax has 'linen' and 'nnx'.")
    model = layers_alone(model)
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    layers: dict[int, dict[str, Any]] = {}
    number = n_norms = 0
    for l, layer in enumerate(model.params):
        weights = {"kernel": layer.W} | ({} if layer.b is None else {"bias": layer.b})
        variables["params"][f"Dense_{l}"] = layers[number] = weights
        number += 2
        if model.config.normalized[l]:
            state, name = model.state[l], f"BatchNorm_{n_norms}"
            affine = {"scale": layer.gamma, "bias": layer.beta}
            statistics = {"mean": state.mean, "var": state.var}
            variables["params"][name], variables["batch_stats"][name] = affine, statistics
            layers[number - 1] = affine | statistics
            number, n_norms = number + 1, n_norms + 1
        number += model.config.dropped[l]
    if api == "nnx":
        return {"layers": layers}
    return variables if n_norms else {"params": variables["params"]}
