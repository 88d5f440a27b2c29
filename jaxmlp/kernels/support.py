"""Which networks the kernels serve, and how a kernel runs where it is."""

from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import pallas as pl

from jaxmlp.networks import NetworkConfig
from jaxmlp.tabular_config import TabularConfig

_LARGEST_WIDTH = 128  # units: the activations of a tile and the weights share one multiprocessor


def check_served(config: NetworkConfig, frozen: tuple[int, ...] = ()) -> None:
    """Refuse a network that the kernels cannot train.

    Args:
        config: the network.
        frozen: indices of layers that do not train.

    Raises:
        ValueError: for batch normalization, dropout, frozen layers, a layer wider than 128 units,
            or a network for tables.

    Example:
        >>> from jaxmlp import MLPConfig
        >>> check_served(MLPConfig((64, 128, 10)))
        >>> check_served(MLPConfig((784, 128, 10)))
        Traceback (most recent call last):
            ...
        ValueError: kernel='fused' does not serve a layer of 784 units, more than 128; leave kernel
        at 'auto'.
    """
    if isinstance(config, TabularConfig):
        raise refusal("networks for tables")
    widest = max(config.layer_sizes)
    if widest > _LARGEST_WIDTH:
        raise refusal(f"a layer of {widest} units, more than {_LARGEST_WIDTH}")
    if any(config.normalized):
        raise refusal("batch normalization")
    if any(config.dropped):
        raise refusal("dropout")
    if frozen:
        raise refusal("frozen layers")


def refusal(what: str) -> ValueError:
    """Make the error for what the kernels do not serve.

    >>> str(refusal("dropout"))
    "kernel='fused' does not serve dropout; leave kernel at 'auto'."
    """
    return ValueError(f"kernel='fused' does not serve {what}; leave kernel at 'auto'.")


def whole(array: Any) -> pl.BlockSpec:
    """Give every program all of an array."""
    zeros = (0,) * len(array.shape)
    return pl.BlockSpec(array.shape, lambda i: zeros)


def blocks(array: Any, rows: int) -> pl.BlockSpec:
    """Give program i the rows from i * rows on."""
    zeros = (0,) * (len(array.shape) - 1)
    return pl.BlockSpec((rows, *array.shape[1:]), lambda i: (i, *zeros))


def run_kernel(kernel: Callable[..., None], inputs: tuple[Any, ...], **specs: Any) -> Any:
    """Call a kernel: compiled on an accelerator, interpreted on a CPU, where there is no compiler.

    The platform is that of the program which is lowered, so that `jax.export` for an accelerator
    contains the compiled kernel wherever it is run.

    Args:
        kernel: writes its output refs.
        inputs: arrays, or pytrees of them.
        specs: grid, in_specs, out_specs and out_shape of `pallas_call`.

    Returns:
        The outputs, as out_shape has them.
    """

    def call(interpret: bool) -> Callable[..., Any]:
        return lambda *arrays: pl.pallas_call(kernel, interpret=interpret, **specs)(*arrays)

    return jax.lax.platform_dependent(*inputs, cpu=call(True), default=call(False))
