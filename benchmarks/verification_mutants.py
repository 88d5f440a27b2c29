"""Bugs of a backward pass, each a wrong step of `Backward`, with the words that name its cause.

No mutant is equivalent to the right code: the study asserts that its gradient differs.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.verification_backward import Architecture, Backward
from jaxmlp.activations import ACTIVATIONS
from jaxmlp.losses import get_loss
from jaxmlp.network import value_and_grad
from jaxmlp.normalization import batch_norm_backward, batch_norm_inference, dropout_forward
from jaxmlp.once import quick_compilation
from jaxmlp.types import NormState


class Mutant(NamedTuple):
    """One bug.

    Attributes:
        name: what is wrong.
        step: of `Backward` that it replaces.
        function: instead of that step.
        expected: regular expression for the words that name the cause.
    """

    name: str
    step: str
    function: Callable[..., Any]
    expected: str

    def backward(self, architecture: Architecture) -> Backward:
        """Build the wrong gradient for an architecture."""
        return Backward(architecture.config, architecture.loss, {self.step: self.function})

    def names_cause(self, words: str) -> bool:
        """Return whether a diagnosis names this bug."""
        return re.search(self.expected, words, re.IGNORECASE) is not None


def at(layer: int, step: str, wrong: Callable[..., Any]) -> Callable[..., Any]:
    """Do a step wrong in one layer only."""

    def function(b: Backward, l: int, d: Any) -> Any:
        return wrong(b, l, d) if l == layer else getattr(b, f"right_{step}")(l, d)

    return function


def after(step: str, change: Callable[..., Any], layer: int | None = None) -> Callable[..., Any]:
    """Change the result of a step, in one layer or all."""

    def function(b: Backward, *args: Any) -> Any:
        right = getattr(b, f"right_{step}")(*args)
        return change(b, right) if layer is None or args[0] == layer else right

    return function


def leaf(l: int, name: str, change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Change one leaf of the finished gradient."""

    def function(b: Backward, grads: Any) -> Any:
        changed = grads[l]._replace(**{name: change(getattr(grads[l], name))})
        return (*grads[:l], changed, *grads[l + 1 :])

    return function


def derivative_of(name: str) -> Callable[..., Any]:
    """Use another activation's derivative."""

    def function(b: Backward, l: int, d_h: Any) -> Any:
        phi = ACTIVATIONS[name]
        z = b.z(l)
        return d_h * phi.derivative(phi.fn(z) if phi.residual == "output" else z)

    return function


def stale(params_scale: float) -> Callable[..., Any]:
    """Keep the cache of a forward pass made before an update; the logits are the new ones."""

    def function(b: Backward, params: Any, x: Any) -> Any:
        outputs, _ = b.right_forward(params, x)
        old = jax.tree.map(lambda p: p * params_scale, params)
        return outputs, b.right_forward(old, x)[1]

    return function


def stale_inputs(b: Backward, params: Any, x: Any) -> Any:
    """Keep the layers' inputs of an earlier pass, but the new derivatives."""
    outputs, cache = b.right_forward(params, x)
    _, old = b.right_forward(jax.tree.map(lambda p: 0.9 * p, params), x)
    return outputs, tuple(
        new._replace(inputs=before.inputs) for new, before in zip(cache, old, strict=True)
    )


def previous_batch(b: Backward, l: int, d_z: Any) -> Any:
    """dW of the first layer with the x of another batch."""
    return jnp.roll(b.x, 1, axis=1).T @ d_z


def running_statistics(b: Backward, l: int, d_z: Any) -> Any:
    """Backward through statistics that are not this batch's."""
    if b.cache[l].norm is None:
        return d_z, None, None
    n = d_z.shape[1]
    z = b.cache[l].inputs @ b.params[l].W
    old = NormState(jnp.zeros(n), jnp.ones(n))
    _, norm = batch_norm_inference(z, b.params[l].gamma, b.params[l].beta, old, 1e-5)
    return batch_norm_backward(norm, b.params[l].gamma, d_z)


def norm_with(change: Callable[[Any, Any, Any, Any], Any]) -> Callable[..., Any]:
    """Change (cache, gamma, d_y, right result) of the normalization's backward pass."""

    def function(b: Backward, l: int, d_y: Any) -> Any:
        right = b.right_norm(l, d_y)
        norm = b.cache[l].norm
        return right if norm is None else change(norm, b.params[l].gamma, d_y, right)

    return function


def without(term: str) -> Callable[[Any, Any, Any, Any], Any]:
    """Leave a way through the statistics out."""

    def change(norm: Any, gamma: Any, d_y: Any, right: Any) -> Any:
        g, p = d_y * gamma, norm.weight[:, None]
        through_mean = p * g.sum(axis=0)
        through_var = p * norm.x_hat * (g * norm.x_hat).sum(axis=0)
        left = {"mean": through_var, "variance": through_mean, "both": 0.0}[term]
        return ((g - left) * norm.inv_std, *right[1:])

    return change


def without_eps(norm: Any, gamma: Any, d_y: Any, right: Any) -> Any:
    """Forget eps under the root in the backward pass."""
    return (right[0] / norm.inv_std / jnp.sqrt(norm.statistics.var), *right[1:])


def differs(mutant: Mutant, case: Architecture) -> bool:
    """Return whether the mutant's gradient is another one than the right one."""

    def gradient(fn: Callable[..., Any]) -> Any:
        call = lambda p: fn(p, case.x, case.y, **case.options)[1]  # noqa: E731
        return jax.jit(call, compiler_options=quick_compilation())(case.params)

    right = gradient(value_and_grad(case.config, case.loss))
    wrong = gradient(mutant.backward(case))
    if jax.tree.structure(right) != jax.tree.structure(wrong):
        return True
    return any(
        g.shape != w.shape or bool(jnp.any(~(jnp.abs(g - w) <= 1e-9 * jnp.abs(g).max())))
        for g, w in zip(jax.tree.leaves(right), jax.tree.leaves(wrong), strict=True)
    )


def uniform_share(b: Backward) -> Any:
    """Every example's share without its weight."""
    return jnp.full(len(b.outputs), 1 / len(b.outputs))


def other_mask(b: Backward, l: int, d_h: Any) -> Any:
    """Draw the dropout mask anew."""
    if b.cache[l].mask is None:
        return d_h
    return dropout_forward(jax.random.key(99), d_h, b.options["dropout_rate"])[0]


def scaled(factor: float) -> Callable[..., Any]:
    """Multiply by a constant."""
    return lambda b, d: factor * d


L2 = "l2 term|l2 penalty"
PHI = "phi'|derivative"
COMMON = [
    ("dJ/do has the wrong sign", "d_logits", after("d_logits", scaled(-1.0)), "sign"),
    ("sum over the batch instead of mean", "share",
     lambda b: b.options.get("sample_weight", jnp.ones(len(b.outputs))),
     "sum instead of mean over the batch"),
    ("divided by the batch twice", "share",
     lambda b: b.right_share() / len(b.outputs), "once too often|mean instead of sum"),
    ("targets not subtracted in dJ/do", "d_logits",
     lambda b: get_loss(b.loss).link(b.outputs), "targets"),
    ("the last example is left out", "share",
     after("share", lambda b, s: s.at[-1].set(0.0)), "last example"),
    ("targets shifted by one row", "d_logits",
     lambda b: Backward.right_d_logits(_with_targets(b, jnp.roll(b.y, 1, axis=0))), "targets"),
    ("activation's derivative forgotten", "derivative",
     at(1, "derivative", lambda b, l, d: d), "derivative is forgotten"),
    ("L2 term forgotten", "penalty", lambda b, l, d_W: d_W, L2 + ".*forgotten"),
    ("L2 term has the wrong sign", "penalty",
     lambda b, l, d_W: d_W - b.options["l2"] * b.params[l].W, "L2 term is -1"),
    ("dJ/db not summed over the batch", "d_b", at(2, "d_b", lambda b, l, d: d), "not summed"),
    ("dJ/dW of one layer doubled (+= twice)", "d_W", after("d_W", scaled(2.0), 1),
     "factor 1/2|2 x the (true|data's)"),
    ("dJ/dW uses the pre-activation of the layer below", "d_W",
     at(1, "d_W", lambda b, l, d: b.z(l - 1).T @ d), "pre-activation"),
]  # fmt: skip

CLASSIFIER = [
    ("activation's derivative applied twice", "derivative",
     at(0, "derivative", lambda b, l, d: b.right_derivative(l, b.right_derivative(l, d))),
     "derivative is applied twice"),
    ("label smoothing forgotten", "d_logits",
     lambda b: Backward.right_d_logits(_with_options(b, {})), "label smoothing"),
    ("softmax's derivative applied again", "d_logits",
     lambda b: b.right_d_logits() * jax.nn.softmax(b.outputs) * (1 - jax.nn.softmax(b.outputs)),
     "derivative of the link"),
    ("softmax over the batch instead of the classes", "d_logits",
     lambda b: b.right_d_logits() - jax.nn.softmax(b.outputs) + jax.nn.softmax(b.outputs, axis=0),
     "softmax.*(axis|batch)"),
    ("tanh' taken at the output instead of the pre-activation", "derivative",
     lambda b, l, d: d * (1 - jnp.tanh(b.cache[l].residual) ** 2) if l < 2 else d,
     "at the output instead of the pre-activation"),
    ("tanh' = 1 - h instead of 1 - h^2", "derivative",
     at(0, "derivative", lambda b, l, d: d * (1 - b.cache[l].residual)), PHI),
    ("sigmoid's derivative instead of tanh's", "derivative",
     lambda b, l, d: derivative_of("sigmoid")(b, l, d) if l < 2 else d, "derivative of sigmoid"),
    ("h (1 - h), as for a sigmoid, from tanh's output", "derivative",
     at(1, "derivative", lambda b, l, d: d * b.cache[l].residual * (1 - b.cache[l].residual)), PHI),
    ("derivative of the layer above (off by one)", "derivative",
     at(0, "derivative", lambda b, l, d: b.right_derivative(1, d)), "off by one"),
    ("W not transposed in dJ/dh", "d_h",
     at(1, "d_h", lambda b, l, d: d @ b.params[l].W), "not transposed"),
    ("W already updated in dJ/dh", "d_h",
     at(2, "d_h", lambda b, l, d: d @ (b.params[l].W - 0.1 * b.right_d_W(l, d)).T), "dJ/dh"),
    ("delta summed over the batch and broadcast in dJ/dh", "d_h",
     at(1, "d_h", lambda b, l, d: jnp.broadcast_to(d.sum(0), d.shape) @ b.params[l].W.T), "dJ/dh"),
    ("dJ/dW of the square layer transposed", "finish", leaf(1, "W", jnp.transpose), "transposed"),
    ("dJ/dW of the last layer transposed", "finish", leaf(2, "W", jnp.transpose), "transposed"),
    ("dJ/db is the mean over the batch", "d_b",
     lambda b, l, d: d.mean(axis=0), "mean instead of sum over the batch"),
    ("dJ/db keeps its summed axis", "d_b",
     at(0, "d_b", lambda b, l, d: d.sum(axis=0, keepdims=True)), "keepdims"),
    ("dJ/db summed over the units (wrong axis)", "d_b",
     at(1, "d_b", lambda b, l, d: d.sum(axis=1)), "axis"),
    ("dJ/db is 0", "d_b", lambda b, l, d: 0.0 * d.sum(axis=0), "zero everywhere"),
    ("dJ/db of the first example only", "d_b",
     at(2, "d_b", lambda b, l, d: d[0]), "first example|one example"),
    ("L2 penalty on biases too", "finish",
     lambda b, g: tuple(
         d._replace(b=d.b + b.options["l2"] * p.b) for d, p in zip(g, b.params, strict=True)
     ), "bias"),
    ("L2 term twice (derivative of l2 W^2)", "penalty",
     lambda b, l, d_W: d_W + 2 * b.options["l2"] * b.params[l].W, L2),
    ("L2 term divided by the batch", "penalty",
     lambda b, l, d_W: d_W + b.options["l2"] / 8 * b.params[l].W, L2),
    ("L2 term forgotten in one layer", "penalty",
     at(2, "penalty", lambda b, l, d_W: d_W), L2 + ".*forgotten"),
    ("L1 instead of L2", "penalty",
     lambda b, l, d_W: d_W + b.options["l2"] * jnp.sign(b.params[l].W), "L1"),
    ("stale cache: from before the last update", "forward", stale(0.9), "stale"),
    ("stale activations: right for the first layer only", "forward", stale_inputs, "stale"),
    ("one entry NaN", "finish", leaf(1, "W", lambda g: g.at[2, 3].set(jnp.nan)), "NaN"),
    ("clipped at +-0.05", "finish",
     lambda b, g: jax.tree.map(lambda d: jnp.clip(d, -0.05, 0.05), g), "clipped"),
    ("backward pass stops before the first layer", "finish",
     lambda b, g: (jax.tree.map(jnp.zeros_like, g[0]), *g[1:]), "zero"),
    ("gradient rounded to float16", "finish",
     lambda b, g: jax.tree.map(lambda d: d.astype(jnp.float16).astype(d.dtype), g),
     "round|precision|float16|digits"),
]  # fmt: skip

REGRESSOR = [
    ("squared error without its 1/2", "d_logits", after("d_logits", scaled(2.0)), "2 x"),
    ("mean over the outputs too", "d_logits", after("d_logits", scaled(1 / 3)),
     "over the 3 outputs|factor 3"),
    ("sample weights forgotten", "share", uniform_share, "weights are forgotten"),
    ("sample weights divided by the batch", "share",
     lambda b: b.options["sample_weight"] / len(b.outputs), "weights are divided by the batch"),
    ("wrong kink side: relu'(0) = 1", "derivative",
     lambda b, l, d: d * (b.z(l) >= 0) if l < 3 else d, "kink"),
    ("leaky_relu's derivative", "derivative",
     lambda b, l, d: derivative_of("leaky_relu")(b, l, d) if l < 3 else d,
     "derivative of leaky_relu"),
    ("one entry of a large leaf off by 1%", "finish",
     leaf(0, "W", lambda g: g.at[17, 23].multiply(1.01)), r"\[17, 23\]"),
    ("one entry of a large leaf zero", "finish",
     leaf(2, "W", lambda g: g.at[5, 9].set(0.0)), r"\[5, 9\]"),
    ("one entry of a large leaf negated", "finish",
     leaf(0, "W", lambda g: g.at[71, 59].multiply(-1.0)), r"\[71, 59\]"),
    ("one row zero", "finish", leaf(1, "W", lambda g: g.at[5].set(0.0)), "row 5"),
    ("two columns swapped", "finish",
     leaf(1, "W", lambda g: g.at[:, jnp.array([3, 8])].set(g[:, jnp.array([8, 3])])),
     "columns 3, 8|wrong places"),
    ("rows shuffled", "finish",
     leaf(2, "W", lambda g: g[jax.random.permutation(jax.random.key(5), 60)]), "places|order"),
    ("rows in reverse order", "finish", leaf(0, "W", lambda g: g[::-1]), "reverse"),
    ("rows shifted by one", "finish", leaf(1, "W", lambda g: jnp.roll(g, 1, axis=0)), "shifted"),
    ("reshaped instead of transposed", "d_W",
     at(0, "d_W", lambda b, l, d: (d.T @ b.cache[l].inputs).reshape(80, 60)),
     "reshaped|wrong places"),
    ("derivative of the layer below (off by one)", "derivative",
     at(2, "derivative", lambda b, l, d: b.right_derivative(1, d)), "off by one"),
    ("W of the layer below (off by one)", "d_h",
     at(2, "d_h", lambda b, l, d: d @ b.params[1].W.T), "off by one"),
    ("W left out of dJ/dh", "d_h", at(1, "d_h", lambda b, l, d: d), "W is left out|dJ/dh"),
    ("stale input: that of the layer below", "d_W",
     at(2, "d_W", lambda b, l, d: b.cache[1].inputs.T @ d), "stale"),
    ("all layers share the last residual", "derivative",
     lambda b, l, d: b.right_derivative(min(l + 1, 2), d) if l < 3 else d, PHI),
    ("gradients of two layers swapped", "finish",
     lambda b, g: (g[0], g[2], g[1], g[3]), "swapped|mixed up|of layers"),
    ("absolute values", "finish", leaf(3, "W", jnp.abs), "sign"),
    ("divided by the number of inputs", "d_W", after("d_W", scaled(1 / 60), 1),
     "by 60"),
    ("the first layer's x is that of another batch", "d_W",
     at(0, "d_W", previous_batch), r"h\^T in dJ/dW of (the layer of params\[0\]|layers\[0\])"),
    ("bias gradient with the wrong sign", "d_b", after("d_b", scaled(-1.0), 2), "sign"),
    ("the first example is left out", "share",
     after("share", lambda b, s: s.at[0].set(0.0)), "first example"),
    ("gradient scaled to norm 1", "finish",
     lambda b, g: jax.tree.map(lambda d: d / jnp.sqrt(
         sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(g))), g), "x the true gradient"),
]  # fmt: skip

NORMALIZED = [
    ("activation's derivative applied twice", "derivative",
     at(0, "derivative", lambda b, l, d: b.right_derivative(l, b.right_derivative(l, d))),
     "derivative is applied twice"),
    ("batch statistics treated as constants", "norm", norm_with(without("both")), "constants"),
    ("no gradient through the batch mean", "norm", norm_with(without("mean")), "mean"),
    ("no gradient through the batch variance", "norm", norm_with(without("variance")), "variance"),
    ("stale statistics: running ones instead of the batch's", "norm", running_statistics,
     "statistics|batch normalization"),
    ("eps forgotten under the root", "norm", norm_with(without_eps), "eps|batch normalization"),
    ("gamma forgotten on the way back", "norm",
     norm_with(lambda n, gamma, d, right: (right[0] / gamma, *right[1:])),
     "gamma|batch normalization"),
    ("dJ/dgamma from z instead of its normalized value", "norm",
     norm_with(lambda n, gamma, d, right: (
         right[0], (d * (n.x_hat / n.inv_std + n.statistics.mean)).sum(axis=0), right[2])),
     "gamma"),
    ("dJ/dbeta is the mean over the batch", "norm",
     norm_with(lambda n, gamma, d, right: (*right[:2], d.mean(axis=0))), "mean instead of sum"),
    ("dJ/dgamma not summed over the batch", "norm",
     norm_with(lambda n, gamma, d, right: (right[0], d * n.x_hat, right[2])), "not summed"),
    ("L2 penalty on gamma too", "finish",
     lambda b, g: (g[0]._replace(gamma=g[0].gamma + b.options["l2"] * b.params[0].gamma), *g[1:]),
     "L2"),
    ("dropout mask not used in the backward pass", "mask", lambda b, l, d: d, "mask is not used"),
    ("dropout mask without its 1 / (1 - rate)", "mask",
     lambda b, l, d: d if b.cache[l].mask is None else d * (b.cache[l].mask > 0),
     "mask is missing|of the dropout mask"),
    ("dropout mask drawn anew", "mask", other_mask, "mask"),
    ("dropout mask applied twice", "mask",
     lambda b, l, d: b.right_mask(l, b.right_mask(l, d)), "mask"),
    ("dJ/dW uses the input before dropout", "d_W",
     at(2, "d_W", lambda b, l, d: b.phi(1).fn(b.z(1)).T @ d), "before dropout"),
    ("sigmoid's derivative in the loss again", "d_logits",
     lambda b: b.right_d_logits() * jax.nn.sigmoid(b.outputs) * (1 - jax.nn.sigmoid(b.outputs)),
     "derivative of the link"),
    ("sigmoid's derivative instead of silu's", "derivative",
     lambda b, l, d: derivative_of("sigmoid")(b, l, d) if l < 2 else d, "derivative of sigmoid"),
    ("relu's derivative instead of silu's", "derivative",
     lambda b, l, d: derivative_of("relu")(b, l, d) if l < 2 else d, "derivative of relu"),
    ("silu' taken at the output", "derivative",
     at(1, "derivative", lambda b, l, d: d * b.phi(l).derivative(b.phi(l).fn(b.z(l)))),
     "at the output instead of the pre-activation"),
    ("activation and normalization passed in the wrong order", "derivative",
     at(0, "derivative", lambda b, l, d: d * b.phi(0).derivative(b.x @ b.params[0].W)),
     PHI),
    ("W not transposed in dJ/dh", "d_h",
     at(1, "d_h", lambda b, l, d: d @ b.params[l].W), "not transposed"),
]  # fmt: skip


def _with_targets(b: Backward, y: Any) -> Backward:
    changed = Backward(b.config, b.loss)
    changed.outputs, changed.y, changed.options = b.outputs, y, b.options
    return changed


def _with_options(b: Backward, loss_options: dict[str, Any]) -> Backward:
    changed = _with_targets(b, b.y)
    changed.options = {**b.options, "loss_options": loss_options}
    return changed


MUTANTS: dict[str, list[Mutant]] = {
    "classifier": [Mutant(*row) for row in COMMON + CLASSIFIER],
    "regressor": [Mutant(*row) for row in COMMON + REGRESSOR],
    "normalized": [Mutant(*row) for row in COMMON + NORMALIZED],
}
