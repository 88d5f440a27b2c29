"""Activation functions, each beside its derivative by hand.

z is the pre-activation and h = phi(z) the output. A derivative is a function of one of the two,
its *residual*: the output where that is enough, since the next layer's input is kept anyway.
Nothing here uses `jax.custom_jvp`, so `jax.grad` of a function is an independent check of the
derivative below it, also at kinks (hence a `where` inside a `where`: the branch that is not taken
must not overflow). `where` is arranged so that NaN goes through: a diverged run must show.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.checks import unknown_name

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Values",
    "d_elu",
    "d_gelu",
    "d_gelu_exact",
    "d_identity",
    "d_leaky_relu",
    "d_mish",
    "d_relu",
    "d_selu",
    "d_sigmoid",
    "d_silu",
    "d_softplus",
    "d_tanh",
    "elu",
    "gelu",
    "gelu_exact",
    "get_activation",
    "identity",
    "leaky_relu",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]

Values: TypeAlias = Float[Array, "*shape"]
_Residual: TypeAlias = Literal["output", "preactivation"]
_InitializerName: TypeAlias = Literal["he_normal", "xavier_normal", "lecun_normal"]

LEAKY_SLOPE = 0.01
SELU_SCALE = 1.0507009873554804934
SELU_ALPHA = 1.6732632423543772848
GELU_CUBIC = 0.044715


def identity(z: Values) -> Values:
    """phi(z) = z."""
    return z


def d_identity(h: Values) -> Values:
    """phi'(z) = 1."""
    return jnp.ones_like(h)


def relu(z: Values) -> Values:
    """phi(z) = max(0, z). Nair & Hinton, 2010."""
    return jnp.where(z <= 0, 0.0, z)


def d_relu(h: Values) -> Values:
    """phi' = 1 where h > 0, else 0; also 0 at z = 0, as the lecture has it."""
    return jnp.where(h <= 0, 0.0, jnp.ones_like(h))


def leaky_relu(z: Values) -> Values:
    """phi(z) = z for z > 0, else 0.01 z. Maas et al., 2013."""
    return jnp.where(z > 0, z, LEAKY_SLOPE * z)


def d_leaky_relu(h: Values) -> Values:
    """phi' = 1 where h > 0 (which is where z > 0), else 0.01; also at z = 0."""
    return jnp.where(h > 0, 1.0, jnp.full_like(h, LEAKY_SLOPE))


def sigmoid(z: Values) -> Values:
    """phi(z) = 1 / (1 + exp(-z))."""
    return jax.lax.logistic(z)


def d_sigmoid(h: Values) -> Values:
    """phi' = h (1 - h)."""
    return h * (1 - h)


def tanh(z: Values) -> Values:
    """phi(z) = tanh(z)."""
    return jnp.tanh(z)


def d_tanh(h: Values) -> Values:
    """phi' = 1 - h^2, as (1 - h)(1 + h): h^2 would lose the digits by which h differs from 1."""
    return (1 - h) * (1 + h)


def elu(z: Values) -> Values:
    """phi(z) = z for z > 0, else exp(z) - 1. Clevert et al., 2016 (alpha = 1)."""
    return jnp.where(z > 0, z, jnp.expm1(_negative_part(z)))


def d_elu(z: Values) -> Values:
    """phi'(z) = 1 for z > 0, else exp(z); from z, because h + 1 cancels where h is near -1."""
    return jnp.where(z > 0, 1.0, jnp.exp(_negative_part(z)))


def selu(z: Values) -> Values:
    """phi(z) = 1.0507 z for z > 0, else 1.0507 * 1.6733 (exp(z) - 1). Klambauer et al., 2017."""
    return SELU_SCALE * jnp.where(z > 0, z, SELU_ALPHA * jnp.expm1(_negative_part(z)))


def d_selu(z: Values) -> Values:
    """phi'(z) = 1.0507 for z > 0, else 1.0507 * 1.6733 exp(z); at z = 0 the latter."""
    return SELU_SCALE * jnp.where(z > 0, 1.0, SELU_ALPHA * jnp.exp(_negative_part(z)))


def softplus(z: Values) -> Values:
    """phi(z) = log(1 + exp(z)), as max(z, 0) + log(1 + exp(-|z|)), which cannot overflow."""
    minus_abs = jnp.where(z > 0, -z, z)
    return jnp.where(z > 0, z, 0.0) + jnp.log1p(jnp.exp(minus_abs))


def d_softplus(h: Values) -> Values:
    """phi'(z) = 1 / (1 + exp(-z)) = 1 - exp(-h)."""
    return -jnp.expm1(-h)


def gelu(z: Values) -> Values:
    """phi(z) = z s, s = sigmoid(2 u), u = sqrt(2/pi) (z + 0.044715 z^3). Hendrycks & Gimpel, 2016.

    The paper's approximation z (1 + tanh(u)) / 2, written so that nothing cancels where z < 0.
    """
    return z * jax.lax.logistic(_gelu_argument(z))


def d_gelu(z: Values) -> Values:
    """phi'(z) = s + z s (1 - s) 2 u', with u' = sqrt(2/pi) (1 + 3 * 0.044715 z^2)."""
    s = jax.lax.logistic(_gelu_argument(z))
    d_argument = math.sqrt(8 / math.pi) * (1 + 3 * GELU_CUBIC * z * z)
    return s + z * s * (1 - s) * d_argument


def gelu_exact(z: Values) -> Values:
    """phi(z) = z Phi(z), Phi the standard normal's distribution function = erfc(-z/sqrt 2)/2."""
    return 0.5 * z * jax.lax.erfc(-math.sqrt(0.5) * z)


def d_gelu_exact(z: Values) -> Values:
    """phi'(z) = Phi(z) + z exp(-z^2/2) / sqrt(2 pi)."""
    density = math.sqrt(0.5 / math.pi) * jnp.exp(-0.5 * z * z)
    return 0.5 * jax.lax.erfc(-math.sqrt(0.5) * z) + z * density


def silu(z: Values) -> Values:
    """phi(z) = z sigmoid(z), also called swish. Elfwing et al., 2018."""
    return z * jax.lax.logistic(z)


def d_silu(z: Values) -> Values:
    """phi'(z) = s + z s (1 - s), s = sigmoid(z)."""
    s = jax.lax.logistic(z)
    return s + z * s * (1 - s)


def mish(z: Values) -> Values:
    """phi(z) = z tanh(softplus(z)). Misra, 2020."""
    return z * jnp.tanh(softplus(z))


def d_mish(z: Values) -> Values:
    """phi'(z) = t + z (1 - t^2) sigmoid(z), t = tanh(softplus(z))."""
    t = jnp.tanh(softplus(z))
    return t + z * d_tanh(t) * jax.lax.logistic(z)


def _negative_part(z: Values) -> Values:
    """min(z, 0), whose derivative at 0 is 1 (that of jnp.minimum is 1/2)."""
    return jnp.where(z > 0, 0.0, z)


def _gelu_argument(z: Values) -> Values:
    """2 u of `gelu`."""
    return math.sqrt(8 / math.pi) * z * (1 + GELU_CUBIC * z * z)


@dataclass(frozen=True)
class Activation:
    """An activation function with its derivative.

    Args:
        name: what configs and reports call it.
        fn: h = phi(z), elementwise; keeps shape and dtype.
        derivative: phi'(z) as a function of the residual alone, elementwise.
        residual: what `derivative` takes: "output" (h) or "preactivation" (z).
        gain: 1 / sqrt(E[phi(z)^2]) for z ~ N(0, 1): weights of variance gain^2 / n_in keep the
            mean square of the pre-activations from layer to layer, as in
            `orthogonal(gain=get_activation("tanh").gain)`.
        initializer: what `weight_init="auto"` picks for a layer with this activation.
        by_hand: whether `derivative` was written by hand; else it comes from `jax.grad`.

    Raises:
        TypeError: if `fn` or `derivative` cannot be called.
        ValueError: for another residual or initializer than those above, or a gain <= 0.

    Example:
        >>> tanh = get_activation("tanh")
        >>> h = tanh.fn(jnp.array([0.0, 100.0]))
        >>> h.tolist(), tanh.derivative(h).tolist()
        ([0.0, 1.0], [1.0, 0.0])

    Differences: torch.nn.init.calculate_gain has 5/3 for tanh (here 1.5925, the integral), 1 for
        sigmoid (here 1.8462) and 3/4 for selu (here 1, for which selu was made).

    Reference: lecture, chapters IV and VI; He et al., 2015 (gain sqrt 2 for relu).
    """

    name: str
    fn: Callable[[Values], Values]
    derivative: Callable[[Values], Values]
    residual: _Residual
    gain: float
    initializer: _InitializerName
    by_hand: bool = True

    def __post_init__(self) -> None:
        """Check what would otherwise fail far from here."""
        for field in ("fn", "derivative"):
            if not callable(getattr(self, field)):
                raise TypeError(
                    f"{field} of activation {self.name!r} is {getattr(self, field)!r}; pass a "
                    "function from array to array."
                )
        for field, known in (
            ("residual", ("output", "preactivation")),
            ("initializer", ("he_normal", "xavier_normal", "lecun_normal")),
        ):
            if getattr(self, field) not in known:
                raise unknown_name(f"{field} of an activation", getattr(self, field), known)
        if not 0 < self.gain < math.inf:
            raise ValueError(
                f"gain of activation {self.name!r} is {self.gain}; give a positive number, 1.0 if "
                "in doubt."
            )

    @classmethod
    def from_function(
        cls,
        name: str,
        fn: Callable[[Values], Values],
        derivative: Callable[[Values], Values] | None = None,
        *,
        residual: _Residual = "preactivation",
        gain: float = 1.0,
        initializer: _InitializerName = "he_normal",
    ) -> "Activation":
        """Make an activation of your own.

        Args:
            name: not one of the built-in names.
            fn: h = phi(z), elementwise; a module-level function, since another function object
                (a fresh lambda) is another activation, which compiles anew.
            derivative: of the residual; None lets `jax.grad` make one from `fn`.
            residual: what `derivative` takes: "output" (h) or "preactivation" (z).
            gain: see `Activation`.
            initializer: what `weight_init="auto"` picks.

        Returns:
            The record, to be passed as `MLPConfig(..., activation=record)`.

        Raises:
            ValueError: if `fn` changes shape or dtype, or if the residual is "output" without a
                derivative.

        Example:
            >>> sine = Activation.from_function("sine", jnp.sin)
            >>> sine.by_hand, sine.derivative(jnp.zeros(3)).tolist()
            (False, [1.0, 1.0, 1.0])
        """
        if derivative is None and residual == "output":
            raise ValueError(
                f"activation {name!r} has residual='output' but no derivative: jax.grad "
                "differentiates with respect to the pre-activation. Pass a derivative, or leave "
                "residual as it is."
            )
        made = derivative if derivative is not None else _Autodiff(fn)
        record = cls(name, fn, made, residual, gain, initializer, derivative is not None)
        for function in (fn, made):
            _check_elementwise(name, function)
        return record


@dataclass(frozen=True)
class _Autodiff:
    """phi' by jax.grad; a class so that equal functions give equal, picklable records."""

    fn: Callable[[Values], Values]

    def __call__(self, z: Values) -> Values:
        derivative: Values = jax.grad(lambda z: jnp.sum(self.fn(z)))(z)
        return derivative


def _check_elementwise(name: str, function: Callable[[Values], Values]) -> None:
    given = jax.ShapeDtypeStruct((3, 2), jnp.float32)
    got = jax.eval_shape(function, given)
    if (got.shape, got.dtype) != (given.shape, given.dtype):
        raise ValueError(
            f"activation {name!r} turns float32 of shape (3, 2) into {got.dtype} of shape "
            f"{got.shape}; it must act on each element and keep shape and dtype."
        )


ACTIVATIONS: dict[str, Activation] = {
    record.name: record
    for record in (
        Activation("identity", identity, d_identity, "output", 1.0, "xavier_normal"),
        Activation("relu", relu, d_relu, "output", math.sqrt(2.0), "he_normal"),
        Activation(
            "leaky_relu",
            leaky_relu,
            d_leaky_relu,
            "output",
            math.sqrt(2 / (1 + LEAKY_SLOPE**2)),
            "he_normal",
        ),
        Activation("sigmoid", sigmoid, d_sigmoid, "output", 1.846229, "xavier_normal"),
        Activation("tanh", tanh, d_tanh, "output", 1.592537, "xavier_normal"),
        Activation("elu", elu, d_elu, "preactivation", 1.245198, "he_normal"),
        Activation("selu", selu, d_selu, "preactivation", 1.0, "lecun_normal"),
        Activation("softplus", softplus, d_softplus, "output", 1.041867, "he_normal"),
        Activation("gelu", gelu, d_gelu, "preactivation", 1.533581, "he_normal"),
        Activation("gelu_exact", gelu_exact, d_gelu_exact, "preactivation", 1.533530, "he_normal"),
        Activation("silu", silu, d_silu, "preactivation", 1.676532, "he_normal"),
        Activation("mish", mish, d_mish, "preactivation", 1.486848, "he_normal"),
    )
}
"""The built-in activations by name."""


def get_activation(activation: str | Activation) -> Activation:
    """Look an activation up by name; a record passes through.

    Args:
        activation: one of `ACTIVATIONS`, or an `Activation`.

    Returns:
        The record.

    Raises:
        ValueError: for an unknown name (the message has the nearest known one), or for a record of
            yours with the name of a built-in activation.
        TypeError: for anything else.

    Example:
        >>> get_activation("relu").derivative(jnp.array([0.0, 2.0])).tolist()
        [0.0, 1.0]
    """
    if isinstance(activation, Activation):
        if ACTIVATIONS.get(activation.name, activation) != activation:
            raise ValueError(
                f"activation {activation.name!r} is not the built-in of that name; give yours "
                "another name."
            )
        return activation
    if not isinstance(activation, str):
        hint = (
            f" Wrap it: jaxmlp.Activation.from_function({_name_of(activation)!r}, function)."
            if callable(activation)
            else ""
        )
        raise TypeError(
            f"activation is {activation!r:.60}; give a name, such as 'relu', or a "
            f"jaxmlp.Activation.{hint}"
        )
    if activation not in ACTIVATIONS:
        raise unknown_name("activation", activation, ACTIVATIONS)
    return ACTIVATIONS[activation]


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", "name")
