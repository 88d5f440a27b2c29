"""The gradient of a head and of the backbone below it.

The hand-written backward pass of the head ends with dJ/dx, one row an item. There the backbone's
own differentiation goes on: `jax.vjp` of a JAX function, all in one program, or PyTorch's autograd.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.backbones.backbone import Backbone, differentiable
from jaxmlp.config import MLPConfig
from jaxmlp.data import Standardizer
from jaxmlp.losses import Loss, get_loss
from jaxmlp.network import loss_gradients, objective
from jaxmlp.types import Params


class JointParams(NamedTuple):
    """What a gradient through a backbone belongs to.

    Attributes:
        backbone: its parameters that train, by name.
        head: the network on its features.
    """

    backbone: dict[str, Any]
    head: Params


def objective_through(
    backbone: Backbone,
    config: MLPConfig,
    loss: str | Loss,
    *,
    standardizer: Standardizer | None = None,
) -> Callable[..., Any]:
    """Make the function that tuning minimizes: J(head, (features(backbone, items) - mean) / scale).

    Args:
        backbone: from `Backbone.load` or `Backbone.wrap`.
        config: of the head, (features, ..., outputs).
        loss: name of a loss, or a `Loss`.
        standardizer: of the features.

    Returns:
        J(params, items, y, **options) -> scalar, with `JointParams` and the options of
        `jaxmlp.network.objective`'s. Of a JAX backbone, `jax.grad` can differentiate it.

    Raises:
        TypeError: for a backbone that is a plain function.

    Example:
        >>> from jaxmlp import Layer
        >>> twice = Backbone.wrap(lambda p, x: x * p["scale"], {"scale": jnp.float32(2)})
        >>> J = objective_through(twice, MLPConfig((1, 1)), "squared_error")
        >>> params = JointParams({}, (Layer(jnp.ones((1, 1)), jnp.zeros(1)),))
        >>> float(J(params, [jnp.ones(1)], jnp.array([[5.0]])))  # 1/2 (2 - 5)^2
        4.5

    Reference: lecture, chapter VIII, fine-tuning.
    """
    model, J = differentiable(backbone), objective(config, loss)

    def through(params: JointParams, items: Any, y: Any, **options: Any) -> Any:
        features = model.features(params.backbone, _given(backbone, items))
        return J(params.head, _standardized(features, standardizer), y, **options)

    return through


def value_and_grad_through(
    backbone: Backbone,
    config: MLPConfig,
    loss: str | Loss,
    *,
    standardizer: Standardizer | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """Make the value and the gradient of `objective_through`: by hand above, by vjp below.

    With x = (features - mean) / scale and dJ/dx from the head's `backward`,
        dJ/dfeatures = dJ/dx / scale,   dJ/dtheta = (dfeatures/dtheta)^T dJ/dfeatures.

    Args:
        backbone: from `Backbone.load` or `Backbone.wrap`.
        config: of the head, (features, ..., outputs).
        loss: name of a loss, or a `Loss`.
        standardizer: of the features.
        has_aux: also return the logits, ((value, logits), gradients).

    Returns:
        A function (params, items, y, **options) -> (value, `JointParams` of gradients), for the
        names in `params.backbone`. Of a JAX backbone, `jax.jit` makes one program of it.

    Raises:
        TypeError: for a backbone that is a plain function.

    Example:
        >>> from jaxmlp import Layer
        >>> twice = Backbone.wrap(lambda p, x: x * p["scale"], {"scale": jnp.float32(2)})
        >>> gradient = value_and_grad_through(twice, MLPConfig((1, 1)), "squared_error")
        >>> head = (Layer(jnp.ones((1, 1)), jnp.zeros(1)),)
        >>> params = JointParams({"scale": jnp.float32(2)}, head)
        >>> value, grads = gradient(params, [jnp.ones(1)], jnp.array([[5.0]]))
        >>> float(value), float(grads.backbone["scale"]), float(grads.head[0].b[0])
        (4.5, -3.0, -3.0)

    Reference: lecture, chapters V and VIII.
    """
    model = differentiable(backbone)
    of_head = jax.jit(_make_head_gradient(config, get_loss(loss), standardizer))

    def through(params: JointParams, items: Any, y: Any, **options: Any) -> Any:
        features, pull = model.features_and_pull(params.backbone, _given(backbone, items))
        value, grads, d_features = of_head(params.head, features, y, **options)
        grads = JointParams(pull(d_features), grads)
        return (value if has_aux else value[0]), grads

    return through


def _make_head_gradient(
    config: MLPConfig, loss: Loss, standardizer: Standardizer | None
) -> Callable[..., tuple[tuple[Array, Array], Params, Float[Array, "items features"]]]:
    """Return (head, features, y) -> ((value, logits), gradient, d_features)."""

    def of_head(head: Params, features: Any, y: Any, **options: Any) -> Any:
        x = _standardized(features, standardizer)
        (value, aux), grads, d_x = loss_gradients(config, loss, (), head, x, y, **options)
        scale = 1 if standardizer is None else _row(standardizer.scale, x)
        return (value, aux[0]), grads, d_x.astype(x.dtype) / scale

    return of_head


def _standardized(features: Any, standardizer: Standardizer | None) -> Array:
    found: Array = jnp.asarray(features)
    if standardizer is None:
        return found
    mean, scale = (_row(v, found) for v in standardizer[:2])
    return (found - mean) / scale


def _row(values: Any, like: Array) -> Float[Array, "1 _"]:
    return jnp.asarray(values, like.dtype).reshape(1, -1)


def _given(backbone: Backbone, items: Any) -> Any:
    """Items in the model's form; arrays within a program are in it already."""
    if not isinstance(items, list | tuple):
        return items
    return differentiable(backbone).inputs([backbone.read(item) for item in items])
