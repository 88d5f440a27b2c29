"""The compiled core of training: any number of steps, in one program, as a pure function.

Everything that differs between runs (learning rates, penalties, seeds, data, numbers of steps) is
an argument; what is static is the shape of the computation, a `Program`. `jax.jit(fit_steps)` is
training, `jax.vmap` of it a sweep, `jax.shard_map` of that a sharded sweep.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxmlp.distributed import AXIS
from jaxmlp.hashing import GOLDEN
from jaxmlp.networks import NetworkConfig, functions_of, merge, trainable
from jaxmlp.normalization import fold_statistics
from jaxmlp.optimizers import Optimizer, apply_updates
from jaxmlp.optimizers.base import is_entrywise, rate_at
from jaxmlp.products import in_columns, turn
from jaxmlp.training.data import Batch, TrainData, capacity, take_batch
from jaxmlp.training.epoch_end import end_epoch, note_divergence
from jaxmlp.training.metrics import add_sums, metric_sums
from jaxmlp.training.parallel import sum_of_devices
from jaxmlp.training.program import Carry, Program, Records, Settings
from jaxmlp.training.shuffling import shuffle_words, shuffled_rows
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import Key, PyTree, ScalarLike, State


def fit_steps(
    program: Program,
    optimizer: Optimizer,
    carry: Carry,
    train: TrainData,
    validation: TrainData | None,
    settings: Settings,
    steps_per_epoch: ScalarLike,
    first_step: ScalarLike,
    n_steps: ScalarLike,
    begin_of_rows: ScalarLike | None = None,
) -> tuple[Carry, Records]:
    """Train for `n_steps` steps, starting in the middle of an epoch or not.

    Calls with 0..k and k..n steps make the same bits as one call with 0..n. The call ends early
    when the run is over, under `vmap` when all runs are: what a run has learnt by then is in
    `carry.best`, which no later step touches, while the parameters of a run that is over (those of
    a diverged one are not finite) may go on moving beside their neighbours.

    Args:
        program: the static part.
        optimizer: the update rule, (init, update); its hyperparameters are leaves.
        carry: from `initial_carry` or an earlier call.
        train: the training examples.
        validation: the validation examples, or None.
        settings: the numbers of the run.
        steps_per_epoch: ceil(rows / batch_size), or less, to leave out the last ones; equal for
            all members under `vmap`.
        first_step: number of steps taken before this call, from 0.
        n_steps: number of steps to take; at most `program.history_rows` epochs may end.
        begin_of_rows: where the rows of an epoch come in chunks, the step of the epoch that begins
            with the first row of this one; None where `train` holds all of them.

    Returns:
        The carry, and what was recorded.

    Reference: lecture, chapter V (init, forward, backward, update) and VII (mini-batches).
    """
    if program.turned and not is_entrywise(optimizer):
        program = replace(program, turned=False)
    numbers = steps_per_epoch, first_step, n_steps, begin_of_rows
    with in_columns(program.turned):
        carry, records = _take_steps(
            program, optimizer, _flip(program, carry), train, validation, settings, numbers
        )
    return _flip(program, carry), records


def _flip(program: Program, carry: Carry) -> Carry:
    """Turn the matrices that the loop works on, or back; nothing where it works on them as is."""
    if not program.turned:
        return carry
    best = carry.best._replace(params=turn(carry.best.params))
    params, moments = turn((carry.params, carry.optimizer_state))
    return carry._replace(params=params, optimizer_state=moments, best=best)


def _take_steps(
    program: Program,
    optimizer: Optimizer,
    carry: Carry,
    train: TrainData,
    validation: TrainData | None,
    settings: Settings,
    numbers: tuple[Any, ...],
) -> tuple[Carry, Records]:
    """What `fit_steps` does, with matrices turned where the program says so."""
    steps_per_epoch, first_step, n_steps, begin_of_rows = numbers
    # Unsigned, for nothing here is negative: signed division and indexing look after signs.
    spe, first, end = (jnp.asarray(v, jnp.uint32) for v in (steps_per_epoch, first_step, n_steps))
    end += first
    length = -(-capacity(train) // program.batch_size) * program.batch_size
    settings = _own_key(program, settings)
    words = shuffle_words(settings.key)
    step_fn = _make_step(program, optimizer, train, settings)
    records = _empty_records(program, step_fn, carry, validation is not None, first, length)
    in_order = jnp.arange(length, dtype=jnp.int32)
    skipped = None if begin_of_rows is None else jnp.asarray(begin_of_rows, jnp.uint32)

    def run_segment(loop: tuple[Array, Carry, Records]) -> tuple[Array, Carry, Records]:
        """Steps up to the end of the epoch, of the call, or to the next reading of the probe."""
        step, carry, records = loop
        epoch = step // spe
        begin = step - epoch * spe
        stop = jnp.minimum(spe, begin + end - step)
        order = in_order
        if program.shuffle:
            salt = epoch if skipped is None else epoch ^ (skipped * GOLDEN)
            order = shuffled_rows(words, train.n_rows, length, salt)
        if program.probe is not None:
            every = program.probe_every
            stop = jnp.minimum(stop, begin + every - (step % every))
            due = (epoch * spe + stop) % every == 0
        n_plain = stop if program.probe is None else stop - due.astype(stop.dtype)

        def take_step(position: Array, carry: Carry) -> Carry:
            own = position if skipped is None else position - skipped
            return step_fn(carry, order, own, epoch * spe + position)[0]

        def take_probed_step(_: Array, loop: tuple[Carry, Records]) -> tuple[Carry, Records]:
            carry, records = loop
            own = n_plain if skipped is None else n_plain - skipped
            carry, seen = step_fn(carry, order, own, epoch * spe + n_plain, probed=True)
            at = (epoch * spe + n_plain) // every - first // every
            probed = jax.tree.map(partial(_set_row, at), records.probed, seen)
            return carry, records._replace(probed=probed)

        if program.kernel == "resident":
            carry = _take_resident_steps(
                program, optimizer, carry, train, settings, order, begin, n_plain
            )
        else:
            carry = jax.lax.fori_loop(begin, n_plain, take_step, carry)
        if program.probe is not None:
            # A loop of one turn or none: around a branch, the compiler copies parameters and
            # moments at every step (65 instead of 43 us for 64-128-10).
            carry, records = jax.lax.fori_loop(
                jnp.uint32(0), due.astype(jnp.uint32), take_probed_step, (carry, records)
            )
        carry = note_divergence(carry, epoch * spe + stop)
        row = epoch - first // spe
        carry, metrics = jax.lax.cond(
            stop == spe,
            lambda carry: end_epoch(program, carry, train, validation, settings, epoch),
            lambda carry: (carry, records.metrics[row]),
            carry,
        )
        records = records._replace(metrics=_set_row(row, records.metrics, metrics))
        if program.keep_last:
            carry = _select(loop[1].status == FitStatus.RUNNING, carry, loop[1])
        return epoch * spe + stop, carry, records

    _, carry, records = jax.lax.while_loop(
        lambda loop: (loop[0] < end) & _is_running(loop[1].status),
        run_segment,
        (first, carry, records),
    )
    return carry, records


def _set_row(index: Array, buffer: Array, row: Array) -> Array:
    """Return buffer with one row exchanged; a third of the kernels of `buffer.at[index].set`."""
    return jax.lax.dynamic_update_index_in_dim(buffer, row, index, axis=0)


@jax.custom_batching.custom_vmap
def _is_running(status: Array) -> Array:
    """Return whether the run goes on; under `vmap` whether any does.

    One answer for all members keeps the loops' bounds shared: with a bound each, `vmap` would
    choose between the old and the new carry of every member at every step.
    """
    return status == FitStatus.RUNNING


@_is_running.def_vmap
def _any_runs(axis_size: int, in_batched: Any, status: Array) -> tuple[Array, bool]:
    return jnp.any(_is_running(status)), False


def _take_resident_steps(
    program: Program,
    optimizer: Optimizer,
    carry: Carry,
    train: TrainData,
    settings: Settings,
    order: Array,
    begin: Array,
    end: Array,
) -> Carry:
    """Take the steps of an epoch in one kernel."""
    # Here, for importing Pallas takes as long as importing the rest of the library.
    from jaxmlp.training.resident import resident_steps

    advance = _make_advance(program)
    return resident_steps(
        lambda *inputs: advance(*inputs)[0],
        program.batch_size, optimizer, carry, train, settings, order, begin, end,
    )  # fmt: skip


def _make_step(
    program: Program, optimizer: Optimizer, train: TrainData, settings: Settings
) -> Callable[..., tuple[Carry, PyTree]]:
    """One step: batch, gradient, update; nothing moves if the batch is empty or the run is over."""
    advance = _make_advance(program)

    def step_fn(
        carry: Carry, order: Array, position: Array, step: Array, probed: bool = False
    ) -> tuple[Carry, PyTree]:
        batch = take_batch(train, order, position * program.batch_size, program.batch_size)
        if program.sharding is not None:
            batch = program.sharding.divide_rows(batch)
        return advance(optimizer, settings, carry, batch, step, probed)

    return step_fn


def _make_gradient(program: Program) -> Callable[..., Any]:
    """What computes ((J, (logits, batch statistics)), gradients)."""
    config, loss, frozen = program.config, program.loss, program.frozen
    network = functions_of(config)
    if program.kernel == "fused":
        from jaxmlp.kernels import value_and_grad_fused  # here, as above

        return value_and_grad_fused(config, loss, has_aux=True)
    if program.gradient == "manual":
        return network.value_and_grad(config, loss, frozen=frozen, has_aux=True)
    J = network.objective(config, loss, frozen=frozen, has_aux=True)
    return jax.value_and_grad(J, has_aux=True)


def _make_advance(program: Program) -> Callable[..., tuple[Carry, PyTree]]:
    """A step after its batch was read, as a function without arrays of its own."""
    config, loss, frozen = program.config, program.loss, program.frozen
    network, gradient = functions_of(config), _make_gradient(program)
    facing = turn if program.turned else _as_it_is

    def advance(
        optimizer: Optimizer,
        settings: Settings,
        carry: Carry,
        batch: Batch,
        step: Array,
        probed: bool = False,
    ) -> tuple[Carry, PyTree]:
        options = {
            "sample_weight": batch.weight,
            "key": _dropout_key(config, settings.key, step),
            "state": carry.state,
            "dropout_rate": rate_at(settings.dropout_rate, step),
        }
        l2 = settings.l2
        if program.shared_penalty:
            total = jnp.sum(batch.weight)
            l2 = jnp.asarray(l2, total.dtype) / jnp.where(total > 0, total, jnp.ones_like(total))
        upright = facing(carry.params)
        (value, (outputs, statistics)), grads = gradient(
            upright, batch.x, batch.y,
            l2=l2, loss_options=settings.loss_options, **options,
        )  # fmt: skip
        sums = metric_sums(loss, outputs, batch.y, batch.weight, settings.loss_options)
        weight = jnp.sum(batch.weight)
        if program.mesh is not None:
            value, grads, sums, weight = sum_of_devices(value, grads, sums, weight)
        layers = trainable(carry.params, frozen)
        updates, optimizer_state = optimizer.update(
            trainable(facing(grads), frozen), carry.optimizer_state, layers
        )
        params = merge(carry.params, apply_updates(layers, updates), frozen)
        if program.shared_penalty:
            sums = sums._replace(loss=value.astype(sums.loss.dtype) * batch.weight)
        new = carry._replace(
            params=params,
            optimizer_state=optimizer_state,
            state=_fold(config, carry.state, statistics, frozen),
            sums=add_sums(carry.sums, sums),
        )
        if program.empty_batches:
            # Only then: choosing keeps the old parameters and moments alive, and the compiler
            # copies them at every step (60 instead of 34 us for 64-128-10).
            new = _select(weight > 0, new, carry)
        # A sum that is not finite stays so: this counts the steps since then.
        bad = ~jnp.isfinite(new.sums.loss)
        advanced = new._replace(bad_steps=carry.bad_steps + bad.astype(jnp.int32))
        if not probed or program.probe is None:
            return advanced, None
        # The same forward pass as the gradient's: the compiler computes it once.
        _, cache = network.forward(config, upright, batch.x, frozen=frozen, **options)
        # The barrier puts the readings after the step: many small kernels that could run at once
        # are spread over threads, which takes longer than they do.
        seen = (upright, cache, grads, facing(updates))
        advanced, seen = jax.lax.optimization_barrier((advanced, seen))
        return advanced, program.probe(*seen)

    return advance


def _as_it_is(tree: PyTree) -> PyTree:
    return tree


def _select(condition: Array, new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)


def _empty_records(
    program: Program, step_fn: Any, carry: Carry, validated: bool, first: Array, length: int
) -> Records:
    metrics = jnp.full(
        (program.history_rows, len(program.columns(validated))), jnp.nan, carry.sums.loss.dtype
    )
    if program.probe is None:
        return Records(metrics, None)
    order = jnp.zeros((length,), jnp.int32)
    seen = jax.eval_shape(lambda: step_fn(carry, order, first, first, probed=True)[1])
    return Records(
        metrics,
        jax.tree.map(lambda s: jnp.zeros((program.probe_rows, *s.shape), s.dtype), seen),
    )


def _own_key(program: Program, settings: Settings) -> Settings:
    """Where rows are divided, each device has its own order and masks."""
    if program.mesh is None:
        return settings
    return settings._replace(key=jax.random.fold_in(settings.key, jax.lax.axis_index(AXIS)))


def _dropout_key(config: NetworkConfig, key: Key, step: Array) -> Key | None:
    if not any(config.dropped):
        return None
    return jax.random.fold_in(jax.random.fold_in(key, 1), step)


def _fold(config: NetworkConfig, state: State, batch: State, frozen: tuple[int, ...]) -> State:
    """Move the running statistics of the layers that train."""
    return tuple(
        old if old is None or l in frozen else fold_statistics(old, new, config.batch_norm_momentum)
        for l, (old, new) in enumerate(zip(state, batch, strict=True))
    )
