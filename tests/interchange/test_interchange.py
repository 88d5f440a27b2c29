"""Networks that come and go: a sample of benchmarks/interchange.py, and what it does not cover.

One network has every activation of the registry, so one comparison with another library tests all.
"""

import shutil

import jax
import numpy as np
import pytest

import jaxmlp
from benchmarks.interchange import LIMITS, PARTNERS, compare, make_model
from jaxmlp import interchange
from jaxmlp.models import Model

ALL = tuple(jaxmlp.ACTIVATIONS)
NEEDS = {
    "PyTorch": "torch", "flax linen": "flax", "flax nnx": "flax", "equinox": "equinox",
    "scikit-learn": "sklearn", "ONNX (onnxruntime)": "onnxruntime",
}  # fmt: skip


def activations_of(name, dtype):
    """All that the partner has, one a hidden layer; scikit-learn takes one for all."""
    if name == "scikit-learn":
        return "sigmoid"
    refused = {"gelu_exact"} if name.startswith("ONNX") and dtype == "float64" else set()
    return tuple(a for a in ALL if a not in refused)


CASES = [(name, dtype) for name, partner in PARTNERS.items() for dtype in partner.dtypes]
COMPILED = ("flax linen", "flax nnx", "equinox")  # seconds for one more program each


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(
            *case, marks=[pytest.mark.slow] * (case[0] in COMPILED and case[1] == "float64")
        )
        for case in CASES
    ],
)
def test_outputs_agree_there_and_back(name, dtype):
    partner = PARTNERS[name]
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name.startswith("C99") and shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    activations = activations_of(name, dtype)
    n_hidden = 2 if isinstance(activations, str) else len(activations)
    x = np.random.default_rng(1).normal(2026.5, 1.0, (300, 6)).astype(dtype)
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        model = make_model(activations, dtype, x, (6, *(9,) * n_hidden, 4))
        found = compare(partner, model, x)
    assert found["there"] <= LIMITS[dtype]
    assert found["back"] is None or found["back"] <= LIMITS[dtype]
    assert found["unexplained"] == 0


def test_every_name_is_public():
    for name in ("torch", "flax", "equinox", "sklearn"):
        assert callable(getattr(interchange, f"from_{name}"))
        assert callable(getattr(interchange, f"to_{name}"))
    for name in ("onnx", "numpy", "c"):
        assert callable(getattr(interchange, f"to_{name}"))


def sine(z):
    return jax.numpy.sin(z)


@pytest.mark.parametrize(
    "export",
    [
        interchange.to_torch,
        lambda m: pytest.importorskip("equinox") and interchange.to_equinox(m),
        lambda m: pytest.importorskip("sklearn") and interchange.to_sklearn(m),
        lambda m: pytest.importorskip("onnx") and interchange.to_onnx(m),
        lambda m: interchange.to_numpy(m, "never.py"),
        lambda m: interchange.to_c(m, "never.h"),
    ],
)
def test_an_activation_of_one_s_own_cannot_leave(export):
    config = jaxmlp.MLPConfig((2, 3, 1), jaxmlp.Activation.from_function("sine", sine))
    model = Model(config, jaxmlp.init(config, jax.random.key(0)))
    with pytest.raises(ValueError, match="activation 'sine' cannot be written for") as caught:
        export(model)
    assert "\n" not in str(caught.value)


def test_what_is_no_network():
    with pytest.raises(TypeError, match=r"a tuple is no network; pass jaxmlp.Network\("):
        interchange.to_torch((1, 2))
