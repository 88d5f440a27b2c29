"""The static description of a network: frozen, hashable, checked when it is made."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp.activations import ACTIVATIONS, Activation, get_activation
from jaxmlp.checks import check_dtype_available, unknown_name
from jaxmlp.initializers import get_initializer

DTYPES = ("float32", "float64", "bfloat16")

ActivationLike = str | Activation
_FLAGS = ("batch_norm", "dropout", "parametric_activation")
_InitializerLike = str | Callable[..., Any]


@jax.tree_util.register_static
@dataclass(frozen=True)
class MLPConfig:
    """Everything about a network that is not an array.

    A network of L layers computes h^(l) = phi^(l)(h^(l-1) W^(l) + b^(l)) with h^(0) = x and no
    activation in the last layer, whose outputs are logits. A config is static for JAX (it has no
    leaves), so `jax.jit(jaxmlp.predict)(config, params, x)` needs no `static_argnums`.

    Args:
        layer_sizes: units per layer, input and output included: (64, 128, 10) has one hidden
            layer; at least (n_in, n_out).
        activation: name or `Activation` of the hidden layers, or a tuple with one for each.
        weight_init: "auto" (He for the ReLU family, Xavier for sigmoid and tanh), the name of an
            initializer, a function (key, shape, dtype) -> array, or a tuple with one per layer.
        bias_init: the constant all biases start at.
        batch_norm: normalize the hidden layers' pre-activations; a tuple chooses layers.
        dropout: drop hidden activations in training; a tuple chooses layers. The rate itself is
            an argument of the training functions, so that a sweep over rates compiles once.
        parametric_activation: give each hidden unit a trained alpha, 1 at the start: it computes
            z + alpha (phi(z) - z); a tuple chooses layers.
        batch_norm_momentum: weight of the *old* running statistic in each update.
        batch_norm_eps: added to the variance.
        dtype: of the parameters: "float32", "float64" or "bfloat16".
        compute_dtype: of the products and activations; None means `dtype`. "bfloat16" with
            float32 parameters is mixed precision.

    Raises:
        ValueError: for a size below 1, an unknown name, a tuple of the wrong length, or float64
            while JAX runs without 64-bit types.

    Example:
        >>> config = MLPConfig(layer_sizes=(64, 128, 10), activation="relu")
        >>> config.n_layers, config.n_parameters
        (2, 9610)

    Reference: lecture, chapter III.
    """

    layer_sizes: tuple[int, ...]
    activation: ActivationLike | tuple[ActivationLike, ...] = "relu"
    weight_init: _InitializerLike | tuple[_InitializerLike, ...] = "auto"
    bias_init: float = 0.0
    batch_norm: bool | tuple[bool, ...] = False
    dropout: bool | tuple[bool, ...] = False
    batch_norm_momentum: float = 0.9
    batch_norm_eps: float = 1e-5
    dtype: str = "float32"
    compute_dtype: str | None = None
    parametric_activation: bool | tuple[bool, ...] = False

    def __post_init__(self) -> None:
        """Put every field into its canonical form, so that equal networks are equal configs."""
        store = object.__setattr__  # the documented way to fill a frozen dataclass
        store(self, "layer_sizes", _check_layer_sizes(self.layer_sizes))
        for field in ("activation", "weight_init", *_FLAGS):
            value = getattr(self, field)
            if isinstance(value, list):
                store(self, field, tuple(value))
        for field in ("dtype", "compute_dtype"):
            store(self, field, _check_dtype(field, getattr(self, field)))
        n_hidden = self.n_layers - 1
        for activation in _per_layer("activation", self.activation, n_hidden):
            get_activation(activation)
        for initializer in _per_layer("weight_init", self.weight_init, self.n_layers):
            if initializer != "auto":
                get_initializer(initializer)
        for field in _FLAGS:
            for flag in _per_layer(field, getattr(self, field), n_hidden):
                if not isinstance(flag, bool):
                    raise _flag_error(field, flag)
        if not math.isfinite(self.bias_init):
            raise ValueError(f"bias_init is {self.bias_init}; give a finite number, usually 0.")
        if not 0 <= self.batch_norm_momentum <= 1:
            raise ValueError(
                f"batch_norm_momentum is {self.batch_norm_momentum}, but it is the weight of the "
                "old statistic and lies in [0, 1]; 0.9 is usual."
            )
        if not self.batch_norm_eps > 0:
            raise ValueError(
                f"batch_norm_eps is {self.batch_norm_eps}; give a positive number, usually 1e-5."
            )

    @property
    def n_layers(self) -> int:
        """Number L of weight matrices."""
        return len(self.layer_sizes) - 1

    @property
    def product_dtype(self) -> str:
        """The dtype that products and activations are computed in."""
        return self.compute_dtype or self.dtype

    @property
    def n_parameters(self) -> int:
        """Number of trainable scalars."""
        vectors = (
            1 + norm + own for norm, own in zip(self.normalized, self.parametric, strict=True)
        )
        layers = zip(self.layer_sizes, self.layer_sizes[1:], vectors, strict=False)
        return sum((n_in + n_vectors) * n_out for n_in, n_out, n_vectors in layers)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """One record a layer; the last layer's is the identity."""
        hidden = _per_layer("activation", self.activation, self.n_layers - 1)
        return (*(get_activation(a) for a in hidden), ACTIVATIONS["identity"])

    @property
    def initializers(self) -> tuple[Callable[..., Any], ...]:
        """One weight initializer a layer, "auto" resolved by the layer's activation."""
        chosen = _per_layer("weight_init", self.weight_init, self.n_layers)
        return tuple(
            get_initializer(phi.initializer if init == "auto" else init)
            for init, phi in zip(chosen, self.activations, strict=True)
        )

    @property
    def normalized(self) -> tuple[bool, ...]:
        """Which layers have batch normalization; never the last."""
        return (*_per_layer("batch_norm", self.batch_norm, self.n_layers - 1), False)

    @property
    def dropped(self) -> tuple[bool, ...]:
        """Which layers' activations are dropped out in training; never the last's."""
        return (*_per_layer("dropout", self.dropout, self.n_layers - 1), False)

    @property
    def parametric(self) -> tuple[bool, ...]:
        """Which layers' activations have an alpha of each unit; never the last's."""
        return (
            *_per_layer("parametric_activation", self.parametric_activation, self.n_layers - 1),
            False,
        )

    def replace(self, **changes: Any) -> "MLPConfig":
        """Return a copy with some fields changed, checked anew.

        >>> MLPConfig((2, 4, 1)).replace(activation="tanh").activation
        'tanh'
        """
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values.

        Raises:
            ValueError: if an activation or initializer is the user's own and has no name in the
                registry.

        >>> MLPConfig((2, 4, 1)).to_dict()["layer_sizes"]
        [2, 4, 1]
        """
        values = {name: _jsonable(name, value) for name, value in _shallow(self).items()}
        if not any(self.parametric):  # older readers know no such field
            del values["parametric_activation"]
        return values

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "MLPConfig":
        """Rebuild a config from `to_dict`'s result; unknown keys are refused by name.

        >>> config = MLPConfig((2, 4, 1), activation="tanh")
        >>> MLPConfig.from_dict(config.to_dict()) == config
        True
        """
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                raise unknown_name("config field", name, known)
        return cls(**settings)


def _shallow(config: MLPConfig) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in fields(config)}


def _jsonable(field: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_jsonable(field, item) for item in value]
    if isinstance(value, Activation):
        if ACTIVATIONS.get(value.name) == value:
            return value.name
        raise ValueError(
            f"activation {value.name!r} is not in the registry, so a file cannot name it. Use one "
            f"of: {', '.join(sorted(ACTIVATIONS))}."
        )
    if callable(value):
        raise ValueError(
            f"{field} is the function {value!r}, which a file cannot name. Use an initializer's "
            "name, or replace(weight_init='auto') before saving."
        )
    return value


def _check_layer_sizes(sizes: Iterable[int]) -> tuple[int, ...]:
    if isinstance(sizes, int | str) or not isinstance(sizes, Iterable):
        raise TypeError(
            f"layer_sizes is {sizes!r}; give the units of every layer, such as (64, 128, 10)."
        )
    sizes = tuple(sizes)
    if len(sizes) < 2:
        raise ValueError(
            f"layer_sizes is {sizes}; give at least the input and the output size, such as "
            "(64, 128, 10)."
        )
    for size in sizes:
        if isinstance(size, bool) or not hasattr(size, "__index__") or size < 1:
            raise ValueError(f"layer_sizes is {sizes}; every size must be a whole number >= 1.")
    return tuple(int(size) for size in sizes)


def _check_dtype(field: str, dtype: Any) -> str | None:
    if dtype is None and field == "compute_dtype":
        return None
    try:
        name = str(jnp.dtype(dtype).name)
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise unknown_name(field, name, DTYPES)
    check_dtype_available(name, field)
    return name


def _flag_error(field: str, flag: Any) -> TypeError:
    fix = f"{field}=True switches it on"
    if field == "dropout":
        fix += "; the rate goes to the training functions, such as fit(..., dropout_rate=0.2)"
    return TypeError(f"{field} is {flag!r}, but it takes True, False or a tuple of them: {fix}.")


def _per_layer(field: str, value: Any, n_layers: int) -> tuple[Any, ...]:
    """Spread one setting over the layers, or check that a tuple has one for each."""
    if not isinstance(value, tuple):
        return (value,) * n_layers
    if len(value) != n_layers:
        layers = "layers" if field == "weight_init" else "hidden layers"
        raise ValueError(
            f"{field} has {len(value)} entries, but layer_sizes makes {n_layers} {layers}. Give "
            f"one value for all, or a tuple of {n_layers}."
        )
    return value
