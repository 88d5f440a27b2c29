"""The network against jax.grad, the lecture's numbers, and networks written out in numpy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import gradient_errors, make_inputs, make_targets, worst

import jaxmlp
from jaxmlp import ACTIVATIONS, INITIALIZERS, LOSSES, Layer, MLPConfig

BATCH, N_IN, N_OUT = 5, 3, 2
DRAWN = [name for name in INITIALIZERS if name != "zeros" and name != "constant"]


def draw_case(seed, loss, depth, config, l2, weighted, dtype):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(make_inputs(rng, BATCH, N_IN), dtype)
    y = make_targets(rng, loss, BATCH, N_OUT)
    y = jnp.asarray(y, jnp.int32 if y.dtype.kind == "i" else dtype)
    weight = jnp.asarray(rng.uniform(0, 2, BATCH), dtype) if weighted else None
    params = jaxmlp.init(config, jax.random.key(seed))
    return params, x, y, {"l2": l2, "sample_weight": weight}


def make_config(activation, depth, initializer="auto", dtype="float64", **options):
    sizes = (N_IN, *[4] * (depth - 1), N_OUT)
    return MLPConfig(
        sizes, activation, weight_init=initializer, bias_init=0.1, dtype=dtype, **options
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance", "n_examples"),
    [
        ("float64", 1e-12, 6),
        ("float32", 1e-5, 3),
        pytest.param("float64", 1e-12, 20, marks=pytest.mark.slow),
        pytest.param("float32", 1e-5, 10, marks=pytest.mark.slow),
    ],
)
def test_gradients_agree_with_autodiff(dtype, tolerance, n_examples):
    """Activation x loss x depth x initializer x l2 x weights, drawn."""

    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(
        activation=st.sampled_from(sorted(ACTIVATIONS)),
        loss=st.sampled_from(sorted(LOSSES)),
        depth=st.integers(1, 6),
        initializer=st.sampled_from(["auto", *DRAWN]),
        l2=st.sampled_from([0.0, 0.1]),
        weighted=st.booleans(),
        seed=st.integers(0, 2**16),
    )
    def check(activation, loss, depth, initializer, l2, weighted, seed):
        config = make_config(activation, depth, initializer, dtype)
        params, x, y, options = draw_case(seed, loss, depth, config, l2, weighted, dtype)
        assert worst(gradient_errors(config, loss, params, x, y, **options)) <= tolerance

    with jax.enable_x64(dtype == "float64"):
        check()


@pytest.mark.slow
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_gradients_agree_everywhere(activation, x64):
    """The whole product of activation, loss and depth."""
    for loss in LOSSES:
        for depth in range(1, 7):
            config = make_config(activation, depth)
            case = draw_case(depth, loss, depth, config, 0.1 * (depth % 2), depth > 3, "float64")
            *arrays, options = case
            assert worst(gradient_errors(config, loss, *arrays, **options)) <= 1e-12, (loss, depth)


@pytest.mark.parametrize("n_examples", [8, pytest.param(24, marks=pytest.mark.slow)])
def test_batch_norm_and_dropout_gradients(n_examples, x64):
    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(
        activation=st.sampled_from(sorted(ACTIVATIONS)),
        depth=st.integers(2, 4),
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
        rate=st.sampled_from([0.0, 0.3]),
        seed=st.integers(0, 2**16),
    )
    def check(activation, depth, flags, rate, seed):
        normalize, drop, weighted = flags
        config = make_config(activation, depth, batch_norm=normalize, dropout=drop)
        params, x, y, options = draw_case(
            seed, "squared_error", depth, config, 0.1, weighted, "float64"
        )
        key = jax.random.key(seed)
        errors = gradient_errors(
            config, "squared_error", params, x, y, key=key, dropout_rate=rate, **options
        )
        assert worst(errors) <= 1e-12

    check()


def test_worked_example_of_the_lecture(x64):
    """Chapter III: two inputs, two hidden units, one output, no biases."""
    config = MLPConfig((2, 2, 1), "relu", dtype="float64")
    W_h, w_o = jnp.array([[0.5, 0.3], [0.2, 0.4]]), jnp.array([[0.6], [0.7]])
    params = (Layer(W_h, jnp.zeros(2)), Layer(w_o, jnp.zeros(1)))
    x, y = jnp.array([[1.0, 2.0]]), jnp.array([[1.0]])
    outputs, cache = jaxmlp.forward(config, params, x)
    np.testing.assert_allclose(cache[1].inputs, [[0.9, 1.1]], rtol=1e-15)
    np.testing.assert_allclose(outputs, [[1.31]], rtol=1e-15)
    value, grads = jaxmlp.value_and_grad(config, "squared_error")(params, x, y)
    np.testing.assert_allclose(value, 0.04805, rtol=1e-14)
    np.testing.assert_allclose(grads[1].W, [[0.279], [0.341]], atol=1e-15)
    np.testing.assert_allclose(grads[0].W, [[0.186, 0.217], [0.372, 0.434]], atol=1e-15)


def test_input_gradient(x64):
    config = make_config("gelu", 3)
    params, x, y, _ = draw_case(0, "squared_error", 3, config, 0.0, False, "float64")

    def L(x):
        values, _ = LOSSES["squared_error"].value_and_grad(jaxmlp.predict(config, params, x), y)
        return jnp.sum(values)

    outputs, cache = jaxmlp.forward(config, params, x)
    _, d_outputs = LOSSES["squared_error"].value_and_grad(outputs, y)
    _, d_x = jaxmlp.backward(config, params, cache, d_outputs)
    np.testing.assert_allclose(d_x, jax.grad(L)(x), rtol=1e-12, atol=1e-14)


def test_predict_is_the_forward_pass_in_numpy(x64):
    config = make_config("tanh", 3)
    params, x, *_ = draw_case(1, "squared_error", 3, config, 0.0, False, "float64")
    h = np.asarray(x)
    for layer in params[:-1]:
        h = np.tanh(h @ np.asarray(layer.W) + np.asarray(layer.b))
    expected = h @ np.asarray(params[-1].W) + np.asarray(params[-1].b)
    np.testing.assert_allclose(jaxmlp.predict(config, params, x), expected, rtol=1e-14)
    np.testing.assert_array_equal(
        jaxmlp.predict(config, params, x), jaxmlp.forward(config, params, x)[0]
    )


def test_zero_weight_is_absence(x64):
    config = make_config("tanh", 3, batch_norm=True)
    params, x, y, _ = draw_case(2, "squared_error", 3, config, 0.0, False, "float64")
    gradient = jaxmlp.value_and_grad(config, "squared_error", has_aux=True)
    (value, (_, statistics)), grads = gradient(params, x[:3], y[:3], l2=0.1)
    weight = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])
    (padded, (_, padded_statistics)), padded_grads = gradient(
        params, x, y, l2=0.1, sample_weight=weight
    )
    chex.assert_trees_all_close(
        (padded, padded_grads, padded_statistics),
        (value, grads, statistics),
        rtol=1e-12,
        atol=1e-14,
    )


def test_all_zero_weights_give_zero():
    config = make_config("relu", 2, dtype="float32")
    params, x, y, _ = draw_case(2, "squared_error", 2, config, 0.0, False, "float32")
    value, grads = jaxmlp.value_and_grad(config, "squared_error")(
        params, x, y, sample_weight=jnp.zeros(BATCH)
    )
    assert value == 0
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(grads))


def test_frozen_layers_have_zero_gradients(x64):
    config = make_config("tanh", 3, batch_norm=True)
    params, x, y, _ = draw_case(3, "squared_error", 3, config, 0.0, False, "float64")
    options = {"l2": 0.1, "state": jaxmlp.init_state(config)}
    ours = jaxmlp.value_and_grad(config, "squared_error", frozen=(0,))(params, x, y, **options)
    J = jaxmlp.objective(config, "squared_error", frozen=(0,))
    chex.assert_trees_all_close(
        ours, jax.value_and_grad(J)(params, x, y, **options), rtol=1e-11, atol=1e-15
    )
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(ours[1][0]))
    assert jnp.abs(ours[1][1].W).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("dtypes", [("float32", "bfloat16"), ("bfloat16", None)])
def test_low_precision_follows_float32(dtypes):
    dtype, compute_dtype = dtypes
    wide = MLPConfig((8, 16, 3), "tanh")
    narrow = wide.replace(dtype=dtype, compute_dtype=compute_dtype)
    params = jaxmlp.init(wide, jax.random.key(0))
    cast = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(32, 8)), jnp.float32), jnp.asarray(rng.integers(0, 3, 32))
    expected = jaxmlp.value_and_grad(wide, "softmax_cross_entropy")(params, x, y)
    value, grads = jaxmlp.value_and_grad(narrow, "softmax_cross_entropy")(cast, x, y)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(grads))
    np.testing.assert_allclose(value, expected[0], rtol=0.02)
    for got, want in zip(jax.tree.leaves(grads), jax.tree.leaves(expected[1]), strict=True):
        error = np.linalg.norm(np.asarray(got, np.float32) - np.asarray(want))
        assert error <= 0.03 * np.linalg.norm(np.asarray(want))


class TestTransformations(chex.TestCase):
    """jit, vmap over parameters, vmap over data, and derivatives of derivatives."""

    config = MLPConfig((3, 4, 2), "tanh")

    def case(self):
        params = jaxmlp.init(self.config, jax.random.key(0))
        x = jax.random.normal(jax.random.key(1), (6, 3))
        return params, x, jnp.array([0, 1, 1, 0, 1, 0])

    @chex.variants(with_jit=True, without_jit=True)
    def test_value_and_grad(self):
        grad = self.variant(jaxmlp.value_and_grad(self.config, "softmax_cross_entropy"))
        J = jaxmlp.objective(self.config, "softmax_cross_entropy")
        params, x, y = self.case()
        chex.assert_trees_all_close(
            grad(params, x, y), jax.value_and_grad(J)(params, x, y), atol=1e-6
        )

    @chex.variants(with_jit=True, without_jit=True)
    def test_config_is_static(self):
        params, x, _ = self.case()
        outputs = self.variant(jaxmlp.predict)(self.config, params, x)
        chex.assert_trees_all_close(outputs, jaxmlp.predict(self.config, params, x), atol=1e-6)

    @pytest.mark.slow
    def test_vmap_over_params_and_data(self):
        keys = jax.random.split(jax.random.key(2), 3)
        ensemble = jax.vmap(jaxmlp.init, (None, 0))(self.config, keys)
        _, x, y = self.case()
        xs, ys = jnp.stack([x, x + 1, x - 1]), jnp.stack([y, 1 - y, y])
        grad = jaxmlp.value_and_grad(self.config, "softmax_cross_entropy")
        both = jax.jit(jax.vmap(grad))(ensemble, xs, ys)
        for m in range(3):
            member = jaxmlp.init(self.config, keys[m])
            alone = grad(member, xs[m], ys[m])
            of_both = jax.tree.map(lambda leaf, m=m: leaf[m], both)
            chex.assert_trees_all_close(of_both, alone, atol=1e-6)

    @pytest.mark.slow
    def test_hessian_vector_product_is_the_jvp_of_the_backward_pass(self):
        with jax.enable_x64(True):
            config = self.config.replace(dtype="float64")
            params = jaxmlp.init(config, jax.random.key(0))
            x = jax.random.normal(jax.random.key(1), (6, 3), jnp.float64)
            y = jnp.array([0, 1, 1, 0, 1, 0])
            grad = jaxmlp.value_and_grad(config, "softmax_cross_entropy")
            J = jaxmlp.objective(config, "softmax_cross_entropy")
            v = jax.tree.map(jnp.ones_like, params)
            ours = jax.jvp(lambda p: grad(p, x, y)[1], (params,), (v,))[1]
            theirs = jax.jvp(lambda p: jax.grad(J)(p, x, y), (params,), (v,))[1]
            chex.assert_trees_all_close(ours, theirs, rtol=1e-10, atol=1e-13)


def test_another_layer_on_top_leaves_those_below():
    small = jaxmlp.init(MLPConfig((3, 4, 2)), jax.random.key(0))
    large = jaxmlp.init(MLPConfig((3, 4, 2, 5), weight_init="he_normal"), jax.random.key(0))
    np.testing.assert_array_equal(small[0].W, large[0].W)


GOOD = MLPConfig((3, 4, 2))
NORMED = MLPConfig((3, 4, 2), batch_norm=True)


def bad_calls():
    params = jaxmlp.init(GOOD, jax.random.key(0))
    x, y = jnp.ones((5, 3)), jnp.zeros(5, jnp.int32)
    J = jaxmlp.objective(GOOD, "softmax_cross_entropy")
    normed = jaxmlp.init(NORMED, jax.random.key(0))
    return {
        "63 features": (lambda: jaxmlp.predict(GOOD, params, jnp.ones((5, 2))), "x has 2 features"),
        "one example": (lambda: jaxmlp.predict(GOOD, params, jnp.ones(3)), r"x\[None, :\] makes"),
        "an image": (lambda: jaxmlp.predict(GOOD, params, jnp.ones((5, 3, 1))), "flatten each"),
        "no rows": (lambda: jaxmlp.predict(GOOD, params, jnp.ones((0, 3))), "no rows"),
        "text": (lambda: jaxmlp.predict(GOOD, params, [["a", "b", "c"]]), "pass a numeric array"),
        "complex": (
            lambda: jaxmlp.predict(GOOD, params, jnp.ones((5, 3), complex)),
            "real numbers",
        ),
        "seed for key": (lambda: jaxmlp.init(GOOD, 0), r"jax.random.key\(0\)"),
        "params of another": (
            lambda: jaxmlp.predict(GOOD.replace(layer_sizes=(3, 5, 2)), params, x),
            r"params\[0\].W has shape \(3, 4\)",
        ),
        "too few layers": (lambda: jaxmlp.predict(GOOD, params[:1], x), "has 1 layers"),
        "a dict": (lambda: jaxmlp.predict(GOOD, {"W": 1}, x), "not a tuple of jaxmlp.Layer"),
        "no state": (lambda: jaxmlp.predict(NORMED, normed, x), "state=result.state"),
        "b under batch norm": (lambda: jaxmlp.forward(NORMED, params, x), "gamma has None"),
        "one row": (lambda: jaxmlp.forward(NORMED, normed, x[:1]), "at least 2 rows"),
        "no key": (
            lambda: jaxmlp.forward(GOOD.replace(dropout=True), params, x),
            "key=jax.random.key",
        ),
        "frozen": (lambda: jaxmlp.forward(GOOD, params, x, frozen=(7,)), "layers 0 to 1"),
        "unknown loss": (lambda: jaxmlp.objective(GOOD, "mse"), "unknown loss 'mse'"),
        "near loss": (lambda: jaxmlp.objective(GOOD, "hubert"), "Did you mean 'huber'"),
        "weights": (lambda: J(params, x, y, sample_weight=jnp.ones(4)), r"must be \(5,\)"),
        "labels": (lambda: J(params, x, y[:4]), "targets"),
        "d_outputs": (
            lambda: jaxmlp.backward(GOOD, params, jaxmlp.forward(GOOD, params, x)[1], y),
            "d_outputs has shape",
        ),
        "float64": (lambda: MLPConfig((3, 2), dtype="float64"), "64-bit types disabled"),
    }


@pytest.mark.parametrize("case", sorted(bad_calls()))
def test_bad_input_is_explained(case):
    call, message = bad_calls()[case]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert len(str(caught.value)) < 400
