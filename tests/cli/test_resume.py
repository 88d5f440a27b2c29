"""Runs that are claimed, saved, killed and resumed from the command line."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pandas as pd
import pytest

from benchmarks.kills import kill_and_resume, kill_others
from jaxmlp.cli.claims import claimed_folder
from jaxmlp.cli.display import EpochTable
from jaxmlp.cli.main import run

RNG = np.random.default_rng(0)
FAST = ["--epochs", "4", "--layers", "4", "--recipe", "plain", "--quiet", "--target", "y"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A small table in the working directory."""
    monkeypatch.chdir(tmp_path)
    x = RNG.normal(size=80)
    pd.DataFrame({"x": x, "y": np.where(x > 0, "a", "b")}).to_csv("data.csv", index=False)
    return tmp_path / "data.csv"


@pytest.fixture
def dying(monkeypatch):
    """Let a training end with an error after two epochs, and return what lets the next one live."""

    def die(self, progress):
        if progress.epoch == 2:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(EpochTable, "__call__", die)
        yield patch


def start(*options):
    with pytest.raises(RuntimeError, match="power cut"):
        run(["train", "data.csv", *FAST, "--checkpoint-every", "1", *options])


def test_a_run_goes_on_where_it_stood(table, dying, capsys):
    start("--out", "killed")
    assert json.loads((table.parent / "killed" / "started.json").read_text())["command"] == "train"
    dying.undo()
    assert run(["train", "--resume", "killed", "--quiet"]) == 0
    assert run(["train", "data.csv", *FAST, "--out", "alone"]) == 0
    killed, alone = (table.parent / name for name in ("killed", "alone"))
    assert sorted(p.name for p in killed.iterdir()) == sorted(p.name for p in alone.iterdir())
    models = [(folder / "model.safetensors").read_bytes() for folder in (killed, alone)]
    assert models[0] == models[1]
    histories = [pd.read_csv(f / "history.csv").drop(columns="seconds") for f in (killed, alone)]
    pd.testing.assert_frame_equal(*histories)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "5"], "--epochs is 5, but killed was started with 4. Leave it out"),
        (["other.csv"], "the data is 'other.csv', but killed was started with 'data.csv'"),
        (["--l2", "0.1"], "--l2 is 0.1, but killed was started with 0.0"),
    ],
)
def test_changed_options_are_refused(table, dying, capsys, options, message):
    start("--out", "killed")
    dying.undo()
    assert run(["train", *options, "--resume", "killed"]) == 2
    assert message in capsys.readouterr().err
    assert (table.parent / "killed" / "started.json").is_file()


def test_changed_data_are_refused(table, dying, capsys):
    start("--out", "killed")
    dying.undo()
    table.write_text(table.read_text() + "1.5,a\n")
    assert run(["train", "--resume", "killed"]) == 2
    assert "data.csv has changed since killed was started" in capsys.readouterr().err


def test_what_cannot_be_resumed(table, capsys):
    assert run(["train", "--resume", "none"]) == 2
    assert "nothing is to be resumed in none: no run was started there." in capsys.readouterr().err
    assert run(["train", "data.csv", *FAST, "--out", "whole"]) == 0
    assert run(["train", "--resume", "whole"]) == 2
    assert "nothing is to be resumed in whole: the run has ended." in capsys.readouterr().err


def test_an_unfinished_run_is_not_written_over(table, dying, capsys):
    start("--out", "killed")
    dying.undo()
    assert run(["train", "data.csv", *FAST, "--out", "killed"]) == 2
    assert "go on with jaxmlp train --resume killed or pass --force" in capsys.readouterr().err
    assert run(["train", "data.csv", *FAST, "--out", "killed", "--force"]) == 0
    assert not (table.parent / "killed" / "started.json").exists()


def test_checkpoints_may_stay(table):
    options = ["--checkpoint-every", "2", "--keep-checkpoints", "--out", "kept"]
    assert run(["train", "data.csv", *FAST, *options]) == 0
    assert len(list((table.parent / "kept" / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize("interval", ["0", "-1", "5x", "1.5", ""])
def test_intervals_that_are_none(table, capsys, interval):
    assert run(["train", "data.csv", *FAST, "--checkpoint-every", interval, "--out", "a"]) == 2
    assert "give a number of epochs such as 5, a time such as 30s" in capsys.readouterr().err
    assert not (table.parent / "a").exists()


def test_bad_input_leaves_no_folder(table, capsys):
    assert run(["train", "data.csv", "--target", "z"]) == 2
    assert run(["train", "data.csv", "--target", "z", "--out", "a/b/c"]) == 2
    assert [path.name for path in table.parent.iterdir()] == ["data.csv"]


def test_runs_at_once_have_folders_of_their_own(table):
    with ExitStack() as stack, ThreadPoolExecutor(20) as pool:
        started = {"command": "sweep"}
        claims = [claimed_folder(None, "data", False, started) for _ in range(20)]
        folders = list(pool.map(lambda claim: claim.__enter__(), claims))
        for claim in claims:
            stack.push(claim.__exit__)
        assert len(set(folders)) == 20
        with pytest.raises(FileExistsError, match="If nobody works on it, pass --force"):
            claimed_folder(folders[0], "data", False, started).__enter__()
    assert not (table.parent / "runs").exists()


@pytest.mark.slow
def test_killed_and_resumed(tmp_path):
    found = kill_and_resume(tmp_path, kills=2, epochs=30, seed=0)
    assert found["same_model"]
    assert found["same_history"]
    assert found["epochs"] == 30


@pytest.mark.slow
def test_a_kill_leaves_nothing_or_all(tmp_path):
    found = kill_others(tmp_path, kills=4, seed=0)
    assert {row["left"] for row in found} <= {"nothing", "whole"}
    assert {row["again"] for row in found} <= {"well", "refused"}


@pytest.mark.slow
def test_sigterm_says_how_to_go_on(tmp_path):
    code = (
        "import os, signal, jaxmlp.cli.display as d\n"
        "from jaxmlp.cli.main import main\n"
        "d.EpochTable.__call__ = lambda self, p: os.kill(os.getpid(), signal.SIGTERM)\n"
        "main(['train', 'digits', '--epochs', '30', '--checkpoint-every', '1', '--out', 'run'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; go on with: jaxmlp train --resume run" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir())
