"""What is measured inside the compiled run: a pure function for `fit(probe=...)`."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.diagnostics.flatness import activation_outputs, is_flat, slopes
from jaxmlp.networks import NetworkConfig, layers_of
from jaxmlp.types import wide_dtype


class LayerReadings(NamedTuple):
    """One number a layer, output layer included; `fit` stacks them along a leading axis.

    Attributes:
        gradient_norm: ||dJ/dW|| (Frobenius), (layers,).
        weight_norm: ||W||, (layers,).
        update_ratio: ||W's update|| / ||W||, (layers,); 0 in a frozen layer. About 1e-3 is usual.
        activation_mean: mean of h over batch and units, (layers,); of the logits in the last.
        activation_variance: variance of h over batch and units, (layers,).
        dead_fraction: share of units that are flat for the whole batch, where the activation is
            flat on one side (ReLU, ELU, GELU, ...), else 0, (layers,).
        saturated_fraction: share of (example, unit) pairs where the activation is flat, if it is
            so on both sides (sigmoid, tanh), else 0, (layers,).
    """

    gradient_norm: Float[Array, " layers"]
    weight_norm: Float[Array, " layers"]
    update_ratio: Float[Array, " layers"]
    activation_mean: Float[Array, " layers"]
    activation_variance: Float[Array, " layers"]
    dead_fraction: Float[Array, " layers"]
    saturated_fraction: Float[Array, " layers"]


@dataclass(frozen=True)
class LayerProbe:
    """The probe of `probe_layers`; equal networks make equal probes, hence one program."""

    config: NetworkConfig
    frozen: tuple[int, ...] = ()

    def __call__(self, *parts: Any) -> LayerReadings:
        """Measure a step from params, cache, gradients and the updates of what trains."""
        params, cache, grads, updates = (layers_of(part) for part in parts)
        moving = iter(updates)
        rows = []
        for l, phi in enumerate(self.config.activations):
            weight_norm = _norm(params[l].W)
            change = 0.0 if l in self.frozen else _norm(next(moving).W)
            h = activation_outputs(phi, cache[l].residual, params[l].alpha)
            h = h.astype(wide_dtype(h.dtype))
            flat, known = is_flat(phi, cache[l].residual, params[l].alpha), slopes(phi)
            dead = jnp.mean(jnp.all(flat, axis=0)) if known.dies else 0.0
            saturated = jnp.mean(flat) if known.saturates else 0.0
            row = (
                _norm(grads[l].W), weight_norm, change / _positive(weight_norm),
                jnp.mean(h), jnp.var(h), dead, saturated,
            )  # fmt: skip
            numbers = [jnp.asarray(value, jnp.float32) for value in row]
            # Layer after layer: all at once would be spread over threads, and take longer.
            numbers, cache = jax.lax.optimization_barrier((numbers, cache))
            rows.append(numbers)
        return LayerReadings(*(jnp.stack(column) for column in zip(*rows, strict=True)))


def probe_layers(config: NetworkConfig, frozen: tuple[int, ...] = ()) -> LayerProbe:
    """Make the probe that `fit` records: gradient flow, weights and activations of each layer.

    Args:
        config: the network.
        frozen: layers that do not train, as given to `fit`.

    Returns:
        A function (params, cache, grads, updates) -> `LayerReadings`.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from jaxmlp import MLPConfig, fit, init, sgd
        >>> config = MLPConfig((2, 8, 1), activation="tanh")
        >>> x, y = np.eye(2, dtype=np.float32), np.array([[0.0], [1.0]])
        >>> result = fit(config, init(config, jax.random.key(0)), (x, y), loss="squared_error",
        ...              optimizer=sgd(0.1), epochs=30, key=jax.random.key(1),
        ...              probe=probe_layers(config), probe_every=10)
        >>> result.probed.gradient_norm.shape, result.probe_steps.tolist()
        ((3, 2), [10, 20, 30])

    Reference: lecture, chapter VI; Glorot & Bengio, 2010 (what to look at, and why).
    """
    return LayerProbe(config, tuple(frozen))


def _norm(array: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(jnp.square(array.astype(wide_dtype(array.dtype)))))


def _positive(value: Float[Array, ""]) -> Float[Array, ""]:
    """The value, or 1 where it is 0: no weights, no ratio."""
    return jnp.where(value > 0, value, jnp.ones_like(value))
