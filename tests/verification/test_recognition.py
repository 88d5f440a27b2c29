"""Causes are named without a config where the function is an MLP: whatever holds its parameters."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.verification import Verdict, check_gradients
from jaxmlp.verification.causes.reading import readings
from jaxmlp.verification.measurement.functions import make_point

SIZES = (3, 4, 4, 2)
RNG = np.random.default_rng(0)
PAIRS = [
    (RNG.normal(size=(n_in, n_out)), 0.1 * RNG.normal(size=n_out))
    for n_in, n_out in pairwise(SIZES)
]
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
LABELS = np.array([0, 1, 1, 0, 1, 0])


def network(pairs, x):
    """Inputs of all layers, and the outputs."""
    kept = [x]
    for W, b in pairs[:-1]:
        kept.append(jnp.tanh(kept[-1] @ W + b))
    W, b = pairs[-1]
    return kept, kept[-1] @ W + b


def mean_squares(pairs, x, y):
    return jnp.mean((network(pairs, x)[1] - y) ** 2)


def cross_entropy(pairs, x, labels):
    log_p = jax.nn.log_softmax(network(pairs, x)[1])
    return -jnp.mean(log_p[jnp.arange(len(labels)), labels]) + 0.02 * sum(
        jnp.sum(W**2) for W, _ in pairs
    )


def backward(pairs, kept, d, l2=0.0, forget=None):
    """The backward pass, without phi' in the layer of that number."""
    grads = []
    for l in reversed(range(len(pairs))):
        grads.append((kept[l].T @ d + l2 * pairs[l][0], d.sum(axis=0)))
        d = d @ pairs[l][0].T
        if l and l - 1 != forget:
            d = d * (1 - kept[l] ** 2)
    return grads[::-1]


def d_mean_squares(pairs, x, y, forget=None):
    kept, o = network(pairs, x)
    return backward(pairs, kept, 2 * (o - y) / y.size, forget=forget)


def d_cross_entropy(pairs, x, labels, forget=None):
    kept, o = network(pairs, x)
    d = (jax.nn.softmax(o) - jax.nn.one_hot(labels, 2)) / len(labels)
    return backward(pairs, kept, d, l2=0.04, forget=forget)


FORGOTTEN = "the activation's derivative is forgotten"
LAYOUTS = {  # of the same parameters: to it, from it, and the name of the second layer's weights
    "pairs": (lambda p: p, lambda t: t, "params[1][0]"),
    "a flat list": (
        lambda p: [a for pair in p for a in pair],
        lambda t: list(zip(t[::2], t[1::2], strict=True)),
        "params[2]",
    ),
    "a dict": (
        lambda p: (
            {f"W{l}": W for l, (W, _) in enumerate(p)} | {f"b{l}": b for l, (_, b) in enumerate(p)}
        ),
        lambda t: [(t[f"W{l}"], t[f"b{l}"]) for l in range(3)],
        "params['W1']",
    ),
    "named layers": (
        lambda p: {f"layer{l}": {"kernel": W, "bias": b} for l, (W, b) in enumerate(p)},
        lambda t: [(t[f"layer{l}"]["kernel"], t[f"layer{l}"]["bias"]) for l in range(3)],
        "params['layer1']['kernel']",
    ),
    "rows of biases": (
        lambda p: [(W, b[None, :]) for W, b in p],
        lambda t: [(W, b[0]) for W, b in t],
        "params[1][0]",
    ),
    "weights turned": (
        lambda p: [(W.T, b) for W, b in p],
        lambda t: [(W.T, b) for W, b in t],
        "params[1][0]",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_slip_is_named_in_any_pytree(layout):
    to, of, name = LAYOUTS[layout]
    fn = lambda t, x, y: cross_entropy(of(t), x, y)  # noqa: E731
    wrong = lambda t, x, y: to(d_cross_entropy(of(t), x, y, forget=1))  # noqa: E731
    right = lambda t, x, y: to(d_cross_entropy(of(t), x, y))  # noqa: E731
    assert check_gradients(right, fn, to(PAIRS), X, LABELS).passed
    report = check_gradients(wrong, fn, to(PAIRS), X, LABELS)
    assert len(report.failures) == 4
    assert {leaf.cause for leaf in report.failures} == {f"{FORGOTTEN} (the layer of {name})"}
    assert report.notes == (
        "fn was recognised as an MLP (3-4-4-2, tanh) with the objective "
        "softmax_cross_entropy + 0.02 sum W^2",
    )


def test_a_sum_is_recognised_whatever_holds_the_data():
    report = check_gradients(
        lambda p, data: jax.tree.map(
            lambda g: Y.size * g, d_mean_squares(p, data["x"], data["y"], forget=0)
        ),
        lambda p, data: Y.size * mean_squares(p, data["x"], data["y"]),
        PAIRS, {"x": X, "y": Y},
    )  # fmt: skip
    assert f"{FORGOTTEN} (the layer of params[0][0])" in str(report)
    assert "(3-4-4-2, tanh) with the objective 12 x squared_error" in report.notes[-1]


def test_examples_in_columns_and_no_biases():
    weights = [W.T for W, _ in PAIRS]

    def pairs(weights):
        return [(W.T, jnp.zeros(len(W))) for W in weights]

    report = check_gradients(
        lambda w, x, y: [W.T for W, _ in d_mean_squares(pairs(w), x.T, y.T, forget=1)],
        lambda w, x, y: mean_squares(pairs(w), x.T, y.T),
        weights, X.T, Y.T,
    )  # fmt: skip
    assert {leaf.cause for leaf in report.failures} == {f"{FORGOTTEN} (the layer of params[1])"}


def test_a_numpy_function_is_recognised():
    def fn(pairs, x, y):
        h = np.asarray(x)
        for W, b in pairs[:-1]:
            h = np.tanh(h @ np.asarray(W) + np.asarray(b))
        return float(np.mean((h @ np.asarray(pairs[-1][0]) + np.asarray(pairs[-1][1]) - y) ** 2))

    report = check_gradients(lambda p, x, y: d_mean_squares(p, x, y, forget=1), fn, PAIRS, X, Y)
    assert f"{FORGOTTEN} (the layer of params[1][0])" in str(report)


def test_our_own_layers_need_no_config_either():
    config = jaxmlp.MLPConfig(SIZES, "silu", batch_norm=(True, False))
    params = jaxmlp.init(config, jax.random.key(0))
    right = jaxmlp.value_and_grad(config, "squared_error")

    def without_phi(params, x, y):
        """The backward pass of another activation, on silu's forward pass."""
        outputs, cache = jaxmlp.forward(config, params, x)
        relu = config.replace(activation=("silu", "relu"))
        return right(params, x, y)[0], jaxmlp.backward(relu, params, cache, (outputs - y) / 6)[0]

    report = check_gradients(without_phi, jaxmlp.objective(config, "squared_error"), params, X, Y)
    assert "the derivative of relu is used (layers[1])" in str(report)
    assert "(3-4-4-2, silu, batch normalization)" in report.notes[-1]


def test_where_nothing_is_recognised_config_is_offered():
    def fn(pairs, x, y):
        (W, b), (V, c) = pairs
        return jnp.mean((jnp.sin(x @ W + b) @ V + c - y) ** 2)

    def wrong(pairs, x, y):
        return jax.tree.map(lambda g: g * jnp.arange(1.0, 1.0 + g.size).reshape(g.shape),
                            jax.grad(fn)(pairs, x, y))  # fmt: skip

    pairs = [PAIRS[0], PAIRS[2]]
    report = check_gradients(wrong, fn, pairs, X, Y)
    assert "config=" in report.notes[-1]
    assert "config=" not in str(check_gradients(jax.grad(fn), fn, pairs, X, Y))
    misfit = check_gradients(wrong, fn, pairs, X, Y, config=jaxmlp.MLPConfig((3, 4, 2), "tanh"))
    assert "fn is not the objective of config=" in misfit.notes[-1]
    assert "followed back from the loss, it goes wrong first at dJ/d logits" in str(misfit)
    own = jaxmlp.Activation.from_function("sine", jnp.sin, jnp.cos)
    named = check_gradients(
        lambda p, x, y: _without_cosine(p, x, y), fn, pairs, X, Y,
        config=jaxmlp.MLPConfig((3, 4, 2), own),
    )  # fmt: skip
    assert f"{FORGOTTEN} (the layer of params[0][0])" in str(named)
    assert named.verdict is Verdict.FAIL


def _without_cosine(pairs, x, y):
    (W, b), (V, c) = pairs
    h = jnp.sin(x @ W + b)
    d = 2 * (h @ V + c - y) / y.size
    d_h = d @ V.T
    return [(x.T @ d_h, d_h.sum(axis=0)), (h.T @ d, d.sum(axis=0))]


def test_what_is_no_chain_is_not_read_as_one():
    for params in (
        np.ones(4),
        {"w": np.ones(4), "b": np.float64(0.3)},
        [np.ones((3, 4)), np.ones((3, 2))],
        {"Q": np.ones((4, 3)), "K": np.ones((4, 3)), "V": np.ones((4, 3))},
    ):
        assert list(readings(make_point(params))) == []
    many = {f"{k}{l}": np.ones((2, 2) if k == "W" else 2) for l in range(1, 13) for k in "Wb"}
    reading = next(readings(make_point(many)))
    assert reading.names[9] == "the layer of params['W10']"
    assert reading.layer_sizes == (2,) * 13
