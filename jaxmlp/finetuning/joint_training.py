"""Steps through a backbone and its head, until the epochs are over."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxmlp.backbones.backbone import Backbone, differentiable
from jaxmlp.data import Standardizer
from jaxmlp.finetuning.through import JointParams, value_and_grad_through
from jaxmlp.losses import Loss, get_loss
from jaxmlp.models.model import Model
from jaxmlp.network import predict
from jaxmlp.optimizers import Optimizer, adam
from jaxmlp.training import FitStatus, History
from jaxmlp.training.interruption import interruptible
from jaxmlp.training.metrics import METRICS, finish, metric_sums, target_spread, total
from jaxmlp.training.stopping import best_metric, higher_is_better
from jaxmlp.types import Key, PyTree

HEAD_RATE = 1e-3  # Adam's usual one, for a head that starts at random
_BACKBONE_RATE = 2e-5  # as BERT is tuned with; what was learnt already is easily lost


class Items(NamedTuple):
    """Items with their targets."""

    items: Sequence[Any]
    y: np.ndarray

    def take(self, rows: np.ndarray) -> tuple[list[Any], np.ndarray]:
        """Return those of some rows."""
        return [self.items[row] for row in rows], self.y[rows]


class _JointResult(NamedTuple):
    """How a tuning ended."""

    params: JointParams
    history: History
    status: FitStatus
    best_epoch: int


class JointTraining:
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
            chosen["optimizer"] or adam(HEAD_RATE),
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
        traceable, dropped = self._pretrained.traceable, any(self._config.dropped)
        said: dict[str, Any] = {"l2": self._chosen["l2"]}
        if dropped:
            said["dropout_rate"] = self._chosen["dropout_rate"]

        def update(params: JointParams, states: Any, grads: JointParams) -> tuple[Any, Any]:
            parts = zip(rules, grads, states, params, strict=True)
            updates, after = zip(*(r.update(g, s, p) for r, g, s, p in parts), strict=True)
            return jax.tree.map(jnp.add, params, JointParams(*updates)), after

        apply = update if traceable else jax.jit(update)

        def step(
            params: JointParams, states: PyTree, inputs: Any, y: Any, key: Key
        ) -> tuple[Any, ...]:
            options = {**said, "key": key} if dropped else said
            (_, logits), grads = gradient(params, inputs, y, **options)
            return *apply(params, states, grads), logits

        return jax.jit(step) if traceable else step

    def run(self, train: Items, validation: Items | None, key: Key) -> _JointResult:
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
        return _JointResult(
            self.params if last else kept, _history(rows, names), status, best_epoch
        )

    def _epoch(
        self, train: Items, key: Key, epoch: int, interruption: Any
    ) -> Float[np.ndarray, " metrics"] | None:
        """Take the steps of an epoch; return its metrics, or None if Ctrl-C was pressed."""
        n, size = len(train.y), self._chosen["batch_size"]
        order, logits = np.asarray(jax.random.permutation(key, n)), []
        n_steps = -(-n // size)
        for number in range(n_steps):
            items, y = train.take(order[number * size : (number + 1) * size])
            inputs = self._inputs(items)
            self.params, self._states, found = self._step(
                self.params, self._states, inputs, y, jax.random.fold_in(key, number)
            )
            logits.append(np.asarray(found))
            done = (epoch - 1) * n_steps + number + 1
            self._chosen["progress"](done, self._chosen["epochs"] * n_steps)
            if interruption.requested:
                return None
        return _metrics(self._loss, np.concatenate(logits), train.y[order])

    def _inputs(self, items: Sequence[Any]) -> Any:
        """The batch as the program takes it; PyTorch's takes items, one by one."""
        return self._pretrained.inputs([self._backbone.read(item) for item in items])

    def _measure(self, data: Items) -> Float[np.ndarray, " metrics"]:
        """Measure items that do not train."""
        size, found = self._chosen["batch_size"], []
        for start in range(0, len(data.y), size):
            inputs = self._inputs(data.items[start : start + size])
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
