"""What only networks for tables have, part by part, for `jaxmlp verify` to check.

Every part is a small one with seeded numbers; those of a piecewise embedding lie below the data, in
each bin, and above. What does not train, the bins, is no parameter of a check.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp import front, parametric
from jaxmlp.activations import ACTIVATIONS, Activation
from jaxmlp.config import MLPConfig
from jaxmlp.front_config import FrontConfig
from jaxmlp.front_types import Periodic, Piecewise
from jaxmlp.networks import merge, trainable
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.tabular_network import init, objective, value_and_grad
from jaxmlp.types import PyTree
from jaxmlp.verification.gradients import check_gradients
from jaxmlp.verification.registry import Part, check_together
from jaxmlp.verification.report import GradientReport

_BATCH, _D, _T, _K, _M, _MEMBERS = 7, 2, 4, 3, 3, 3


def check_input_side(seed: int = 0) -> dict[str, GradientReport]:
    """Check embeddings, categories, scale and signs, activations, and networks made of them.

    Args:
        seed: of parameters, data and probes.

    Returns:
        A report for each, by name.
    """
    with jax.enable_x64(True):
        parts = {name: make(seed) for name, make in _PARTS.items()}
        return dict(zip(parts, check_together(list(parts.values()), seed), strict=True))


def _part(
    seed: int,
    params: PyTree,
    forward: Callable[[PyTree], tuple[Array, Any]],
    backward: Callable[[PyTree, Any, Array], PyTree],
) -> Part:
    """A function with its derivative, as the gradient of a weighted sum of its entries."""
    G = _normal(seed + 1, *jax.eval_shape(forward, params)[0].shape)

    def fn(params: PyTree) -> Any:
        return jnp.sum(forward(params)[0] * G)

    def claim(params: PyTree) -> tuple[Any, PyTree]:
        result, cache = forward(params)
        return jnp.sum(result * G), backward(params, cache, G)

    return Part(params, claim, fn, partial(check_gradients, claim, fn, params, seed=seed))


def _piecewise(seed: int) -> Part:
    starts = jnp.asarray(np.random.default_rng(seed).uniform(-2, -1, (_D, 1)))
    starts = starts + jnp.asarray([[0.0, 0.7, 1.5, 2.5]])
    widths = jnp.asarray([[0.7, 0.8, 1.0, 1.2]] * _D)
    inside = (starts + 0.3 * widths).T
    x = jnp.concatenate([inside, inside[:1] - 5, inside[-1:] + 5, inside[1:2] + 0.1])
    w, b, V = (
        _normal(seed + i, *shape) for i, shape in enumerate([(_D, _M), (_D, _M), (_D, _T, _M)])
    )
    p = Piecewise(None, None, w, b, V)

    def whole(p: Piecewise) -> Piecewise:
        return p._replace(starts=starts, widths=widths)

    def backward(params: PyTree, cache: Any, G: Array) -> PyTree:
        grads, d_x = front.piecewise_backward(whole(params[0]), cache, G)
        return grads._replace(starts=None, widths=None), d_x

    return _part(seed, (p, x), lambda q: front.piecewise_forward(whole(q[0]), q[1]), backward)


def _periodic(seed: int) -> Part:
    shapes = (_D, _K), (_D, _K), (_D, _K, _M - 1), (_D, _M - 1)
    p = Periodic(*(0.5 * _normal(seed + i, *shape) for i, shape in enumerate(shapes)))
    return _part(
        seed, (p, _normal(seed, _BATCH, _D)), lambda q: front.periodic_forward(*q),
        lambda q, cache, G: front.periodic_backward(q[0], cache, G),
    )  # fmt: skip


def _categories(seed: int) -> Part:
    levels = jnp.asarray(np.random.default_rng(seed).integers(0, 5, (_BATCH, 2)), jnp.int32)
    return _part(
        seed, _normal(seed, 5, _M), lambda E: (front.category_forward(E, levels), None),
        lambda E, _, G: front.category_backward(E, levels, G),
    )  # fmt: skip


def _members(seed: int) -> Part:
    params = _normal(seed, 4), _normal(seed + 1, _MEMBERS, 4), _normal(seed + 2, _BATCH, 4)
    return _part(
        seed, params, lambda q: (front.members_forward(*q), None),
        lambda q, _, G: front.members_backward(q[0], q[1], q[2], G),
    )  # fmt: skip


def _parametric(seed: int) -> Part:
    phi = ACTIVATIONS["mish"]
    return _part(
        seed, (_normal(seed, 4), _normal(seed + 1, _BATCH, 4)),
        lambda q: parametric.activation_forward(phi, *q), lambda q, z, G: _summed(phi, q[0], z, G),
    )  # fmt: skip


def _summed(phi: Activation, alpha: Array, z: Array, G: Array) -> tuple[Array, Array]:
    d_z, d_alpha = parametric.activation_backward(phi, alpha, z, G)
    return jnp.sum(jnp.asarray(d_alpha), axis=0), d_z


def _network(embedding: str, seed: int) -> Part:
    """A network with everything: numbers, another column, a category, members, a penalty."""
    config = FrontConfig(
        4, numbers=(2, 0), categories=((1, 3),), embedding=embedding, width=_M, bins=_T,
        frequencies=_K, category_width=2, members=_MEMBERS,
    )  # fmt: skip
    network = TabularConfig(
        config,
        MLPConfig(
            (config.n_out, 5, 3), "tanh", bias_init=0.1, dtype="float64",
            parametric_activation=embedding == "periodic",
        ),
        "softmax",
    )  # fmt: skip
    bins = (np.tile([-2.0, -0.7, 0.1, 0.9], (2, 1)), np.tile([1.3, 0.8, 0.8, 1.0], (2, 1)))
    params = init(network, jax.random.key(seed), bins)
    if isinstance(params.front.numbers, Piecewise):  # V begins at 0, where nothing bends
        numbers = params.front.numbers._replace(V=_normal(seed, 2, _T, _M))
        params = params._replace(front=params.front._replace(numbers=numbers))
    first, last = params.layers
    if first.alpha is not None:  # alpha begins at 1, where phi alone counts
        params = params._replace(layers=(first._replace(alpha=_normal(seed, 5)), last))
    rng = np.random.default_rng(seed)
    x = np.insert(rng.normal(size=(_BATCH, 3)), 1, rng.integers(0, 3, _BATCH), axis=1)
    data = {"x": x, "y": rng.integers(0, 3, _BATCH), "l2": 0.01,
            "sample_weight": rng.uniform(0.5, 2, _BATCH)}  # fmt: skip
    loss = "softmax_cross_entropy"

    def fn(moving: PyTree) -> Any:
        return objective(network, loss)(merge(params, moving, ()), **data)

    def claim(moving: PyTree) -> tuple[Any, PyTree]:
        value, grads = value_and_grad(network, loss)(merge(params, moving, ()), **data)
        return value, trainable(grads, ())

    moving = trainable(params, ())
    return Part(moving, claim, fn, partial(check_gradients, claim, fn, moving, seed=seed))


def _normal(seed: int, *shape: int) -> Float[Array, "..."]:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


_PARTS: dict[str, Callable[[int], Part]] = {
    "piecewise embedding": _piecewise,
    "periodic embedding": _periodic,
    "categories": _categories,
    "scale and signs of members": _members,
    "parametric activation": _parametric,
    "network, piecewise": partial(_network, "piecewise"),
    "network, periodic": partial(_network, "periodic"),
}
