"""Compiled programs that commands keep for the next one."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxmlp.cli import program_cache

TRAIN = ["train", "digits", "--epochs", "2", "--force", "--out"]


def start(folder, *arguments, **environment):
    """A command whose cache is in the folder."""
    changed = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    changed |= {"XDG_CACHE_HOME": str(folder / "cache"), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "jaxmlp", *arguments], cwd=folder, env=changed, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(folder, *arguments, **environment):
    process = start(folder, *arguments, **environment)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return out, err


def kept(folder):
    found = [p for p in (folder / "cache" / "jaxmlp").rglob("*") if p.is_file()]
    return {p.name: p.stat().st_mtime_ns for p in found}


@pytest.mark.slow
def test_the_second_command_compiles_nothing_and_learns_the_same(tmp_path):
    run(tmp_path, *TRAIN, "first")
    programs = kept(tmp_path)
    assert len(programs) > 10
    _, err = run(tmp_path, *TRAIN, "second")
    assert kept(tmp_path) == programs
    assert "Error" not in err
    one = (tmp_path / "first" / "model.safetensors").read_bytes()
    assert (tmp_path / "second" / "model.safetensors").read_bytes() == one
    without, _ = run(tmp_path, *TRAIN, "third", "--no-compilation-cache")
    assert "wrote third" in without
    assert (tmp_path / "third" / "model.safetensors").read_bytes() == one
    assert kept(tmp_path) == programs
    place = tmp_path / "cache" / "jaxmlp" / "programs"
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o700}
    shown, _ = run(tmp_path, "cache")
    assert f"{len(programs)} compiled programs" in shown
    cleared, _ = run(tmp_path, "cache", "--clear")
    assert cleared.startswith("deleted")
    assert kept(tmp_path) == {}


@pytest.mark.slow
def test_a_killed_command_leaves_nothing_behind_that_counts(tmp_path):
    process, end = start(tmp_path, *TRAIN, "killed"), time.monotonic() + 60
    while time.monotonic() < end and not list((tmp_path / "cache").rglob("process-*/*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list((tmp_path / "cache").glob("jaxmlp/programs/*/*-cache"))
    run(tmp_path, *TRAIN, "after")
    assert not list((tmp_path / "cache").rglob("process-*"))
    assert len(kept(tmp_path)) > 10


@pytest.fixture
def own_place(tmp_path, monkeypatch):
    monkeypatch.setattr(program_cache, "_place", lambda: tmp_path / "programs")
    return tmp_path / "programs"


def test_a_folder_that_others_may_write_to_is_passed_over(own_place, capsys):
    own_place.mkdir(mode=0o777)
    own_place.chmod(0o777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program_cache, "_chosen_by_user", lambda: False)
        program_cache.keep_programs()
    said = capsys.readouterr().err
    assert said.startswith("note: compiled programs are not kept: ")
    assert "others may write to it" in said


def test_what_others_compiled_is_not_replaced_and_the_oldest_go(own_place):
    own, folder = own_place / "process-1-x", own_place
    own.mkdir(parents=True)
    for k in range(5):
        (folder / f"{k}-cache").write_bytes(bytes(100))
        os.utime(folder / f"{k}-cache", (k, k))
    (own / "0-cache").write_bytes(b"another")
    (own / "new-cache").write_bytes(bytes(100))
    program_cache._hand_over(own, folder)
    assert (folder / "0-cache").read_bytes() == bytes(100)
    assert (folder / "new-cache").is_file()
    assert not own.exists()
    program_cache._limit(folder, most=250)
    assert {p.name for p in folder.iterdir()} == {"4-cache", "new-cache"}


def test_folders_of_the_dead_are_removed_and_those_of_the_living_stay(own_place):
    own_place.mkdir()
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, living = (own_place / f"process-{n}-x" for n in (process.pid, os.getpid()))
    dead.mkdir()
    living.mkdir()
    program_cache._remove_those_of_the_dead(own_place)
    assert not dead.exists()
    assert living.exists()


def test_a_folder_that_the_user_chose_for_jax_is_left_alone(own_place):
    assert program_cache.jax.config.jax_compilation_cache_dir  # the tests' own
    program_cache.keep_programs()
    assert not own_place.exists()
