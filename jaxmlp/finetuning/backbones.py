"""Tuning a backbone together with its head: the lecture's three ways, on models of any library."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import jax
import numpy as np
from jaxtyping import Float

from jaxmlp.backbones.backbone import Backbone, differentiable
from jaxmlp.backbones.differentiable import DifferentiableModel, blocks_of, choose_frozen
from jaxmlp.checks import check_key, unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.data import Standardizer
from jaxmlp.finetuning.finetuning import MODES, name_classes, outputs_for
from jaxmlp.finetuning.joint_training import HEAD_RATE, Items, JointTraining
from jaxmlp.losses import get_loss
from jaxmlp.models.inference import infer, prepare
from jaxmlp.models.model import Model
from jaxmlp.network import init
from jaxmlp.optimizers import Optimizer, adam
from jaxmlp.training import EarlyStopping, FitStatus, History, fit
from jaxmlp.training.options import with_defaults
from jaxmlp.types import Key

_LEAST_EPOCHS, _STEPS = 5, 300  # through a backbone, where nothing is said


@dataclass(frozen=True)
class TunedBackbone:
    """What tuning made.

    Attributes:
        backbone: with the tuned parameters; the given one keeps its own.
        model: the head, with the standardization of the features. Of a backbone from
            `Backbone.load` it remembers what was tuned, so that the saved model is all there is.
        history: of the passes through the backbone, one row an epoch; in the mode "features", of
            the head's passes over the features.
        status: how training ended.
        best_epoch: the epoch, from 1, with the best metric.
        frozen: names of the backbone's parameters that did not train.
    """

    backbone: Backbone
    model: Model
    history: History
    status: FitStatus
    best_epoch: int
    frozen: tuple[str, ...]

    def predict(self, items: Sequence[Any]) -> Float[np.ndarray, "items n_out"]:
        """Return shares of classes, or values, for raw items, (items, n_out)."""
        return infer(self.model, prepare(self.model, self.backbone(items)))


class BackboneOptions(TypedDict, total=False):
    """What `finetune_backbone` takes.

    Keys:
        epochs: passes through the backbone; by default at least 5, and about 300 steps.
        head_epochs: passes over the features, of a head that trains alone, 50 by default.
        batch_size: items a step, 16 by default.
        optimizer: the head's rule, `adam(1e-3)` by default.
        backbone_optimizer: the backbone's rule, `adam(2e-5)` by default.
        frozen: what does not train: blocks ("layer1", "encoder.layer.3", whatever begins the names
            of `backbone.model.parameters` up to a dot), or a rule name -> bool. By default the
            lower half of a module of PyTorch, and nothing of a JAX function, whose parameters
            have no order.
        head: a classifier or regressor of the backbone's features to go on with, with its
            preprocessing of them; by default a new one is drawn.
        hidden: sizes of hidden layers in a new head, none by default.
        n_out: outputs of the head; default: what y asks for.
        class_names: of the classes; default: "0", "1", ...
        loss: name of the loss; default: cross-entropy for class indices, else the squared error.
        l2: weight of the head's penalty, 0 by default.
        dropout_rate: of a given head that drops out, 0.5 by default.
        validation_data: (items, y), measured after every epoch.
        early_stopping: an `EarlyStopping`; the best epoch is kept.
        progress: called with (steps done, all steps) after each step through the backbone.
        callback: called with an epoch's metrics by name.
    """

    epochs: int | None
    head_epochs: int
    batch_size: int
    optimizer: Optimizer | None
    backbone_optimizer: Optimizer | None
    frozen: Iterable[str] | Callable[[str], bool] | None
    head: Model | None
    hidden: Sequence[int]
    n_out: int | None
    class_names: Sequence[str] | None
    loss: str | None
    l2: float
    dropout_rate: float
    validation_data: tuple[Sequence[Any], Any] | None
    early_stopping: EarlyStopping | None
    progress: Callable[[int, int], object]
    callback: Callable[[dict[str, float]], object]


_DEFAULTS: BackboneOptions = {
    "epochs": None,
    "head_epochs": 50,
    "batch_size": 16,
    "optimizer": None,
    "backbone_optimizer": None,
    "frozen": None,
    "head": None,
    "hidden": (),
    "n_out": None,
    "class_names": None,
    "loss": None,
    "l2": 0.0,
    "dropout_rate": 0.5,
    "validation_data": None,
    "early_stopping": None,
    "progress": lambda done, all_: None,
    "callback": lambda row: None,
}


def finetune_backbone(
    backbone: Backbone,
    data: tuple[Sequence[Any], Any],
    *,
    key: Key,
    mode: str = "transfer",
    **options: Unpack[BackboneOptions],
) -> TunedBackbone:
    """Teach a pretrained model of any library a new task.

    "features": the backbone is fixed; its features are computed once, and a head trains on them.
    "finetune": a new head and the blocks that are not frozen train together, each at its rate.
    "transfer": the head trains alone first, as in "features"; then both as in "finetune".

    The backbone's norms use and keep their running statistics, and it drops nothing.

    Args:
        backbone: from `Backbone.load` or `Backbone.wrap`.
        data: (items, y); items as the backbone takes them, y as the loss takes it, (items,) or
            (items, n_out).
        key: random key of the head and of the order.
        mode: one of the three.
        options: those of `BackboneOptions`.

    Returns:
        The tuned backbone with its head. Frozen parameters are those of before, bit for bit.

    Raises:
        TypeError: for a backbone that is a plain function, and an unknown option.
        ValueError: for an unknown mode or block, and data that do not fit.

    Example:
        >>> ones = {"scale": np.ones((1, 2), np.float32)}
        >>> scale = Backbone.wrap(lambda p, x: x * p["scale"], ones)
        >>> items, y = list(np.eye(2, dtype=np.float32)) * 4, np.array([0, 1] * 4)
        >>> tuned = finetune_backbone(scale, (items, y), key=jax.random.key(0), mode="finetune")
        >>> tuned.predict(items).shape, tuned.backbone.name != scale.name
        ((8, 2), True)

    Reference: lecture, chapter VIII (three ways to use pretrained models); Kumar et al., 2022,
    arXiv 2202.10054 (the head first).
    """
    check_key(key)
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    chosen = with_defaults(options, _DEFAULTS, finetune_backbone)
    pretrained = differentiable(backbone)
    train, validation = _checked(data, "data"), chosen["validation_data"]
    validation = None if validation is None else _checked(validation, "validation_data")
    if chosen["epochs"] is None:
        steps = -(-len(train.y) // chosen["batch_size"])
        chosen["epochs"] = max(_LEAST_EPOCHS, -(-_STEPS // steps))
    init_key, fit_key, order_key = jax.random.split(key, 3)
    features = backbone(list(train.items))
    model = _head(features, train.y, init_key, chosen)
    frozen = _frozen_names(pretrained, chosen["frozen"])
    if mode != "features" and len(frozen) == len(pretrained.parameters):
        raise ValueError("every block of the backbone is frozen; that is mode='features'.")
    if mode != "finetune":
        result = _fit_head(model, backbone, features, train, validation, fit_key, chosen)
        model = model._replace(params=result.params)
        if mode == "features" or result.status is not FitStatus.COMPLETED:
            return TunedBackbone(
                backbone, _remembering(model, backbone, {}), result.history, result.status,
                result.best_epoch, tuple(pretrained.parameters),
            )  # fmt: skip
    tuning = JointTraining(backbone, model, frozen, chosen)
    end = tuning.run(train, validation, order_key)
    tuned = {name: np.asarray(array) for name, array in end.params.backbone.items()}
    new = backbone.tuned(tuned)
    model = _remembering(model._replace(params=end.params.head), new, tuned)
    return TunedBackbone(new, model, end.history, end.status, end.best_epoch, frozen)


def _checked(data: Any, what: str) -> Items:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"{what} is a {type(data).__name__}; pass a pair (items, y).")
    items, y = data[0], np.asarray(data[1])
    if len(items) == 0 or len(items) != len(y):
        raise ValueError(f"{what} has {len(items)} items and {len(y)} targets; pass one of each.")
    return Items(items, y if y.dtype.kind in "iub" else y.astype(np.float32))


def _head(
    features: Float[np.ndarray, "items features"], y: np.ndarray, key: Key, chosen: dict[str, Any]
) -> Model:
    """Return the head to go on with, or draw one for the features and targets."""
    if chosen["head"] is not None:
        return _given_head(chosen["head"], features.shape[1])
    # One scale for all: a feature that hardly varies would else be magnified as soon as it moves.
    standardizer = Standardizer.fit(features, per_feature=False)
    loss = chosen["loss"] or ("softmax_cross_entropy" if y.dtype.kind in "iub" else "squared_error")
    loss = get_loss(loss).name
    n_out = chosen["n_out"] or outputs_for(loss, y)
    config = MLPConfig((standardizer.n_features, *chosen["hidden"], n_out))
    names = name_classes(loss, chosen["class_names"], n_out)
    return Model(config, init(config, key), (), loss, standardizer, None, names)


def _given_head(head: Model, n_features: int) -> Model:
    sizes, standardized = head.config.layer_sizes, isinstance(head.preprocessing, Standardizer)
    plain = isinstance(head.config, MLPConfig) and not any(head.config.normalized)
    if not (plain and standardized) or sizes[0] != n_features:
        raise ValueError(
            f"head= has the layers {sizes}; pass a model of the {n_features} features that has a "
            "Standardizer of them, and no batch normalization."
        )
    return head


def _frozen_names(model: DifferentiableModel, frozen: Any) -> tuple[str, ...]:
    names = tuple(model.parameters)
    if frozen is not None:
        return choose_frozen(names, frozen)
    blocks = blocks_of(names)
    return choose_frozen(names, blocks[: len(blocks) // 2] if model.ordered else ())


def _fit_head(
    model: Model,
    backbone: Backbone,
    features: np.ndarray,
    train: Items,
    validation: Items | None,
    key: Key,
    chosen: dict[str, Any],
) -> Any:
    """Train the head alone on features that are computed once."""
    held_out = None
    if validation is not None:
        held_out = (prepare(model, backbone(list(validation.items))), validation.y)
    return fit(
        model.config, model.params, (prepare(model, features), train.y), loss=model.loss,
        optimizer=chosen["optimizer"] or adam(HEAD_RATE), epochs=chosen["head_epochs"], key=key,
        batch_size=min(chosen["batch_size"], len(train.y)), l2=chosen["l2"],
        dropout_rate=chosen["dropout_rate"],
        validation_data=held_out, early_stopping=chosen["early_stopping"],
    )  # fmt: skip


def _remembering(model: Model, backbone: Backbone, tuned: dict[str, np.ndarray]) -> Model:
    """The model with what makes features of new items, if that can be loaded again."""
    if backbone.source is None:
        return model
    said = {**backbone.source._asdict(), "name": backbone.name}
    return model._replace(extra={"backbone": said | ({"tuned": tuned} if tuned else {})})
