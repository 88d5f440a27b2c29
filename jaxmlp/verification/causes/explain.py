"""From the failing leaves of a gradient to one cause for each, in words."""

from typing import NamedTuple

import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.messages import joined, phrase
from jaxmlp.verification.causes.diagnosis import cause_of_shape, strong_cause
from jaxmlp.verification.causes.failure import Context, Failure, equal
from jaxmlp.verification.causes.patterns import weak_cause
from jaxmlp.verification.causes.place import first_wrong_step
from jaxmlp.verification.causes.reading import readings
from jaxmlp.verification.causes.recognition import Recognised, recognise
from jaxmlp.verification.causes.slips import find_slip
from jaxmlp.verification.evidence import LeafEvidence
from jaxmlp.verification.measurement.differences import Probes, central_differences
from jaxmlp.verification.measurement.functions import ManyPoints, Point
from jaxmlp.verification.measurement.noise import unit_of

_CONFIG_NOTE = phrase(
    "if fn is the objective of an MLP, the network's jaxmlp.MLPConfig (config=, or jaxmlp verify "
    "--config) often lets the slip in the backward pass be named"
)
_MISFIT_NOTE = phrase(
    "fn is not the objective of config= with any of the built-in losses, so slips of the backward "
    "pass could not be tried"
)
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


class _Explanation(NamedTuple):
    """Why leaves are wrong.

    Attributes:
        causes: in words, by the leaf's index.
        notes: on what they rest, or what would name them.
    """

    causes: dict[int, str]
    notes: tuple[str, ...] = ()


def explain(
    failures: list[Failure],
    claimed: np.ndarray,
    point: Point,
    value: ManyPoints,
    context: Context,
) -> _Explanation:
    """Find the cause for each failing leaf.

    A cause that every entry of every failing leaf bears out comes first; then, if the function is
    recognised as an MLP, a slip of its backward pass that explains all leaves at once; then what
    can be said of each leaf alone, with the place where the gradient, followed back from the loss,
    goes wrong first.

    Args:
        failures: the failing leaves.
        claimed: the claimed gradient, (n_parameters,); leaves that do not fail are right.
        point: the parameters.
        value: of the function, at many points.
        context: its other arguments.
    """
    causes = {
        failure.leaf: cause_of_shape(failure, context)
        for failure in failures
        if failure.claimed.shape != failure.true.shape
    }
    fitting = [failure for failure in failures if failure.leaf not in causes]
    strong = _strong_causes(fitting, context)
    if all(strong.values()):
        return _Explanation(causes | strong)
    if causes:  # the others may be wrong because of these
        return _Explanation(causes | _each_alone(fitting, strong))
    found = _recognise(failures, claimed, point, value, context)
    if found is None:
        place = _place_by_config(failures, point, context.config)
        return _Explanation(_each_alone(fitting, strong, place), _advice(point, context))
    notes = () if context.config else (found.describe(),)
    slip = find_slip(found, found.reading.leaves(found.reading.layers(claimed)))
    if slip:
        return _Explanation(dict.fromkeys(strong, slip), notes)
    strong = _strong_causes(fitting, context._replace(config=found.start.config))
    place = first_wrong_step(failures, found.reading, found.start.config)
    return _Explanation(_each_alone(fitting, strong, place), notes)


def _each_alone(failures: list[Failure], strong: dict[int, str], place: str = "") -> dict[int, str]:
    """Say of each leaf what can be said of it alone, and where the gradient goes wrong first."""
    return {f.leaf: strong[f.leaf] or joined("; ", (weak_cause(f), place)) for f in failures}


def _place_by_config(failures: list[Failure], point: Point, config: MLPConfig | None) -> str:
    for reading in readings(point):
        if config is not None and reading.layer_sizes == config.layer_sizes:
            return first_wrong_step(failures, reading, config)
    return ""


def _strong_causes(failures: list[Failure], context: Context) -> dict[int, str]:
    """Return what every entry of a leaf bears out, or ""; one cause for all comes first."""
    strong = {failure.leaf: strong_cause(failure, context) for failure in failures}
    if len(set(strong.values())) == 1 and all(strong.values()):
        return strong
    return strong | {leaf: words for leaf, words in _mixed_up(failures).items() if not strong[leaf]}


def _recognise(
    failures: list[Failure],
    claimed: np.ndarray,
    point: Point,
    value: ManyPoints,
    context: Context,
) -> Recognised | None:
    truth = claimed.copy()  # the leaves that passed are right
    for failure in failures:
        truth[point.slices[failure.leaf]] = failure.true.ravel()
    return recognise(point, value, truth, context) if np.isfinite(truth).all() else None


def _advice(point: Point, context: Context) -> tuple[str, ...]:
    """Say how the slip in the backward pass of what may be an MLP can be named."""
    if next(readings(point), None) is None:
        return ()
    return (_MISFIT_NOTE if context.config else _CONFIG_NOTE,)


def _mixed_up(failures: list[Failure]) -> dict[int, str]:
    """Find leaves that were given the gradient of another leaf."""
    return {
        wrong.leaf: phrase("this is the gradient of {leaf}: leaves are mixed up", leaf=other.name)
        for wrong in failures
        for other in failures
        if wrong is not other and equal(wrong.claimed, other.true, min(wrong.near, other.near))
    }
