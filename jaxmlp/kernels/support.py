"""Which networks the kernels serve, and how a kernel runs where it is."""

from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from jaxmlp.barriers import without_barriers
from jaxmlp.networks import NetworkConfig
from jaxmlp.tabular_config import TabularConfig

_LARGEST_WIDTH = 128  # units: the activations of a tile and the weights share one multiprocessor
_SMALLEST_GPU_SIZE = 16  # of a factor of a product on tensor cores
_NO_GPU_KERNEL = {  # by dtype of the products: erfc, and the logistic function in bfloat16
    "float32": ("gelu_exact",),
    "bfloat16": ("gelu_exact", "gelu", "mish", "sigmoid", "silu"),
}


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


def check_compiles(config: NetworkConfig, batch_size: int) -> None:
    """Refuse what the compiler of kernels cannot take where JAX computes; on a CPU all are served.

    Args:
        config: the network.
        batch_size: rows a step.

    Raises:
        ValueError: on a GPU, for sizes that are no powers of two from 16 on, for float64, and for
            activations whose functions no kernel has; on other accelerators, for all networks.

    Example:
        >>> from jaxmlp import MLPConfig
        >>> check_compiles(MLPConfig((64, 100, 10)), 60)  # no kernel is compiled on a CPU
    """
    platform = jax.default_backend()
    if platform == "cpu":
        return
    if platform != "gpu":
        raise refusal(f"the platform {platform}")
    for size in (*config.layer_sizes, batch_size):
        if size < _SMALLEST_GPU_SIZE or size & (size - 1):
            raise refusal(f"layers or batches of {size} on a GPU, only powers of two from 16 on")
    dtype = config.product_dtype
    if dtype == "float64":
        raise refusal("float64 on a GPU")
    for phi in config.activations:
        if phi.name in _NO_GPU_KERNEL[dtype]:
            raise refusal(f"{phi.name} in {dtype} on a GPU")


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
    """Call a kernel: compiled on NVIDIA's GPUs, interpreted where there is no compiler for it.

    The platform is that of the program which is lowered, so that `jax.export` for a GPU contains
    the kernel wherever it is run. The backend is Triton's: Mosaic's has no products of arrays but
    on tiles laid out by hand.

    Args:
        kernel: writes its output refs.
        inputs: arrays, or pytrees of them.
        specs: grid, in_specs, out_specs and out_shape of `pallas_call`.

    Returns:
        The outputs, as out_shape has them.

    Raises:
        ValueError: where a function that the kernel calls holds arrays, which it cannot.
    """

    def body(*refs: Any) -> None:
        with without_barriers():
            kernel(*refs)

    def call(**options: Any) -> Callable[..., Any]:
        return lambda *arrays: pl.pallas_call(body, **options, **specs)(*arrays)

    try:
        return jax.lax.platform_dependent(
            *inputs,
            cpu=call(interpret=True),
            cuda=call(compiler_params=triton.CompilerParams()),
            default=call(interpret=True),
        )
    except ValueError as error:
        if "captures constants" not in str(error):
            raise
        what = "an activation, a loss or an update rule that holds arrays of its own"
        raise refusal(what) from error
