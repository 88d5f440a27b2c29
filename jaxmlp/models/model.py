"""A model: a network with its loss, its preprocessing and its labels; and what passes for one."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from jaxmlp.checks import check_params, check_state
from jaxmlp.config import MLPConfig
from jaxmlp.losses import Loss
from jaxmlp.network import Network
from jaxmlp.types import Params, State


class Model(NamedTuple):
    """A trained network with all that a prediction from raw data needs.

    Attributes:
        config: the network.
        params: its parameters.
        state: running statistics of batch normalization.
        loss: name of the loss it was trained with; its link turns logits into predictions.
        preprocessing: what to do with raw data before the network sees them, or None; any
            `jaxmlp.data.Preprocessing` that is registered.
        feature_names: one for each column of the raw data, or None.
        class_names: one for each class, or None for real targets.
        metrics: what was measured, such as {"test_accuracy": 0.97}; finite numbers.
        target_transform: a registered record whose `inverse_transform` leads from linked outputs
            to the units of the targets, or None.
        extra: whatever else belongs to the model: text, finite numbers, lists, dicts with text as
            keys, and arrays (which `load` returns as numpy arrays, and tuples as lists).
    """

    config: MLPConfig
    params: Params
    state: State = ()
    loss: str = "softmax_cross_entropy"
    preprocessing: Any = None
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    metrics: Mapping[str, float] = {}
    target_transform: Any = None
    extra: Mapping[str, Any] = {}

    @property
    def network(self) -> Network:
        """The network alone."""
        return Network(self.config, self.params, self.state)


class HasNetwork(Protocol):
    """What training and fine-tuning return: a result that knows its network."""

    @property
    def network(self) -> Network:
        """Return the network."""


class BecomesModel(Protocol):
    """What can say itself what model it is, such as a fitted estimator."""

    def to_model(self) -> Model:
        """Return the model."""


NetworkLike: TypeAlias = Network | HasNetwork | BecomesModel | tuple[Any, ...]
"""A Network, (config, params) or (config, params, state), a Model, or a result that knows its
network: of `fit`, of a sweep, of fine-tuning; or a fitted estimator."""

ModelLike: TypeAlias = NetworkLike
"""The same; a Model keeps its preprocessing and labels, which other networks lack."""


def as_network(value: NetworkLike) -> Network:
    """Return the network of anything that has one.

    Args:
        value: a `Network` or a tuple of its parts; or what training, sweeps, fine-tuning and files
            give: `FitResult`, `TrainedMember`, `Finetuned`, `Model`, a fitted estimator.

    Returns:
        The network, its parts checked against each other.

    Raises:
        TypeError: for anything else.
        ValueError: for parameters or running statistics of another network.

    Example:
        >>> import jax, jaxmlp
        >>> config = MLPConfig((2, 1))
        >>> as_network((config, jaxmlp.init(config, jax.random.key(0)))).config.layer_sizes
        (2, 1)
    """
    if hasattr(value, "to_model"):
        value = value.to_model()
    network = getattr(value, "network", value)
    if not (
        isinstance(network, tuple) and len(network) in (2, 3) and isinstance(network[0], MLPConfig)
    ):
        raise TypeError(
            f"a {type(value).__name__} is no network; pass jaxmlp.Network(config, params, state), "
            "a Model, or what fit, finetune, a converter or jaxmlp.models.load returns."
        )
    network = Network(*network)
    check_params(network.config.layer_sizes, network.config.normalized, network.params)
    check_state(network.config.normalized, network.config.layer_sizes, network.state)
    return network


def as_model(value: ModelLike) -> Model:
    """Return the model of anything that has a network.

    A result of training knows its loss. A network alone is taken for a classifier, trained with
    softmax cross-entropy; one with a single output, for a regression with the squared error.

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
    network = as_network(value)
    if hasattr(value, "to_model"):
        return value.to_model()
    model = getattr(value, "model", value)
    if isinstance(model, Model):
        return model
    loss = getattr(value, "loss", None)
    if isinstance(loss, Loss):
        return Model(*network, loss=loss.name)
    return (
        Model(*network)
        if network.config.layer_sizes[-1] > 1
        else Model(*network, loss="squared_error")
    )
