"""Training programs are lowered for accelerators, on a machine that has none."""

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp import MLPConfig
from jaxmlp.sweeps import cross_validate, sweep
from jaxmlp.training import EarlyStopping, runner
from jaxmlp.training.chunk import run_chunk

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3000, 70))  # more than take_rows lets a CPU's threads have
Y = RNG.integers(0, 3, 3000)
DATA = {"loss": "softmax_cross_entropy", "epochs": 1, "key": jax.random.key(0)}
PLAIN = MLPConfig((70, 16, 3))
RICH = MLPConfig(
    (70, 16, 16, 3), "gelu", batch_norm=(True, False), dropout=True, compute_dtype="bfloat16"
)


def train(**options):
    config = options.pop("config", PLAIN)
    params = jaxmlp.init(config, jax.random.key(1))
    jaxmlp.fit(config, params, (X, Y), optimizer=jaxmlp.adam(1e-3), **DATA, **options)


RUNS = {
    "fit": lambda: train(validation_data=(X, Y), sample_weight=np.arange(3000) % 2),
    "fit of a richer network": lambda: train(
        config=RICH, early_stopping=EarlyStopping(), validation_data=(X, Y), l2=1e-3
    ),
    "sweep": lambda: sweep(PLAIN, (X, Y), grid={"learning_rate": [1e-3, 1e-2]}, **DATA),
    "folds in chunks": lambda: cross_validate(
        PLAIN, (X, Y), folds=4, executor="chunks of 2", **DATA
    ),
}


class LookedError(Exception):
    """Raised in place of a chunk of training, with the shapes of its arguments."""


def look(*arguments):
    raise LookedError(jax.tree.map(jax.typeof, arguments))


@pytest.fixture(scope="module")
def chunk_arguments():
    """What each run hands to its compiled chunk; nothing is trained."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run_chunk", look)
        for name, run in RUNS.items():
            with pytest.raises(LookedError) as looked:
                run()
            found[name] = looked.value.args[0]
    return found


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("run", RUNS)
def test_a_chunk_of_training_is_lowered(chunk_arguments, run, platform):
    exported = jax.export.export(run_chunk, platforms=[platform])(*chunk_arguments[run])
    assert exported.platforms == (platform,)
    module = exported.mlir_module()
    assert "stablehlo.while" in module
    assert "stablehlo.dot_general" in module
    assert "f64" not in module  # which no TPU has, and which few GPUs have fast
