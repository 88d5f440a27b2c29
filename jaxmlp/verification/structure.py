"""Whether a claimed gradient has the leaves, shapes and dtypes of the parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.types import PyTree
from jaxmlp.verification.functions import Point, named_leaves


class Claim(NamedTuple):
    """A claimed gradient, taken apart.

    Attributes:
        vector: its entries where they fit the parameters, 0 elsewhere, (n_parameters,).
        misfits: arrays whose shape does not fit, by the leaf's index.
        faults: what is wrong with a leaf's form, in words, by the leaf's index.
        extra: names of leaves that the parameters do not have.
        container: what is wrong with the pytree itself, or "".
    """

    vector: np.ndarray
    misfits: dict[int, np.ndarray]
    faults: dict[int, str]
    extra: tuple[str, ...]
    container: str


def take_apart(grads: PyTree, point: Point) -> Claim:
    """Match a claimed gradient with the parameters, leaf by leaf, by path."""
    leaves = named_leaves(grads, point.root)
    vector = np.zeros_like(point.vector)
    misfits: dict[int, np.ndarray] = {}
    faults: dict[int, str] = {}
    for l, name in enumerate(point.names):
        fault = _leaf_fault(leaves, name)
        if fault:
            faults[l] = fault
            continue
        array = np.asarray(leaves[name], np.float64)
        if array.shape == point.shapes[l]:
            vector[point.slices[l]] = array.ravel()
        else:
            misfits[l] = array
            faults[l] = f"has shape {array.shape}, but the parameter has {point.shapes[l]}"
    extra = tuple(name for name in leaves if name not in point.names)
    same = jax.tree.structure(grads) == point.treedef
    container = "" if same or faults or extra else _container_fault(grads, point)
    return Claim(vector, misfits, faults, extra, container)


def stacked_vectors(grads: PyTree, point: Point) -> np.ndarray:
    """Return gradients with a leading axis as vectors, 0 where their form does not fit, (n, P)."""
    leaves = named_leaves(grads, point.root)
    n = max((len(leaf) for leaf in leaves.values() if np.ndim(leaf)), default=1)
    vectors = np.zeros((n, len(point.vector)))
    for name, shape, part in zip(point.names, point.shapes, point.slices, strict=True):
        if not _leaf_fault(leaves, name) and np.shape(leaves[name]) == (n, *shape):
            vectors[:, part] = np.asarray(leaves[name], np.float64).reshape(n, -1)
    return vectors


def _leaf_fault(leaves: dict[str, Any], name: str) -> str:
    if name not in leaves:
        inside = [other for other in leaves if other.startswith(name)]
        return f"grads has {inside[0]} in its place" if inside else "is missing in grads"
    dtype = np.asarray(leaves[name]).dtype
    if dtype.kind in "OSU":
        return "is not an array of numbers"
    if not jnp.issubdtype(dtype, jnp.floating):
        return f"has dtype {dtype}, not a floating one"
    return ""


def _container_fault(grads: PyTree, point: Point) -> str:
    return (
        f"grads has the structure {jax.tree.structure(grads)}, but params has {point.treedef}; "
        "return the same containers, or an optimizer's jax.tree.map will refuse them"
    )


def batch_sizes(args: Any) -> tuple[int, ...]:
    """Return the leading sizes of the arrays among the arguments: the likely batch sizes."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(args) if hasattr(leaf, "shape")]
    return tuple(dict.fromkeys(shape[0] for shape in shapes if len(shape) and shape[0] > 1))
