"""The compiled part of `fit`: whole epochs in one program, shared by data of similar sizes.

Compiling takes longer than training a small network. So the rows are padded up to a capacity with
a few values only, their real number is an argument, and so is every number among the parameters.
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.losses import Loss
from jaxmlp.optimizers import Optimizer
from jaxmlp.sweeps.executors import Executor, choose_executor
from jaxmlp.training import FitStatus, Program, Settings, fit_steps, initial_carry
from jaxmlp.training.batches import TrainData
from jaxmlp.training.metrics import target_spread
from jaxmlp.training.program import Carry
from jaxmlp.training.steps import is_running
from jaxmlp.types import Params, State, wide_dtype

CHUNK_SECONDS = 0.25  # between looks at Ctrl-C and the progress
FIRST_STEPS = 64  # of a run whose speed is not known yet
MOST_EPOCHS = 256  # of one call: the rows of its table
LEAST_CAPACITY = 32


class Rows(NamedTuple):
    """Examples on the host.

    Attributes:
        x: features, (n, n_in).
        y: targets as the loss takes them, (n,) or (n, n_out).
        weight: sample weights, (n,), or None.
        places: numbers of these rows in the data that several runs share, (n,), or None.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None
    places: np.ndarray | None = None


def capacity(n_rows: int) -> int:
    """Return how many rows a program is made for: powers of two, from 256 on quarters between.

    >>> [capacity(n) for n in (3, 100, 257, 1000, 1100)]
    [32, 128, 320, 1024, 1280]
    """
    power = 1 << (max(n_rows, LEAST_CAPACITY) - 1).bit_length()
    if power <= 256:
        return power
    quarter = power // 8
    return -(-n_rows // quarter) * quarter


def pad_rows(array: np.ndarray, size: int) -> np.ndarray:
    """Append rows of zeros until there are `size`."""
    padded = np.zeros((size, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    return padded


def device_data(rows: Rows, loss: Loss, shared: Array | None = None) -> TrainData:
    """Put examples on the device, padded.

    Args:
        rows: the examples.
        loss: the loss.
        shared: features of which these are the rows.places; then they are not copied.

    Returns:
        The data; without features where they are shared.
    """
    spread = target_spread(loss, rows.y, rows.weight)
    # R2 of a constant target is 1 - 0 for every epoch then: none is better than another.
    spread = np.where(spread > 0, spread, np.inf).astype(wide_dtype(rows.x.dtype))
    size = capacity(len(rows.x))
    x, y, weight, table = rows.x, rows.y, rows.weight, None
    if shared is not None:
        assert rows.places is not None
        table = jnp.asarray(pad_rows(rows.places.astype(np.int32), size))
        size = len(shared)
        y, weight = (_scatter(part, rows.places, size) for part in (y, weight))
    return TrainData(
        None if shared is not None else jnp.asarray(pad_rows(x, size)),  # type: ignore[arg-type]
        jnp.asarray(pad_rows(y, size)),
        None if weight is None else jnp.asarray(pad_rows(weight, size)),
        table,
        np.int32(len(rows.x)),
        jnp.asarray(spread),
    )


def _scatter(part: Any, index: np.ndarray, size: int) -> Any:
    if part is None:
        return None
    whole = np.zeros((size, *part.shape[1:]), part.dtype)
    whole[index] = part
    return whole


class Fixed(NamedTuple):
    """What a run is given, beside the carry that it hands on."""

    optimizer: Optimizer
    train: TrainData
    validation: TrainData | None
    settings: Settings


@partial(jax.jit, donate_argnames="carry")
def _run_epochs(
    program: Program,
    executor: Executor | None,
    carry: Carry,
    fixed: Fixed,
    features: Array | None,
    numbers: tuple[Any, Any, Any],
) -> tuple[Carry, Float[Array, "*runs rows columns"]]:
    """Train for some epochs, or until every run is over; each epoch's metrics are a row."""

    def run(member: tuple[Carry, Fixed], features: Array | None, numbers: Any) -> Any:
        return _run_member(program, executor is not None, *member, features, numbers)

    if executor is None:
        return run((carry, fixed), features, numbers)
    return executor.map(run, (carry, fixed), features, numbers)


def _run_member(
    program: Program,
    several: bool,
    carry: Carry,
    fixed: Fixed,
    features: Array | None,
    numbers: tuple[Any, Any, Any],
) -> tuple[Carry, Array]:
    optimizer, train, validation, settings = fixed
    if features is not None:
        train = train._replace(x=features)
        validation = None if validation is None else validation._replace(x=features)
    steps_per_epoch, first_epoch, n_epochs = numbers
    shape = (MOST_EPOCHS, len(program.columns(validation is not None)))
    table = jnp.full(shape, jnp.nan, carry.sums.loss.dtype)

    def goes_on(loop: tuple[Array, Carry, Array]) -> Array:
        return (loop[0] < n_epochs) & is_running(loop[1].status)

    def run_epoch(loop: tuple[Array, Carry, Array]) -> tuple[Array, Carry, Array]:
        epoch, carry, table = loop
        new, records = fit_steps(
            program, optimizer, carry, train, validation, settings,
            steps_per_epoch, (first_epoch + epoch) * steps_per_epoch, steps_per_epoch,
        )  # fmt: skip
        if several:  # one that is over keeps its last weights, whatever its neighbours do
            runs = carry.status == FitStatus.RUNNING
            new = jax.tree.map(lambda n, o: jnp.where(runs, n, o), new, carry)
        return epoch + 1, new, table.at[epoch].set(records.metrics[0])

    _, carry, table = jax.lax.while_loop(goes_on, run_epoch, (jnp.int32(0), carry, table))
    return carry, table


_start = jax.jit(initial_carry)


@dataclass
class Run:
    """One run of training, or several at once, epochs at a time.

    Attributes:
        program: the static part; `history_rows` is 1.
        optimizer: the update rule; may be replaced by one of other numbers between calls.
        train: training examples.
        validation: validation examples, or None.
        settings: the numbers of the run.
        carry: where the run stands; with a leading axis where there are several, as all the above.
        n_rows: number of training examples.
        shared: features that the examples are rows of, or None.
        executor: how several go on at once; None for one.
        epochs: number of epochs run.
        pace: epochs of the next call, by the speed of the last one.
    """

    program: Program
    optimizer: Optimizer
    train: TrainData
    validation: TrainData | None
    settings: Settings
    carry: Any
    n_rows: int
    shared: Array | None = None
    executor: Executor | None = None
    epochs: int = 0
    pace: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches."""
        return -(-self.n_rows // self.program.batch_size)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return self.program.columns(self.validation is not None)

    @property
    def status(self) -> FitStatus:
        """How the run stands; of several, RUNNING while one of them is."""
        return FitStatus(int(np.min(self.carry.status)))

    def go_on(self) -> None:
        """Have a run that stopped for want of improvement wait anew."""
        running, zero = jnp.int32(FitStatus.RUNNING), jnp.int32(0)
        self.carry = self.carry._replace(status=running, waited=zero)

    def run(self, most: int) -> np.ndarray:
        """Train for up to `most` epochs; return the metrics, (epochs, columns).

        Of several runs (runs, epochs, columns), NaN where a run was over.
        """
        begin = time.perf_counter()
        n_epochs = min(most, self.pace or max(1, FIRST_STEPS // self.steps_per_epoch), MOST_EPOCHS)
        numbers = self.steps_per_epoch, self.epochs, n_epochs
        self.carry, table = _run_epochs(
            self.program,
            self.executor,
            self.carry,
            Fixed(self.optimizer, self.train, self.validation, self.settings),
            self.shared,
            tuple(np.int32(number) for number in numbers),
        )
        done = int(np.max(self.carry.epochs)) - self.epochs  # waits for the result
        self.epochs += done
        goal = n_epochs * CHUNK_SECONDS / max(time.perf_counter() - begin, 1e-6)
        self.pace = int(np.clip(goal, 1, 16 * n_epochs))
        return np.asarray(table)[..., :done, :].astype(np.float64)

    def fits_with(self) -> Any:
        """Return what runs must have in common to be trained at once."""
        arrays = (self.optimizer, self.carry, self.train, self.validation, self.settings)
        leaves, structure = jax.tree.flatten(arrays)
        shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        return self.program, self.steps_per_epoch, structure, shapes


def start(program: Program, optimizer: Optimizer, params: Params, state: State, dtype: Any) -> Any:
    """Return the carry before the first step."""
    examples = TrainData(jnp.zeros((), dtype), None, None, None, 0, None)  # type: ignore[arg-type]
    return _start(program, optimizer, params, state, examples)


def together(runs: list[Run]) -> Run:
    """Return one run that is all of these, stacked, with some repeated at the end if need be."""
    first, program = runs[0], runs[0].program
    executor = choose_executor(None, program.config, program.batch_size, len(runs))
    padded = runs + [runs[-1]] * (executor.padded(len(runs)) - len(runs))
    parts = [(r.optimizer, r.train, r.validation, r.settings, r.carry) for r in padded]
    optimizer, train, validation, settings, carry = executor.place(_stack(parts))
    return Run(
        program, optimizer, train, validation, settings, carry, first.n_rows, first.shared, executor
    )


def apart(joint: Run, runs: list[Run]) -> None:
    """Hand the carry of a joint run back to those that it was made of."""
    carry = jax.device_get(joint.carry)
    for member, run in enumerate(runs):
        run.carry = jax.tree.map(lambda leaf, m=member: leaf[m], carry)
        run.epochs = int(run.carry.epochs)


def _stack(trees: list[Any]) -> tuple[Any, Any, Any, Any, Any]:
    """Stack leaves on the host, where it compiles nothing; random keys by their data."""

    def stack_leaves(*leaves: Any) -> Any:
        if jnp.issubdtype(jnp.result_type(leaves[0]), jax.dtypes.prng_key):
            data = np.stack([np.asarray(jax.random.key_data(leaf)) for leaf in leaves])
            return jax.random.wrap_key_data(jnp.asarray(data))
        return np.stack([np.asarray(leaf) for leaf in leaves])

    return jax.tree.map(stack_leaves, *trees)
