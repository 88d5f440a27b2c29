"""`jaxmlp train --distributed`: several processes, one run."""

import json
import os
import socket
import subprocess
import sys

import pytest

from jaxmlp.cli.main import run


def start(folder, n, *arguments):
    """Outputs and exit codes of n processes with the same command."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [
        subprocess.Popen(
            [
                sys.executable, "-m", "jaxmlp", "train", *arguments, "--distributed",
                "--coordinator", f"127.0.0.1:{port}", "--processes", str(n), "--process-id", str(k),
            ],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"},
        )
        for k in range(n)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=200) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_the_first_process_prints_and_writes(tmp_path):
    (code, out, err), follower = start(tmp_path, 2, "digits", "--epochs", "20")
    assert (code, follower[0]) == (0, 0), err + follower[2]
    assert "wrote runs/digits-1" in out
    assert "if one process ends, all end" in out
    assert "predicted to make a step" in err
    assert "Traceback" not in err + follower[2]
    assert "epoch" not in follower[1]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["digits-1"]
    assert json.loads((tmp_path / "runs" / "digits-1" / "run.json").read_text())["metrics"]
    assert "test accuracy 9" in out


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_what_the_first_refuses_ends_all(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("kept")
    found = start(tmp_path, 2, "digits", "--out", "there")
    assert [code for code, _, _ in found] == [2, 2]
    assert "there exists already" in found[0][2]
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--processes", "2"], "--processes goes with --distributed"),
        (["--process-id", "0"], "--process-id goes with --distributed"),
        (["--distributed", "--seeds", "3"], "--seeds is for one process"),
        (["--distributed", "--processes", "2"], "together, or none of them"),
        (
            [
                "--distributed",
                "--coordinator",
                "127.0.0.1:1",
                "--processes",
                "2",
                "--process-id",
                "3",
            ],
            "process_id is 3; give 0 to 1",
        ),
    ],
)
def test_options_that_do_not_go_together(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
