"""Putting networks side by side: their inputs stacked, selected, and brought onto devices."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxmlp.networks import NetworkParams
from jaxmlp.training.chunk import MemberInputs, SharedInputs, first_carry
from jaxmlp.training.data import TrainData, bucket
from jaxmlp.training.executor import Executor
from jaxmlp.training.metrics import target_spread
from jaxmlp.training.program import Program
from jaxmlp.training.runner import Runner
from jaxmlp.types import PyTree, State, wide_dtype


def _n_members(tree: PyTree) -> int:
    """Return the length of the leading axis."""
    return int(jax.tree.leaves(tree)[0].shape[0])


@jax.jit  # one program for the whole tree, instead of one a leaf
def _take_members(tree: PyTree, indices: Int[Array, " members"]) -> PyTree:
    """Select members, in the given order.

    >>> _take_members({"l2": jnp.arange(4.0)}, np.array([2, 0]))["l2"].tolist()
    [2.0, 0.0]
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[indices], tree)


def stack(trees: list[PyTree]) -> PyTree:
    """Give pytrees of the same kind a common leading axis; numbers stay on the host, in float64.

    >>> stack([{"b": 0.9}, {"b": 0.99}])["b"]
    array([0.9 , 0.99])
    """
    return jax.tree.map(_stack_leaves, *trees)


def _stack_leaves(*leaves: Any) -> Any:
    on_device = any(isinstance(leaf, jax.Array) for leaf in leaves)
    return jnp.stack(leaves) if on_device else np.stack(leaves)


def fold_tables(program: Program, data: TrainData, tables: list[Any]) -> TrainData:
    """Turn lists of row numbers into one padded table, with the spread of the targets in each.

    Args:
        program: the static part, which knows the loss.
        data: the examples that the numbers refer to.
        tables: row numbers, one sequence a member.

    Returns:
        What differs in the data of each member: rows (members, capacity), n_rows (members,) and
        spread (members, n_out).
    """
    capacity = bucket(max(len(table) for table in tables))
    rows = np.zeros((len(tables), capacity), np.int32)
    for row, table in zip(rows, tables, strict=True):
        row[: len(table)] = table
    y = np.asarray(data.y)
    weight = None if data.weight is None else np.asarray(data.weight)
    spread = [
        target_spread(program.loss, y[t], None if weight is None else weight[t]) for t in tables
    ]
    counts = np.array([len(table) for table in tables], np.int32)
    return _own_data(
        rows=jnp.asarray(rows),
        n_rows=jnp.asarray(counts),
        spread=jnp.asarray(np.stack(spread), wide_dtype(data.x.dtype)),
    )


def _own_data(**fields: Any) -> TrainData:
    """Return the fields of the data that are a member's own; the others are None."""
    return TrainData(*(fields.get(name) for name in TrainData._fields))


@partial(jax.jit, static_argnames="executor")
def _place(executor: Executor, members: PyTree, rows: Any = None) -> PyTree:
    """The members of these numbers, or all, each on its device; one program for the whole tree."""
    return executor.place(members if rows is None else _take_members(members, rows))


def start_members(
    program: Program,
    executor: Executor,
    start: tuple[NetworkParams, State],
    members: MemberInputs,
    shared: SharedInputs,
) -> Runner:
    """Put members at the start, in the shape that the executor wants.

    Args:
        program: the static part, equal for all.
        executor: how they run together.
        start: initial parameters and running statistics, with an axis (members,).
        members: what else differs.
        shared: what does not.

    Returns:
        The runner, its members padded to whole chunks.
    """
    size = _n_members(start)
    everything = (start, members)
    if executor.devices > 1:  # numpy slices without compiling for each shape
        everything = jax.device_get(everything)
    padding = _padding(executor, size) if executor.padded(size) > size else None
    (params, state), members = _place(executor, everything, padding)
    carry = first_carry(program, executor, members.optimizer, params, state)
    counts = shared.train.n_rows if members.train is None else members.train.n_rows
    steps_per_epoch = -(-int(np.max(counts)) // program.batch_size)
    return Runner(program, members, shared, carry, steps_per_epoch, executor, size)


def select_members(run: Runner, indices: Any, executor: Executor) -> Runner:
    """Return a run of some of the members, which goes on where these stand."""
    chosen = np.asarray(indices)
    rows = chosen[_padding(executor, len(chosen))]
    members, carry = _place(executor, (run.members, run.carry), rows)
    return Runner(
        run.program, members, run.shared, carry, run.steps_per_epoch, executor, len(chosen),
        metrics=run.metrics[chosen], n_steps=run.n_steps, last_step=run.last_step,
    )  # fmt: skip


def _padding(executor: Executor, size: int) -> np.ndarray:
    """Members 0 .. size - 1, the last one repeated up to whole chunks."""
    return np.minimum(np.arange(executor.padded(size)), size - 1)


def learnt(run: Runner, keep_best: bool) -> tuple[NetworkParams, State]:
    """Return the best parameters of members where these count, the last ones of the others."""
    use_best, carry = run.best_wanted(keep_best), run.carry
    best, last = (carry.best.params, carry.best.state), (carry.params, carry.state)
    if use_best.all() or not use_best.any():
        found = jax.device_get(best if use_best.all() else last)
        return jax.tree.map(lambda leaf: leaf[: run.size], found)

    def choose(best: np.ndarray, last: np.ndarray) -> np.ndarray:
        which = use_best.reshape(-1, *([1] * (best.ndim - 1)))
        return np.where(which, best[: run.size], last[: run.size])

    return jax.tree.map(choose, *jax.device_get((best, last)))
