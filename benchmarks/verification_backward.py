"""A right backward pass in small steps, any of which a bug may replace, and where to check it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.losses import get_loss
from jaxmlp.network import forward, init, objective
from jaxmlp.normalization import batch_norm_backward, row_shares
from jaxmlp.types import Layer


class Architecture(NamedTuple):
    """A network, a loss and data on which bugs are injected."""

    name: str
    config: MLPConfig
    loss: str
    params: Any
    x: Any
    y: Any
    options: dict[str, Any]


def architectures() -> dict[str, Architecture]:
    """Return the three; call it under `jax.enable_x64(True)`."""
    rng = np.random.default_rng(0)
    classifier = MLPConfig((7, 9, 9, 4), "tanh", bias_init=0.1, dtype="float64")
    regressor = MLPConfig((80, 60, 60, 60, 3), "relu", dtype="float64")
    normalized = MLPConfig(
        (6, 8, 8, 3), "silu", bias_init=0.1, batch_norm=(True, False), dropout=(False, True),
        dtype="float64",
    )  # fmt: skip
    first, *others = init(normalized, jax.random.key(0))
    scaled = (first._replace(gamma=jnp.asarray(rng.uniform(0.5, 1.5, 8))), *others)
    x = rng.normal(size=(9, 80))
    x[0] = 0.0  # this row stands on the kink of every ReLU
    key = jax.random.key(0)
    return {
        "classifier": Architecture(
            "classifier", classifier, "softmax_cross_entropy", init(classifier, key),
            rng.normal(size=(8, 7)), rng.integers(0, 4, 8),
            {"l2": 0.05, "loss_options": {"label_smoothing": 0.1}},
        ),
        "regressor": Architecture(
            "regressor", regressor, "squared_error", init(regressor, key),
            x, rng.normal(size=(9, 3)), {"l2": 0.02, "sample_weight": rng.uniform(0.2, 2.0, 9)},
        ),
        "normalized": Architecture(
            "normalized", normalized, "sigmoid_binary_cross_entropy", scaled,
            rng.normal(size=(10, 6)), rng.integers(0, 2, (10, 3)).astype(np.float64),
            {"l2": 0.03, "key": jax.random.key(3), "dropout_rate": 0.4},
        ),
    }  # fmt: skip


@dataclass
class Backward:
    """The backward pass, one method a step, called like `jaxmlp.value_and_grad(config, loss)`.

    Attributes:
        config: the network.
        loss: by name.
        wrong: functions that replace steps, by name; called as (backward, *arguments).
    """

    config: MLPConfig
    loss: str
    wrong: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def __call__(self, params: Any, x: Any, y: Any, **options: Any) -> tuple[Any, Any]:
        """Return (value, gradient); the value is right."""
        self.params, self.x, self.y, self.options = params, jnp.asarray(x), jnp.asarray(y), options
        self.outputs, self.cache = self.step("forward", params, self.x)
        d_h = self.step("share")[:, None] * self.step("d_logits")
        grads = []
        for l in reversed(range(self.config.n_layers)):
            d_h = self.step("mask", l, d_h)
            d_z, d_gamma, d_beta = self.step("norm", l, self.step("derivative", l, d_h))
            d_W = self.step("penalty", l, self.step("d_W", l, d_z))
            d_b = None if params[l].b is None else self.step("d_b", l, d_z)
            grads.append(Layer(d_W, d_b, d_gamma, d_beta))
            d_h = self.step("d_h", l, d_z)
        value = objective(self.config, self.loss)(params, x, y, **options)
        return value, self.step("finish", tuple(reversed(grads)))

    def step(self, name: str, *args: Any) -> Any:
        """Do a step, rightly or wrongly."""
        if name in self.wrong:
            return self.wrong[name](self, *args)
        return getattr(self, f"right_{name}")(*args)

    def right_forward(self, params: Any, x: Any) -> Any:
        """Logits and cache."""
        names = ("key", "dropout_rate", "sample_weight")
        known = {name: self.options[name] for name in names if name in self.options}
        return forward(self.config, params, x, **known)

    def right_d_logits(self) -> Any:
        """Each example's dl/do."""
        loss_options = self.options.get("loss_options", {})
        return get_loss(self.loss).value_and_grad(self.outputs, self.y, **loss_options)[1]

    def right_share(self) -> Any:
        """Each example's share in the mean."""
        return row_shares(len(self.outputs), self.options.get("sample_weight"), self.outputs.dtype)

    def right_mask(self, l: int, d_h: Any) -> Any:
        """Back through dropout."""
        return d_h if self.cache[l].mask is None else d_h * self.cache[l].mask

    def right_derivative(self, l: int, d_h: Any) -> Any:
        """Back through the activation."""
        return d_h * self.phi(l).derivative(self.cache[l].residual)

    def right_norm(self, l: int, d_y: Any) -> Any:
        """Back through batch normalization: (d_z, d_gamma, d_beta)."""
        if self.cache[l].norm is None:
            return d_y, None, None
        return batch_norm_backward(self.cache[l].norm, self.params[l].gamma, d_y)

    def right_d_W(self, l: int, d_z: Any) -> Any:
        """dL/dW."""
        return self.cache[l].inputs.T @ d_z

    def right_penalty(self, l: int, d_W: Any) -> Any:
        """dJ/dW."""
        return d_W + self.options.get("l2", 0.0) * self.params[l].W

    def right_d_b(self, l: int, d_z: Any) -> Any:
        """dJ/db."""
        return d_z.sum(axis=0)

    def right_d_h(self, l: int, d_z: Any) -> Any:
        """Back through the weights."""
        return d_z @ self.params[l].W.T

    def right_finish(self, grads: Any) -> Any:
        """Hand the gradient out."""
        return grads

    def phi(self, l: int) -> Any:
        """Activation of layer l."""
        return self.config.activations[l]

    def z(self, l: int) -> Any:
        """Pre-activation of layer l, normalized where it is."""
        kept, layer = self.cache[l], self.params[l]
        if kept.norm is not None:
            return layer.gamma * kept.norm.x_hat + layer.beta
        return kept.inputs @ layer.W + layer.b
