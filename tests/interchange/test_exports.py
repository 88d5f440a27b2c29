"""ONNX, numpy and C: preprocessing, links, labels, names, and the checks that they bring along."""

import json
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxmlp
from benchmarks.interchange import GCC, sizes_of_code
from jaxmlp import interchange
from jaxmlp.data import Standardizer
from jaxmlp.interchange import c_header
from jaxmlp.interchange.example_rows import example_rows
from jaxmlp.interchange.export_plan import plan_of
from jaxmlp.losses import get_loss
from jaxmlp.models import Model

X = np.random.default_rng(0).normal(50, 4, (200, 3)).astype(np.float32)
TARGETS = Standardizer(np.array([10.0, -5.0]), np.array([3.0, 0.5]), 2, 0.0, 20.0)
BOUNDS = np.array([[9.5, -5.1], [10.5, -4.9]])
STRANGE = ('q"uote', "bäck\\slash", "what??/", "new\nline")


def model_of(loss, n_out, class_names=None, **fields):
    config = jaxmlp.MLPConfig((3, 5, n_out), "silu")
    params = jaxmlp.init(config, jax.random.key(1))
    names = {"class_names": class_names, "preprocessing": Standardizer.fit(X)}
    return Model(config, params, loss=loss, **{**names, **fields})


def bent(model):
    """The same with a parametric activation."""
    alpha = np.array([1.0, 0.5, 0.0, -1.0, 2.0], np.float32)
    first, last = model.params
    config = model.config.replace(parametric_activation=True)
    return model._replace(config=config, params=(first._replace(alpha=alpha), last))


MODELS = {
    "softmax": model_of("softmax_cross_entropy", 4, STRANGE),
    "one logit": model_of("sigmoid_binary_cross_entropy", 1, ("no", "yes")),
    "labels at once": model_of("sigmoid_binary_cross_entropy", 3, ("a", "b", "c")),
    "no names": model_of("softmax_cross_entropy", 4),
    "regression": model_of("squared_error", 2, target_transform=TARGETS),
    "clamped": model_of("squared_error", 2, target_transform=TARGETS._replace(bounds=BOUNDS)),
    "bent": bent(model_of("softmax_cross_entropy", 4, STRANGE)),
    "rates": model_of("poisson", 2),
    "no preprocessing": model_of("huber", 2, preprocessing=None),
}


UNKNOWN = np.array([[50, np.nan, 50], [50, 50, 50], [np.nan, 0, 0]], np.float32)


def expected_of(model):
    """Predictions of ours, and the labels if there is one for each row."""
    x = X if model.preprocessing is None else model.preprocessing.transform(X)
    logits = jaxmlp.predict(model.config, model.params, x)
    predictions = np.asarray(get_loss(model.loss).link(logits))
    if model.target_transform is not None:
        predictions = model.target_transform.inverse_transform(predictions)
    labels = None
    if model.class_names and model.loss == "softmax_cross_entropy":
        labels = [model.class_names[k] for k in predictions.argmax(axis=1)]
    elif model.class_names and predictions.shape[1] == 1:
        labels = [model.class_names[int(p > 0.5)] for p in predictions[:, 0]]
    return predictions, labels


@pytest.mark.parametrize("case", MODELS)
def test_onnx(tmp_path, case):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = MODELS[case]
    proto = interchange.to_onnx(model, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == proto.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    predictions, labels = expected_of(model)
    assert [o.name for o in session.get_outputs()] == [
        "logits", "predictions", *(["label"] if labels else [])
    ]  # fmt: skip
    for rows in (1, 200):  # a batch of any size
        got = session.run(None, {"x": X[:rows]})
        np.testing.assert_allclose(got[1], predictions[:rows], rtol=2e-5, atol=1e-6)
        assert labels is None or got[2].tolist() == labels[:rows]
    got = session.run(None, {"x": UNKNOWN})
    assert np.isnan(got[1]).all(axis=1).tolist() == [True, False, True]
    assert labels is None or [name == "NaN" for name in got[2]] == [True, False, True]
    kept = session.get_modelmeta().custom_metadata_map
    assert json.loads(kept.get("class_names", "null")) == (
        list(model.class_names) if model.class_names else None
    )


def test_onnx_refuses_what_onnxruntime_cannot_run(x64):
    pytest.importorskip("onnx")
    config = jaxmlp.MLPConfig((2, 3, 1), "gelu_exact", dtype="float64")
    with pytest.raises(ValueError, match="no error function in float64"):
        interchange.to_onnx(Model(config, jaxmlp.init(config, jax.random.key(0))))


@pytest.mark.parametrize("case", MODELS)
def test_numpy_program(tmp_path, monkeypatch, case):
    model = MODELS[case]
    path = tmp_path / "my_predictor.py"
    interchange.to_numpy(model, path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_predictor", raising=False)
    import my_predictor

    predictions, labels = expected_of(model)
    np.testing.assert_allclose(my_predictor.predict(X), predictions, rtol=2e-5, atol=1e-6)
    assert hasattr(my_predictor, "predict_label") == (labels is not None)
    assert np.isnan(my_predictor.predict(UNKNOWN)).all(axis=1).tolist() == [True, False, True]
    if labels is not None:
        assert my_predictor.predict_label(X) == labels
        unknown = [name == "NaN" for name in my_predictor.predict_label(UNKNOWN)]
        assert unknown == [True, False, True]


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def test_numpy_program_by_itself(tmp_path):
    """Without jaxmlp on the path: its own check, a CSV in another order, and bad input."""
    names = {"feature_names": ("a", "b", "c")}
    model = model_of("softmax_cross_entropy", 2, ("no", "yes"), **names)
    path = tmp_path / "p.py"
    interchange.to_numpy(model, path)
    python = (sys.executable, "-I", path)
    assert re.fullmatch(r"self-check passed: logits agree to \S+\n", run(*python).stdout)
    _, labels = expected_of(model)
    rows = [f"{c:.9g},extra,{a:.9g},{b:.9g}" for a, b, c in X[:20]]
    (tmp_path / "x.csv").write_text("\n".join(["c,other,a,b", *rows]))
    assert run(*python, tmp_path / "x.csv").stdout.split() == labels[:20]
    for text, message in (
        ("a,b\n1,2\n", "lacks the column 'c'"),
        ("", "is empty"),
        ("a,b,c\n1,2,x\n", "holds something that is not a number"),
        ("1,2\n", "x has shape (1, 2), but must be (rows, 3)"),
    ):
        (tmp_path / "x.csv").write_text(text)
        done = run(*python, tmp_path / "x.csv")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_numpy_program_notices_damage(tmp_path):
    path = tmp_path / "p.py"
    source = interchange.to_numpy(MODELS["softmax"], path)
    line = next(line for line in source.splitlines() if line.startswith("W0 = "))
    first = source.split(line)[1].split("\n")[1]
    path.write_text(source.replace(first, "AAAA" + first[4:], 1))
    done = run(sys.executable, "-I", path)
    assert done.returncode == 1
    assert "self-check FAILED" in done.stderr


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
C_DRIVER = """
#include <stdio.h>
#include "net.h"
int main(void)
{
    float x[NET_INPUTS], y[NET_OUTPUTS];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        net_predict(x, y);
        fwrite(y, sizeof y, 1, stdout);
        LABEL
    }
    return 0;
}
"""


@needs_gcc
@pytest.mark.parametrize("case", MODELS)
def test_c_header(tmp_path, case):
    """Compiles without a warning, passes its own check, predicts and names as ours does."""
    model = MODELS[case]
    interchange.to_c(model, tmp_path / "net.h")
    predictions, labels = expected_of(model)
    label = 'fprintf(stderr, "%s", net_class(net_label(x))); fputc(0, stderr);' if labels else ""
    (tmp_path / "driver.c").write_text(C_DRIVER.replace("LABEL", label))
    for source, program in (
        ((tmp_path / "driver.c",), "driver"),
        (("-DNET_CHECK", "-x", "c", tmp_path / "net.h"), "check"),
    ):
        built = run(*GCC, *source, "-o", tmp_path / program, "-lm")
        assert (built.returncode, built.stderr) == (0, "")
    assert run(tmp_path / "check").stdout.startswith("self-check passed: logits agree to ")
    done = subprocess.run(tmp_path / "driver", input=X.tobytes(), capture_output=True, check=True)
    got = np.frombuffer(done.stdout, np.float32).reshape(predictions.shape)
    np.testing.assert_allclose(got, predictions, rtol=2e-5, atol=1e-6)
    assert labels is None or done.stderr.decode().split("\0")[:-1] == labels
    done = subprocess.run(
        tmp_path / "driver", input=UNKNOWN.tobytes(), capture_output=True, check=True
    )
    got = np.frombuffer(done.stdout, np.float32).reshape(3, -1)
    assert np.isnan(got).all(axis=1).tolist() == [True, False, True]
    unknown = [name == "NaN" for name in done.stderr.decode().split("\0")[:-1]]
    assert labels is None or unknown == [True, False, True]


@needs_gcc
def test_c_header_notices_damage(tmp_path):
    source = interchange.to_c(MODELS["regression"], tmp_path / "net.h")
    start = source.index("net_W0[15] = {\n") + len("net_W0[15] = {\n")
    (tmp_path / "net.h").write_text(source[:start] + "9" + source[start:].lstrip())
    command = ("-DNET_CHECK", "-x", "c", tmp_path / "net.h", "-o", tmp_path / "check", "-lm")
    assert run(*GCC, *command).returncode == 0
    done = run(tmp_path / "check")
    assert done.returncode == 1
    assert "self-check FAILED" in done.stdout


@needs_gcc
@pytest.mark.skipif(shutil.which("size") is None, reason="needs size of binutils")
def test_c_header_is_small():
    """Constants are the weights and names, nothing is variable, the code is a few hundred bytes."""
    found = sizes_of_code(MODELS["one logit"])
    floats = 3 * 3 + (3 * 5 + 5) + (5 + 1)
    assert found["variables"] == 0
    assert 4 * floats <= found["constants"] < 4 * floats + 200
    assert 100 < found["code"] < 2000


def test_c_header_has_no_heap_and_no_libc_but_math():
    for model in MODELS.values():
        source = c_header._source(
            plan_of(model),
            example_rows(model, plan_of(model)),
            "net",
            "net.h",
        )
        library = source.split("#ifdef NET_CHECK")[0]
        assert re.findall(r"#include (\S+)", library) == ["<math.h>"]
        assert not re.search(r"\b(malloc|calloc|free|printf|double)\b", library.split("*/", 1)[1])


@pytest.mark.parametrize(
    ("export", "message"),
    [
        (lambda m, p: interchange.to_c(m, p / "2net.h"), "'2net' is no name in C"),
        (
            lambda m, p: interchange.to_c(m._replace(target_transform=object()), p / "net.h"),
            "target_transform is a object, which cannot be exported",
        ),
        (
            lambda m, p: interchange.to_numpy(m._replace(preprocessing=object()), p / "p.py"),
            r"preprocessing is a object, which cannot be exported: export the network alone",
        ),
        (
            lambda m, p: interchange.to_numpy(m._replace(feature_names=("a",)), p / "p.py"),
            "feature_names has 1 entries, but there are 3 inputs",
        ),
        (
            lambda m, p: interchange.to_numpy(
                m._replace(preprocessing=Standardizer.fit(X[:, :2])), p / "p.py"
            ),
            "preprocessing has 2 columns, but the network 3",
        ),
    ],
)
def test_what_is_refused(tmp_path, export, message):
    with pytest.raises(ValueError, match=message):
        export(MODELS["regression"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_c_refuses_float64(x64, tmp_path):
    config = jaxmlp.MLPConfig((2, 1), dtype="float64")
    model = Model(config, jaxmlp.init(config, jax.random.key(0)))
    with pytest.raises(ValueError, match="computes in float32, but the model is in float64"):
        interchange.to_c(model, tmp_path / "net.h")
