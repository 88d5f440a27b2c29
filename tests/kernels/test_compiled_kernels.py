"""The kernels are lowered for NVIDIA's GPUs, on any machine; where there is one, they also run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import ACTIVATIONS, LOSSES, MLPConfig
from jaxmlp.kernels import value_and_grad_fused
from jaxmlp.kernels.support import check_compiles
from jaxmlp.sweeps import cross_validate, sweep
from jaxmlp.training import runner
from jaxmlp.training.chunk import run_chunk

pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
CALL = "__gpu$xla.gpu.triton"
H100 = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")  # for whom it is lowered
SIZES = (16, 32, 16)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(100, 16)), np.arange(100) % 16


def kernels_in(function, *arguments):
    """How many kernels the program for a GPU calls."""
    allowed = jax.export.DisabledSafetyCheck.custom_call(CALL)
    exporter = jax.export.export(function, platforms=["cuda"], disabled_checks=[allowed])
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=H100)):
        return exporter(*arguments).mlir_module().count(CALL)


def gradient_arguments(config, loss, n_rows=300):
    y = jnp.zeros((n_rows,), jnp.int32)
    if loss != "softmax_cross_entropy":
        y = jnp.zeros((n_rows, config.layer_sizes[-1]))
    return jaxmlp.init(config, jax.random.key(0)), jnp.zeros((n_rows, config.layer_sizes[0])), y


def is_refused(config):
    """Whether a GPU's kernels are refused for it."""
    try:
        check_compiles(config, 32)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_gradient_of_an_activation_that_is_not_refused(activation, dtype):
    config = MLPConfig(SIZES, activation, compute_dtype=dtype)
    function = jax.jit(value_and_grad_fused(config, "softmax_cross_entropy", has_aux=True))
    arguments = gradient_arguments(config, "softmax_cross_entropy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        refused = is_refused(config)
    if refused:
        with pytest.raises(NotImplementedError):
            kernels_in(function, *arguments)
    else:
        assert kernels_in(function, *arguments) == 1


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_gradient_of_each_loss(loss):
    config = MLPConfig((128, 128, 64, 16), parametric_activation=True)
    function = jax.jit(value_and_grad_fused(config, loss))
    assert kernels_in(function, *gradient_arguments(config, loss)) == 1


def run_with(function, *arguments, **options):
    return function(
        MLPConfig(SIZES), *arguments, (X, Y), loss="softmax_cross_entropy", epochs=1,
        batch_size=32, key=jax.random.key(0), kernel="fused", **options,
    )  # fmt: skip


RUNS = {
    "fit": lambda: run_with(
        jaxmlp.fit, jaxmlp.init(MLPConfig(SIZES), jax.random.key(0)), optimizer=jaxmlp.adam(1e-3)
    ),
    "sweep": lambda: run_with(sweep, grid={"learning_rate": [1e-3, 1e-2], "l2": [0.1]}),
    "folds": lambda: run_with(cross_validate, folds=2, optimizer=jaxmlp.momentum(0.1)),
}


class LookedError(Exception):
    """Raised in place of a chunk of training, with the shapes of its arguments."""


@pytest.mark.parametrize("run", RUNS)
def test_a_chunk_of_training(monkeypatch, run):
    def look(*arguments):
        raise LookedError(jax.tree.map(jax.typeof, arguments))

    monkeypatch.setattr(runner, "run_chunk", look)
    with pytest.raises(LookedError) as looked:
        RUNS[run]()
    assert kernels_in(run_chunk, *looked.value.args[0]) == 1


@pytest.mark.parametrize(
    ("platform", "config", "batch_size", "what"),
    [
        ("gpu", MLPConfig((16, 100, 16)), 32, "layers or batches of 100 on a GPU"),
        ("gpu", MLPConfig((16, 32, 8)), 32, "layers or batches of 8 on a GPU"),
        ("gpu", MLPConfig(SIZES), 48, "layers or batches of 48 on a GPU"),
        ("gpu", MLPConfig(SIZES, "gelu_exact"), 32, "gelu_exact in float32 on a GPU"),
        ("tpu", MLPConfig(SIZES), 32, "the platform tpu"),
    ],
)
def test_what_no_compiler_takes_is_refused(monkeypatch, platform, config, batch_size, what):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    with pytest.raises(ValueError, match=f"does not serve {what}"):
        check_compiles(config, batch_size)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="there is no GPU")
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_a_compiled_kernel_finds_the_gradient(activation):
    config = MLPConfig((16, 64, 64, 16), activation, bias_init=0.1)
    params, _, y = gradient_arguments(config, "softmax_cross_entropy", 1000)
    x = jnp.asarray(RNG.normal(size=(1000, 16)), jnp.float32)
    makers = value_and_grad_fused, jaxmlp.value_and_grad
    found, wanted = (jax.jit(m(config, "softmax_cross_entropy"))(params, x, y) for m in makers)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-2 * float(jnp.abs(b).max()))  # TF32


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="there is no GPU")
def test_compiled_members_learn_the_same():
    def learnt(kernel):
        result = sweep(
            MLPConfig(SIZES), (X, Y), loss="softmax_cross_entropy", epochs=2, batch_size=32,
            key=jax.random.key(0), grid={"learning_rate": [1e-3, 1e-2]}, kernel=kernel,
        )  # fmt: skip
        return result.metrics

    np.testing.assert_allclose(learnt("fused"), learnt("xla"), atol=1e-2)
