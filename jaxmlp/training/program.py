"""The parts of a compiled training run: what is static, what is a number, what is carried."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from jaxmlp.losses import Loss
from jaxmlp.networks import NetworkConfig, NetworkParams, trainable
from jaxmlp.optimizers import Optimizer
from jaxmlp.sharding import ShardingPlan
from jaxmlp.training.metrics import METRICS, MetricSums, zero_sums
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import Absent, Key, PyTree, Scalar, ScalarLike, State, wide_dtype

Probe = Callable[[Any, Any, Any, Any], PyTree]
"""f(params, cache, grads, updates) -> arrays, recorded every `Program.probe_every` steps."""


@jax.tree_util.register_static
@dataclass(frozen=True)
class Program:
    """What is static about a training run: two equal programs share one compilation.

    Attributes:
        config: the network.
        loss: the loss.
        batch_size: rows a step, at most the number of rows.
        gradient: "manual" or "autodiff".
        frozen: layers that do not train.
        best_metric: the column that decides which epoch was best.
        history_rows: epochs that one call can record.
        shuffle: whether each epoch has its own order.
        empty_batches: whether a batch may consist of rows of weight 0, which is then no step.
        probe: a function whose readings are recorded while training, or None.
        probe_every: steps from one reading to the next.
        probe_rows: readings that one call can keep.
        shared_penalty: divide the penalty of each step by the sum of its batch's weights, as
            scikit-learn does; the recorded "train_loss" is then the objective, with the penalty.
        gains_add_up: whether improvements below min_delta add up until they count as one (then
            only these move the best epoch); else each epoch must gain min_delta over the very
            best so far, which is scikit-learn's rule.
        latest: whether the latest of equally good epochs is kept, not the first.
        keep_last: whether a run that is over keeps its last parameters beside others that go on
            (a choice of all arrays an epoch); else only its best ones are kept.
        sharding: where the arrays of a wide network lie; None for one device.
        turned: whether memory holds examples in columns, which suits a processor: see
            `jaxmlp.products`; so do the loop's matrices, if the update rule allows.
        one_kernel: whether the loop is compiled into one kernel: see `jaxmlp.cpu`.
        mesh: the devices that the rows of each batch are divided among, whose `batch_size` is then
            that of one of them; None for one device.
    """

    config: NetworkConfig
    loss: Loss
    batch_size: int
    gradient: str = "manual"
    frozen: tuple[int, ...] = ()
    best_metric: str = "train_loss"
    history_rows: int = 256
    shuffle: bool = True
    empty_batches: bool = False
    probe: Probe | None = None
    probe_every: int = 1
    probe_rows: int = 256
    shared_penalty: bool = False
    gains_add_up: bool = True
    latest: bool = False
    keep_last: bool = False
    sharding: ShardingPlan | None = None
    mesh: Mesh | None = None
    turned: bool = False
    one_kernel: bool = False
    kernel: str = "xla"

    @property
    def n_places(self) -> int:
        """Places in the batch that metrics are summed in; where rows are divided, they are one."""
        return self.batch_size if self.mesh is None else 1

    def columns(self, validated: bool) -> tuple[str, ...]:
        """Return the names of the recorded metrics, in order."""
        parts = ("train", "validation") if validated else ("train",)
        return tuple(f"{part}_{name}" for part in parts for name in METRICS[self.loss.task])


class Settings(NamedTuple):
    """The numbers of a training run; every one may be traced, and vmapped over.

    Attributes:
        key: random key of shuffling and dropout; None where many runs share one.
        l2: weight of the penalty.
        dropout_rate: probability to drop.
        loss_options: of the loss, by name.
        patience: epochs without improvement before training stops.
        min_delta: the least improvement that counts.
    """

    key: Key | Absent
    l2: ScalarLike
    dropout_rate: ScalarLike
    loss_options: dict[str, ScalarLike]
    patience: ScalarLike
    min_delta: ScalarLike


class Best(NamedTuple):
    """The best epoch so far: its metric, its number from 1, and what had been learnt by then."""

    value: Scalar
    epoch: Int[Array, ""]
    params: NetworkParams
    state: State


class Carry(NamedTuple):
    """What one step hands to the next: arrays only, so that it can be donated and saved.

    Attributes:
        params: the parameters.
        optimizer_state: moments and counters, of the layers that train.
        state: running statistics of batch normalization.
        sums: metrics of the running epoch, for each place in the batch.
        bad_steps: steps of the running epoch since the loss was not finite, for each place.
        best: the best epoch so far.
        status: a `FitStatus`.
        stopped_at: the step at which the loss was not finite, -1 if none.
        epochs: number of epochs finished before the run stopped.
        waited: number of epochs in a row without an improvement that counts.
    """

    params: NetworkParams
    optimizer_state: PyTree
    state: State
    sums: MetricSums
    bad_steps: Int[Array, " batch"]
    best: Best
    status: Int[Array, ""]
    stopped_at: Int[Array, ""]
    epochs: Int[Array, ""]
    waited: Int[Array, ""]


class Records(NamedTuple):
    """What a call of `fit_steps` recorded.

    Attributes:
        metrics: one row an epoch that ended, (history_rows, columns); NaN elsewhere.
        probed: the probe's arrays with a leading axis of (probe_rows,), or None.
    """

    metrics: Float[Array, "history_rows columns"]
    probed: PyTree


def initial_carry(
    program: Program, optimizer: Optimizer, params: NetworkParams, state: State
) -> Carry:
    """Return the carry before the first step.

    Args:
        program: the static part.
        optimizer: the update rule.
        params: initial parameters.
        state: running statistics, or ().

    Returns:
        The carry.
    """
    dtype = wide_dtype(program.config.dtype)
    n_out = program.config.layer_sizes[-1]
    zero = jnp.zeros((), jnp.int32)
    return Carry(
        params,
        optimizer.init(trainable(params, program.frozen)),
        state,
        zero_sums(program.loss, program.n_places, n_out, dtype),
        jnp.zeros((program.n_places,), jnp.int32),
        Best(jnp.asarray(jnp.inf, dtype), zero, params, state),
        jnp.asarray(FitStatus.RUNNING, jnp.int32),
        zero - 1,
        zero,
        zero,
    )
