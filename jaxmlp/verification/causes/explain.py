"""From the failing leaves of a gradient to one cause for each, in words."""

from typing import Any

import jax
import numpy as np

from jaxmlp.verification.causes.diagnosis import cause_of_shape, strong_cause
from jaxmlp.verification.causes.exchangeable import recognise_loss
from jaxmlp.verification.causes.failure import Context, Failure, equal
from jaxmlp.verification.causes.patterns import weak_cause
from jaxmlp.verification.causes.slips import find_slip
from jaxmlp.verification.evidence import LeafEvidence
from jaxmlp.verification.measurement.differences import Probes, central_differences
from jaxmlp.verification.measurement.functions import ManyPoints, Point
from jaxmlp.verification.measurement.noise import unit_of

_MAX_REFERENCE = 1000  # entries of a leaf that finite differences are taken of for a diagnosis


def true_gradient(
    leaf: LeafEvidence, index: int, fn: ManyPoints, point: Point, value: float, noise: float
) -> np.ndarray | None:
    """Return jax.grad of a leaf, else all its finite differences, else None."""
    if leaf.autodiff is not None and np.isfinite(leaf.autodiff).all():
        return leaf.autodiff.reshape(leaf.shape)
    part = point.slices[index]
    if not 0 < part.stop - part.start <= _MAX_REFERENCE:
        return None
    entries = np.arange(part.start, part.stop)
    probes = Probes(np.full(len(entries), index), entries, np.ones((1, len(point.vector))))
    slopes = central_differences(fn, point, probes, value, noise).slope
    true: np.ndarray = (slopes / unit_of(point)[part]).reshape(leaf.shape)
    return true


def explain(
    failures: list[Failure], claimed: np.ndarray, point: Point, context: Context
) -> dict[int, str]:
    """Return the cause for each failing leaf, by its index.

    A cause that every entry of every failing leaf bears out comes first; then, with a config, a
    slip of the backward pass that explains all leaves at once; then what can be said of each
    leaf alone, with the place where the gradient, followed back from the loss, goes wrong first.
    """
    causes = {
        failure.leaf: cause_of_shape(failure, context)
        for failure in failures
        if failure.claimed.shape != failure.true.shape
    }
    fitting = [failure for failure in failures if failure.leaf not in causes]
    if not fitting:
        return causes
    strong = {failure.leaf: strong_cause(failure, context) for failure in fitting}
    if len(set(strong.values())) == 1 and all(strong.values()):
        return causes | strong
    strong |= {leaf: words for leaf, words in _mixed_up(fitting).items() if not strong[leaf]}
    if all(strong.values()):
        return causes | strong
    slip = "" if causes else _slip(failures, claimed, point, context)
    place = "" if slip or not context.config else _first_wrong_step(failures, point, context)
    for failure in fitting:
        words = slip or strong[failure.leaf] or weak_cause(failure)
        causes[failure.leaf] = words + (f"; {place}" if place and not strong[failure.leaf] else "")
    return causes


def _slip(failures: list[Failure], claimed: np.ndarray, point: Point, context: Context) -> str:
    """Look for one slip of the backward pass behind all failures."""
    if context.config is None or point.root != "layers":
        return ""
    truth = claimed.copy()  # the leaves that passed are right
    for failure in failures:
        truth[point.slices[failure.leaf]] = failure.true.ravel()
    with_jax = [point.stacked_tree(vector[None]) for vector in (point.vector, truth, claimed)]
    params, true, wrong = [_unstack(tree) for tree in with_jax]
    config = context.config.replace(dtype="float64", compute_dtype=None)
    start = recognise_loss(config, params, context.args, dict(context.options), true)
    return "" if start is None else find_slip(start, wrong)


def _unstack(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.device_put(leaf[0]), tree)


def _mixed_up(failures: list[Failure]) -> dict[int, str]:
    """Find leaves that were given the gradient of another leaf."""
    return {
        wrong.leaf: f"this is the gradient of {other.name}: leaves are mixed up"
        for wrong in failures
        for other in failures
        if wrong is not other and equal(wrong.claimed, other.true, min(wrong.near, other.near))
    }


def _first_wrong_step(failures: list[Failure], point: Point, context: Context) -> str:
    """Say where the gradient goes wrong first, followed from the loss back to the inputs."""
    if point.root != "layers":
        return ""
    wrong = {failure.name for failure in failures}
    layers = range(context.config.n_layers)
    delta_wrong = [any(f"layers[{l}].{v}" in wrong for v in ("b", "gamma", "beta")) for l in layers]
    weight_wrong = [f"layers[{l}].W" in wrong for l in layers]
    last = layers[-1]
    if not any(delta_wrong):
        if last > 0 and not weight_wrong[0] and all(weight_wrong[1:]):
            return "stale cache: right for the first layer only, whose input is x itself"
        l = max(l for l in layers if weight_wrong[l])
        if context.config.normalized[l]:
            return (
                f"gamma and beta are right, W is not: look at the way back through batch "
                f"normalization, gamma / sqrt(var + eps) and both statistics, in layers[{l}]"
            )
        return f"dJ/dz is right in every layer: look at h^T in dJ/dW of layers[{l}]"
    if weight_wrong[last] and not delta_wrong[last]:
        return "stale cache: dJ/d logits is right, but what was kept of the layers below is not"
    l = max(l for l in layers if delta_wrong[l] or weight_wrong[l])
    if l == last:
        what = "dJ/d logits" if weight_wrong[l] else f"dJ/db of layers[{l}]"
        return f"followed back from the loss, it goes wrong first at {what}"
    if f"layers[{l}].gamma" in wrong and f"layers[{l}].beta" not in wrong:
        return f"beta is right, gamma is not: look at x_hat in dJ/dgamma of layers[{l}]"
    suspects = [
        f"dJ/dh = dJ/dz W^T from layers[{l + 1}] to layers[{l}]",
        *(["the dropout mask"] if context.config.dropped[l] else []),
        "phi'",
        *(["batch normalization"] if context.config.normalized[l] else []),
    ]
    return (
        f"right down to layers[{l + 1}], wrong from layers[{l}] on: look at {', '.join(suspects)}"
    )
