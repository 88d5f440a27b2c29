"""Backbones in JAX: pure functions with parameters, modules of flax and equinox."""

import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.backbones.source import Extractor
from jaxmlp.blocks import pad_rows

_DIGITS = 16  # of a digest that is shown


def name_of(function: Any) -> str:
    """What a function or module is called."""
    return str(getattr(function, "__qualname__", type(function).__name__))


def as_function(function: Any, params: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    """Return a pure function (params, batch) -> features, and its parameters.

    Args:
        function: such a function, or a module of flax.linen, flax.nnx or equinox.
        params: its parameters, or the variables of a flax.linen module; else None.

    Raises:
        TypeError: for something else, or parameters where the module has them itself.
    """
    kinds = {base.__module__.partition(".")[0]: base for base in type(function).__mro__}
    if "equinox" in kinds:
        return _of_equinox(function, params)
    if "flax" in kinds and params is None:
        return _of_nnx(function)
    if "flax" in kinds:
        return (lambda variables, x: function.apply(variables, x)), params
    if not callable(function) or params is None:
        raise TypeError(
            f"{function!r:.60} with params={params!r:.40}; pass a function (params, x) -> features "
            "with its params, or a module of flax or equinox."
        )
    return function, params


def _of_equinox(module: Any, params: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    import equinox

    _refuse_params(params)
    arrays, rest = equinox.partition(equinox.nn.inference_mode(module), equinox.is_array)
    return (lambda p, x: jax.vmap(equinox.combine(p, rest))(x)), arrays


def _of_nnx(module: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise TypeError("a module of flax.linen needs its variables, wrap(module, variables).")
    module.eval()  # type: ignore[no-untyped-call]
    graph, state = nnx.split(module)
    return (lambda p, x: nnx.merge(graph, p)(x)), state


def _refuse_params(params: Any) -> None:
    if params is not None:
        raise TypeError("a module of equinox has its parameters itself; leave params out.")


def make_extractor(function: Callable[[Any, Any], Any], params: Any, name: str) -> Extractor:
    """Compile a function; name it by the digest of its parameters.

    Args:
        function: (params, batch) -> features.
        params: a pytree of arrays.
        name: what it is.
    """
    compiled = jax.jit(function)

    def extract(items: list[Any]) -> np.ndarray:
        shapes = {np.shape(item) for item in items}
        if len(shapes) > 1:
            raise ValueError(f"the items have the shapes {sorted(shapes)}; pass equal ones.")
        batch = np.stack([np.asarray(item) for item in items])
        size = 1 << (len(items) - 1).bit_length()  # few programs serve all numbers of items
        found = np.asarray(compiled(params, jnp.asarray(pad_rows(batch, size))))
        return found[: len(items)].reshape(len(items), -1)

    return Extractor("array", extract, f"{name} sha256:{_digest(params)}", 0)


def _digest(params: Any) -> str:
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(leaf)
        where = jax.tree_util.keystr(path)
        found.update(f"{where} {array.dtype} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:_DIGITS]
