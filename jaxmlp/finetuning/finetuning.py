"""The lecture's three ways to use a pretrained network: features, fine-tuning, transfer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, Unpack, cast

import jax
import numpy as np

from jaxmlp.checks import check_key, unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.finetuning.freezing import LayerChoice, freeze
from jaxmlp.losses import get_loss
from jaxmlp.models.inference import infer, prepare
from jaxmlp.models.model import Model, NetworkLike, as_model, single_network
from jaxmlp.models.surgery import attach_head, detach_head, hidden_layer, replace_head
from jaxmlp.networks import Network
from jaxmlp.optimizers import Optimizer, adam, chain, scale_by_layer
from jaxmlp.training import Checkpoints, FitOptions, FitResult, FitStatus, fit
from jaxmlp.training.fit import FIT_DEFAULTS
from jaxmlp.training.options import with_defaults
from jaxmlp.types import Key

_Examples: TypeAlias = tuple[Any, Any]  # (x, y), arrays or a table and a column

_HEAD_RATE = 1e-3  # Adam's usual rate, for weights that start at random
_LOWER_SHARE = 0.1  # of it, for weights that were learnt already
_OF_DATA = ("reading", "backbone")  # what a model's extra says of data, which the new one takes too

MODES = {
    "features": "a new head on the fixed features of the trunk",
    "finetune": "a new head; low layers frozen, high ones trained at a small rate",
    "transfer": "a new head, trained alone first; then all layers at a small rate",
}
"""The lecture's three ways (chapter VIII), in words."""


@dataclass(frozen=True)
class Finetuned:
    """What fine-tuning made.

    Attributes:
        model: the whole network, with the pretrained model's preprocessing.
        results: of each run of `fit`, in order; their `params` are those of the layers above
            cached features only.
        frozen: the layers that did not train.
    """

    model: Model
    results: tuple[FitResult, ...]
    frozen: tuple[int, ...]

    @property
    def network(self) -> Network:
        """The new network alone."""
        return self.model.network


class FinetuneOptions(FitOptions, total=False):
    """What `finetune` takes beside the options of `fit` and of every training.

    Keys:
        epochs: passes over the data, of each phase; 30 by default.
        batch_size: rows a step, 32 by default; None takes all.
        learning_rate: of the head, for Adam; 0.001 by default.
        optimizer: a rule instead of Adam, for every layer that trains in the last phase.
        n_out: outputs of the new head; default: what y asks for.
        class_names: of the new classes; default: "0", "1", ...
        loss: name of the loss; default: the model's.
        layer: the last hidden layer of the trunk, counted from 0 or from the end (the default).
        hidden: sizes of new hidden layers in the head.
        keep_head: go on with the pretrained head instead, for the same outputs.
        frozen: layers that do not train in the mode "finetune", as for `freeze`; indices count
            the new network's layers.
        cache: compute the features of the layers below the lowest one that trains only once, the
            default; False runs the whole network in every step.
    """

    epochs: int
    learning_rate: float | None
    optimizer: Optimizer | None
    n_out: int | None
    class_names: Sequence[str] | None
    loss: str | None
    layer: int
    hidden: tuple[int, ...]
    keep_head: bool
    frozen: LayerChoice | None  # type: ignore[misc]  # also by name or rule
    cache: bool


_OWN_DEFAULTS: FinetuneOptions = {
    "epochs": 30,
    "batch_size": 32,
    "learning_rate": None,
    "optimizer": None,
    "n_out": None,
    "class_names": None,
    "loss": None,
    "layer": -1,
    "hidden": (),
    "keep_head": False,
    "frozen": None,
    "cache": True,
    "validation_data": None,
}


def finetune(
    model: NetworkLike,
    data: _Examples,
    *,
    key: Key,
    mode: str = "finetune",
    **options: Unpack[FinetuneOptions],
) -> Finetuned:
    """Teach a pretrained network a new task.

    "features": the trunk is frozen; its features are computed once, and a new head is trained on
        them. For very little data.
    "finetune": a new head; the lower half of the hidden layers is frozen, the upper half trains at
        a tenth of the head's rate. For enough data, a similar task.
    "transfer": a new head, trained first on the features as above; then all layers train, at a
        tenth of the rate. For the best result on related data.

    Args:
        model: a `Model`, or any network.
        data: (x, y); x raw for a `Model` with preprocessing, which is applied, else as the network
            takes it, (n, n_in); y as the loss takes it, (n,) or (n, n_out).
        key: random key of the new head, of shuffling and dropout.
        mode: one of `MODES`.
        options: those of `FinetuneOptions`, such as epochs, n_out and keep_head; and those of
            `fit`, such as validation_data, early_stopping, l2 and callbacks.

    Returns:
        The new model, and the results of the training runs. Frozen layers are those of the
        pretrained network, bit for bit.

    Raises:
        ValueError: for an unknown mode, for what the mode cannot do, and as `fit` does.

    Differences: caching changes nothing but rounding, since frozen layers drop nothing and
        normalize with running statistics; with dropout *above* the features, the masks are others
        than those of the uncached run.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((4, 8, 3))
        >>> x, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
        >>> new = finetune((config, init(config, jax.random.key(0))), (x, y), mode="features",
        ...                key=jax.random.key(1), epochs=2)
        >>> new.model.config.layer_sizes, new.frozen
        ((4, 8, 2), (0,))

    Reference: lecture, chapter VIII (three ways to use pretrained models); Kumar et al.,
    Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, 2022, arXiv
    2202.10054 (the head first).
    """
    check_key(key)
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    chosen = with_defaults(options, {**FIT_DEFAULTS, **_OWN_DEFAULTS}, finetune)
    own = cast("FinetuneOptions", {name: chosen[name] for name in _OWN_DEFAULTS})
    if own["frozen"] is not None and mode != "finetune":
        raise ValueError(f"the mode {mode!r} says which layers are frozen; leave frozen= out.")
    if own["optimizer"] is not None and own["learning_rate"] is not None:
        raise ValueError("optimizer= brings its own learning rate; leave learning_rate= out.")
    head_key, fit_key = jax.random.split(key)
    model = single_network(as_model(model))
    if own["loss"] is not None:
        model = model._replace(loss=get_loss(own["loss"]).name)
    train = _prepared(model, data, "data")
    validation = own["validation_data"]
    if validation is not None:
        validation = _prepared(model, validation, "validation_data")
    model = _with_head(model, head_key, train[1], own)
    kept, network = hidden_layer(model.config, own["layer"]), model.network
    training = {name: value for name, value in options.items() if name not in _OWN_DEFAULTS}
    training |= {name: own[name] for name in ("epochs", "batch_size")}
    training |= {"loss": model.loss, "key": fit_key}
    results: list[FitResult] = []
    for still, rule in _phases(mode, network.config, kept, own):
        saved = _of_phase(options.get("checkpoint"), len(results) + 1)
        network, result = _train(
            network, still, rule, train, validation, own["cache"], training | {"checkpoint": saved}
        )
        results.append(result)
        if result.status in (FitStatus.DIVERGED, FitStatus.INTERRUPTED):
            break
    config, params, state = network
    extra = {name: model.extra[name] for name in _OF_DATA if name in model.extra}
    tuned = model._replace(config=config, params=params, state=state, metrics={}, extra=extra)
    return Finetuned(tuned, tuple(results), still)


def _of_phase(checkpoint: Checkpoints | None, number: int) -> Checkpoints | None:
    """Give each run of a mode a folder of its own."""
    if not isinstance(checkpoint, Checkpoints):
        return checkpoint
    return replace(checkpoint, folder=Path(checkpoint.folder, f"phase-{number}"))


def _with_head(model: Model, key: Key, y: np.ndarray, own: FinetuneOptions) -> Model:
    """The model with the head that the new task needs, or with its own if that is kept."""
    if own["keep_head"]:
        _check_head(model, own["n_out"], own["hidden"])
        return model
    width = own["n_out"] or outputs_for(model.loss, y)
    config, params, state = replace_head(
        model.network, key, width, layer=own["layer"], hidden=own["hidden"]
    )
    names = name_classes(model.loss, own["class_names"], width)
    return model._replace(config=config, params=params, state=state, class_names=names)


def _phases(
    mode: str, config: MLPConfig, kept: int, own: FinetuneOptions
) -> list[tuple[tuple[int, ...], Optimizer]]:
    """The runs that a mode consists of: (frozen layers, update rule) each."""
    trunk, optimizer, frozen = tuple(range(kept + 1)), own["optimizer"], own["frozen"]
    rate = _HEAD_RATE if own["learning_rate"] is None else own["learning_rate"]
    if mode == "features":
        return [(trunk, optimizer or adam(rate))]
    if mode == "transfer":
        return [(trunk, adam(rate)), ((), optimizer or adam(_LOWER_SHARE * rate))]
    still = trunk[: len(trunk) // 2] if frozen is None else freeze(config, frozen)
    training = [l for l in range(config.n_layers) if l not in still]
    shares = tuple(_LOWER_SHARE if l <= kept else 1.0 for l in training)
    return [(still, optimizer or chain(adam(rate), scale_by_layer(shares)))]


def _train(
    network: Network,
    frozen: tuple[int, ...],
    optimizer: Optimizer,
    train: _Examples,
    validation: _Examples | None,
    cache: bool,
    options: Mapping[str, Any],
) -> tuple[Network, FitResult]:
    """Train the layers that are not frozen, those above the lowest of them on cached features."""
    lowest = min((l for l in range(network.config.n_layers) if l not in frozen), default=0)
    if not cache or lowest == 0:
        result = fit(
            network.config, network.params, train, state=network.state, frozen=frozen,
            optimizer=optimizer, validation_data=validation, **options,
        )  # fmt: skip
        return result.network, result
    if options.get("probe") is not None:
        raise ValueError(
            "a probe sees only the layers above the cached features; pass cache=False to have "
            "the whole network run in every step."
        )

    def cached(data: _Examples) -> _Examples:
        return infer(network, data[0], output="embeddings", layer=lowest - 1), data[1]

    upper = detach_head(network, lowest - 1)
    result = fit(
        upper.config, upper.params, cached(train), state=upper.state, optimizer=optimizer,
        frozen=tuple(l - lowest for l in frozen if l > lowest),
        validation_data=None if validation is None else cached(validation), **options,
    )  # fmt: skip
    return attach_head(network, result, lowest - 1), result


def _prepared(model: Model, data: _Examples, what: str) -> tuple[Any, np.ndarray]:
    """The data as the network takes them, by the model's own preprocessing if it has one."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"{what} is a {type(data).__name__}; pass a pair (x, y) of arrays.")
    x, y = data
    if model.preprocessing is not None or hasattr(x, "columns"):
        x = prepare(model, x, what=what)
    if model.target_transform is not None:
        y = model.target_transform.transform(y)
    return x, np.asarray(y)


def outputs_for(loss: str, y: np.ndarray) -> int:
    """The number of outputs that targets ask for."""
    if y.ndim == 2:
        return int(y.shape[1])
    if loss != "softmax_cross_entropy":
        return 1
    if y.dtype.kind not in "iu" or y.size == 0:
        raise ValueError(
            f"y has dtype {y.dtype}; pass class indices 0, 1, ... as jaxmlp.data.from_arrays makes "
            "them, or another loss=."
        )
    return max(2, int(y.max()) + 1)


def name_classes(loss: str, names: Sequence[str] | None, n_out: int) -> tuple[str, ...] | None:
    """Return the names of classes, by default their numbers; None in a regression."""
    if get_loss(loss).task != "classification":
        return None
    n_classes = max(2, n_out)
    if names is None:
        return tuple(str(k) for k in range(n_classes))
    if len(names) != n_classes:
        raise ValueError(f"there are {len(names)} class names for {n_classes} classes.")
    return tuple(names)


def _check_head(model: Model, n_out: int | None, hidden: tuple[int, ...]) -> None:
    have = model.config.layer_sizes[-1]
    if hidden or n_out not in (None, have):
        raise ValueError(
            f"keep_head=True keeps the pretrained head of {have} outputs; leave hidden= and n_out= "
            "out, or keep_head."
        )
