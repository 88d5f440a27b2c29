"""What JAX reads once, when it starts."""

from contextlib import suppress

import jax

from benchmarks.harness.environment import cpu_count

MANY_DEVICES = ("sweep", "members", "scaling")  # on a CPU, one device per core


def prepare_backend(workload: str) -> None:
    """Set what JAX reads once, when it starts: devices of the CPU, and who computes.

    Workloads of many networks get one device per core. Inference computes in the calling thread,
    as a server of single rows should: handing a row over to another takes longer than its products.
    """
    with suppress(RuntimeError):  # it has started: what there is is used, and the rows say so
        jax.config.update("jax_num_cpu_devices", cpu_count() if workload in MANY_DEVICES else 1)
        jax.config.update("jax_cpu_enable_async_dispatch", workload != "inference")
