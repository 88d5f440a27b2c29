"""Units over a whole data set: which are dead, which saturated, what they put out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmlp.checks import check_features
from jaxmlp.config import MLPConfig
from jaxmlp.diagnostics.flatness import activation_outputs, is_flat, slopes
from jaxmlp.network import forward
from jaxmlp.training import Progress
from jaxmlp.types import Params, wide_dtype

BLOCK_ROWS = 2048


class UnitActivity(NamedTuple):
    """The units of one hidden layer, over all examples.

    Attributes:
        mean: of h, (n_out,).
        variance: of h, (n_out,).
        flat: share of the examples on which |phi'| is below 5% of its largest value, (n_out,).
        dead: flat for every example, and the activation can die; (n_out,).
        saturated_fraction: share of (example, unit) pairs that are flat, if the activation is flat
            on both sides, else 0.
    """

    mean: Float[np.ndarray, " n_out"]
    variance: Float[np.ndarray, " n_out"]
    flat: Float[np.ndarray, " n_out"]
    dead: Bool[np.ndarray, " n_out"]
    saturated_fraction: float


def layer_activity(config: MLPConfig, params: Params, x: Any) -> tuple[UnitActivity, ...]:
    """Run all examples through the network, block by block, and look at every hidden unit.

    The forward pass is that of training (batch normalization uses the statistics of each block of
    2048 examples), without dropout.

    Args:
        config: the network.
        params: its parameters.
        x: examples, (n, n_in), any n.

    Returns:
        One `UnitActivity` a hidden layer.

    Raises:
        ValueError: if `x` does not fit the config.

    Example:
        >>> from jaxmlp import init
        >>> config = MLPConfig((2, 4, 1), bias_init=-10.0)
        >>> activity = layer_activity(config, init(config, jax.random.key(0)), np.eye(2))
        >>> activity[0].dead.tolist()
        [True, True, True, True]

    Reference: lecture, chapter VI (dead neurons).
    """
    config = config.replace(dropout=False)
    x = check_features(config.layer_sizes, x).astype(config.dtype)
    found = jax.device_get(_unit_means(config, params, x))
    result = []
    for (mean, square, flat), phi in zip(found, config.activations, strict=False):
        known = slopes(phi)
        dead = (flat >= 1 - 1e-6) if known.dies else np.zeros(flat.shape, bool)
        saturated = float(flat.mean()) if known.saturates else 0.0
        result.append(UnitActivity(mean, np.maximum(square - mean**2, 0), flat, dead, saturated))
    return tuple(result)


@jax.jit
def _unit_means(config: MLPConfig, params: Params, x: Array) -> Any:
    """Mean, mean square and flat share of each hidden unit; padding rows weigh nothing."""
    n_rows = len(x)
    size = min(n_rows, BLOCK_ROWS)
    dtype = wide_dtype(x.dtype)

    def add_block(sums: Any, start: Array) -> tuple[Any, None]:
        position = start + jnp.arange(size, dtype=jnp.int32)
        rows = jnp.take(x, position, axis=0, mode="clip")
        weight = (position < n_rows).astype(dtype)
        _, cache = forward(config, params, rows, sample_weight=weight)
        found = []
        for kept, phi in zip(cache[:-1], config.activations, strict=False):
            h = activation_outputs(phi, kept.residual).astype(dtype)
            flat = is_flat(phi, kept.residual).astype(dtype)
            found.append(tuple(weight @ value / n_rows for value in (h, h * h, flat)))
        return jax.tree.map(jnp.add, sums, found), None

    zero = [
        tuple(jnp.zeros((n_out,), dtype) for _ in range(3)) for n_out in config.layer_sizes[1:-1]
    ]
    sums, _ = jax.lax.scan(add_block, zero, jnp.arange(0, n_rows, size, dtype=jnp.int32))
    return sums


class ActivityLog:
    """A callback for `fit` that looks at all examples now and then.

    Args:
        config: the network.
        x: the training examples.
        params: where the run starts, for a look at epoch 0; None goes without it.
        every: epochs between two looks at the least; each costs one forward pass over x.

    Attributes:
        records: (epoch, tuple of `UnitActivity`) of each look, the last of them at the end of the
            run; `fit(..., every=20)` sees to it that chunks of epochs are no longer than that.

    Example:
        >>> from jaxmlp import fit, init, sgd
        >>> config = MLPConfig((2, 8, 1))
        >>> x, y = np.eye(2, dtype=np.float32), np.array([[0.0], [1.0]])
        >>> log = ActivityLog(config, x, every=20)
        >>> _ = fit(config, init(config, jax.random.key(0)), (x, y), loss="squared_error",
        ...         optimizer=sgd(0.1), epochs=40, key=jax.random.key(1), callbacks=[log], every=20)
        >>> log.records[-1][0], log.records[-1][1][0].dead.shape
        (40, (8,))
    """

    def __init__(
        self, config: MLPConfig, x: Any, params: Params | None = None, every: int = 20
    ) -> None:
        """Look at the untrained network, if it is given."""
        self.config, self.every = config, every
        self.x = jnp.asarray(x, config.dtype)  # once, not at every look
        self.records: list[tuple[int, tuple[UnitActivity, ...]]] = []
        if params is not None:
            self.records.append((0, layer_activity(config, params, self.x)))

    def __call__(self, progress: Progress) -> None:
        """Look, if the last look was `every` epochs ago or the run is at its end."""
        last = self.records[-1][0] if self.records else 0
        if progress.epoch - last < self.every and progress.epoch < progress.epochs:
            return
        result = progress.result()  # of the end of the chunk
        epoch = result.history.n_epochs
        if epoch > last:
            params = result.carry.params
            self.records.append((epoch, layer_activity(self.config, params, self.x)))
