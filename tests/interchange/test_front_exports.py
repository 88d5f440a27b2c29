"""Networks with an input side and members as ONNX, numpy and C."""

import runpy
import shutil
import subprocess

import jax
import numpy as np
import pytest

import jaxmlp
from benchmarks.interchange import DRIVER, GCC
from jaxmlp import interchange, tabular_network
from jaxmlp.data.tables.bins import piecewise_bins
from jaxmlp.models import Model, infer

RNG = np.random.default_rng(0)
N = 60
LEVELS = ((2, 3), (4, 5))
X = RNG.normal(0, 2, (N, 6)).astype(np.float32)
for _column, _n in LEVELS:
    X[:, _column] = RNG.integers(0, _n + 1, N)  # one beyond the last, too
LOSSES = ("squared_error", "softmax_cross_entropy", "sigmoid_binary_cross_entropy", "poisson")
LINKS = dict(zip(LOSSES, ("identity", "softmax", "sigmoid", "exp"), strict=True))


def model_of(loss="softmax_cross_entropy", **fields):
    """A network of random weights, those that begin as 0 or 1 too."""
    side = {"numbers": (0, 3), "categories": LEVELS, "width": 4, "bins": 6, "members": 3, **fields}
    front = jaxmlp.FrontConfig(X.shape[1], **side)
    layers = jaxmlp.MLPConfig((front.n_out, 7, 2), "gelu")
    config = jaxmlp.TabularConfig(front, layers, LINKS[loss])
    bins = piecewise_bins(X[:, list(front.numbers)], front.bins) if front.numbers else None
    params = tabular_network.init(config, jax.random.key(0), bins=bins)
    leaves, tree = jax.tree.flatten(params)
    noise = [np.float32(0.3) * RNG.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    shaken = jax.tree.unflatten(tree, [a + b for a, b in zip(leaves, noise, strict=True)])
    if front.embedding == "piecewise":  # its bins are those of the data
        kept = {name: getattr(params.front.numbers, name) for name in ("starts", "widths")}
        numbers = shaken.front.numbers._replace(**kept)
        shaken = shaken._replace(front=shaken.front._replace(numbers=numbers))
    return Model(config, shaken, loss=loss)


CASES = {
    "numbers as they are": {},
    "bins": {"embedding": "piecewise"},
    "waves": {"embedding": "periodic", "frequencies": 5, "sigma": 1.0},
    "one member": {"embedding": "piecewise", "members": 1},
    "no scale": {"embedding": "piecewise", "scale": False},
    "numbers alone": {"embedding": "periodic", "categories": (), "numbers": tuple(range(6))},
    "no numbers": {"numbers": ()},
    **{loss: {"loss": loss} for loss in LOSSES if loss != "softmax_cross_entropy"},
}


@pytest.fixture(scope="module")
def models():
    """Drawn where they are needed: each worker collects all tests."""
    return {case: model_of(**fields) for case, fields in CASES.items()}


def assert_equal(model, got):
    np.testing.assert_allclose(got, infer(model, X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_numpy(models, tmp_path, case):
    interchange.to_numpy(models[case], tmp_path / "p.py")
    program = runpy.run_path(str(tmp_path / "p.py"))
    program["self_check"]()
    assert_equal(models[case], program["predict"](X))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("case", CASES)
def test_c(models, tmp_path, case):
    interchange.to_c(models[case], tmp_path / "net.h")
    (tmp_path / "driver.c").write_text(DRIVER.replace("net_logits", "net_predict"))
    for arguments, program in (
        ((tmp_path / "driver.c",), "driver"),
        (("-DNET_CHECK", "-x", "c", tmp_path / "net.h"), "check"),
    ):
        command = (*GCC, *arguments, "-o", tmp_path / program, "-lm")
        built = subprocess.run(command, capture_output=True, text=True)
        assert (built.returncode, built.stderr) == (0, "")
    subprocess.run(tmp_path / "check", check=True, capture_output=True)
    done = subprocess.run(tmp_path / "driver", input=X.tobytes(), capture_output=True, check=True)
    assert_equal(models[case], np.frombuffer(done.stdout, np.float32).reshape(N, -1))


@pytest.mark.parametrize("case", CASES)
def test_onnx(models, case):
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = interchange.to_onnx(models[case])
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    logits, predictions = session.run(["logits", "predictions"], {"x": X})
    assert_equal(models[case], predictions)
    wanted = infer(models[case], X, output="logits")
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["to_torch", "to_flax", "to_equinox", "to_sklearn"])
def test_libraries_that_have_layers_alone(models, name):
    with pytest.raises(ValueError, match="input side and members other libraries have not"):
        getattr(interchange, name)(models["bins"])
