"""A chunk of training steps as one compiled call, for one run or many, on one device or many."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp.cpu import one_kernel_options
from jaxmlp.networks import NetworkParams
from jaxmlp.optimizers import Optimizer
from jaxmlp.optimizers.closures import n_forgotten
from jaxmlp.training.data import TrainData
from jaxmlp.training.executor import Executor
from jaxmlp.training.parallel import on_all_devices
from jaxmlp.training.program import Carry, Program, Records, Settings, initial_carry
from jaxmlp.training.steps import fit_steps
from jaxmlp.types import Key, PyTree, State


class MemberInputs(NamedTuple):
    """What may differ between runs; where there are several, leaves have an axis (members,).

    Attributes:
        optimizer: the update rule; its hyperparameters differ.
        settings: key, penalty, rates; the key is None where all share one.
        train: what differs in the training data: fields that are not None replace the shared ones.
        validation: likewise in the validation data, which are then rows of the training data.
    """

    optimizer: Optimizer
    settings: Settings
    train: TrainData | None = None
    validation: TrainData | None = None


class SharedInputs(NamedTuple):
    """What all runs have in common.

    Attributes:
        train: the training examples.
        validation: the validation examples, or None.
        key: random key of shuffling and dropout where all share it (the same batches for all), or
            None.
    """

    train: TrainData
    validation: TrainData | None = None
    key: Key | None = None


@partial(jax.jit, donate_argnames="carry")
def run_chunk(
    program: Program,
    executor: Executor | None,
    carry: Carry,
    members: MemberInputs,
    shared: SharedInputs,
    numbers: tuple[Any, ...],
) -> tuple[Carry, Records]:
    """Take some steps of every member.

    Args:
        program: the static part, equal for all.
        executor: how members run together; None for a single run, without their axis.
        carry: where they stand; it is donated.
        members: what differs.
        shared: what does not.
        numbers: steps an epoch, the first step, how many; then, where rows come in chunks, the step
            of the epoch that begins with these.

    Returns:
        The carry, and what was recorded.
    """

    def one(member: tuple[Carry, MemberInputs], shared: SharedInputs, numbers: Any) -> Any:
        carry, own = member
        settings = own.settings
        if shared.key is not None:
            settings = settings._replace(key=shared.key)
        train = _seen_by(own.train, shared.train)
        validation = shared.validation
        if own.validation is not None:
            validation = _seen_by(own.validation, shared.train)
        return fit_steps(program, own.optimizer, carry, train, validation, settings, *numbers)

    if executor is not None:
        return executor.map(one, (carry, members), shared, numbers)
    if program.mesh is not None:
        found: tuple[Carry, Records] = on_all_devices(
            program.mesh, one, carry, members, shared, numbers
        )
        return found
    if program.sharding is None:
        return one((carry, members), shared, numbers)
    with program.sharding.in_force():
        carry, records = one((carry, members), shared, numbers)
    return program.sharding.constrain(carry, program.frozen), records


@cache
def one_kernel_chunk() -> Callable[..., tuple[Carry, Records]]:
    """Return `run_chunk` for a tiny network: see `jaxmlp.cpu`."""
    return jax.jit(
        run_chunk.__wrapped__,  # type: ignore[attr-defined]
        donate_argnames="carry",
        compiler_options=one_kernel_options(),
    )


def _seen_by(own: TrainData | None, shared: TrainData) -> TrainData:
    """The shared data with a member's own fields in their place."""
    if own is None:
        return shared
    own_fields = {name: part for name, part in own._asdict().items() if part is not None}
    return shared._replace(**own_fields)


_CLOSURES_FORGOTTEN = 32  # rules or schedules, each with its programs of megabytes
_forgotten_before = 0


def forget_programs() -> None:
    """Drop compiled programs once many are of closures that will not be met again.

    JAX keeps every program of a function, and each takes memory maps, of which a process has
    65,530: a loop over `optax.adam(rate)` would end in a crash of the compiler.
    """
    global _forgotten_before
    if n_forgotten() - _forgotten_before >= _CLOSURES_FORGOTTEN:
        _forgotten_before = n_forgotten()
        programs: tuple[Any, ...] = (run_chunk, one_kernel_chunk(), _first_carry)
        for program in programs:
            program.clear_cache()


@contextmanager
def unwatched() -> Iterator[None]:
    """Let NaN and infinity pass where JAX looks for them, in training alone.

    NaN stands for epochs that have not ended, infinity for a best loss that there is not yet; a
    divergence is found by the run itself.
    """
    config: Any = jax.config
    with ExitStack() as stack:  # what is off stays as it is, for a change compiles anew
        if config.jax_debug_nans:
            stack.enter_context(jax.debug_nans(False))
        if config.jax_debug_infs:
            stack.enter_context(jax.debug_infs(False))
        yield


@jax.jit  # one call for the whole tree: a copy of each leaf on its own takes 3 ms for 64-128-10
def copy_tree(tree: PyTree) -> PyTree:
    """Return arrays of their own, so that donating the given ones loses nothing."""
    return jax.tree.map(jnp.copy, tree)


def first_carry(
    program: Program,
    executor: Executor | None,
    optimizer: Optimizer,
    params: NetworkParams,
    state: State,
) -> Carry:
    """Return where runs begin, in arrays of their own; arguments as in `run_chunk`."""
    with unwatched():
        return _first_carry(program, executor, optimizer, params, state)


@jax.jit
def _first_carry(
    program: Program,
    executor: Executor | None,
    optimizer: Optimizer,
    params: NetworkParams,
    state: State,
) -> Carry:
    if executor is None:
        return copy_tree(initial_carry(program, optimizer, params, state))
    start = partial(initial_carry, program)
    return executor.place(copy_tree(jax.vmap(start)(optimizer, params, state)))
