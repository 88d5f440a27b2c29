"""The first value that is not finite: its step, layer and tensor."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmlp.checks import check_frozen
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.normalization import init_state
from jaxmlp.optimizers import Optimizer, as_optimizer
from jaxmlp.training import EarlyStopping, FitResult, Program, initial_carry
from jaxmlp.training.loop import copy_tree, run_steps
from jaxmlp.training.observation import RunParts
from jaxmlp.training.preparation import check_batch_size, prepare_data, prepare_settings
from jaxmlp.training.program import Carry
from jaxmlp.types import Cache, Key, Params, PyTree, ScalarLike, State

FORWARD = ("inputs", "W", "b", "outputs")
BACKWARD = ("gradient of W", "gradient of b")
UPDATE = ("update of W", "update of b")


@dataclass(frozen=True)
class NonFinite:
    """Where NaN or infinity first appeared.

    Attributes:
        step: counted from 0, as `result.carry.stopped_at` is.
        layer: counted from 0.
        tensor: "inputs" of the layer, its "W" or "b", its "outputs", the "loss" (of finite
            logits), the "gradient of W" or "of b", or the "update of W" or "of b". Under batch
            normalization "b" stands for gamma and beta.
    """

    step: int
    layer: int
    tensor: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"step {self.step}, layer {self.layer}: {self.tensor}"


class Flags(NamedTuple):
    """Which tensors of a step are finite throughout, (layers, tensors) each, in order of rise."""

    forward: Array
    backward: Array
    update: Array


def tensor_flags(
    params: Params, cache: Cache, grads: Params, updates: Params | None = None
) -> Flags:
    """Ask every tensor of a step whether it is finite; under jit.

    Args:
        params: the parameters.
        cache: of the forward pass.
        grads: the gradients.
        updates: of every layer, or None.

    Returns:
        The flags.
    """
    forward = [
        [kept.inputs, layer.W, layer[1:], kept.residual]
        for layer, kept in zip(params, cache, strict=True)
    ]
    backward = [[grad.W, grad[1:]] for grad in grads]
    update = [[None, None] if u is None else [u.W, u[1:]] for u in updates or [None] * len(params)]
    return Flags(*(_all_finite(part) for part in (forward, backward, update)))


@dataclass(frozen=True)
class _FiniteMonitor:
    """A monitor that looks at every tensor of a step."""

    frozen: tuple[int, ...] = ()

    def __call__(self, params: Params, cache: Cache, grads: Params, updates: Params) -> Flags:
        moving = iter(updates)
        changes = tuple(None if l in self.frozen else next(moving) for l in range(len(params)))
        return tensor_flags(params, cache, grads, changes)  # type: ignore[arg-type]


def first_non_finite(flags: Flags) -> tuple[int, str] | None:
    """Return (layer, tensor) of the first tensor that is not finite, in the order of computing.

    Args:
        flags: of one step.

    Returns:
        The layer and the tensor's name, or None if all is finite.

    Example:
        >>> fine, bad = jnp.ones((2, 4), bool), jnp.array([[True, True], [False, True]])
        >>> first_non_finite(Flags(fine, bad, jnp.ones((2, 2), bool)))
        (1, 'gradient of W')
    """
    n_layers = len(flags.forward)
    upwards, downwards = range(n_layers), range(n_layers - 1, -1, -1)
    parts = (
        (flags.forward, FORWARD, upwards),
        (flags.backward, BACKWARD, downwards),
        (flags.update, UPDATE, upwards),
    )
    for flag, names, layers in parts:
        for l in layers:
            for name, finite in zip(names, np.asarray(flag)[l], strict=True):
                if not finite:
                    return l, name
    return None


def locate_non_finite(
    config: MLPConfig,
    params: Params,
    data: tuple[Any, Any],
    result: FitResult,
    *,
    loss: str | Loss,
    optimizer: Optimizer,
    key: Key,
    batch_size: int | None = 64,
    l2: ScalarLike = 0.0,
    gradient: str = "manual",
    frozen: Iterable[int] = (),
    state: State | None = None,
    optimizer_state: PyTree = None,
    sample_weight: Any = None,
    dropout_rate: ScalarLike = 0.5,
    loss_options: Mapping[str, ScalarLike] | None = None,
    shuffle: bool = True,
) -> NonFinite | None:
    """Find the step, layer and tensor in which a diverged run first left the finite numbers.

    The run is replayed by the same compiled program up to the step before the recorded one; that
    step and the next then run with every tensor looked at. (An infinite gradient or update leaves
    the loss of its own step finite: it shows in the next one.)

    Args:
        config: the network.
        params: where the run *started*.
        data: as given to `fit`.
        result: what `fit` returned.
        loss: as given to `fit`, and so are all further arguments.
        optimizer: the update rule.
        key: random key of shuffling and dropout.
        batch_size: rows a step.
        l2: weight of the penalty.
        gradient: "manual" or "autodiff".
        frozen: layers that do not train.
        state: running statistics at the start.
        optimizer_state: moments at the start.
        sample_weight: of the examples.
        dropout_rate: probability to drop.
        loss_options: of the loss.
        shuffle: whether epochs have orders of their own.

    Returns:
        Where it happened; None if the run did not diverge, or if the replay did not (then the
        arguments are not those of the run).

    Example:
        >>> from jaxmlp import fit, init, sgd
        >>> config = MLPConfig((1, 1))
        >>> params = init(config, jax.random.key(0))
        >>> data = np.array([[1.0], [2.0]]), np.array([[1.0], [2.0]])
        >>> options = dict(loss="squared_error", optimizer=sgd(1e20), key=jax.random.key(1))
        >>> result = fit(config, params, data, epochs=9, **options)
        >>> print(locate_non_finite(config, params, data, result, **options))
        step 1, layer 0: update of W
    """
    stopped_at = int(result.carry.stopped_at)
    if stopped_at < 0:
        return None
    loss, optimizer = get_loss(loss), as_optimizer(optimizer)
    train = prepare_data(config, loss, data, sample_weight)
    frozen = check_frozen(config.n_layers, frozen)
    size = check_batch_size(config, batch_size, len(train.x), frozen)
    program = Program(config, loss, size, gradient, frozen, shuffle=bool(shuffle))
    forever = EarlyStopping(patience=np.iinfo(np.int32).max)
    settings = prepare_settings(loss, key, l2, dropout_rate, loss_options, forever)
    state = init_state(config) if state is None else state
    carry = initial_carry(program, optimizer, params, state, train)
    if optimizer_state is not None:
        carry = carry._replace(optimizer_state=optimizer_state)
    parts = RunParts(program, optimizer, train, None, settings, -(-len(train.x) // size))
    return replay(parts, carry, 0, stopped_at)


def replay(parts: RunParts, carry: Carry, first: int, stopped_at: int) -> NonFinite | None:
    """Take the last steps of a diverged run again, and look at every tensor of them.

    Args:
        parts: of the run.
        carry: where it stood before step `first`.
        first: a step before `stopped_at`, or 0.
        stopped_at: the step whose loss was not finite.

    Returns:
        Where it happened, or None if the replay stayed finite.
    """

    def run(program: Program, carry: Carry, first: int, n_steps: int) -> Any:
        numbers = (np.uint32(n) for n in (parts.steps_per_epoch, first, n_steps))
        return run_steps(
            program, parts.optimizer, carry, parts.train, parts.validation, parts.settings, *numbers
        )

    carry = copy_tree(carry)  # the steps are donated what they are given
    program, step, before = parts.program, first, max(stopped_at - 1, first)
    epochs = program.history_rows * parts.steps_per_epoch
    records = program.monitor_rows * program.monitor_every
    while step < before:
        n_steps = min(before - step, epochs - step % parts.steps_per_epoch)
        if program.monitor is not None:
            n_steps = min(n_steps, records - step % program.monitor_every)
        carry, _ = run(program, carry, step, n_steps)
        step += n_steps
    # Two calls of one step: the second must see what the first made of the parameters.
    watching = replace(
        program, monitor=_FiniteMonitor(program.frozen), monitor_every=1, monitor_rows=1
    )
    for step in range(before, stopped_at + 1):
        carry, seen = run(watching, carry, step, 1)
        flags = jax.tree.map(lambda rows: rows[0], jax.device_get(seen.monitored))
        if step == stopped_at and flags.forward.all():
            return NonFinite(step, program.config.n_layers - 1, "loss")
        found = first_non_finite(flags)
        if found is not None:
            return NonFinite(step, *found)
    return None


def _all_finite(rows: list[list[PyTree]]) -> Array:
    """(rows, columns) of: every leaf of this entry is finite."""
    return jnp.stack([jnp.stack([_finite(entry) for entry in row]) for row in rows])


def _finite(tree: PyTree) -> Array:
    leaves = jax.tree.leaves(tree)
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves] or [jnp.array(True)]))
