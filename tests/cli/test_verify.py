"""`jaxmlp verify` on functions of one's own, and on the registry."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxmlp.cli import verify as verify_module
from jaxmlp.cli.main import run
from jaxmlp.verification.input_side import check_input_side
from jaxmlp.verification.registry import Case, check_cases

HOMEWORK = """
import numpy as np

params = {"w": np.array([0.5, -1.0]), "b": np.array(0.2)}
data = (np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([1.0, 0.0]))

def loss(params, x, y):
    return 0.5 * np.mean((x @ params["w"] + params["b"] - y) ** 2)

def gradient(params, x, y):
    error = (x @ params["w"] + params["b"] - y) / len(y)
    return {"w": x.T @ error, "b": error.sum()}

def forgot_the_mean(params, x, y):
    error = x @ params["w"] + params["b"] - y
    return {"w": x.T @ error, "b": error.sum()}

def of_another_loss(params, x, y):
    return 2 * loss(params, x, y), gradient(params, x, y)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in a folder with a student's module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("homework_of_mine.py").write_text(HOMEWORK)


def arguments(gradient):
    module = "homework_of_mine"
    return [
        "verify", f"{module}:{gradient}", "--against", f"{module}:loss",
        "--params", f"{module}:params", "--args", f"{module}:data",
    ]  # fmt: skip


def test_a_right_gradient(capsys):
    assert run(arguments("gradient")) == 0
    assert "gradient check: PASS" in capsys.readouterr().out


def test_a_wrong_gradient(capsys):
    assert run([*arguments("forgot_the_mean"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "fail"
    assert any("batch" in leaf["cause"] for leaf in report["leaves"])


def test_a_wrong_value_beside_a_right_gradient(capsys):
    assert run(arguments("of_another_loss")) == 1
    assert "FAIL  the value" in capsys.readouterr().out


CLASSIFIER = """
import jax, jax.numpy as jnp, jaxmlp

sine = jaxmlp.Activation.from_function("sine", jnp.sin, jnp.cos)
config = jaxmlp.MLPConfig((3, 4, 2), sine)
params = jaxmlp.init(config, jax.random.key(0))
data = (jax.random.normal(jax.random.key(1), (6, 3)), jnp.arange(6) % 2)
loss = jaxmlp.objective(config, "softmax_cross_entropy")
right = jaxmlp.value_and_grad(config, "softmax_cross_entropy")

def gradient(params, x, y):
    value, grads = right(params, x, y)
    h = jnp.sin(x @ params[0].W + params[0].b[None])
    p = jax.nn.softmax(h @ params[1].W + params[1].b[None])
    d = (p - jax.nn.one_hot(y, 2, dtype=p.dtype)) / len(x)
    d = d @ params[1].W.T  # and the derivative of the sine is forgotten
    return value, (jaxmlp.Layer(x.T @ d, d.sum(axis=0)), grads[1])
"""


def test_with_its_config_the_slip_is_named_where_the_activation_is_one_s_own(capsys):
    Path("classifier_of_mine.py").write_text(CLASSIFIER)
    module = "classifier_of_mine"
    command = [
        "verify", f"{module}:gradient", "--against", f"{module}:loss",
        "--params", f"{module}:params", "--args", f"{module}:data",
    ]  # fmt: skip
    assert run(command) == 1
    assert "--config" in capsys.readouterr().out
    assert run([*command, "--config", f"{module}:config"]) == 1
    said = capsys.readouterr().out
    assert "the activation's derivative is forgotten (layers[0])" in said
    assert "--config" not in said
    assert run([*command, "--config", f"{module}:params"]) == 2
    assert "--config names a jaxmlp.MLPConfig" in capsys.readouterr().err


def test_parameters_of_a_file_and_keyword_arguments(capsys):
    Path("scaled_homework.py").write_text(
        "import numpy as np\noptions = {'scale': 3.0}\n"
        "def loss(p, *, scale):\n    return scale * float(np.sum(p['w'] ** 2))\n"
        "def gradient(p, *, scale):\n    return {'w': 2 * scale * p['w']}\n"
    )
    np.savez("point.npz", w=np.array([1.0, 2.0]))
    command = [
        "verify", "scaled_homework:gradient", "--against", "scaled_homework:loss",
        "--params", "point.npz", "--kwargs", "scaled_homework:options",
    ]  # fmt: skip
    assert run(command) == 0
    assert "gradient check: PASS" in capsys.readouterr().out
    command[5] = "missing.npz"
    assert run(command) == 2
    assert "missing.npz" in capsys.readouterr().err


def test_the_registry(capsys, monkeypatch):
    cases = [Case("tanh", "squared_error", "xavier_normal", 2, "float64")]
    found, parts = list(check_cases(cases)), check_input_side()
    monkeypatch.setattr(verify_module, "default_cases", lambda: cases)
    monkeypatch.setattr(verify_module, "check_cases", lambda *_: iter(found))  # once is enough
    monkeypatch.setattr(verify_module, "check_input_side", lambda _: parts)
    assert run(["verify"]) == 0
    out = capsys.readouterr().out
    assert f"1 networks and {len(parts)} parts of networks for tables: {1 + len(parts)} pass" in out
    assert all(name in out for name in parts)
    assert run(["verify", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["passed"] is True for row in rows)
    assert [row["part"] for row in rows[1:]] == list(parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["verify", "homework_of_mine:gradient"], "--against MODULE:FUNCTION"),
        (["verify", "--against", "a:b"], "name the gradient to check first"),
        (["verify", "nothing_here:f", "--against", "a:b", "--params", "a:c"], "no module"),
        (["verify", "homework_of_mine", "--against", "a:b", "--params", "a:c"], "MODULE:NAME"),
        (arguments("gradiet"), "nothing called 'gradiet'"),
        (arguments("params"), "params is a dict, not a function"),
        (arguments("gradient")[:-2], "--args and --kwargs name: missing a required argument: 'x'"),
    ],
)
def test_bad_input_is_explained(options, message, capsys):
    assert run(options) == 2
    assert message in capsys.readouterr().err
