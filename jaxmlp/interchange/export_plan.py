"""What an export computes, in numpy arrays: preprocessing, layers with batch norm folded, link."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxmlp.activations import ACTIVATIONS, GELU_CUBIC, LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE
from jaxmlp.data import Preprocessing, Standardizer, TablePreprocessor
from jaxmlp.interchange.foreign import Dense, Norm, fold_after, known_activation
from jaxmlp.interchange.front_plan import FrontPlan, front_plan
from jaxmlp.interchange.table_plan import TablePlan, table_plan
from jaxmlp.losses import get_loss
from jaxmlp.losses.base import identity_link
from jaxmlp.losses.classification import sigmoid_link, softmax_link
from jaxmlp.losses.regression import exp_link
from jaxmlp.models.model import Model, single_network
from jaxmlp.networks import layers_of, mlp_of
from jaxmlp.tabular_config import TabularConfig, TabularParams

_LINKS: dict[Callable[..., jax.Array], str] = {
    identity_link: "identity",
    softmax_link: "softmax",
    sigmoid_link: "sigmoid",
    exp_link: "exp",
}

_MEANINGS = {
    "identity": "predicted values",
    "softmax": "probabilities of the classes",
    "sigmoid": "probabilities",
    "exp": "rates",
}

ACTIVATION_NUMBERS = {
    "slope": LEAKY_SLOPE,
    "selu_scale": SELU_SCALE,
    "selu_alpha": SELU_ALPHA,
    "gelu_factor": math.sqrt(8 / math.pi),
    "gelu_cubic": GELU_CUBIC,
    "minus_root_half": -math.sqrt(0.5),
}
"""The constants in the formulas of activations, for exports that spell these out."""


class _Step(NamedTuple):
    """h -> phi(h W + b), with W of shape (n_in, n_out), b of (n_out,).

    With alpha, (n_out,), it is z + alpha (phi(z) - z), where z = h W + b.
    """

    W: np.ndarray
    b: np.ndarray
    activation: str
    alpha: np.ndarray | None = None


class Scaling(NamedTuple):
    """The center and the scale of each column, float64, (columns,) each.

    Bounds, (2, columns), are those that targets are clamped to, or None.
    """

    center: np.ndarray
    scale: np.ndarray
    bounds: np.ndarray | None = None


class Plan(NamedTuple):
    """The steps from raw data to predictions.

    Attributes:
        inputs: x -> (x - center) / scale, or None.
        steps: the layers.
        link: "identity", "softmax", "sigmoid" or "exp", of the logits.
        targets: y -> y * scale + center after the link, within its bounds, or None.
        feature_names: of the inputs, or None.
        class_names: of the classes, or None.
        table: from the cells of a table to the inputs, or None.
        front: from the inputs to those of the layers, for each member of a network for tables.
    """

    inputs: Scaling | None
    steps: tuple[_Step, ...]
    link: str
    targets: Scaling | None
    feature_names: tuple[str, ...] | None
    class_names: tuple[str, ...] | None
    table: TablePlan | None = None
    front: FrontPlan | None = None

    @property
    def dtype(self) -> np.dtype:
        """In which the layers compute: float32 or float64."""
        return self.steps[0].W.dtype

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of every layer, those that the first takes included."""
        return (self.steps[0].W.shape[0], *(step.W.shape[1] for step in self.steps))

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return self.sizes[0] if self.front is None else self.front.n_in

    @property
    def meaning(self) -> str:
        """What the predictions are, in words."""
        return _MEANINGS[self.link]

    @property
    def decision(self) -> str | None:
        """How a label follows from the logits: "argmax", "sign" (one logit), or None."""
        if self.class_names is None or self.link not in ("softmax", "sigmoid"):
            return None
        if self.sizes[-1] == 1:
            return "sign" if len(self.class_names) == 2 else None
        return "argmax" if self.link == "softmax" else None  # sigmoids: several labels at once


def plan_of(model: Model) -> Plan:
    """Describe the inference of a model in numpy.

    Args:
        model: the model; `model._replace(preprocessing=None)` leaves that part out.

    Returns:
        The plan; batch normalization is folded into the layers in float64, rounded once.
        A network that computes in bfloat16 becomes one in float32.

    Raises:
        TypeError: if it is no model.
        ValueError: if params do not fit, for an ensemble, or for preprocessing, an activation or a
            link which is not of the library, so that no other program would know it.

    Example:
        >>> import jax, jaxmlp
        >>> config = jaxmlp.MLPConfig((2, 3, 2), batch_norm=True)
        >>> params = jaxmlp.init(config, jax.random.key(0))
        >>> plan = plan_of(Model(config, params, jaxmlp.init_state(config)))
        >>> plan.sizes, plan.link, [step.activation for step in plan.steps]
        ((2, 3, 2), 'softmax', ['relu', 'identity'])
    """
    loss = get_loss(single_network(model).loss)
    if loss.link not in _LINKS:
        raise ValueError(
            f"the link of loss {loss.name!r} is a function of your own, which cannot be exported; "
            "export with loss='squared_error' for the logits."
        )
    config = mlp_of(model.config)
    dtype = np.dtype(np.float64 if config.dtype == "float64" else np.float32)
    steps = []
    layers = layers_of(model.params)
    for l, (layer, phi) in enumerate(zip(layers, config.activations, strict=True)):
        name = known_activation(phi, ACTIVATIONS, "an export")
        W, b, gamma, beta, alpha = (None if leaf is None else np.asarray(leaf) for leaf in layer)
        dense = Dense(np.asarray(W), b)
        if config.normalized[l]:
            mean, var = (np.asarray(part) for part in model.state[l])
            dense = fold_after(dense, Norm(gamma, beta, mean, var), config.batch_norm_eps)
        alpha = None if alpha is None else alpha.astype(dtype)
        steps.append(_Step(dense.W.astype(dtype), np.asarray(dense.b).astype(dtype), name, alpha))
    n_in, n_out = model.config.layer_sizes[0], config.layer_sizes[-1]
    front = None
    if isinstance(model.config, TabularConfig) and isinstance(model.params, TabularParams):
        front = front_plan(model.config, model.params.front, dtype)
    targets = _scaling("target_transform", model.target_transform, n_out)
    described = tuple(steps), _LINKS[loss.link], targets
    if isinstance(model.preprocessing, TablePreprocessor):
        table = table_plan(model.preprocessing)
        names = _names("preprocessing.feature_names", model.preprocessing.feature_names, n_in)
        return Plan(None, *described, names, model.class_names, table, front)
    inputs = _scaling("preprocessing", model.preprocessing, n_in)
    names = _names("feature_names", model.feature_names, n_in)
    return Plan(inputs, *described, names, model.class_names, front=front)


def _scaling(field: str, record: Preprocessing | None, size: int) -> Scaling | None:
    if record is None:
        return None
    if not isinstance(record, Standardizer):
        also = ", feature_names=None" if field == "preprocessing" else ""
        raise ValueError(
            f"{field} is a {type(record).__name__}, which cannot be exported: export the network "
            f"alone, of model._replace({field}=None{also}), and apply the transform yourself."
        )
    if record.n_features != size:
        raise ValueError(
            f"{field} has {record.n_features} columns, but the network {size}; use those that it "
            "was trained with."
        )
    center, scale = (np.broadcast_to(part, (size,)) for part in (record.mean, record.scale))
    return Scaling(center, scale, record.bounds)


def _names(field: str, names: tuple[str, ...] | None, size: int) -> tuple[str, ...] | None:
    if names is not None and len(names) != size:
        raise ValueError(
            f"{field} has {len(names)} entries, but there are {size} inputs; give one for each, or "
            "None."
        )
    return names
