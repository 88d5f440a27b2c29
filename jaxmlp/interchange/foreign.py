"""What all converters from other libraries share: dense and normalization layers become a network.

A converter turns its library's weights into `Dense` and `Norm` records by name; `arrange` finds
their order, `assemble` makes (config, params, state) of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import ACTIVATIONS, Activation
from jaxmlp.config import ActivationLike, MLPConfig
from jaxmlp.models.model import Model, NetworkLike, as_model, single_network
from jaxmlp.networks import Network
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.types import Layer, NormState, wide_dtype

Names: TypeAlias = Sequence[str | tuple[str, str]]


def layers_alone(value: NetworkLike) -> Model:
    """Return the model of a network that is nothing but layers, as other libraries have them."""
    model = single_network(as_model(value))
    if isinstance(model.config, TabularConfig):
        raise ValueError(
            "this is a network for tables, whose input side and members other libraries have not: "
            "export it to numpy, C or ONNX, or train it with --recipe plain (recipe='plain')."
        )
    if any(model.config.parametric):
        raise ValueError(
            "this network has parametric activations, which other libraries have not: export it to "
            "numpy, C or ONNX, or train it with parametric_activation=False."
        )
    return model


class Dense(NamedTuple):
    """x W + b: W of shape (n_in, n_out), b of (n_out,) or None."""

    W: np.ndarray
    b: np.ndarray | None


class Norm(NamedTuple):
    """gamma (z - mean) / sqrt(var + eps) + beta, each (n,); no gamma means 1, no beta 0."""

    gamma: np.ndarray | None
    beta: np.ndarray | None
    mean: np.ndarray
    var: np.ndarray


class Block(NamedTuple):
    """A dense layer and the normalization between it and its activation."""

    dense: Dense
    norm: Norm | None = None


def _affine_of(norm: Norm, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Write a normalization by constants as z * factor + shift, in float64.

    factor = gamma / sqrt(var + eps),  shift = beta - mean * factor.
    """
    mean, var = (np.asarray(part, np.float64) for part in (norm.mean, norm.var))
    gamma = 1.0 if norm.gamma is None else np.asarray(norm.gamma, np.float64)
    factor = gamma / np.sqrt(var + eps)
    shift = -mean * factor
    return factor, shift if norm.beta is None else shift + np.asarray(norm.beta, np.float64)


def fold_after(dense: Dense, norm: Norm, eps: float) -> Dense:
    """Make one dense layer of a dense layer and the normalization of its outputs, in float64."""
    factor, shift = _affine_of(norm, eps)
    b = 0.0 if dense.b is None else np.asarray(dense.b, np.float64)
    return Dense(np.asarray(dense.W, np.float64) * factor, b * factor + shift)


def _fold_before(norm: Norm, dense: Dense, eps: float) -> Dense:
    """Make one dense layer of a normalization and the dense layer that takes its outputs."""
    factor, shift = _affine_of(norm, eps)
    W = np.asarray(dense.W, np.float64)
    b = 0.0 if dense.b is None else np.asarray(dense.b, np.float64)
    return Dense(factor[:, None] * W, shift @ W + b)


def arrange(
    dense: Mapping[str, Dense],
    norms: Mapping[str, Norm],
    names: Names | None,
    *,
    in_order: bool = False,
    eps: float = 1e-5,
) -> list[Block]:
    """Put layers into the order in which data flow through them.

    Args:
        dense: the dense layers by name.
        norms: the normalization layers by name.
        names: the order, as the user says: the name of each dense layer, or the names of a dense
            layer and its normalization; None to find it.
        in_order: whether the mappings list the layers in their order of use.
        eps: of normalizations, for those that are folded into a layer.

    Returns:
        One block for each dense layer.

    Raises:
        ValueError: if a name is unknown, or if more than one order fits.
    """
    if names is not None:
        return [_named_block(dense, norms, name) for name in names]
    if not dense:
        raise ValueError("there is no dense layer (a two-dimensional weight) in it.")
    numbered = _sequential(dense, norms)
    if numbered is not None:
        return _chain(numbered, dense, norms, eps)
    orders = list(islice(_orders(dense), 2)) if not in_order else [tuple(dense)]
    if not orders:
        raise ValueError(f"no order of the layers {_list(dense)} makes the sizes fit. {_HELP}")
    if len(orders) > 1:
        raise ValueError(f"the layers {_list(dense)} fit together in more than one order. {_HELP}")
    widths = [dense[name].W.shape[1] for name in orders[0]]
    norm_names = list(norms) if in_order else sorted(norms, key=natural_key)
    places = list(islice(_places(widths, [len(norms[name].mean) for name in norm_names]), 2))
    if len(norm_names) == len(widths) - 1 and tuple(range(len(widths) - 1)) in places:
        places = [tuple(range(len(widths) - 1))]  # every hidden layer has one
    if len(places) != 1:
        how = "nowhere" if not places else "in more than one way"
        raise ValueError(f"the normalization layers {_list(norms)} fit {how}. {_HELP}")
    chosen = dict(zip(places[0], norm_names, strict=True))
    return [
        Block(dense[name], norms[chosen[l]] if l in chosen else None)
        for l, name in enumerate(orders[0])
    ]


_HELP = (
    "Pass layers=[...], the name of each dense layer in the order of use, or the pair (dense, "
    "normalization)."
)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key by which layer_2 comes before layer_10.

    >>> sorted(["a.10", "a.9", "a.b"], key=natural_key)
    ['a.9', 'a.10', 'a.b']
    """
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", name))


def _named_block(
    dense: Mapping[str, Dense], norms: Mapping[str, Norm], name: str | tuple[str, str]
) -> Block:
    first, *rest = (name,) if isinstance(name, str) else name
    wanted: list[tuple[str, Mapping[str, object], str]] = [(first, dense, "dense")]
    wanted += [(norm, norms, "normalization") for norm in rest]
    for layer, known, what in wanted:
        if layer not in known:
            raise ValueError(f"there is no {what} layer {layer!r}; there are {_list(known)}.")
    return Block(dense[first], norms[rest[0]] if rest else None)


def _sequential(dense: Mapping[str, Dense], norms: Mapping[str, Norm]) -> list[str] | None:
    """All names in order, if they are the numbers of one nn.Sequential."""
    names = sorted((*dense, *norms), key=natural_key)
    containers = {re.sub(r"\d+$", "", name) for name in names}
    numbered = all(re.search(r"(^|\.)\d+$", name) for name in names)
    return names if numbered and len(containers) == 1 else None


def _chain(
    names: list[str], dense: Mapping[str, Dense], norms: Mapping[str, Norm], eps: float
) -> list[Block]:
    """Blocks of an nn.Sequential; what normalizes a layer's inputs is folded into that layer."""
    blocks: list[Block] = []
    waiting: Norm | None = None  # the normalization of the next layer's inputs
    for name, previous in zip(names, [None, *names[:-1]], strict=True):
        follows = previous is not None and _number(name) == _number(previous) + 1
        if name in dense:
            if waiting is not None and len(waiting.mean) != dense[name].W.shape[0]:
                raise ValueError(
                    f"the normalization before {name!r} has {len(waiting.mean)} units."
                )
            layer = dense[name] if waiting is None else _fold_before(waiting, dense[name], eps)
            blocks.append(Block(_narrow(layer, dense[name])))
            waiting = None
        elif previous in dense and follows:
            blocks[-1] = Block(blocks[-1].dense, norms[name])
        elif waiting is None and (previous is None or previous in dense):
            waiting = norms[name]
        else:
            raise ValueError(f"the normalization {name!r} follows another; fold one of them first.")
    if waiting is not None:
        raise ValueError(f"the normalization {names[-1]!r} after an activation ends the network.")
    if not blocks:
        raise ValueError("there is no dense layer (a two-dimensional weight) in it.")
    return blocks


def _narrow(layer: Dense, like: Dense) -> Dense:
    """Back to the type of the weights after folding in float64."""
    b = None if layer.b is None else layer.b.astype(like.W.dtype)
    return Dense(layer.W.astype(like.W.dtype), b)


def _number(name: str) -> int:
    return int(name.rpartition(".")[2])


def _orders(dense: Mapping[str, Dense]) -> Iterator[tuple[str, ...]]:
    """All orders in which sizes fit, and names that differ in numbers only count upwards."""
    skeleton = {name: re.sub(r"\d+", "#", name) for name in dense}
    waiting = sorted(dense, key=natural_key)

    def extend(done: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if len(done) == len(waiting):
            yield done
        seen: set[str] = set()
        for name in waiting:
            if name in done or skeleton[name] in seen:
                continue
            seen.add(skeleton[name])  # of each skeleton, only the lowest number may come next
            if not done or dense[done[-1]].W.shape[1] == dense[name].W.shape[0]:
                yield from extend((*done, name))

    return extend(())


def _places(widths: list[int], sizes: list[int], start: int = 0) -> Iterator[tuple[int, ...]]:
    """All ways to give normalizations of these sizes, in their order, to layers of these widths."""
    if not sizes:
        yield ()
    else:
        for l in range(start, len(widths)):
            if widths[l] == sizes[0]:
                yield from ((l, *rest) for rest in _places(widths, sizes[1:], l + 1))


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in names) or "none"


def assemble(
    blocks: Sequence[Block],
    activation: ActivationLike | tuple[ActivationLike, ...],
    *,
    eps: float = 1e-5,
    momentum: float = 0.9,
) -> Network:
    """Make a network of blocks.

    A bias below a normalization moves into its mean, and a normalization of the outputs into the
    last layer; both are exact but for rounding. A missing bias becomes 0.

    Args:
        blocks: the layers, in order.
        activation: of the hidden layers.
        eps: added to the variances.
        momentum: weight of the *old* running statistic.

    Returns:
        (config, params, state); the dtype is the widest of the weights (float32 for float16).

    Raises:
        ValueError: if sizes do not fit, a weight is not finite, or the weights are float64 while
            JAX runs without 64-bit types.
    """
    sizes = _sizes(blocks)
    dtype = _common_dtype([block.dense.W for block in blocks])
    *hidden, last = blocks
    norms = tuple(block.norm is not None for block in hidden) or (False,)
    if isinstance(activation, tuple) and len(set(activation)) == 1:
        activation = activation[0]
    if last.norm is not None:
        last = Block(fold_after(last.dense, last.norm, eps))
    config = MLPConfig(
        sizes,
        activation,
        batch_norm=norms[0] if len(set(norms)) == 1 else norms,
        batch_norm_eps=eps,
        batch_norm_momentum=momentum,
        dtype=dtype.name,
    )
    layers, states = zip(*(_convert(block, dtype) for block in (*hidden, last)), strict=True)
    return Network(config, layers, states if any(config.normalized) else ())


def _sizes(blocks: Sequence[Block]) -> tuple[int, ...]:
    """The units of every layer, input included; refuse blocks that do not fit together."""
    sizes = [blocks[0].dense.W.shape[0]]
    for l, (dense, norm) in enumerate(blocks):
        n_in, n_out = dense.W.shape
        if n_in != sizes[-1]:
            raise ValueError(
                f"layer {l} turns {n_in} values into {n_out}, but gets {sizes[-1]}. {_HELP}"
            )
        for name, vector in {"bias": dense.b, **(norm._asdict() if norm else {})}.items():
            if vector is not None and vector.shape != (n_out,):
                raise ValueError(
                    f"{name} of layer {l} has shape {vector.shape}, but must be ({n_out},)."
                )
        sizes.append(n_out)
    return tuple(sizes)


def _common_dtype(weights: Sequence[np.ndarray]) -> np.dtype:
    for W in weights:
        if not (jnp.issubdtype(W.dtype, jnp.floating) and np.isfinite(W.astype(np.float64)).all()):
            raise ValueError(
                f"a weight of shape {W.shape} holds {W.dtype} that are not all finite numbers; "
                "convert it, or train it again."
            )
    names = {W.dtype.name for W in weights}
    if "float64" in names:
        return jnp.dtype("float64")
    return jnp.dtype("bfloat16" if names == {"bfloat16"} else "float32")


def _convert(block: Block, dtype: np.dtype) -> tuple[Layer, NormState | None]:
    (W, b), norm = block
    n_out = W.shape[1]
    if norm is None:
        bias = np.zeros(n_out) if b is None else b
        return Layer(jnp.asarray(W, dtype), jnp.asarray(bias, dtype)), None
    gamma = np.ones(n_out) if norm.gamma is None else norm.gamma
    beta = np.zeros(n_out) if norm.beta is None else norm.beta
    mean = np.asarray(norm.mean, np.float64) - (0.0 if b is None else np.asarray(b, np.float64))
    statistics = (jnp.asarray(part, wide_dtype(dtype)) for part in (mean, norm.var))
    layer = Layer(jnp.asarray(W, dtype), None, jnp.asarray(gamma, dtype), jnp.asarray(beta, dtype))
    return layer, NormState(*statistics)


def known_activation(phi: Activation, known: Mapping[str, object], where: str) -> str:
    """Return the name of an activation, or refuse one that the other side has not."""
    if ACTIVATIONS.get(phi.name) != phi or phi.name not in known:
        raise ValueError(
            f"activation {phi.name!r} cannot be written for {where}, which takes: "
            f"{', '.join(sorted(known))}."
        )
    return phi.name
