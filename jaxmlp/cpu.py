"""A setting of XLA for processors: the inner loop of a tiny network as one kernel."""

import os
from functools import cache
from itertools import pairwise

import jax

from jaxmlp.config import MLPConfig
from jaxmlp.networks import NetworkConfig
from jaxmlp.once import CompilerOptions, accepted_options

_OPTION = "xla_cpu_small_while_loop_byte_threshold"
_BYTES = 100_000  # that a loop may work on to become one kernel
_SMALL_STEP = 50_000  # operations of a step, above which products by plain loops are the slower


@cache
def one_kernel_options() -> CompilerOptions:
    """Compiler options of a program whose loop becomes one kernel: products by no library."""
    return accepted_options(xla_cpu_experimental_ynn_fusion_type="")


def tune_cpu() -> None:
    """Have `fit` train tiny networks in one kernel, from now on in this process.

    A step of 2-16-2 is some forty kernels, and starting them takes longer than what they compute.
    XLA can make one kernel of a loop that works on few bytes; by default these are about 1,000,
    here 100,000. Nothing but the order of sums changes. Steps of more than 50,000 operations are
    left alone. It is a setting of the whole process: a small loop of other code that consists of
    products of matrices may become slower.

    Raises:
        RuntimeError: if JAX has computed something already, for XLA reads its settings only once.

    Example:
        >>> tune_cpu()  # doctest: +SKIP

    Differences: `XLA_FLAGS` in the environment of the process does the same, and what stands there
    is kept.
    """
    if _is_tuned():
        return
    if _has_started():
        raise RuntimeError(
            "JAX has computed something already, and reads its settings before that; call "
            "jaxmlp.tune_cpu() right after the imports."
        )
    flags = os.environ.get("XLA_FLAGS", "").split()
    given = [flag for flag in flags if flag.startswith("--xla_backend_extra_options=")]
    own = ",".join([*(flag.partition("=")[2] for flag in given), f"{_OPTION}={_BYTES}"])
    kept = [flag for flag in flags if flag not in given]
    os.environ["XLA_FLAGS"] = " ".join([*kept, f"--xla_backend_extra_options={own}"])


def runs_as_one_kernel(config: NetworkConfig, batch_size: int) -> bool:
    """Whether the steps of a network are so small that its loop shall be one kernel."""
    if not isinstance(config, MLPConfig) or not _is_tuned() or jax.default_backend() != "cpu":
        return False
    weights = sum(n * m for n, m in pairwise(config.layer_sizes))
    return 6 * batch_size * weights < _SMALL_STEP


def _is_tuned() -> bool:
    return _OPTION in os.environ.get("XLA_FLAGS", "")


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
