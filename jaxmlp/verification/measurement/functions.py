"""Calling anybody's function in float64: at one point, and at many points at once.

A function under test may be written in JAX or in numpy, may return a value or (value, aux), and
may want its parameters as numpy or as JAX arrays: nothing here assumes more than that it can be
called.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import PyTreeDef

from jaxmlp.blocks import map_blocks
from jaxmlp.once import quick_compilation
from jaxmlp.types import Layer, PyTree

MAX_CHUNK = 2**22  # doubles in one batch of parameter vectors: 32 MiB
_SMALL = 2**20


@contextmanager
def float64_arithmetic() -> Iterator[None]:
    """Run in float64 under relaxed promotion, and leave the caller's settings as they were."""
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        stack.enter_context(jax.debug_nans(False))
        stack.enter_context(jax.debug_infs(False))
        stack.enter_context(np.errstate(all="ignore"))  # a probe may overflow; the verdict says so
        yield


def promote(tree: PyTree) -> PyTree:
    """Make every floating array float64, numpy or JAX as it was; leave all else."""
    return jax.tree.map(_promote_leaf, tree)


def _promote_leaf(leaf: Any) -> Any:
    if isinstance(leaf, np.floating):
        return np.float64(leaf)
    if not isinstance(leaf, np.ndarray | jax.Array) or not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf
    return leaf.astype(np.float64) if isinstance(leaf, np.ndarray) else leaf.astype(jnp.float64)


def named_leaves(tree: PyTree, root: str) -> dict[str, Any]:
    """Return leaves by their path, such as {"layers[0].W": ...}."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {root + jax.tree_util.keystr(path): leaf for path, leaf in paths}


@dataclass(frozen=True)
class Point:
    """The parameters at which a gradient is checked: a pytree, and one float64 vector.

    Attributes:
        names: of the leaves, such as "layers[0].W".
        shapes: of the leaves.
        treedef: of the pytree.
        numpy: which leaves the caller gave as numpy arrays; they are handed back as such.
        vector: all entries, (n_parameters,).
        root: what names start with.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    treedef: PyTreeDef
    numpy: tuple[bool, ...]
    vector: np.ndarray
    root: str

    @property
    def slices(self) -> list[slice]:
        """Where each leaf lies in the vector."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        return [slice(end - int(np.prod(s)), end) for end, s in zip(ends, self.shapes, strict=True)]

    def tree(self, vector: np.ndarray) -> PyTree:
        """Return the caller's pytree with other entries; always fresh arrays."""
        leaves = []
        for part, shape, as_numpy in zip(self.slices, self.shapes, self.numpy, strict=True):
            leaf = vector[part].reshape(shape)
            leaves.append(np.array(leaf) if as_numpy else jax.device_put(np.array(leaf)))
        return jax.tree.unflatten(self.treedef, leaves)

    def stacked_tree(self, vectors: np.ndarray) -> PyTree:
        """Return the pytree with a leading axis, one entry a vector."""
        leaves = [
            vectors[:, part].reshape((len(vectors), *shape))
            for part, shape in zip(self.slices, self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.treedef, leaves)

    def leaf(self, vector: np.ndarray, l: int) -> np.ndarray:
        """Return one leaf of a vector in its shape."""
        return vector[self.slices[l]].reshape(self.shapes[l])


def make_point(params: PyTree) -> Point:
    """Take parameters apart, refusing what has no gradient."""
    ours = isinstance(params, tuple) and params and all(isinstance(p, Layer) for p in params)
    root = "layers" if ours else "params"
    leaves = named_leaves(params, root)
    if not leaves:
        raise ValueError("params has no leaves; pass a pytree of floating arrays.")
    for name, leaf in leaves.items():
        dtype = np.result_type(leaf) if isinstance(leaf, float) else getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"{name} is {dtype or type(leaf).__name__}, but gradients exist for real floating "
                "arrays only. Make it a float array, or pass it among the other arguments."
            )
    arrays = [np.asarray(leaf, np.float64) for leaf in leaves.values()]
    if not sum(array.size for array in arrays):
        raise ValueError("params has no entries: every leaf is empty.")
    return Point(
        names=tuple(leaves),
        shapes=tuple(array.shape for array in arrays),
        treedef=jax.tree.structure(params),
        numpy=tuple(not isinstance(leaf, jax.Array) for leaf in leaves.values()),
        vector=np.concatenate([array.ravel() for array in arrays]),
        root=root,
    )


def as_scalar(result: Any) -> Any:
    """Return the value of fn, whether it came alone or as (value, aux)."""
    value = result[0] if isinstance(result, tuple) and result else result
    if not (hasattr(value, "dtype") or isinstance(value, int | float | complex)):
        raise TypeError(f"fn returned {value!r:.40}; return one number, such as jnp.mean(losses).")
    if jnp.iscomplexobj(value):
        raise TypeError(
            "fn returned a complex number, but gradients exist of real ones only. Return its real "
            "part, or its absolute value."
        )
    if np.size(value) != 1:
        raise ValueError(
            f"fn returned shape {np.shape(value)}, but a gradient is that of one number. Return a "
            "scalar, such as jnp.mean(losses), or use check_jacobian."
        )
    return value.reshape(()) if np.ndim(value) else value


def split_claim(result: Any, treedef: PyTreeDef) -> tuple[Any, PyTree]:
    """Return (value or None, grads) of a function that may return the gradient alone."""
    is_pair = isinstance(result, tuple) and len(result) == 2 and not hasattr(result, "_fields")
    if is_pair and jax.tree.structure(result[1]) == treedef:
        return as_scalar(result[0]), result[1]
    if jax.tree.structure(result) == treedef:
        return None, result
    if is_pair and _is_value(result[0]):
        return as_scalar(result[0]), result[1]
    if not isinstance(result, tuple) and _is_value(result):
        raise TypeError(
            "value_and_grad_fn returned a number and no gradient; pass the function that returns "
            "(value, grads) first, and the one that returns the value second."
        )
    return None, result


def _is_value(first: Any) -> bool:
    head = first[0] if isinstance(first, tuple) and first else first
    return isinstance(head, float | np.ndarray | np.generic | jax.Array) and np.size(head) == 1


class ManyPoints:
    """call(params) -> pytree of arrays, at many parameter vectors; compiled where it can be.

    Args:
        call: takes the caller's pytree.
        point: how vectors become pytrees.
        rows: how many vectors one compiled call takes.
    """

    def __init__(self, call: Callable[[PyTree], Any], point: Point, rows: int) -> None:
        """Compile nothing yet."""
        n = max(1, len(point.vector))
        self.call, self.point, self.rows = call, point, max(1, min(rows, MAX_CHUNK // n))
        # a cast to bfloat16 and back must round, as it does when the caller runs the function
        options: dict[str, Any] = {"xla_allow_excess_precision": False}
        if jax.default_backend() == "cpu" and n * self.rows < _SMALL:
            options |= quick_compilation()
        self.compiled = jax.jit(jax.vmap(call), compiler_options=options)
        self.by_loop = False

    def __call__(self, vectors: np.ndarray) -> PyTree:
        """Return results with a leading axis, one entry a row of `vectors`, (n, n_parameters)."""
        if not self.by_loop:
            try:
                return self._in_batches(vectors)
            except Exception:  # whatever numpy code raises when it meets a tracer
                self.by_loop = True
        results = [self.call(self.point.tree(vector)) for vector in vectors]
        return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *results)

    def _in_batches(self, vectors: np.ndarray) -> PyTree:
        def compute(batch: np.ndarray) -> PyTree:
            return self.compiled(self.point.stacked_tree(batch))

        return map_blocks(compute, vectors, size=self.rows)
