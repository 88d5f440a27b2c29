"""`jaxmlp serve`, in a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from served_media import model_of, small_backbones  # noqa: F401  (a fixture)
from served_models import number_model  # noqa: F401  (a fixture)

from jaxmlp.cli.main import run
from jaxmlp.models import save

pytest.importorskip("uvicorn", reason="needs uvicorn")


@pytest.fixture
def model_file(tmp_path, number_model):
    path = tmp_path / "net.safetensors"
    save(path, number_model)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_ends_well(model_file, number_model, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxmlp", "serve", str(model_file), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    try:
        said = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        body = json.dumps({"rows": [[5, 5, 5, 5]]}).encode()
        call = urllib.request.Request(
            f"{address}/predict", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(call, timeout=20) as answer:
            value = json.load(answer)["predictions"][0]["value"]
        assert value == pytest.approx(number_model.predict([[5.0, 5.0, 5.0, 5.0]])[0], rel=1e-5)
        process.send_signal(number)
        assert process.wait(20) == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_a_port_in_use_is_named(model_file, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", str(model_file), "--port", str(port)]) == 2
    assert f"nothing can listen at 127.0.0.1:{port}" in capsys.readouterr().err


def test_no_model_and_no_limits_are_named(tmp_path, model_file, capsys):
    assert run(["serve", str(tmp_path / "none")]) == 2
    assert run(["serve", str(model_file), "--max-rows", "0"]) == 2
    assert "are limits above 0" in capsys.readouterr().err
    for limit in ("--max-files", "--max-megapixels", "--max-sound"):
        assert run(["serve", str(model_file), limit, "0"]) == 2
        assert "are limits above 0" in capsys.readouterr().err


def test_another_backbone_is_said_before_the_service_begins(tmp_path, capsys, monkeypatch):
    save(tmp_path / "pets.safetensors", model_of("image", name="small 2"))
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)
    monkeypatch.setattr("jaxmlp.cli.serve.end_well", lambda server: None)
    assert run(["serve", str(tmp_path / "pets.safetensors"), "--port", "0"]) == 0
    said = capsys.readouterr().err
    assert said == "note: the backbone was small 2 in training, and is small images here\n"
