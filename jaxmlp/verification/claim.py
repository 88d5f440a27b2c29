"""Whether a claimed gradient has the leaves, shapes and dtypes of the parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.messages import phrase
from jaxmlp.types import PyTree
from jaxmlp.verification.causes.diagnosis import misshapen
from jaxmlp.verification.measurement.functions import Point, named_leaves
from jaxmlp.verification.measurement.precision import Precision

_FEWEST_CUT = 8  # entries that must have lost digits; fewer could be chance


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
            faults[l] = misshapen(array.shape, point.shapes[l])
    replaced = tuple(point.names[l] for l in faults)
    extra = tuple(n for n in leaves if n not in point.names and not n.startswith(replaced))
    same = jax.tree.structure(grads) == point.treedef
    container = "" if same or faults or extra else _container_fault(grads, point)
    return Claim(vector, misfits, faults, extra, container)


def stacked_vectors(grads: PyTree, point: Point, n: int) -> np.ndarray:
    """Return n gradients with a leading axis as vectors, 0 where their form does not fit."""
    leaves = named_leaves(grads, point.root)
    vectors = np.zeros((n, len(point.vector)))
    for name, shape, part in zip(point.names, point.shapes, point.slices, strict=True):
        if not _leaf_fault(leaves, name) and np.shape(leaves[name]) == (n, *shape):
            vectors[:, part] = np.asarray(leaves[name], np.float64).reshape(n, -1)
    return vectors


def cut_to_16_bits(
    point: Point, claimed: np.ndarray, autodiff: np.ndarray | None, of_fn: Precision | None
) -> dict[int, str]:
    """Find a gradient that is jax.grad with its digits cut off, though fn has more of them.

    A claim that computes in 16-bit floats differs from that in some last digit, and is right.

    Returns:
        What is wrong, in words, by the leaf's index; {} if nothing is.
    """
    if autodiff is None or of_fn in (Precision.HALF, None):
        return {}
    changed = np.abs(claimed - autodiff) > 1e-6 * np.abs(autodiff)
    if changed.sum() < _FEWEST_CUT:
        return {}
    for dtype, bits, least in ((jnp.float16, 11, "6e-08"), (jnp.bfloat16, 8, "1e-38")):
        if np.array_equal(claimed, autodiff.astype(dtype).astype(np.float64)):
            words = phrase(
                "rounded to {dtype}, though fn computes in more than 16 bits: {bits} binary digits "
                "are left, and nothing below {least}",
                dtype=jnp.dtype(dtype).name,
                bits=bits,
                least=least,
            )
            return {l: words for l, part in enumerate(point.slices) if changed[part].any()}
    return {}


def _leaf_fault(leaves: dict[str, Any], name: str) -> str:
    if name not in leaves:
        inside = [other for other in leaves if other.startswith(name)]
        if inside:
            return phrase("grads has {leaves} in its place", leaves=", ".join(inside))
        return phrase("is missing in grads")
    dtype = np.asarray(leaves[name]).dtype
    if dtype.kind in "OSU":
        return phrase("is not an array of numbers")
    if not jnp.issubdtype(dtype, jnp.floating):
        return phrase("has dtype {dtype}, not a floating one", dtype=str(dtype))
    return ""


def _container_fault(grads: PyTree, point: Point) -> str:
    return phrase(
        "grads has the structure {claimed}, but params has {right}; return the same containers, "
        "or an optimizer's jax.tree.map will refuse them",
        claimed=str(jax.tree.structure(grads)),
        right=str(point.treedef),
    )


def batch_sizes(args: Any) -> tuple[int, ...]:
    """Return the leading sizes of the arrays among the arguments: the likely batch sizes."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(args) if hasattr(leaf, "shape")]
    return tuple(dict.fromkeys(shape[0] for shape in shapes if len(shape) and shape[0] > 1))
