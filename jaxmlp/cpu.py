"""Settings of XLA for processors: tiny networks as one kernel, and programs that compile sooner."""

import os
from functools import cache
from itertools import pairwise

import jax
from jaxlib.version import __version__ as jaxlib_version

from jaxmlp.config import MLPConfig
from jaxmlp.networks import NetworkConfig
from jaxmlp.once import CompilerOptions, accepted_options

_EXTRA = "--xla_backend_extra_options="
_SMALL_LOOP = "xla_cpu_small_while_loop_byte_threshold"
_OLDER_EMITTER = "xla_cpu_disable_new_fusion_emitters"
_BYTES = 100_000  # that a loop may work on to become one kernel
_SMALL_STEP = 50_000  # operations of a step, above which products by plain loops are the slower


@cache
def one_kernel_options() -> CompilerOptions:
    """Compiler options of a program whose loop becomes one kernel: products by no library."""
    return accepted_options(xla_cpu_experimental_ynn_fusion_type="")


def tune_cpu() -> None:
    """Have `fit` train tiny networks in one kernel, and compile sooner, in all of this process.

    A step of 2-16-2 is some forty kernels, and starting them takes longer than what they compute.
    XLA can make one kernel of a loop that works on few bytes; by default these are about 1,000,
    here 100,000. Nothing but the order of sums changes. Steps of more than 50,000 operations are
    left alone. It is a setting of the whole process: a small loop of other code that consists of
    products of matrices may become slower. How programs compile sooner: see `compile_sooner`.

    Raises:
        RuntimeError: if JAX has computed something already, for XLA reads its settings only once.

    Example:
        >>> tune_cpu()  # doctest: +SKIP

    Differences: `XLA_FLAGS` in the environment of the process does the same, and what stands there
    is kept.
    """
    if not _is_tuned():
        _add_option(f"{_SMALL_LOOP}={_BYTES}")
        compile_sooner()


def compile_sooner() -> None:
    """Have XLA compile in half the time, from now on in this process, where nothing gets slower.

    Since jaxlib 0.10 a pipeline of its own compiles each kernel; the emitter before it is still
    there, and plain networks learn the same bits with it (of batch normalization and embeddings of
    numbers the last ones may differ). With jaxlib 0.11, 64-128-10 is compiled in 0.39 instead of
    0.73 s, and a step takes as long as before. With 0.10 steps would take 1.7 times as long, so
    nothing changes there.

    Raises:
        RuntimeError: if JAX has computed something already, for XLA reads its settings only once.

    Example:
        >>> compile_sooner()  # doctest: +SKIP

    Differences: `XLA_FLAGS` in the environment, as for `tune_cpu`.
    """
    if not jaxlib_version.startswith("0.10.") and not _has_option(_OLDER_EMITTER):
        _add_option(_OLDER_EMITTER)


def _add_option(option: str) -> None:
    if _has_started():
        raise RuntimeError(
            "JAX has computed something already, and reads its settings before that; call "
            "jaxmlp.tune_cpu() right after the imports."
        )
    flags = os.environ.get("XLA_FLAGS", "").split()
    given = [flag for flag in flags if flag.startswith(_EXTRA)]
    options = ",".join([*(flag.removeprefix(_EXTRA) for flag in given), option])
    kept = [flag for flag in flags if flag not in given]
    os.environ["XLA_FLAGS"] = " ".join([*kept, _EXTRA + options])


def _has_option(option: str) -> bool:
    return option in os.environ.get("XLA_FLAGS", "")


def runs_as_one_kernel(config: NetworkConfig, batch_size: int) -> bool:
    """Whether the steps of a network are so small that its loop shall be one kernel."""
    if not isinstance(config, MLPConfig) or not _is_tuned() or jax.default_backend() != "cpu":
        return False
    weights = sum(n * m for n, m in pairwise(config.layer_sizes))
    return 6 * batch_size * weights < _SMALL_STEP


def _is_tuned() -> bool:
    return _has_option(_SMALL_LOOP)


def _has_started() -> bool:
    """Whether JAX has a backend: it then refuses another number of devices."""
    option = "jax_num_cpu_devices"
    before = getattr(jax.config, option)
    try:
        jax.config.update(option, before + 2)
    except RuntimeError:
        return True
    jax.config.update(option, before)
    return False
