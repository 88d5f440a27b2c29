"""What follows the last step of an epoch: measure, keep the best, decide whether to go on."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.distributed import AXIS
from jaxmlp.products import turn
from jaxmlp.training.data import TrainData
from jaxmlp.training.evaluation import data_sums
from jaxmlp.training.metrics import finish, total
from jaxmlp.training.program import Best, Carry, Program, Settings
from jaxmlp.training.stopping import FitStatus, higher_is_better
from jaxmlp.types import PyTree


def note_divergence(carry: Carry, step: Array) -> Carry:
    """Set the status of a run whose loss was not finite before this step, and remember where."""
    bad_steps = jnp.max(carry.bad_steps)
    diverged = (carry.status == FitStatus.RUNNING) & (bad_steps > 0)
    return carry._replace(
        status=jnp.where(diverged, jnp.int32(FitStatus.DIVERGED), carry.status),
        stopped_at=jnp.where(diverged, step.astype(jnp.int32) - bad_steps, carry.stopped_at),
    )


def end_epoch(
    program: Program,
    carry: Carry,
    train: TrainData,
    validation: TrainData | None,
    settings: Settings,
    epoch: Array,
) -> tuple[Carry, Float[Array, " columns"]]:
    """Measure, remember the best parameters, and decide whether to go on."""
    config, loss = program.config, program.loss
    metrics = finish(loss, total(carry.sums), train.spread)
    if validation is not None:
        params = turn(carry.params) if program.turned else carry.params
        sums = data_sums(config, loss, params, carry.state, validation, settings.loss_options)
        if program.mesh is not None:
            sums = jax.lax.psum(sums, AXIS)
        metrics = jnp.concatenate([metrics, finish(loss, sums, validation.spread)])
    running = carry.status == FitStatus.RUNNING
    columns = program.columns(validation is not None)
    value = metrics[columns.index(program.best_metric)]
    if higher_is_better(program.best_metric):
        value = -value
    best, epoch = carry.best, epoch.astype(jnp.int32) + 1
    finite = jnp.isfinite(value) & _all_finite(carry.params)
    gain = best.value - value
    min_delta = jnp.asarray(settings.min_delta, gain.dtype)
    counts = gain > min_delta if program.gains_add_up else gain >= min_delta
    improved = counts if program.gains_add_up else gain > 0
    if program.latest:
        improved = improved | (gain == 0)
    found = Best(value.astype(best.value.dtype), epoch, carry.params, carry.state)
    best = jax.lax.cond(running & finite & improved, lambda: found, lambda: best)
    waited = jnp.where(running, jnp.where(finite & counts, 0, carry.waited + 1), carry.waited)
    over = running & (waited >= jnp.asarray(settings.patience, jnp.int32))
    carry = carry._replace(
        sums=jax.tree.map(jnp.zeros_like, carry.sums),
        bad_steps=jnp.zeros_like(carry.bad_steps),
        best=best,
        status=jnp.where(over, jnp.int32(FitStatus.EARLY_STOPPED), carry.status),
        epochs=carry.epochs + running.astype(jnp.int32),
        waited=waited.astype(jnp.int32),
    )
    return carry, jnp.where(running, metrics, jnp.nan)


def _all_finite(tree: PyTree) -> Array:
    return jnp.all(jnp.isfinite(jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])))
