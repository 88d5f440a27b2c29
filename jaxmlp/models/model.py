"""A model: a network with its loss, its preprocessing and its labels; and what passes for one."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from jaxmlp.checks import check_state
from jaxmlp.config import MLPConfig
from jaxmlp.data import Preprocessing, TargetTransform
from jaxmlp.losses import Loss
from jaxmlp.networks import Network, check_params, mlp_of
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.types import Params, State

_CONFIGS = (MLPConfig, TabularConfig)


class Model(NamedTuple):
    """A trained network with all that a prediction from raw data needs.

    Attributes:
        config: the network, an `MLPConfig` or a `TabularConfig`.
        params: its parameters.
        state: running statistics of batch normalization.
        loss: name of the loss it was trained with; its link turns logits into predictions.
        preprocessing: what to do with raw data before the network sees them, or None; any
            `jaxmlp.data.Preprocessing` that is registered.
        feature_names: one for each column of the raw data, or None.
        class_names: one for each class, or None for real targets.
        metrics: what was measured, such as {"test_accuracy": 0.97}; finite numbers.
        target_transform: a registered `jaxmlp.data.TargetTransform` that leads from linked outputs
            to the units of the targets, or None.
        extra: whatever else belongs to the model: text, finite numbers, lists, dicts with text as
            keys, and arrays (which `load` returns as numpy arrays, and tuples as lists).
        ensemble: further networks of the same config, (params, state) each: predictions are the
            mean of theirs and this one's, as probabilities, rates or values.
    """

    config: Any
    params: Any
    state: State = ()
    loss: str = "softmax_cross_entropy"
    preprocessing: Preprocessing | None = None
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    metrics: Mapping[str, float] = {}
    target_transform: TargetTransform | None = None
    extra: Mapping[str, Any] = {}
    ensemble: tuple[tuple[Any, State], ...] = ()

    @property
    def network(self) -> Network:
        """The network alone; of an ensemble, the first."""
        return Network(self.config, self.params, self.state)

    def predict(self, data: Any) -> np.ndarray:
        """Predict from raw data: what `jaxmlp predict` writes, in one call.

        Args:
            data: (rows, features): a DataFrame, whose columns are found by name, or an array.

        Returns:
            The likeliest class's name of each row, (rows,); or the predicted numbers in the units
            of the targets, (rows,) or (rows, n_out).

        Raises:
            ValueError: for data that do not fit the model.

        Example:
            >>> import jax
            >>> from jaxmlp import init
            >>> config = MLPConfig((2, 3, 2))
            >>> model = Model(config, init(config, jax.random.key(0)), class_names=("no", "yes"))
            >>> set(model.predict(np.eye(2)).tolist()) <= {"no", "yes"}
            True

        Reference: lecture, chapter VIII (load, prepare, predict, post-process).
        """
        from jaxmlp.models.inference import predictions

        return predictions(self, data)

    def predict_proba(self, data: Any) -> np.ndarray:
        """Return the probability of each class, (rows, classes), in the order of `class_names`.

        Args:
            data: as for `predict`.

        Raises:
            ValueError: for a model of numbers, or data that do not fit the model.
        """
        from jaxmlp.models.inference import probabilities

        return probabilities(self, data)


class _HasNetwork(Protocol):
    """What training and fine-tuning return: a result that knows its network."""

    @property
    def network(self) -> Network:
        """Return the network."""


@runtime_checkable
class _BecomesModel(Protocol):
    """What can say itself what model it is, such as a fitted estimator."""

    def to_model(self) -> Model:
        """Return the model."""


NetworkLike: TypeAlias = (
    tuple[MLPConfig, Params] | tuple[MLPConfig, Params, State] | _HasNetwork | _BecomesModel
)
"""A Network or its parts, a Model, a result that knows its network (of `fit`, of a sweep, of
fine-tuning), or a fitted estimator."""


def single_network(model: Model) -> Model:
    """Return the model, if it is one network.

    Raises:
        ValueError: for an ensemble, whose other networks the caller would lose.
    """
    if model.ensemble:
        raise ValueError(
            f"this model averages the predictions of {1 + len(model.ensemble)} networks, but one "
            "is wanted here; pass its first one, model._replace(ensemble=()), or train without "
            "--budget."
        )
    return model


def as_network(value: NetworkLike) -> Network:
    """Return the network of anything that has one.

    Args:
        value: a `Network` or a tuple of its parts; or what training, sweeps, fine-tuning and files
            give: `FitResult`, `TrainedMember`, `Finetuned`, `Model`, a fitted estimator.

    Returns:
        The network, its parts checked against each other.

    Raises:
        TypeError: for anything else, and for a network for tables, whose input side the callers of
            this function would lose.
        ValueError: for parameters or running statistics of another network, and for an ensemble.

    Example:
        >>> import jax, jaxmlp
        >>> config = MLPConfig((2, 1))
        >>> as_network((config, jaxmlp.init(config, jax.random.key(0)))).config.layer_sizes
        (2, 1)
    """
    network = single_network(as_model(value)).network
    if isinstance(network.config, TabularConfig):
        raise TypeError(
            "this is a network for tables, with an input side before its layers, which this cannot "
            "take; train it with --recipe plain (recipe='plain'), which has layers only."
        )
    return network


def as_model(value: NetworkLike) -> Model:
    """Return the model of anything that has a network.

    A `Model` keeps its preprocessing and labels, and a result of training knows its loss. A network
    alone is taken for a classifier, trained with softmax cross-entropy; one with a single output,
    for a regression with the squared error.

    Args:
        value: as for `as_network`.

    Returns:
        The model.

    Raises:
        TypeError: for what is no network.
        ValueError: for parameters or running statistics of another network.

    Example:
        >>> import jax, jaxmlp
        >>> config = MLPConfig((2, 1))
        >>> as_model((config, jaxmlp.init(config, jax.random.key(0)))).loss
        'squared_error'
    """
    known = value.to_model() if isinstance(value, _BecomesModel) else getattr(value, "model", value)
    parts = getattr(known, "network", known)
    if not (isinstance(parts, tuple) and len(parts) in (2, 3) and isinstance(parts[0], _CONFIGS)):
        raise TypeError(
            f"a {type(value).__name__} is no network; pass jaxmlp.Network(config, params, state), "
            "a Model, or what fit, finetune, a converter or jaxmlp.models.load returns."
        )
    network = Network(*parts)
    layers = mlp_of(network.config)
    for params, state in (network[1:], *getattr(known, "ensemble", ())):
        check_params(network.config, params)
        check_state(layers.normalized, layers.layer_sizes, state)
    if isinstance(known, Model):
        return known
    loss = getattr(known, "loss", None)
    if isinstance(loss, Loss):
        return Model(*network, loss=loss.name)
    several = network.config.layer_sizes[-1] > 1
    return Model(*network, loss="softmax_cross_entropy" if several else "squared_error")
