"""What the constructor's parameters may be, and what they mean to the library."""

from numbers import Integral, Real
from typing import Any

import jax
import numpy as np
import optax
from sklearn.utils._param_validation import Interval, Options, StrOptions

from jaxmlp.activations import ACTIVATIONS, Activation
from jaxmlp.config import MLPConfig
from jaxmlp.initializers import INITIALIZERS
from jaxmlp.losses import Loss
from jaxmlp.optimizers import Optimizer

ALIASES = {"logistic": "sigmoid"}  # scikit-learn's name: ours
_SOLVERS = ("adam", "sgd", "lbfgs")

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions({*ACTIVATIONS, *ALIASES}), Activation, list, tuple],
    "solver": [StrOptions(set(_SOLVERS)), Optimizer, optax.GradientTransformation, callable],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "cosine"}), callable],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "loss_options": [dict, None],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_norm": ["boolean", list, tuple],
    "weight_init": [StrOptions({*INITIALIZERS, "auto"}), callable, list, tuple, None],
    "frozen_layers": [Interval(Integral, None, None, closed="neither"), list, tuple],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "clip_value": [Interval(Real, 0, None, closed="neither"), None],
    "n_ensemble": [Interval(Integral, 1, None, closed="left")],
    "preprocessing": [StrOptions({"auto"}), None],
    "callbacks": [list, tuple],
    "device": [str, jax.Device, None],
    "dtype": [StrOptions({"float32", "float64"}), None],
}
"""For both estimators; each adds its own."""


def make_config(estimator: Any, n_in: int, n_out: int) -> MLPConfig:
    """Describe the network that an estimator's parameters ask for.

    Raises:
        ValueError: for parameters that contradict each other; the message says what to change.
    """
    hidden = estimator.hidden_layer_sizes
    hidden = [hidden] if isinstance(hidden, Integral) else list(hidden)
    if any(not isinstance(size, Integral) or size <= 0 for size in hidden):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
    if estimator.solver == "lbfgs" and (estimator.dropout > 0 or np.any(estimator.batch_norm)):
        raise ValueError(
            "solver='lbfgs' minimizes one fixed function of the weights, so it takes neither "
            "dropout nor batch_norm; use solver='adam' or 'sgd'."
        )
    return MLPConfig(
        (n_in, *hidden, n_out),
        activation=_per_layer(estimator.activation),
        weight_init=_plain(estimator.weight_init or "auto"),
        batch_norm=_plain(estimator.batch_norm),
        dropout=estimator.dropout > 0,
        dtype=estimator._dtype,
    )


def make_loss(loss: Any, names: dict[str, str], task: str) -> Any:
    """Return a `Loss` as it is, or the library's name for one; refuse a loss of the other task."""
    if isinstance(loss, Loss):
        if loss.task != task:
            raise ValueError(
                f"loss {loss.name!r} is for {loss.task}; this estimator is for {task}."
            )
        return loss
    return names[loss]


def find_device(device: Any) -> Any:
    """Return the device that a name such as "cpu" or "gpu:1" means.

    Raises:
        ValueError: if there is none; the message lists those there are.

    >>> find_device("cpu").platform
    'cpu'
    """
    if not isinstance(device, str):
        return device
    platform, _, index = device.partition(":")
    try:
        return jax.devices(platform)[int(index or 0)]
    except (RuntimeError, IndexError, ValueError):
        there = sorted({f"{d.platform}:{d.id}" for d in (*jax.devices(), *jax.devices("cpu"))})
        raise ValueError(
            f"there is no device {device!r}; this machine has {', '.join(there)}."
        ) from None


def _per_layer(activation: Any) -> Any:
    if isinstance(activation, list | tuple):
        return tuple(_per_layer(entry) for entry in activation)
    return ALIASES.get(activation, activation) if isinstance(activation, str) else activation


def _plain(value: Any) -> Any:
    """Lists as tuples, numpy booleans as Python's."""
    if isinstance(value, list | tuple):
        return tuple(_plain(entry) for entry in value)
    return bool(value) if isinstance(value, np.bool_) else value
