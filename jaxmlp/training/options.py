"""How networks are trained: the options that `fit`, `sweep` and their like share, and their checks.

They are documented here once; each function names its own arguments and takes these beside them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypedDict

import jax
import numpy as np

from jaxmlp.checks import check_frozen, unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.cpu import runs_as_one_kernel
from jaxmlp.losses import Loss, check_loss_options, get_loss
from jaxmlp.networks import NetworkConfig
from jaxmlp.optimizers.base import rate
from jaxmlp.training.data import TrainData, all_positive, pad_data, prepare_data
from jaxmlp.training.program import Program, Settings
from jaxmlp.training.stopping import EarlyStopping, best_metric
from jaxmlp.types import Key, ScalarLike

_GRADIENTS = ("manual", "autodiff")
_KERNELS = ("auto", "xla", "fused")
_RENAMED = {"monitor": "probe", "monitor_every": "probe_every"}


class TrainingOptions(TypedDict, total=False):
    """What can be said about training, whoever trains: `fit`, `sweep`, `cross_validate`, ...

    Keys:
        batch_size: rows a step, 64 by default, at most all; None takes all of them (gradient
            descent). The last batch of an epoch is smaller where it does not divide the rows.
        l2: weight of the penalty (l2/2) sum W^2, 0 by default.
        gradient: "manual" (by hand, the default) or "autodiff" (jax.value_and_grad).
        frozen: indices of layers that do not train; the optimizer keeps nothing for them.
        validation_data: (x, y), measured after every epoch.
        early_stopping: an `EarlyStopping`: when to stop; the best parameters are restored.
        sample_weight: non-negative weights of the examples, (n,).
        dropout_rate: probability to drop, where the config drops out; 0.5 by default. A number, or
            a schedule step -> probability.
        loss_options: numbers the loss takes, such as {"label_smoothing": 0.1}.
        kernel: "xla" has the compiler arrange each step; "fused" puts it into kernels written in
            Pallas, for narrow networks on an accelerator: of `fit` the gradient of a step, of a
            sweep all steps of an epoch, a program for each member. On a CPU these are interpreted,
            which is slow and there for tests. "auto", the default, is "xla" everywhere as long as
            no measurement says otherwise.
    """

    batch_size: int | None
    l2: ScalarLike
    gradient: str
    frozen: Iterable[int]
    validation_data: tuple[Any, Any] | None
    early_stopping: EarlyStopping | None
    sample_weight: Any
    dropout_rate: ScalarLike
    loss_options: Mapping[str, ScalarLike] | None
    kernel: str


DEFAULTS: TrainingOptions = {
    "batch_size": 64,
    "l2": 0.0,
    "gradient": "manual",
    "frozen": (),
    "validation_data": None,
    "early_stopping": None,
    "sample_weight": None,
    "dropout_rate": 0.5,
    "loss_options": None,
    "kernel": "auto",
}


def with_defaults(
    given: Mapping[str, Any], defaults: Mapping[str, Any], function: Callable[..., Any]
) -> dict[str, Any]:
    """Return the defaults, changed by what was given.

    Args:
        given: options by name.
        defaults: all that there are.
        function: who was given them, for the message.

    Raises:
        TypeError: for a name that nothing reads, with the nearest one.

    >>> with_defaults({"l2": 1e-4}, {"l2": 0.0, "epochs": 1}, len)
    {'l2': 0.0001, 'epochs': 1}
    """
    for name in given:
        if name in _RENAMED:
            raise TypeError(f"{name!r} is now called {_RENAMED[name]!r}.")
        if name not in defaults:
            raise TypeError(str(unknown_name(f"option of {function.__name__}:", name, defaults)))
    return {**defaults, **given}


@dataclass(frozen=True)
class TrainingSpec:
    """The options of one call, checked; the examples are on the device, padded.

    Attributes:
        config: the network.
        loss: the loss.
        train: the training examples.
        validation: the validation examples, or None.
        batch_size: rows a step; None takes all.
        gradient: "manual" or "autodiff".
        frozen: layers that do not train.
        numbers: l2, dropout_rate and loss_options, by these names.
        stopping: when a run ends; of endless patience where nothing was said.
        keep_best: whether the best parameters are wanted, not the last.
        zero_weights: whether some rows have weight 0.
        kernel: "xla" or "fused".
    """

    config: NetworkConfig
    loss: Loss
    train: TrainData
    validation: TrainData | None
    batch_size: int | None
    gradient: str
    frozen: tuple[int, ...]
    numbers: dict[str, Any]
    stopping: EarlyStopping
    keep_best: bool
    zero_weights: bool
    kernel: str

    def settings(self, key: Key | None, **numbers: Any) -> Settings:
        """Return the numbers of a run, some of them changed, each in one type."""
        return prepare_settings(self.loss, key, stopping=self.stopping, **self.numbers | numbers)

    def program(self, counts: Iterable[int], capacity: int, validated: bool) -> Program:
        """Return the static part of runs that have `counts` rows each, of a capacity in common."""
        counts = set(counts)
        size = max(check_batch_size(self.config, self.batch_size, n, self.frozen) for n in counts)
        n_steps = {-(-n // size) for n in counts}
        if size == max(counts):
            size = capacity  # one batch of all rows, padding included, serves any number of them
        if self.kernel == "fused":
            from jaxmlp.kernels.support import check_compiles  # here, as below

            check_compiles(self.config, size)
        program = Program(
            self.config, self.loss, size, self.gradient, self.frozen,
            empty_batches=self.zero_weights or len(n_steps) > 1,
            turned=self.kernel != "fused" and _turns_pay(self.config, self.gradient),
            kernel=self.kernel,
        )  # fmt: skip
        metric = best_metric(self.stopping.monitor, program.columns(validated))
        return replace(program, best_metric=metric, latest=self.stopping.latest)

    def program_of_one(self, n_rows: int) -> Program:
        """Return the static part of a run that trains alone."""
        program = self.program([n_rows], len(self.train.x), self.validation is not None)
        small = runs_as_one_kernel(self.config, program.batch_size)
        if not small or self.kernel == "fused":
            return program
        return replace(program, one_kernel=True, turned=False)  # its products are plain loops


_LARGEST_TURNED = 1 << 14  # entries of a matrix: 25% faster at 32 x 32, 8% slower at 784 x 128


def _turns_pay(config: NetworkConfig, gradient: str) -> bool:
    """Whether the loop is faster with examples in columns: narrow plain layers, on a processor.

    Batch normalization and dropout work on rows: turned to and fro, a step of 64-128-10 takes 94
    instead of 58 us with the one, 95 instead of 86 with the other.
    """
    if not isinstance(config, MLPConfig) or gradient != "manual" or jax.default_backend() != "cpu":
        return False
    if any(config.normalized) or any(config.dropped):
        return False
    return all(n * m <= _LARGEST_TURNED for n, m in pairwise(config.layer_sizes))


def check_options(
    config: NetworkConfig, data: Any, loss: str | Loss, options: Mapping[str, Any]
) -> TrainingSpec:
    """Check options that are complete, and put the examples on the device.

    Args:
        config: the network.
        data: (x, y).
        loss: name of a loss, or a `Loss`.
        options: all of `DEFAULTS`, perhaps among others.

    Returns:
        The options.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: for data, sizes or names that do not fit.
    """
    loss, gradient = get_loss(loss), options["gradient"]
    if gradient not in _GRADIENTS:
        raise unknown_name("gradient", gradient, _GRADIENTS)
    train = prepare_data(config, loss, data, options["sample_weight"])
    validation = options["validation_data"]
    if validation is not None:
        validation = pad_data(prepare_data(config, loss, validation, what="validation_data"))
    frozen = check_frozen(config.n_layers, options["frozen"])
    if len(frozen) == config.n_layers:
        raise ValueError("all layers are frozen, so nothing would train; leave at least one out.")
    stopping = options["early_stopping"]
    return TrainingSpec(
        config,
        loss,
        pad_data(train),
        validation,
        options["batch_size"],
        gradient,
        frozen,
        {name: options[name] for name in ("l2", "dropout_rate", "loss_options")},
        stopping or EarlyStopping(patience=np.iinfo(np.int32).max),
        stopping is not None,
        not all_positive(train.weight),
        check_kernel(options["kernel"], config, frozen, options),
    )


def check_kernel(
    kernel: str,
    config: NetworkConfig,
    frozen: tuple[int, ...],
    options: Mapping[str, Any] | None = None,
) -> str:
    """Return "xla" or "fused"; refuse the latter where it cannot serve.

    >>> from jaxmlp import MLPConfig
    >>> check_kernel("auto", MLPConfig((2, 3, 1)), ())
    'xla'
    """
    if kernel not in _KERNELS:
        raise unknown_name("kernel", kernel, _KERNELS)
    if kernel != "fused":
        return "xla"
    # Here, for importing Pallas takes as long as importing the rest of the library.
    from jaxmlp.kernels.support import check_served, refusal

    check_served(config, frozen)
    given = options or {}
    if given.get("gradient") == "autodiff":
        raise refusal("gradient='autodiff'")
    for name in ("probe", "diagnostics", "sharding", "distributed"):
        if given.get(name):
            raise refusal(name)
    return kernel


def check_epochs(epochs: Any, least: int) -> int:
    """Return a number of epochs, at least `least`.

    >>> check_epochs(3, least=1)
    3
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < least:
        raise ValueError(f"epochs is {epochs!r}; give a whole number >= {least}.")
    return int(epochs)


def check_batch_size(
    config: NetworkConfig, batch_size: int | None, n_rows: int, frozen: tuple[int, ...]
) -> int:
    """Return the rows a step, at most all of them; refuse a last batch of one row where it hurts.

    >>> from jaxmlp import MLPConfig
    >>> check_batch_size(MLPConfig((2, 3, 1)), 64, 10, ())
    10
    """
    if batch_size is None:
        batch_size = n_rows
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise TypeError(f"batch_size is {batch_size!r}; give a whole number, or None for all rows.")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give at least 1, or None for all rows.")
    size = min(int(batch_size), n_rows)
    needs_two = any(norm and l not in frozen for l, norm in enumerate(config.normalized))
    if needs_two and (size == 1 or n_rows % size == 1):
        fitting = [s for s in range(2, n_rows + 1) if n_rows % s != 1]
        if not fitting:
            raise ValueError("batch normalization needs at least 2 examples, but there is 1.")
        nearest = min(fitting, key=lambda s: abs(s - size))
        raise ValueError(
            f"with {n_rows} examples and batch_size={batch_size}, a batch has a single row, which "
            f"batch normalization cannot normalize. batch_size={nearest} works."
        )
    return size


def prepare_settings(
    loss: Loss,
    key: Key | None,
    *,
    stopping: EarlyStopping,
    l2: ScalarLike = 0.0,
    dropout_rate: ScalarLike = 0.0,
    loss_options: Mapping[str, ScalarLike] | None = None,
) -> Settings:
    """Check the numbers of a run and bring each into one type, so that none recompiles."""
    options = check_loss_options(loss, loss_options)
    return Settings(
        key,
        _number("l2", l2, "0, or a small positive number such as 1e-4", low=0.0),
        _dropout_rate(dropout_rate),
        {name: _number(name, value, "a finite number") for name, value in options.items()},
        np.int32(min(stopping.patience, np.iinfo(np.int32).max)),
        np.float64(stopping.min_delta),
    )


def _dropout_rate(value: Any) -> Any:
    if callable(value) and not isinstance(value, jax.Array):
        return rate(value)  # a schedule
    return _number("dropout_rate", value, "a probability to drop in [0, 1)", 0.0, below=1.0)


def _number(name: str, value: Any, wanted: str, low: float = -np.inf, below: float = np.inf) -> Any:
    if isinstance(value, jax.Array):
        value = np.asarray(value)
    try:
        number = np.float64(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; give {wanted}.") from None
    if np.ndim(number) or not np.isfinite(number) or not low <= number < below:
        raise ValueError(f"{name} is {value!r}; give {wanted}.")
    return number
