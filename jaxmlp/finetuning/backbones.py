"""Tuning a backbone together with its head: the lecture's three ways, on models of any library."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, Unpack, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxmlp.backbones.backbone import Backbone, differentiable
from jaxmlp.backbones.differentiable import DifferentiableModel, blocks_of, choose_frozen
from jaxmlp.checks import check_key, unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.data import Standardizer
from jaxmlp.finetuning.finetuning import MODES, name_classes, outputs_for
from jaxmlp.finetuning.through import JointParams, value_and_grad_through
from jaxmlp.losses import Loss, get_loss
from jaxmlp.models.inference import infer, prepare
from jaxmlp.models.model import Model
from jaxmlp.network import init, predict
from jaxmlp.optimizers import Optimizer, adam
from jaxmlp.training import EarlyStopping, FitStatus, History, fit
from jaxmlp.training.interruption import interruptible
from jaxmlp.training.metrics import METRICS, finish, metric_sums, target_spread, total
from jaxmlp.training.options import with_defaults
from jaxmlp.training.stopping import best_metric, higher_is_better
from jaxmlp.types import Key, PyTree

_RATE = 1e-3  # Adam's usual one, for a head that starts at random
_BACKBONE_RATE = 1e-4  # for what was learnt already


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
        epochs: passes through the backbone, 5 by default.
        head_epochs: passes over the features, of a head that trains alone, 50 by default.
        batch_size: items a step, 16 by default.
        optimizer: the head's rule, `adam(1e-3)` by default.
        backbone_optimizer: the backbone's rule, `adam(1e-4)` by default.
        frozen: what does not train: blocks ("layer1", "encoder.layer.3", whatever begins the names
            of `backbone.model.parameters` up to a dot), or a rule name -> bool. By default the
            lower half of a module of PyTorch, and nothing of a JAX function, whose parameters
            have no order.
        hidden: sizes of hidden layers in the head, none by default.
        n_out: outputs of the head; default: what y asks for.
        class_names: of the classes; default: "0", "1", ...
        loss: name of the loss; default: cross-entropy for class indices, else the squared error.
        l2: weight of the head's penalty, 0 by default.
        validation_data: (items, y), measured after every epoch.
        early_stopping: an `EarlyStopping`; the best epoch is kept.
        progress: called with (steps done, all steps) after each step through the backbone.
        callback: called with an epoch's metrics by name.
    """

    epochs: int
    head_epochs: int
    batch_size: int
    optimizer: Optimizer | None
    backbone_optimizer: Optimizer | None
    frozen: Iterable[str] | Callable[[str], bool] | None
    hidden: Sequence[int]
    n_out: int | None
    class_names: Sequence[str] | None
    loss: str | None
    l2: float
    validation_data: tuple[Sequence[Any], Any] | None
    early_stopping: EarlyStopping | None
    progress: Callable[[int, int], object]
    callback: Callable[[dict[str, float]], object]


_DEFAULTS: BackboneOptions = {
    "epochs": 5,
    "head_epochs": 50,
    "batch_size": 16,
    "optimizer": None,
    "backbone_optimizer": None,
    "frozen": None,
    "hidden": (),
    "n_out": None,
    "class_names": None,
    "loss": None,
    "l2": 0.0,
    "validation_data": None,
    "early_stopping": None,
    "progress": lambda done, all_: None,
    "callback": lambda row: None,
}


class _Data(NamedTuple):
    """Items with their targets."""

    items: Sequence[Any]
    y: np.ndarray

    def take(self, rows: np.ndarray) -> tuple[list[Any], np.ndarray]:
        return [self.items[row] for row in rows], self.y[rows]


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
        >>> scale = Backbone.wrap(lambda p, x: x * p["scale"], {"scale": np.ones(2, np.float32)})
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
    init_key, fit_key, order_key = jax.random.split(key, 3)
    features = backbone(list(train.items))
    standardizer = Standardizer.fit(features)
    model = _new_head(standardizer, train.y, init_key, chosen)
    frozen = _frozen_names(pretrained, chosen["frozen"])
    if mode != "finetune":
        result = _fit_head(model, backbone, features, train, validation, fit_key, chosen)
        model = model._replace(params=result.params)
        if mode == "features" or result.status is not FitStatus.COMPLETED:
            return TunedBackbone(
                backbone, _remembering(model, backbone, {}), result.history, result.status,
                result.best_epoch, tuple(pretrained.parameters),
            )  # fmt: skip
    tuning = _Tuning(backbone, model, frozen, chosen)
    end = tuning.run(train, validation, order_key)
    tuned = {name: np.asarray(array) for name, array in end.params.backbone.items()}
    new = backbone.tuned(tuned) if tuned else backbone
    model = _remembering(model._replace(params=end.params.head), new, tuned)
    return TunedBackbone(new, model, end.history, end.status, end.best_epoch, frozen)


def _checked(data: Any, what: str) -> _Data:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"{what} is a {type(data).__name__}; pass a pair (items, y).")
    items, y = data[0], np.asarray(data[1])
    if len(items) == 0 or len(items) != len(y):
        raise ValueError(f"{what} has {len(items)} items and {len(y)} targets; pass one of each.")
    return _Data(items, y if y.dtype.kind in "iub" else y.astype(np.float32))


def _new_head(standardizer: Standardizer, y: np.ndarray, key: Key, chosen: dict[str, Any]) -> Model:
    """Draw a head for the features and targets."""
    loss = chosen["loss"] or ("softmax_cross_entropy" if y.dtype.kind in "iub" else "squared_error")
    loss = get_loss(loss).name
    n_out = chosen["n_out"] or outputs_for(loss, y)
    config = MLPConfig((standardizer.n_features, *chosen["hidden"], n_out))
    names = name_classes(loss, chosen["class_names"], n_out)
    return Model(config, init(config, key), (), loss, standardizer, None, names)


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
    train: _Data,
    validation: _Data | None,
    key: Key,
    chosen: dict[str, Any],
) -> Any:
    """Train the head alone on features that are computed once."""
    held_out = None
    if validation is not None:
        held_out = (prepare(model, backbone(list(validation.items))), validation.y)
    return fit(
        model.config, model.params, (prepare(model, features), train.y), loss=model.loss,
        optimizer=chosen["optimizer"] or adam(_RATE), epochs=chosen["head_epochs"], key=key,
        batch_size=min(chosen["batch_size"], len(train.y)), l2=chosen["l2"],
        validation_data=held_out, early_stopping=chosen["early_stopping"],
    )  # fmt: skip


def _remembering(model: Model, backbone: Backbone, tuned: dict[str, np.ndarray]) -> Model:
    """The model with what makes features of new items, if that can be loaded again."""
    if backbone.source is None:
        return model
    said = {**backbone.source._asdict(), "name": backbone.name}
    return model._replace(extra={"backbone": said | ({"tuned": tuned} if tuned else {})})


class _End(NamedTuple):
    """How a tuning ended."""

    params: JointParams
    history: History
    status: FitStatus
    best_epoch: int


class _Tuning:
    """Steps through a backbone, from the host: one program each where JAX traces the backbone."""

    def __init__(
        self, backbone: Backbone, model: Model, frozen: tuple[str, ...], chosen: dict[str, Any]
    ) -> None:
        """Take the parameters that train, and make the step."""
        self._backbone, self._chosen = backbone, chosen
        self._pretrained = differentiable(backbone)
        self._config, self._loss = model.config, get_loss(model.loss)
        self._standardizer = cast("Standardizer", model.preprocessing)
        own = self._pretrained.parameters
        self.params = JointParams({n: own[n] for n in own if n not in frozen}, model.params)
        rules = (
            chosen["backbone_optimizer"] or adam(_BACKBONE_RATE),
            chosen["optimizer"] or adam(_RATE),
        )
        self._states = tuple(
            rule.init(jax.tree.map(jnp.asarray, part))
            for rule, part in zip(rules, self.params, strict=True)
        )
        self._step = self._make_step(rules)

    def _make_step(self, rules: tuple[Optimizer, Optimizer]) -> Callable[..., Any]:
        gradient = value_and_grad_through(
            self._backbone, self._config, self._loss, standardizer=self._standardizer,
            has_aux=True,
        )  # fmt: skip
        traceable, l2 = self._pretrained.traceable, self._chosen["l2"]

        def update(params: JointParams, states: Any, grads: JointParams) -> tuple[Any, Any]:
            parts = zip(rules, grads, states, params, strict=True)
            updates, after = zip(*(r.update(g, s, p) for r, g, s, p in parts), strict=True)
            return jax.tree.map(jnp.add, params, JointParams(*updates)), after

        apply = update if traceable else jax.jit(update)

        def step(params: JointParams, states: PyTree, inputs: Any, y: Any) -> tuple[Any, ...]:
            (_, logits), grads = gradient(params, inputs, y, l2=l2)
            return *apply(params, states, grads), logits

        return jax.jit(step) if traceable else step

    def run(self, train: _Data, validation: _Data | None, key: Key) -> _End:
        """Train until the epochs are over, early stopping says so, or Ctrl-C is pressed."""
        columns = METRICS[self._loss.task]
        parts = ("train",) if validation is None else ("train", "validation")
        names = tuple(f"{part}_{name}" for part in parts for name in columns)
        stopping = self._chosen["early_stopping"]
        metric = best_metric(None if stopping is None else stopping.monitor, names)
        sign = -1.0 if higher_is_better(metric) else 1.0
        rows: list[dict[str, float]] = []
        best, best_epoch, kept, status = np.inf, 0, self.params, FitStatus.COMPLETED
        with interruptible() as interruption:
            for epoch in range(1, self._chosen["epochs"] + 1):
                begun = time.perf_counter()
                found = self._epoch(train, jax.random.fold_in(key, epoch), epoch, interruption)
                if found is None:
                    status = FitStatus.INTERRUPTED
                    break
                if validation is not None:
                    found = np.concatenate([found, self._measure(validation)])
                row = dict(zip(names, found.tolist(), strict=True))
                rows.append({"epoch": epoch, **row, "seconds": time.perf_counter() - begun})
                self._chosen["callback"](rows[-1])
                if not np.isfinite(row["train_loss"]):
                    status = FitStatus.DIVERGED
                    break
                gain = best - sign * row[metric]
                if gain > (0.0 if stopping is None else stopping.min_delta):
                    best, best_epoch, kept = sign * row[metric], epoch, self.params
                elif stopping is not None and epoch - best_epoch >= stopping.patience:
                    status = FitStatus.EARLY_STOPPED
                    break
        last = status is FitStatus.COMPLETED and stopping is None
        return _End(self.params if last else kept, _history(rows, names), status, best_epoch)

    def _epoch(
        self, train: _Data, key: Key, epoch: int, interruption: Any
    ) -> Float[np.ndarray, " metrics"] | None:
        """Take the steps of an epoch; return its metrics, or None if Ctrl-C was pressed."""
        n, size = len(train.y), self._chosen["batch_size"]
        order, logits = np.asarray(jax.random.permutation(key, n)), []
        n_steps = -(-n // size)
        for number in range(n_steps):
            items, y = train.take(order[number * size : (number + 1) * size])
            inputs = self._pretrained.inputs(items)
            self.params, self._states, found = self._step(self.params, self._states, inputs, y)
            logits.append(np.asarray(found))
            done = (epoch - 1) * n_steps + number + 1
            self._chosen["progress"](done, self._chosen["epochs"] * n_steps)
            if interruption.requested:
                return None
        return _metrics(self._loss, np.concatenate(logits), train.y[order])

    def _measure(self, data: _Data) -> Float[np.ndarray, " metrics"]:
        """Measure items that do not train."""
        size, found = self._chosen["batch_size"], []
        for start in range(0, len(data.y), size):
            inputs = self._pretrained.inputs(list(data.items[start : start + size]))
            found.append(np.asarray(self._pretrained.features(self.params.backbone, inputs)))
        x = self._standardizer.transform(np.concatenate(found))
        logits = predict(self._config, self.params.head, x)
        return _metrics(self._loss, np.asarray(logits), data.y)


def _metrics(loss: Loss, logits: np.ndarray, y: np.ndarray) -> Float[np.ndarray, " metrics"]:
    weight = jnp.ones(len(y), logits.dtype)
    sums = total(metric_sums(loss, jnp.asarray(logits), jnp.asarray(y), weight, {}))
    return np.asarray(finish(loss, sums, jnp.asarray(target_spread(loss, y))))


def _history(rows: list[dict[str, float]], names: tuple[str, ...]) -> History:
    columns = ("epoch", *names, "seconds")
    return History({name: np.array([row[name] for row in rows]) for name in columns})
