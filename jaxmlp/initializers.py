"""Initial weights: functions (key, shape, dtype) -> array.

A shape is (n_in, n_out): a unit sums n_in inputs (fan-in) and feeds n_out units (fan-out). The
variance of a sum of n_in independent terms is n_in times one term's; the scaled schemes choose
the weights' variance so that signals, gradients or both keep theirs from layer to layer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.checks import unknown_name
from jaxmlp.types import Key, wide_dtype

__all__ = [
    "INITIALIZERS", "Initializer", "constant", "get_initializer", "he_normal", "he_uniform",
    "lecun_normal", "normal", "orthogonal", "uniform", "xavier_normal", "xavier_uniform",
    "zeros",
]  # fmt: skip

_Shape: TypeAlias = tuple[int, int]
Initializer: TypeAlias = Callable[[Key, _Shape, Any], Float[Array, "n_in n_out"]]


def xavier_normal(key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Float[Array, "n_in n_out"]:
    """Draw W ~ N(0, s^2) with s = sqrt(2 / (n_in + n_out)).

    A compromise: n_in s^2 = 1 would keep the variance of the signals, n_out s^2 = 1 that of the
    gradients. The lecture's N(0, sqrt(2 / (n_in + n_out))) is read as that standard deviation.

    Args:
        key: random key.
        shape: (n_in, n_out).
        dtype: of the result.

    Returns:
        Weights, (n_in, n_out).

    Example:
        >>> W = xavier_normal(jax.random.key(0), (300, 100), jnp.float32)
        >>> W.shape, round(float(W.std()), 2)
        ((300, 100), 0.07)

    Differences: the normal distributions here are not truncated. Those of `jax.nn.initializers`
        and Keras (variance_scaling, "truncated_normal") cut at two standard deviations and widen
        to make up for it: same variance, lighter tails.

    Reference: lecture, chapter VI; Glorot & Bengio, 2010.
    """
    n_in, n_out = _fans(shape)
    return _scaled_normal(key, shape, dtype, 2 / (n_in + n_out))


def xavier_uniform(key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Float[Array, "n_in n_out"]:
    """Draw W ~ U(-a, a) with a = sqrt(6 / (n_in + n_out)), of the variance of `xavier_normal`.

    Reference: lecture, chapter VI; Glorot & Bengio, 2010.
    """
    n_in, n_out = _fans(shape)
    return _scaled_uniform(key, shape, dtype, 2 / (n_in + n_out))


def he_normal(key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Float[Array, "n_in n_out"]:
    """Draw W ~ N(0, 2 / n_in): ReLU halves the mean square, the 2 makes up for it.

    Reference: lecture, chapter VI; He et al., 2015.
    """
    n_in, _ = _fans(shape)
    return _scaled_normal(key, shape, dtype, 2 / n_in)


def he_uniform(key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Float[Array, "n_in n_out"]:
    """Draw W ~ U(-a, a) with a = sqrt(6 / n_in), of the variance of `he_normal`.

    Reference: lecture, chapter VI; He et al., 2015.
    """
    n_in, _ = _fans(shape)
    return _scaled_uniform(key, shape, dtype, 2 / n_in)


def lecun_normal(key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Float[Array, "n_in n_out"]:
    """Draw W ~ N(0, 1 / n_in), which keeps the variance where the activation does (selu).

    Reference: LeCun et al., 1998; Klambauer et al., 2017.
    """
    n_in, _ = _fans(shape)
    return _scaled_normal(key, shape, dtype, 1 / n_in)


def zeros(key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Float[Array, "n_in n_out"]:
    """Return W = 0, for a last layer; hidden units would stay alike, as under `constant`."""
    del key
    return jnp.zeros(shape, dtype)


def normal(stddev: float = 0.01) -> Initializer:
    """Make an initializer that draws W ~ N(0, stddev^2), whatever the layer's size.

    Args:
        stddev: standard deviation, > 0. The lecture writes N(0, 0.01): read as a standard
            deviation (as d2l.ai has it) that is the default; read as a variance ("a small
            variance") it is `normal(stddev=0.1)`.

    Returns:
        A hashable (key, shape, dtype) -> array; equal arguments make equal initializers.

    Raises:
        ValueError: for a stddev that is not positive.

    Example:
        >>> W = normal(stddev=0.1)(jax.random.key(0), (300, 100), jnp.float32)
        >>> round(float(W.std()), 2)
        0.1

    Reference: lecture, chapter VI.
    """
    return _Normal(_positive("stddev", stddev))


def uniform(scale: float = 0.01) -> Initializer:
    """Make an initializer that draws W ~ U(-scale, scale), whatever the layer's size.

    Args:
        scale: half the width of the interval, > 0.

    Returns:
        A hashable (key, shape, dtype) -> array.

    Raises:
        ValueError: for a scale that is not positive.

    Example:
        >>> W = uniform(0.5)(jax.random.key(0), (300, 100), jnp.float32)
        >>> bool(abs(W).max() <= 0.5)
        True

    Differences: `jax.nn.initializers.uniform(scale)` draws from [0, scale).

    Reference: lecture, chapter VI.
    """
    return _Uniform(_positive("scale", scale))


def orthogonal(gain: float = 1.0) -> Initializer:
    """Make an initializer whose W is gain times a random matrix with orthonormal columns.

    W^T W = gain^2 I if n_in >= n_out, else W W^T = gain^2 I: lengths are kept, in a stack of
    layers of one width through any depth.

    Args:
        gain: > 0; `Activation.gain` of the layer's activation, for one.

    Returns:
        A hashable (key, shape, dtype) -> array.

    Raises:
        ValueError: for a gain that is not positive.

    Example:
        >>> W = orthogonal()(jax.random.key(0), (4, 3), jnp.float32)
        >>> bool(jnp.allclose(W.T @ W, jnp.eye(3), atol=1e-6))
        True

    Reference: Saxe et al., 2014; Mezzadri, 2007 (why the signs of R enter).
    """
    return _Orthogonal(_positive("gain", gain))


def constant(value: float) -> Initializer:
    """Make an initializer that sets every weight to one value.

    All units of a layer then compute the same and get the same gradient: they stay alike for
    ever. It is here to show that failure.

    Args:
        value: of every weight; finite.

    Returns:
        A hashable (key, shape, dtype) -> array.

    Raises:
        ValueError: if `value` is not finite.

    Example:
        >>> constant(0.5)(jax.random.key(0), (1, 2), jnp.float32).tolist()
        [[0.5, 0.5]]

    Reference: lecture, chapter VI.
    """
    if not math.isfinite(value):
        raise ValueError(f"value is {value}; give a finite number.")
    return _Constant(float(value))


@dataclass(frozen=True)
class _Normal:
    stddev: float

    def __call__(self, key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Array:
        return self.stddev * _standard_normal(key, shape, dtype)


@dataclass(frozen=True)
class _Uniform:
    scale: float

    def __call__(self, key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Array:
        return _symmetric_uniform(key, shape, dtype, self.scale)


@dataclass(frozen=True)
class _Orthogonal:
    gain: float

    def __call__(self, key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Array:
        n_in, n_out = _fans(shape)
        tall = (max(shape), min(shape))
        qr_dtype = wide_dtype(dtype)  # there is no QR in bfloat16
        Q, R = jnp.linalg.qr(_standard_normal(key, tall, qr_dtype))
        # QR is unique up to these signs; with R's diagonal positive Q is uniformly distributed.
        Q = Q * jnp.where(jnp.diagonal(R) < 0, -1.0, 1.0).astype(qr_dtype)[None, :]
        return (self.gain * (Q if n_in >= n_out else Q.T)).astype(dtype)


@dataclass(frozen=True)
class _Constant:
    value: float

    def __call__(self, key: Key, shape: _Shape, dtype: Any = jnp.float32) -> Array:
        return jnp.full(shape, self.value, dtype)


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; give a positive number.")
    return float(value)


def _fans(shape: _Shape) -> _Shape:
    if len(shape) != 2:
        raise ValueError(f"shape is {shape}, but weights have the shape (n_in, n_out).")
    return shape


def _standard_normal(key: Key, shape: _Shape, dtype: Any) -> Array:
    """Numbers as drawn in this shape; drawn flat, they compile in a third of the time."""
    return jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def _symmetric_uniform(key: Key, shape: _Shape, dtype: Any, limit: float) -> Array:
    return jax.random.uniform(key, (math.prod(shape),), dtype, -limit, limit).reshape(shape)


def _scaled_normal(key: Key, shape: _Shape, dtype: Any, variance: float) -> Array:
    return math.sqrt(variance) * _standard_normal(key, shape, dtype)


def _scaled_uniform(key: Key, shape: _Shape, dtype: Any, variance: float) -> Array:
    limit = math.sqrt(3 * variance)  # U(-a, a) has variance a^2 / 3
    return _symmetric_uniform(key, shape, dtype, limit)


INITIALIZERS: dict[str, Initializer] = {
    "normal": normal(),
    "uniform": uniform(),
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal(),
    "zeros": zeros,
}
"""The initializers by name, those with a parameter at its default."""


def get_initializer(initializer: str | Initializer) -> Initializer:
    """Look an initializer up by name; a function passes through.

    Args:
        initializer: one of `INITIALIZERS`, or a hashable function (key, shape, dtype) -> array.

    Returns:
        The function.

    Raises:
        ValueError: for an unknown name; the message has the nearest known one.
        TypeError: for anything else.

    Example:
        >>> get_initializer("he_normal") is he_normal
        True
    """
    if isinstance(initializer, str):
        if initializer not in INITIALIZERS:
            raise unknown_name("initializer", initializer, INITIALIZERS)
        return INITIALIZERS[initializer]
    factories: tuple[object, ...] = (normal, uniform, orthogonal, constant)
    if any(initializer is factory for factory in factories):
        name = initializer.__name__
        raise TypeError(
            f"initializer is the function {name}, which makes one: call it, as in {name}()."
        )
    if not callable(initializer):
        raise TypeError(
            f"initializer is {initializer!r:.60}; give a name, such as 'he_normal', or a function "
            "(key, shape, dtype) -> array."
        )
    return initializer
