"""Backbones of one's own: pure functions with parameters, modules of flax, equinox, PyTorch."""

import hashlib
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.backbones.differentiable import Parameters, Pull
from jaxmlp.backbones.source import Extractor
from jaxmlp.backbones.torch_modules import module_extractor
from jaxmlp.blocks import pad_rows

_DIGITS = 16  # of a digest that is shown


def name_of(function: Any) -> str:
    """What a function or module is called."""
    return str(getattr(function, "__qualname__", type(function).__name__))


def _as_function(function: Any, params: Any) -> tuple[Callable[[Any, Any], Any], Any]:
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
            "with its params, or a module of flax, equinox or PyTorch."
        )
    return function, params


def _of_equinox(module: Any, params: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    import equinox

    _refuse_params(params, "equinox")
    arrays, rest = equinox.partition(equinox.nn.inference_mode(module), equinox.is_array)
    return (lambda p, x: jax.vmap(equinox.combine(p, rest))(x)), arrays


def _of_nnx(module: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise TypeError("a module of flax.linen needs its variables, wrap(module, variables).")
    module.eval()  # type: ignore[no-untyped-call]
    graph, state = nnx.split(module)
    return (lambda p, x: nnx.merge(graph, p)(x)), state


def _refuse_params(params: Any, library: str) -> None:
    if params is not None:
        raise TypeError(f"a module of {library} has its parameters itself; leave params out.")


class _JaxModel:
    """A JAX function with its parameters as a `DifferentiableModel`.

    Args:
        function: (params, batch) -> features.
        params: a pytree of arrays.
        fixed: names of those that no training changes: running statistics.
    """

    traceable = True
    ordered = False

    def __init__(
        self, function: Callable[[Any, Any], Any], params: Any, fixed: frozenset[str] = frozenset()
    ) -> None:
        """Keep them; nothing runs yet."""
        self._function, self._params, self._fixed = function, params, fixed
        self._compiled = jax.jit(function)

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Return the arrays of floats by the names of their places."""
        return {
            name: np.asarray(leaf)
            for name, leaf in _named(self._params)
            if name not in self._fixed and jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating)
        }

    def extract(self, items: list[Any]) -> np.ndarray:
        """Return features, (items, features)."""
        batch = self.inputs(items)
        size = 1 << (len(items) - 1).bit_length()  # few programs serve all numbers of items
        found = np.asarray(self._compiled(self._params, jnp.asarray(pad_rows(batch, size))))
        return found[: len(items)].reshape(len(items), -1)

    def inputs(self, items: list[Any]) -> np.ndarray:
        """Return the items as one batch."""
        shapes = {np.shape(item) for item in items}
        if len(shapes) > 1:
            raise ValueError(f"the items have the shapes {sorted(shapes)}; pass equal ones.")
        return np.stack([np.asarray(item) for item in items])

    def features(self, parameters: Parameters, inputs: Any) -> Any:
        """Return features with some parameters exchanged, (items, features)."""
        return self._function(self._with(parameters), inputs).reshape(len(inputs), -1)

    def features_and_pull(self, parameters: Parameters, inputs: Any) -> tuple[Any, Pull]:
        """Return features, and the way back that `jax.vjp` makes to `parameters`."""
        found, pull = jax.vjp(lambda own: self.features(own, inputs), dict(parameters))
        return found, lambda d_features: pull(d_features)[0]

    def _with(self, parameters: Parameters) -> Any:
        leaves = [parameters.get(name, leaf) for name, leaf in _named(self._params)]
        return jax.tree.unflatten(jax.tree.structure(self._params), leaves)

    def replaced(self, parameters: Parameters) -> Self:
        """Return a model with some parameters exchanged; this one keeps its own."""
        return type(self)(self._function, self._with(parameters), self._fixed)

    def digest(self) -> str:
        """Name the parameters by their content."""
        return _digest(self._params)


def _named(params: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]


def make_extractor(function: Any, params: Any, name: str) -> Extractor:
    """Make an extractor of what `_as_function` takes; its name tells the parameters' content.

    Args:
        function: a function (params, batch) -> features, or a module.
        params: a pytree of arrays, or None.
        name: what it is.
    """
    if any(base.__module__.startswith("torch.") for base in type(function).__mro__):
        _refuse_params(params, "PyTorch")
        return module_extractor(function, name)
    fixed = _statistics(function, params)
    model = _JaxModel(*_as_function(function, params), fixed)
    named = f"{name} sha256:{model.digest()}"
    return Extractor("array", model.extract, named, 0, model=model)


def _statistics(function: Any, params: Any) -> frozenset[str]:
    """Name what a module keeps beside its parameters: collections of linen, variables of nnx."""
    if params is not None:
        linen = any(base.__module__.startswith("flax.") for base in type(function).__mro__)
        return frozenset(n for n, _ in _named(params) if linen and not n.startswith("params."))
    if not any(base.__module__.startswith("flax.nnx") for base in type(function).__mro__):
        return frozenset()
    from flax import nnx

    trained = {name for name, _ in _named(nnx.state(function, nnx.Param))}
    return frozenset(name for name, _ in _named(nnx.state(function)) if name not in trained)


def _digest(params: Any) -> str:
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(leaf)
        where = jax.tree_util.keystr(path)
        found.update(f"{where} {array.dtype} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:_DIGITS]
