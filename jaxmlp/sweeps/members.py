"""What differs between networks that train in one program, and what they share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmlp.optimizers import Optimizer
from jaxmlp.training import Settings
from jaxmlp.training.batches import TrainData
from jaxmlp.training.metrics import target_spread
from jaxmlp.training.program import Program
from jaxmlp.types import Key, Params, PyTree, State, wide_dtype


class Fold(NamedTuple):
    """The rows of the shared data that a member sees; with a leading axis, those of each member.

    Attributes:
        rows: row numbers, padded at the end, (members, capacity).
        n_rows: how many of them are real, (members,).
        spread: variance of each target over these rows, for R2, (members, n_out).
    """

    rows: Int[Array, "members capacity"]
    n_rows: Int[Array, " members"]
    spread: Float[Array, "members n_out"]


class Members(NamedTuple):
    """Everything that differs between members; every leaf has a leading axis (members,).

    Attributes:
        params: initial parameters.
        state: initial running statistics, or ().
        optimizer: update rules, of one kind; their hyperparameters differ.
        settings: keys, penalties, rates; the key is None where all share one.
        train: the rows that each trains on; None for all of them.
        validation: the rows that each is measured on; None for all of the validation data.
    """

    params: Params
    state: State
    optimizer: Optimizer
    settings: Settings
    train: Fold | None = None
    validation: Fold | None = None


class Shared(NamedTuple):
    """What all members have in common.

    Attributes:
        train: the training examples.
        validation: the validation examples, or None; folds select rows of `train` instead.
        key: random key of shuffling and dropout where all share it (the same batches for all), or
            None.
    """

    train: TrainData
    validation: TrainData | None
    key: Key | None


def n_members(tree: PyTree) -> int:
    """Return the length of the leading axis."""
    return int(jax.tree.leaves(tree)[0].shape[0])


@jax.jit  # one program for the whole tree, instead of one a leaf
def take_members(tree: PyTree, indices: Int[Array, " members"]) -> PyTree:
    """Select members, in the given order.

    >>> take_members({"l2": jnp.arange(4.0)}, np.array([2, 0]))["l2"].tolist()
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


def make_folds(program: Program, data: TrainData, tables: list[Any]) -> Fold:
    """Turn lists of row numbers into one padded table, with the spread of the targets in each.

    Args:
        program: the static part, which knows the loss.
        data: the examples that the numbers refer to.
        tables: row numbers, one sequence a member.

    Returns:
        The table.
    """
    capacity = max(len(table) for table in tables)
    rows = np.zeros((len(tables), capacity), np.int32)
    for row, table in zip(rows, tables, strict=True):
        row[: len(table)] = table
    y = np.asarray(data.y)
    weight = None if data.weight is None else np.asarray(data.weight)
    spread = [
        target_spread(program.loss, y[t], None if weight is None else weight[t]) for t in tables
    ]
    wide = wide_dtype(data.x.dtype)
    counts = np.array([len(table) for table in tables], np.int32)
    return Fold(jnp.asarray(rows), jnp.asarray(counts), jnp.asarray(np.stack(spread), wide))


def select_rows(data: TrainData, fold: Fold | None) -> TrainData:
    """Return the data as a member sees them."""
    if fold is None:
        return data
    return data._replace(rows=fold.rows, n_rows=fold.n_rows, spread=fold.spread)
