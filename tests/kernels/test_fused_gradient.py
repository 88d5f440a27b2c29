"""The fused kernel, interpreted, against the gradient that is proven."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import make_inputs, make_targets

import jaxmlp
from jaxmlp import ACTIVATIONS, LOSSES, FrontConfig, MLPConfig, TabularConfig
from jaxmlp.kernels import value_and_grad_fused

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="of interpreted kernels; a GPU has test_compiled_kernels"
)
CASES = [  # every activation and loss, widths 16-128, 1-6 layers; a tile has 128 rows at most
    ("identity", "softmax_cross_entropy", (16, 3), 300),
    ("relu", "softmax_cross_entropy", (64, 128, 10), 700),
    ("leaky_relu", "sigmoid_binary_cross_entropy", (7, 16, 16, 2), 1),
    ("sigmoid", "squared_error", (20, 64, 1), 128),
    ("tanh", "absolute_error", (128, 128, 128, 4), 130),
    ("elu", "huber", (5, 32, 32, 32, 32, 2), 257),
    ("selu", "quantile", (8, 24, 24, 24, 24, 24, 1), 40),
    ("softplus", "poisson", (3, 48, 2), 200),
    ("gelu", "softmax_cross_entropy", (30, 100, 5), 64),
    ("gelu_exact", "squared_error", (11, 17, 3), 129),
    ("silu", "sigmoid_binary_cross_entropy", (4, 80, 80, 1), 17),
    ("mish", "softmax_cross_entropy", (16, 16, 16, 16, 16, 16, 16), 500),
]


def draw(config, loss, n_rows):
    rng = np.random.default_rng(n_rows)
    params = jaxmlp.init(config, jax.random.key(0))
    x = jnp.asarray(make_inputs(rng, n_rows, config.layer_sizes[0]), config.dtype)
    y = make_targets(rng, loss, n_rows, config.layer_sizes[-1])
    y = jnp.asarray(y, jnp.int32 if y.dtype.kind == "i" else jnp.float32)
    weight = rng.uniform(0, 2, n_rows) * (rng.uniform(size=n_rows) > 0.1) + 1e-3
    return params, x, y, {"l2": 0.1, "sample_weight": jnp.asarray(weight, jnp.float32)}


def largest_error(found, wanted):
    """Of each leaf, as a share of its largest entry; the worst."""

    def error(a, b):
        a, b = (np.asarray(leaf, np.float64) for leaf in (a, b))
        return np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)

    return max(jax.tree.leaves(jax.tree.map(error, found, wanted)))


def both(config, loss, params, x, y, **options):
    """What the kernel finds, and what `value_and_grad` does."""
    makers = value_and_grad_fused, jaxmlp.value_and_grad
    return [jax.jit(make(config, loss, has_aux=True))(params, x, y, **options) for make in makers]


@pytest.mark.parametrize(("activation", "loss", "sizes", "n_rows"), CASES)
def test_the_kernel_finds_value_logits_and_gradient(activation, loss, sizes, n_rows):
    config = MLPConfig(sizes, activation, bias_init=0.1)
    params, x, y, options = draw(config, loss, n_rows)
    found, wanted = both(config, loss, params, x, y, **options)
    chex.assert_trees_all_equal_shapes_and_dtypes(found, wanted)
    assert largest_error(found, wanted) < 1e-5


def test_the_cases_cover_the_registries():
    assert {case[0] for case in CASES} == set(ACTIVATIONS)
    assert {case[1] for case in CASES} == set(LOSSES)


@pytest.mark.parametrize("dtypes", [("float32", "bfloat16"), ("bfloat16", None)])
def test_products_in_bfloat16_are_near(dtypes):
    exact = MLPConfig((16, 64, 64, 10), "tanh", bias_init=0.1)
    config = exact.replace(dtype=dtypes[0], compute_dtype=dtypes[1])
    params, x, y, options = draw(config, "softmax_cross_entropy", 300)
    found = value_and_grad_fused(config, "softmax_cross_entropy")(params, x, y, **options)
    chex.assert_trees_all_equal_dtypes(found[1], params)
    wide_params, wide_x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, x))
    wanted = jaxmlp.value_and_grad(exact, "softmax_cross_entropy")(
        wide_params, wide_x, y, **options
    )
    assert largest_error(found, wanted) < 2e-2


def test_float64_parametric_activations_and_soft_labels():
    with jax.enable_x64(True):
        config = MLPConfig((6, 20, 4), "silu", parametric_activation=True, dtype="float64")
        params, x, _, _ = draw(config, "softmax_cross_entropy", 150)
        y = jax.nn.softmax(x[:, :4], axis=1)
        options = {"loss_options": {"label_smoothing": 0.2}, "l2": 0.3}
        found, wanted = both(config, "softmax_cross_entropy", params, x, y, **options)
        assert largest_error(found, wanted) < 1e-12


def test_many_programs_walk_over_several_tiles_and_calls_agree_to_the_bit():
    config = MLPConfig((3, 16, 2))
    params, x, y, options = draw(config, "softmax_cross_entropy", 132 * 128 + 200)
    found, wanted = both(config, "softmax_cross_entropy", params, x, y, **options)
    assert largest_error(found, wanted) < 1e-5
    again, _ = both(config, "softmax_cross_entropy", params, x, y, **options)
    chex.assert_trees_all_equal(found, again)


def test_it_runs_under_vmap():
    config = MLPConfig((3, 16, 2))
    _, x, y, options = draw(config, "softmax_cross_entropy", 20)
    members = jax.vmap(jaxmlp.init, (None, 0))(config, jax.random.split(jax.random.key(0), 3))

    def gradients(make):
        return jax.vmap(lambda p: make(config, "softmax_cross_entropy")(p, x, y, **options))(
            members
        )

    assert largest_error(gradients(value_and_grad_fused), gradients(jaxmlp.value_and_grad)) < 1e-5


@pytest.mark.parametrize(
    ("config", "frozen", "what"),
    [
        (MLPConfig((784, 32, 10)), (), "a layer of 784 units"),
        (MLPConfig((4, 8, 1), batch_norm=True), (), "batch normalization"),
        (MLPConfig((4, 8, 1), dropout=True), (), "dropout"),
        (MLPConfig((4, 8, 1)), (0,), "frozen layers"),
        (TabularConfig(FrontConfig(4), MLPConfig((4, 8, 1))), (), "networks for tables"),
    ],
)
def test_what_it_does_not_serve_is_refused(config, frozen, what):
    with pytest.raises(ValueError, match=f"does not serve {what}.*leave kernel at 'auto'"):
        value_and_grad_fused(config, "squared_error", frozen=frozen)
