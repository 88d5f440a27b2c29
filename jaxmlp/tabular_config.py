"""The description of a network for tables, and its parameters."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from jaxmlp.activations import Activation
from jaxmlp.checks import unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.front_config import FrontConfig
from jaxmlp.front_types import Front, FrontCache
from jaxmlp.losses import Loss, get_loss
from jaxmlp.types import Cache, Params

_LINKS = ("identity", "softmax", "sigmoid", "exp")
_LINK_OF = {
    "softmax_cross_entropy": "softmax",
    "sigmoid_binary_cross_entropy": "sigmoid",
    "poisson": "exp",
}


@jax.tree_util.register_static
@dataclass(frozen=True)
class TabularConfig:
    """Everything about a network for tables that is not an array.

    Args:
        front: the input side.
        mlp: the layers behind it; the first of its sizes is what the front puts out.
        link: what predictions of the members are averaged as: "softmax" or "sigmoid"
            probabilities, "exp" rates, or the outputs themselves ("identity").

    Raises:
        ValueError: for an unknown link, sizes that do not fit, or layers in bfloat16, which cannot
            hold the numbers of levels.

    Example:
        >>> front = FrontConfig(3, numbers=(0, 1), embedding="periodic", members=4)
        >>> config = TabularConfig(front, MLPConfig((front.n_out, 16, 1)))
        >>> config.layer_sizes
        (3, 16, 1)
    """

    front: FrontConfig
    mlp: MLPConfig
    link: str = "identity"

    def __post_init__(self) -> None:
        """Check what would otherwise fail far from here."""
        if self.link not in _LINKS:
            raise unknown_name("link", self.link, _LINKS)
        if self.mlp.layer_sizes[0] != self.front.n_out:
            raise ValueError(
                f"the layers take {self.mlp.layer_sizes[0]} inputs, but the front puts out "
                f"{self.front.n_out}; begin layer_sizes with front.n_out."
            )
        if self.mlp.dtype == "bfloat16":
            raise ValueError(
                "a table's network has parameters in float32 or float64, for bfloat16 cannot hold "
                "the numbers of levels; compute_dtype='bfloat16' is possible."
            )

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Columns of the table, then the units of each layer."""
        return (self.front.n_in, *self.mlp.layer_sizes[1:])

    @property
    def n_layers(self) -> int:
        """Number L of weight matrices."""
        return self.mlp.n_layers

    @property
    def n_parameters(self) -> int:
        """Number of trainable scalars."""
        return self.front.n_parameters + self.mlp.n_parameters

    @property
    def dtype(self) -> str:
        """The dtype of the parameters."""
        return self.mlp.dtype

    @property
    def product_dtype(self) -> str:
        """The dtype that the layers compute in."""
        return self.mlp.product_dtype

    @property
    def activation(self) -> Any:
        """Of the hidden layers, as the config of the layers names it."""
        return self.mlp.activation

    @property
    def activations(self) -> tuple[Activation, ...]:
        """One record a layer."""
        return self.mlp.activations

    @property
    def normalized(self) -> tuple[bool, ...]:
        """Which layers have batch normalization."""
        return self.mlp.normalized

    @property
    def dropped(self) -> tuple[bool, ...]:
        """Which layers' activations are dropped out in training."""
        return self.mlp.dropped

    @property
    def batch_norm_momentum(self) -> float:
        """Weight of the old running statistic."""
        return self.mlp.batch_norm_momentum

    @property
    def batch_norm_eps(self) -> float:
        """Added to the variance."""
        return self.mlp.batch_norm_eps

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"front": self.front.to_dict(), "mlp": self.mlp.to_dict(), "link": self.link}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "TabularConfig":
        """Rebuild a config from `to_dict`'s result.

        >>> config = TabularConfig(FrontConfig(2), MLPConfig((2, 1)))
        >>> TabularConfig.from_dict(config.to_dict()) == config
        True
        """
        front, mlp = FrontConfig.from_dict(fields["front"]), MLPConfig.from_dict(fields["mlp"])
        return cls(front, mlp, fields.get("link", "identity"))


class TabularParams(NamedTuple):
    """The parameters of a network for tables: of the input side, and of each layer."""

    front: Front
    layers: Params


class TabularCache(NamedTuple):
    """What the backward pass needs of the input side, and of each layer."""

    front: FrontCache
    layers: Cache


def link_of(loss: str | Loss) -> str:
    """Return what predictions under a loss are averaged as; a loss of one's own by its outputs.

    >>> link_of("poisson"), link_of("huber")
    ('exp', 'identity')
    """
    return _LINK_OF.get(get_loss(loss).name, "identity")
