"""Errors that say what was expected, what came, and what to do; all raised at trace time."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.messages import phrase


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is not in a registry, with the nearest one that is.

    >>> str(unknown_name("activation", "rleu", ["relu", "tanh"]))
    "unknown activation 'rleu'. Did you mean 'relu'? Known: relu, tanh."
    """
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1)
    said = {"kind": kind, "name": name, "known": ", ".join(names)}
    if near:
        return ValueError(
            phrase(
                "unknown {kind} {name!r}. Did you mean {near!r}? Known: {known}.",
                near=near[0],
                **said,
            )
        )
    return ValueError(phrase("unknown {kind} {name!r}. Known: {known}.", **said))


def check_dtype_available(dtype: Any, what: str) -> None:
    """Refuse float64 where JAX would silently make it float32."""
    if jnp.dtype(dtype) == jnp.float64 and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError(
            f"{what} is float64, but JAX runs with 64-bit types disabled and would use float32. "
            "Wrap the code in `with jax.enable_x64(True):`, set JAX_ENABLE_X64=1, or ask for "
            "float32."
        )


def check_numbers(name: str, value: object) -> Any:
    """Return an array, on the host or the device, refusing one without real numbers."""
    if not isinstance(value, jax.Array | jax.core.Tracer):
        try:
            value = np.asarray(value)
        except jax.errors.TracerArrayConversionError:  # a list of traced numbers
            value = jnp.asarray(value)
        except (TypeError, ValueError):
            value = np.asarray(None)
    dtype = value.dtype
    if not (jnp.issubdtype(dtype, np.number) or dtype == np.dtype(bool)):
        raise TypeError(f"{name} does not hold numbers; pass a numeric array.")
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(f"{name} is complex ({dtype}); pass real numbers.")
    return value


def as_array(name: str, value: object) -> jax.Array:
    """Turn numbers into an array on the device, refusing what has none."""
    return jnp.asarray(check_numbers(name, value))


def check_key(key: object) -> None:
    """Refuse what is no random key: an integer seed, for one."""
    array = key if isinstance(key, jax.Array) else jnp.empty(())
    is_typed = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    is_raw = array.dtype == jnp.uint32 and array.shape[-1:] == (2,)
    if not (is_typed or is_raw):
        hint = f"jax.random.key({key})" if isinstance(key, int) else "jax.random.key(0)"
        raise TypeError(f"key is {key!r:.60}, not a random key. Pass {hint}.")
    shape = array.shape if is_typed else array.shape[:-1]
    if shape != ():
        raise ValueError(
            f"key has shape {shape}: it is {math.prod(shape)} keys. Pass one of them, such as "
            f"keys[{', '.join('0' for _ in shape)}]; jax.vmap maps over several."
        )


def check_features(layer_sizes: tuple[int, ...], x: object) -> jax.Array:
    """Return x as an array of shape (batch, n_in), or say how it should look."""
    array = as_array("x", x)
    check_feature_shape(layer_sizes, array.shape)
    return array


def check_feature_shape(layer_sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Refuse a shape of x other than (batch, n_in), saying how to make it one."""
    n_in = layer_sizes[0]
    if len(shape) != 2:
        fix = (
            f"x[None, :] makes a batch of one, of shape (1, {n_in})"
            if len(shape) == 1
            else (f"flatten each example, as in x.reshape(len(x), {n_in})")
        )
        raise ValueError(f"x has shape {shape}, but must be (batch, {n_in}): {fix}.")
    if shape[1] != n_in:
        raise ValueError(
            f"x has {shape[1]} features, but config.layer_sizes starts with {n_in}. Pass x "
            f"of shape (batch, {n_in}), or build the config with layer_sizes=({shape[1]}, "
            "...)."
        )
    if shape[0] == 0:
        raise ValueError("x has no rows; pass at least one example.")


def check_rows(name: str, value: object, shape: tuple[int, ...]) -> jax.Array:
    """Return value as an array of exactly this shape."""
    array = as_array(name, value)
    if array.shape != shape:
        raise ValueError(
            f"{name} has shape {array.shape}, but must be {shape}, one row an example."
        )
    return array


def check_params(
    layer_sizes: tuple[int, ...],
    normalized: tuple[bool, ...],
    parametric: tuple[bool, ...],
    params: object,
) -> None:
    """Refuse parameters that are not those of the config."""
    n_layers = len(layer_sizes) - 1
    if not isinstance(params, tuple) or not all(hasattr(layer, "W") for layer in params):
        raise TypeError(
            f"params is a {type(params).__name__}, not a tuple of jaxmlp.Layer. Make it with "
            "jaxmlp.init(config, key)."
        )
    if len(params) != n_layers:
        raise ValueError(
            f"params has {len(params)} layers, but config.layer_sizes={layer_sizes} makes "
            f"{n_layers}. Use the config that the params were made with."
        )
    for l, layer in enumerate(params):
        n_in, n_out = layer_sizes[l : l + 2]
        vectors = [*(("gamma", "beta") if normalized[l] else ("b",)), *["alpha"] * parametric[l]]
        for name, shape in [("W", (n_in, n_out)), *((v, (n_out,)) for v in vectors)]:
            leaf = getattr(layer, name)
            got = "None" if leaf is None else f"shape {leaf.shape}"
            if leaf is None or leaf.shape != shape:
                raise ValueError(
                    f"params[{l}].{name} has {got}, but config.layer_sizes={layer_sizes} asks for "
                    f"{shape}. Use the config that the params were made with."
                )
        if layer.alpha is not None and not parametric[l]:
            raise ValueError(
                f"params[{l}] has alpha, but config.parametric_activation is off for this layer. "
                "Use the config that the params were made with."
            )


def check_state(
    normalized: tuple[bool, ...],
    layer_sizes: tuple[int, ...],
    state: tuple[object, ...],
    layers: Iterable[int] | None = None,
) -> None:
    """Refuse running statistics that are not those of the config, where `layers` need them."""
    if not any(normalized[l] for l in (range(len(normalized)) if layers is None else layers)):
        return
    fits = (
        len(state) == len(normalized)
        and all(
            (entry is not None and entry.mean.shape == (size,)) if norm else entry is None  # type: ignore[attr-defined]
            for entry, norm, size in zip(state, normalized, layer_sizes[1:], strict=True)
        )
    )
    if not fits:
        raise ValueError(
            "the config has batch normalization, so its running statistics are needed: pass "
            "state=result.state from jaxmlp.fit, or state=jaxmlp.init_state(config) for an "
            "untrained network."
        )


def check_training_pass(
    normalized: tuple[bool, ...],
    dropped: tuple[bool, ...],
    batch: int,
    key: object,
    frozen: tuple[int, ...],
) -> None:
    """Refuse dropout without a key, and a batch too small for batch normalization."""
    if key is None and any(drop and l not in frozen for l, drop in enumerate(dropped)):
        raise ValueError(
            "the config has dropout, so the training pass needs a random key: pass "
            "key=jax.random.key(0), or use jaxmlp.predict, which drops nothing."
        )
    if batch < 2 and any(norm and l not in frozen for l, norm in enumerate(normalized)):
        raise ValueError(
            "batch normalization needs at least 2 rows in a batch, but x has 1: its variance "
            "would be 0. Pass a larger batch, or use jaxmlp.predict with the running statistics."
        )


def check_frozen(n_layers: int, frozen: Iterable[int]) -> tuple[int, ...]:
    """Return layer indices counted from the front, sorted."""
    frozen = (frozen,) if isinstance(frozen, int) else tuple(frozen)
    for l in frozen:
        if not isinstance(l, int) or not -n_layers <= l < n_layers:
            raise ValueError(
                f"frozen names layer {l!r}, but the network has layers 0 to {n_layers - 1}. Give "
                "layer indices, such as frozen=(0, 1)."
            )
    return tuple(sorted({l % n_layers for l in frozen}))
