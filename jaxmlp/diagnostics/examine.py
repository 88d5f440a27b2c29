"""All the numbers that a diagnosis rests on, measured once; `doctor` reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmlp.checks import check_frozen
from jaxmlp.config import MLPConfig
from jaxmlp.diagnostics.chance import chance_level, target_matrix
from jaxmlp.diagnostics.conditioning import Conditioning, conditioning
from jaxmlp.diagnostics.nonfinite import first_non_finite, tensor_flags
from jaxmlp.diagnostics.trial import Trial, try_rates
from jaxmlp.diagnostics.units import UnitActivity, layer_activity, seen_every, seen_rows
from jaxmlp.formatting import format_number
from jaxmlp.losses import Loss, get_loss
from jaxmlp.losses.deviance import exact_losses, shown_as, to_deviance
from jaxmlp.messages import phrase
from jaxmlp.network import backward, forward
from jaxmlp.networks import (
    NetworkConfig,
    NetworkParams,
    check_params,
    functions_of,
    init_state,
    layers_of,
    mlp_of,
    without_dropout,
)
from jaxmlp.once import jit_once
from jaxmlp.optimizers import as_optimizer
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.training import FitResult
from jaxmlp.training.data import Batch, TrainData, all_positive, prepare_data
from jaxmlp.training.options import prepare_settings
from jaxmlp.training.stopping import EarlyStopping
from jaxmlp.types import Absent, Cache, Key, Params, ScalarLike, State, wide_dtype

_SAMPLE_ROWS = 1024  # for gradients and covariances: enough for both, and one size to compile for


class _Flow(NamedTuple):
    """The gradient on its way down, one number a layer.

    Attributes:
        signal: ||dJ/dW|| over the root mean square length of the layer's inputs: what arrives at
            the layer from above, whatever its inputs are.
        gradient_norm: ||dJ/dW||.
        weight_rms: root mean square of the weights.
        weight_spread: ||W - its mean column|| / ||W||: 0 if all units have the same weights.
        gradient_spread: the same of dJ/dW: 0 if they will stay the same.
    """

    signal: Float[np.ndarray, " layers"]
    gradient_norm: Float[np.ndarray, " layers"]
    weight_rms: Float[np.ndarray, " layers"]
    weight_spread: Float[np.ndarray, " layers"]
    gradient_spread: Float[np.ndarray, " layers"]


class _Gap(NamedTuple):
    """Losses after training, without penalty or dropout, with standard errors over the rows.

    Attributes:
        train: over the sample.
        validation: over the validation data.
        standard_error: of that.
        rise: by how much the validation loss is above that of the best epoch's parameters; None
            without a run, or if these are the ones.
        rise_error: standard error of the rise, whose losses are of the same rows.
    """

    train: float
    validation: float
    standard_error: float
    rise: float | None = None
    rise_error: float = 0.0


@dataclass(frozen=True)
class Examination:
    """What `examine` measured; `None` where there was nothing to measure.

    Losses count from that of exact predictions, so that `chance` is all there is to be learnt. It
    is 0 but for counts, whose loss lacks a constant and may be any number.

    Attributes:
        config: the network.
        loss: the loss.
        params: its parameters.
        x: the sample's inputs, (rows, n_in).
        targets: the sample's targets as numbers, one-hot for labels, (rows, n_out).
        labels: whether the targets are class indices.
        non_finite: (layer, tensor) of the first value that is not finite; then nothing else is
            measured. A layer of -1 means the targets.
        exact: loss of exact predictions of the sample.
        loss_value: mean loss over the sample.
        chance: loss of the best constant prediction; ln C for C equally frequent classes.
        flow: the gradient's flow.
        activity: of the hidden units, over all examples.
        conditioning: of each layer's inputs.
        trial: short runs at several learning rates.
        gap: training against validation.
        result: the run, if there was one.
        frozen: layers that do not train.
    """

    config: MLPConfig
    loss: Loss
    params: Params
    x: Float[np.ndarray, "rows n_in"]
    targets: Float[np.ndarray, "rows n_out"]
    labels: bool
    non_finite: tuple[int, str] | None = None
    exact: float = 0.0
    loss_value: float = float("nan")
    chance: float = float("nan")
    flow: _Flow | Absent = None
    activity: tuple[UnitActivity, ...] = ()
    conditioning: tuple[Conditioning, ...] = ()
    trial: Trial | None = None
    gap: _Gap | None = None
    result: FitResult | None = None
    frozen: tuple[int, ...] = ()

    @property
    def measure(self) -> str:
        """What losses are shown as: of counts the deviance, which is twice as much."""
        return shown_as(self.loss.name)

    def shown(self, loss: float, digits: int = 3) -> str:
        """Write a loss, counted from that of exact predictions, as `measure`."""
        return format_number(to_deviance(loss, 0.0) if self.measure == "deviance" else loss, digits)


def examine(
    config: NetworkConfig,
    params: NetworkParams | FitResult,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    optimizer: Any = None,
    state: State | None = None,
    validation_data: tuple[Any, Any] | None = None,
    batch_size: int | None = 64,
    l2: ScalarLike = 0.0,
    frozen: Iterable[int] = (),
    sample_weight: Any = None,
    loss_options: Mapping[str, ScalarLike] | None = None,
    trial_steps: int = 100,
    key: Key | None = None,
) -> Examination:
    """Measure everything that `diagnose` reasons about; its arguments are described there."""
    loss, result = get_loss(loss), params if isinstance(params, FitResult) else None
    if result is not None:
        state = result.state if state is None else state
    trained = params.params if isinstance(params, FitResult) else params
    check_params(config, trained)
    frozen = check_frozen(config.n_layers, frozen)
    state = init_state(config) if state is None else state
    config = without_dropout(config)
    mlp, layers = mlp_of(config), layers_of(trained)
    bad = _non_finite_data(data)
    if bad is not None:
        nothing = np.zeros((0, 0))
        return Examination(mlp, loss, layers, nothing, nothing, False, bad, result=result)
    train = _without_absent_rows(prepare_data(config, loss, data, sample_weight))
    key = jax.random.key(0) if key is None else key
    forever = EarlyStopping(patience=1)
    numbers = prepare_settings(loss, key, stopping=forever, l2=l2, loss_options=loss_options)
    options = numbers.loss_options
    seen, members = _behind_front(config, trained, train)
    rows, of_one = sample_rows(len(seen.x)), sample_rows(len(seen.x) // members)
    value, flags, flow, inputs, sample, alone = jax.device_get(
        _probe_sample(
            mlp, loss, layers, seen, rows, of_one if members > 1 else None, state, options, frozen
        )
    )
    weight = sample.weight
    exact = float(np.average(exact_losses(loss, sample.y), weights=weight))
    targets = target_matrix(sample.y, config.layer_sizes[-1])
    labels = sample.y.ndim == 1 and config.layer_sizes[-1] > 1
    found = Examination(mlp, loss, layers, sample.x, targets, labels, result=result, frozen=frozen)
    bad = first_non_finite(flags) if np.isfinite(value) else _before_loss(mlp, flags)
    if bad is not None:
        return replace(found, non_finite=bad)
    told = target_matrix(alone.y, config.layer_sizes[-1]), alone.weight
    trial = None
    if optimizer is not None and trial_steps > 0:
        trial = try_rates(
            config, loss, as_optimizer(optimizer), trained, train, steps=trial_steps,
            batch_size=batch_size or len(train.x), key=key, l2=l2, loss_options=options,
            state=state, frozen=frozen,
        )  # fmt: skip
    gap = None
    if validation_data is not None:
        learnt: list[tuple[Any, State]] = [(trained, state)]
        if result is not None and result.epoch != result.best_epoch and _validated(result):
            learnt.append((result.carry.best.params, result.carry.best.state))
        gap = _measure_gap(config, loss, learnt, train, validation_data, options)
    return replace(
        found,
        exact=exact,
        loss_value=float(value) - exact,
        chance=chance_level(loss, sample.y, config.layer_sizes[-1], options, weight) - exact,
        flow=flow,
        activity=layer_activity(mlp, layers, seen.x, state=state, frozen=frozen),
        conditioning=tuple(conditioning(h, *told) for h in inputs),
        trial=trial,
        gap=gap,
    )


def _behind_front(
    config: NetworkConfig, params: NetworkParams, train: TrainData
) -> tuple[TrainData, int]:
    """The examples as the layers see them, of a table those of each member; and the members."""
    if not isinstance(config, TabularConfig):
        return train, 1
    x = seen_rows(config, params, train.x)
    rows = np.arange(len(train.x))[:: seen_every(config, len(train.x))]
    rows = np.tile(rows, config.front.members)
    y, weight = (
        None if part is None else np.asarray(part)[rows] for part in (train.y, train.weight)
    )
    seen = train._replace(x=x, y=y, weight=weight, n_rows=np.int32(len(x)))
    return seen, config.front.members


def sample_rows(n_rows: int) -> Int[np.ndarray, " rows"]:
    """Return the numbers of at most 1024 rows, evenly spaced."""
    return np.linspace(0, n_rows - 1, min(_SAMPLE_ROWS, n_rows)).astype(np.int32)


def take_sample(train: TrainData, rows: Int[Array, " rows"]) -> Batch:
    """Take rows of the data; to be called by a compiled program."""
    x, y, weight = train.x, train.y, train.weight
    found = jnp.ones(rows.shape, wide_dtype(x.dtype)) if weight is None else weight[rows]
    return Batch(x[rows], y[rows], found)


def _without_absent_rows(train: TrainData) -> TrainData:
    """Leave out rows of weight 0, which are as good as not there."""
    if all_positive(train.weight):
        return train
    rows = np.flatnonzero(np.asarray(train.weight) > 0)
    x, y, weight = (part[rows] for part in (train.x, train.y, train.weight))
    return train._replace(x=x, y=y, weight=weight, n_rows=np.int32(len(rows)))


def _non_finite_data(data: tuple[Any, Any]) -> tuple[int, str] | None:
    """NaN among the data, which `fit` would refuse; here it is a finding."""
    for part, where in zip(data, ((0, phrase("inputs")), (-1, "targets")), strict=True):
        part = np.asarray(part)
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            return where
    return None


def _before_loss(config: MLPConfig, flags: Any) -> tuple[int, str]:
    """The first tensor that is not finite, or the loss itself."""
    if flags.forward.all():
        return config.n_layers - 1, "loss"
    return first_non_finite(flags) or (config.n_layers - 1, "loss")


@partial(jit_once, static_argnames=("loss", "frozen"))
def _probe_sample(
    config: MLPConfig,
    loss: Loss,
    params: Params,
    seen: TrainData,
    rows: Int[Array, " rows"],
    of_one: Int[Array, " rows_of_one"] | None,
    state: State,
    options: dict[str, Any],
    frozen: tuple[int, ...],
) -> tuple[Array, Any, _Flow, list[Array], Batch, Batch]:
    """One training pass over a sample: loss, finiteness, gradient flow; and each layer's inputs.

    The inputs are those of the first member where there are several, whose rows are `of_one`: the
    signs of several hide the directions that the targets tell.
    """

    def run(sample: Batch) -> tuple[Array, Cache]:
        return forward(
            config, params, sample.x, sample_weight=sample.weight, state=state, frozen=frozen
        )

    sample = take_sample(seen, rows)
    outputs, cache = run(sample)
    values, d_outputs = loss.value_and_grad(outputs, sample.y, **options)
    share = sample.weight / jnp.sum(sample.weight)
    grads, _ = backward(config, params, cache, share.astype(d_outputs.dtype)[:, None] * d_outputs)
    measured = []
    for layer, grad, kept in zip(params, grads, cache, strict=True):
        W, dW, h = (a.astype(jnp.float32) for a in (layer.W, grad.W, kept.inputs))
        length = jnp.sqrt(share.astype(jnp.float32) @ jnp.sum(h * h, axis=1))
        size = _norm(dW)
        measured.append(
            (_ratio(size, length), size, _norm(W) / W.size**0.5, _spread(W), _spread(dW))
        )
    columns: Any = [jnp.stack(column) for column in zip(*measured, strict=True)]
    flags = tensor_flags(params, cache, grads)
    flow = _Flow(*columns)
    alone = sample
    if of_one is not None:
        alone = take_sample(seen, of_one)
        _, cache = run(alone)
    inputs = [kept.inputs.astype(jnp.float32) for kept in cache]
    return share @ values.astype(share.dtype), flags, flow, inputs, sample, alone


def _spread(matrix: Array) -> Array:
    """How much the columns differ: 0 for equal ones (zeros included), about 1 for random ones."""
    return _ratio(_norm(matrix - jnp.mean(matrix, axis=1, keepdims=True)), _norm(matrix))


def _norm(matrix: Array) -> Array:
    """Frobenius norm, scaled first: squares of gradients below 1e-19 are 0 in float32."""
    scale = jnp.max(jnp.abs(matrix))
    return scale * jnp.linalg.norm(matrix / jnp.where(scale > 0, scale, jnp.ones_like(scale)))


def _ratio(a: Array, b: Array) -> Array:
    return jnp.where(b > 0, a / jnp.where(b > 0, b, jnp.ones_like(b)), jnp.zeros_like(a))


def _measure_gap(
    config: NetworkConfig,
    loss: Loss,
    learnt: list[tuple[Any, State]],
    train: TrainData,
    validation_data: tuple[Any, Any],
    options: dict[str, Any],
) -> _Gap:
    """Mean losses in inference mode; `learnt` is what is judged, and perhaps the best epoch's."""
    held_out = prepare_data(config, loss, validation_data, what="validation_data")
    rows = sample_rows(len(train.x))
    values, y, weight = jax.device_get(
        _losses(config, loss, learnt, train, rows, held_out, options)
    )
    excess = np.asarray(values, np.float64) - exact_losses(loss, y)
    mean_train = np.average(excess[0, : len(rows)], weights=weight)
    validation, *best = excess[:, len(rows) :]
    gap = _Gap(float(mean_train), float(validation.mean()), _standard_error(validation))
    if best:
        rise = validation - best[0]
        gap = gap._replace(rise=float(rise.mean()), rise_error=_standard_error(rise))
    return gap


def _validated(result: FitResult) -> bool:
    return "validation_loss" in result.history


def _standard_error(values: Float[np.ndarray, " rows"]) -> float:
    return float(values.std() / len(values) ** 0.5)


@partial(jax.jit, static_argnums=1)
def _losses(
    config: NetworkConfig,
    loss: Loss,
    learnt: list[tuple[Any, State]],
    train: TrainData,
    rows: Int[Array, " rows"],
    held_out: TrainData,
    options: Any,
) -> tuple[Float[Array, "networks all"], Array, Float[Array, " rows"]]:
    """Losses of each network on the sample's rows and then the others; targets; weights."""
    sample = take_sample(train, rows)
    x, y = jnp.concatenate([sample.x, held_out.x]), jnp.concatenate([sample.y, held_out.y])
    predict = functions_of(config).predict
    outputs = [predict(config, params, x, state=state) for params, state in learnt]
    return jnp.stack([loss.value_and_grad(o, y, **options)[0] for o in outputs]), y, sample.weight
