"""A strict session: no silent promotion of ranks or dtypes, and 64 bits only where asked for."""

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Compiling is most of what tests do, and takes half the time so: by default, XLA sets up a compiler
# of its own for each kernel, and threads that the workers have no processors for. Plain
# networks learn the same bits, others up to the last ones (`tests/training/test_emitters.py`);
# XLA_FLAGS="" tests what users have.
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = (
        "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters "
        "--xla_cpu_parallel_codegen_split_count=1"
    )

import jax
import pytest

# Programs and libraries stay, and there are many: looking for garbage less often saves a tenth.
gc.set_threshold(100_000, 50, 100)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# The next run finds the programs of this one. Each worker has a folder of its own, for a program is
# not written in one piece.
PROGRAMS = Path(__file__).parent.parent / ".pytest_cache" / "programs"
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    jax.config.update("jax_compilation_cache_dir", str(PROGRAMS / (WORKER or "alone")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    # Else the folder's name, another one for each worker, would be a part of every key.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")

# Commands that tests start keep theirs beside it, and not in the user's own cache.
os.environ["XDG_CACHE_HOME"] = str(PROGRAMS.parent / f"commands-{WORKER or 'alone'}")

# Commands speak English where a test does not ask for another language.
os.environ["LC_ALL"] = "C.UTF-8"

# `tests/training/test_sharding.py` starts a process that has these devices.
EIGHT_DEVICES = os.environ.get("JAX_NUM_CPU_DEVICES") == "8"
collect_ignore_glob = [] if EIGHT_DEVICES else ["eight_devices/test_*.py"]

TESTS_BETWEEN_LOOKS = 25
MOST_MAPS = 20_000
MAPS = Path("/proc/self/maps")
_ended = 0


def pytest_sessionstart() -> None:
    """Give every worker the programs of all before the first starts: tests change places."""
    if WORKER is not None or not PROGRAMS.exists():
        return
    folders = [folder for folder in PROGRAMS.iterdir() if folder.is_dir()]
    programs = {program.name: program for folder in folders for program in folder.iterdir()}
    for folder in folders:
        for name in programs.keys() - set(os.listdir(folder)):
            with suppress(FileExistsError):  # another session does the same
                os.link(programs[name], folder / name)


_shared: set[str] = set()


def _share_programs() -> None:
    """Link what this worker has compiled since the last test into the folders of the others."""
    new = set(os.listdir(PROGRAMS / WORKER)) - _shared if (PROGRAMS / WORKER).is_dir() else set()
    _shared.update(new)
    for folder in PROGRAMS.iterdir() if new else ():
        for name in new:
            with suppress(FileExistsError):
                os.link(PROGRAMS / WORKER / name, folder / name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Forget compiled programs now and then; a process that keeps thousands of them breaks.

    JAX's cache of calls holds 8,192, and then counts 0 for every new function, which the tests of
    recompilation see; and each program takes about 13 memory maps, of which Linux allows 65,530:
    then the compiler crashes. Forgetting takes seconds, and what is used again compiles again: so
    only where maps have become many, or every 100 tests where they cannot be counted.
    """
    global _ended
    result = yield
    _ended += 1
    if WORKER is not None:
        _share_programs()
    if _ended % TESTS_BETWEEN_LOOKS == 0:
        many = MAPS.read_bytes().count(b"\n") > MOST_MAPS if MAPS.exists() else _ended % 100 == 0
        if many:
            jax.clear_caches()
    return result


@pytest.fixture
def x64():
    """Run the test in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def standard_promotion():
    """JAX's own promotion of dtypes, on which optax's schedules count."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, and a terminal of 120 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
