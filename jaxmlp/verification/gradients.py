"""check_gradients: is this the gradient of that function? For any pytree and any function."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.messages import check_language, phrase
from jaxmlp.types import PyTree
from jaxmlp.verification.causes.explain import explain, true_gradient
from jaxmlp.verification.causes.failure import Context, Failure, apart, nearness
from jaxmlp.verification.claim import (
    Claim,
    batch_sizes,
    cut_to_16_bits,
    stacked_vectors,
    take_apart,
)
from jaxmlp.verification.evidence import LeafEvidence, collect
from jaxmlp.verification.measurement.differences import central_differences, choose_probes
from jaxmlp.verification.measurement.functions import (
    ManyPoints,
    Point,
    as_scalar,
    float64_arithmetic,
    make_point,
    promote,
    split_claim,
)
from jaxmlp.verification.measurement.noise import (
    HALF_STEP,
    SAMPLES,
    Noise,
    far_points,
    gradient_noise,
    ray,
    steps_for,
    unit_of,
    value_noise,
)
from jaxmlp.verification.measurement.precision import Precision, traced_precision
from jaxmlp.verification.report import GradientReport, LeafReport, Verdict
from jaxmlp.verification.verdicts import judge

_VALUE_ROWS = 128
_VALUE_RTOL = {Precision.DOUBLE: 1e-9, Precision.SINGLE: 1e-5, Precision.HALF: 3e-2}
_PRECISION_NOTES = {
    Precision.SINGLE: phrase(
        "32-bit floats are used inside, so finite differences resolve little; the same functions "
        "in float64 can be checked more sharply"
    ),
    Precision.HALF: phrase(
        "16-bit floats are used inside: errors below about 3% cannot be told from rounding; check "
        "the same functions in float32 or float64 too"
    ),
}


def check_gradients(
    value_and_grad_fn: Callable[..., Any],
    fn: Callable[..., Any],
    params: PyTree,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    config: MLPConfig | None = None,
    seed: int = 0,
    max_entries: int = 32,
    n_directions: int = 3,
    language: str = "en",
) -> GradientReport:
    """Check a gradient against jax.grad, finite differences and the Taylor remainder.

    For each leaf g of the claimed gradient of f at p:
        |g - jax.grad(f)| is compared with the measured rounding noise of both,
        <g, v> with (f(p + h v) - f(p - h v)) / 2h for single entries and random directions v, at
        a step h that follows the measured noise of f,
        and |f(p + h v) - f(p) - h <g, v>| must fall with h^2.
    Where f has a kink within the step (a ReLU that switches), finite differences are set aside.
    All of it runs in float64, whatever the caller's settings; if f casts down inside, the noise
    tells, and tolerances follow.

    Args:
        value_and_grad_fn: called as (params, *args, **kwargs); returns (value, grads),
            ((value, aux), grads) or grads alone. JAX or numpy.
        fn: called likewise; returns the value, or (value, aux). JAX or numpy; what `jax.grad`
            cannot trace is judged by finite differences alone.
        params: any pytree of floating arrays; numpy arrays are handed on as numpy arrays.
        *args: further arguments of both functions.
        kwargs: keyword arguments of both functions.
        config: of the network that the parameters belong to. It lets a failure be traced to a step
            of the backward pass where fn is not recognised by itself: an MLP in any pytree of
            weights and biases, with a built-in activation and loss of (x, y), is.
        seed: of the entries and directions that are drawn.
        max_entries: finite differences are taken of every entry of a leaf up to this size, and of
            as many entries of a larger one.
        n_directions: random directions a leaf, in which every entry takes part.
        language: of the report, "en" or "vi"; `GradientReport.in_language` changes it later.

    Returns:
        A report; `report.passed` is True if every leaf passes, `print(report)` says why.

    Raises:
        TypeError: if a function cannot be called, a parameter is not a floating array, or the
            functions are in the other order.
        ValueError: if fn does not return a single number, nothing is to be checked, or the
            language is not known.

    Example:
        >>> f = lambda w: 0.5 * (w**2).sum()
        >>> w = np.array([1.0, 2.0, 3.0])
        >>> check_gradients(lambda w: (f(w), w), f, w).passed
        True
        >>> check_gradients(lambda w: (f(w), 2 * w), f, w).failures[0].cause
        '2 x the true gradient in every entry: a factor 1/2 is missing'

    Reference: central differences and kinks as in Stanford's CS231n, "Gradient checks"; the Taylor
    test as in Farrell et al., 2013, SIAM J. Sci. Comput. 35:C369.
    """
    check_language(language)
    for name, function in (("value_and_grad_fn", value_and_grad_fn), ("fn", fn)):
        if not callable(function):
            raise TypeError(f"{name} is a {type(function).__name__}; pass a function.")
    if min(max_entries, n_directions) < 0 or not max_entries + n_directions:
        raise ValueError(
            f"max_entries={max_entries} and n_directions={n_directions}: neither may be negative, "
            "and one of them must be positive."
        )
    with float64_arithmetic():
        params, args, options = promote((params, args, dict(kwargs or {})))
        point = make_point(params)

        def value(tree: PyTree) -> Any:
            return as_scalar(fn(tree, *args, **options))

        def claim(tree: PyTree) -> tuple[Any, PyTree]:
            return split_claim(value_and_grad_fn(tree, *args, **options), point.treedef)

        case = _Case(
            point,
            ManyPoints(value, point, rows=_VALUE_ROWS),
            ManyPoints(claim, point, rows=len(SAMPLES)),
            ManyPoints(jax.grad(value), point, rows=len(SAMPLES)),
            Context(args, options, config, batch_sizes(args)),
        )
        report = _check(case, np.random.default_rng(seed), max_entries, n_directions)
    return report.in_language(language)


class _Case(NamedTuple):
    """A gradient to be checked: the point, and functions of the parameters alone.

    Attributes:
        point: the parameters.
        value: the function's value.
        claim: what is claimed: value or None, and gradient.
        autodiff: jax.grad of the value.
        context: the functions' other arguments.
    """

    point: Point
    value: ManyPoints
    claim: ManyPoints
    autodiff: ManyPoints
    context: Context


class _Gradients(NamedTuple):
    """Both gradients at the point.

    Attributes:
        claim: the claimed gradient, taken apart.
        claimed_value: the value that came with it, or None.
        autodiff: jax.grad, (n_parameters,), or None.
        obstacle: why jax.grad is absent, or "".
        noise: of both, for each entry that of its leaf, (n_parameters,).
        largest: size of each entry here or at points far away, whichever is larger,
            (n_parameters,).
    """

    claim: Claim
    claimed_value: Any
    autodiff: np.ndarray | None
    obstacle: str
    noise: np.ndarray
    largest: np.ndarray


def _check(
    case: _Case, rng: np.random.Generator, max_entries: int, n_directions: int
) -> GradientReport:
    point = case.point
    value, again = map(float, case.value(np.stack([point.vector] * 2)))
    random = case.value.by_loop and value != again  # what compiles gives each row the same value
    tree = jax.tree.map(jax.device_put, point.tree(point.vector))
    traced = [traced_precision(call, tree) for call in (case.value.call, case.claim.call)]
    gradients = _gradients(case, rng, steps_for(*traced))
    claim, autodiff = gradients.claim, gradients.autodiff
    if not np.isfinite(value):
        return _nothing_to_check(point, value)
    noise = _noise(case, value, gradients, rng, *traced)
    probes = choose_probes(point, max_entries, n_directions, rng)
    differences = central_differences(case.value, point, probes, value, noise.value)
    evidence = collect(point, claim.vector, autodiff, noise, probes, differences, gradients.largest)
    leaves = [judge(leaf) for leaf in evidence]
    cut = {} if claim.faults else cut_to_16_bits(point, claim.vector, autodiff, traced[0])
    leaves = [
        LeafReport(leaf.name, leaf.shape, Verdict.FAIL, claim.faults[l])
        if l in claim.faults
        else (replace(leaf, verdict=Verdict.FAIL, cause=cut[l]) if l in cut else leaf)
        for l, leaf in enumerate(leaves)
    ]
    leaves, advice = _diagnose(case, claim, evidence, leaves, (value, noise.value))
    notes, fault = (*_notes(gradients, noise), *advice), _value_fault(gradients, value, noise)
    if random:
        fault, notes = "", (_random_note(value, again),)
    return GradientReport((*leaves, *_misplaced(claim)), value, noise.value, fault, notes)


def _random_note(value: float, again: float) -> str:
    first, second = apart(value, again)
    return phrase(
        "fn gives {first} and then {second} at the same parameters: draw its random numbers once, "
        "and pass them as arguments",
        first=first,
        second=second,
    )


def _gradients(case: _Case, rng: np.random.Generator, steps: list[float]) -> _Gradients:
    """Call both gradients along a random ray for each step, all of which start at the point."""
    point, here = case.point, 0
    signs = rng.choice([-1.0, 1.0], (len(steps), len(point.vector)))
    rays = zip(unit_of(point) * signs, steps, strict=True)
    near = [ray(point, direction, step) for direction, step in rays]
    points = np.concatenate([*near, far_points(point, rng)])
    values, claims = case.claim(points)
    claim = take_apart(jax.tree.map(lambda leaf: leaf[here], claims), point)
    vectors = stacked_vectors(claims, point, len(points))
    noise, autodiff, obstacle = gradient_noise(_by_ray(vectors), point), None, ""
    try:
        grads = case.autodiff(points)
    except Exception as error:  # numpy code, a while loop, ...: fn itself has run before
        obstacle = type(error).__name__
    else:
        vectors = stacked_vectors(grads, point, len(points))
        by_jax = gradient_noise(_by_ray(vectors), point)
        noise = noise + np.where(np.isfinite(by_jax), by_jax, 0.0)  # NaN is jax.grad's own affair
        autodiff = vectors[here]
    value = None if values is None else values[here]
    seen = np.abs(vectors[[here, -2, -1]])
    largest = np.where(np.isfinite(seen), seen, 0.0).max(axis=0)
    return _Gradients(claim, value, autodiff, obstacle, noise, largest)


def _by_ray(vectors: np.ndarray) -> np.ndarray:
    """Return what was found along the rays, (rays, 8, n_parameters), not at the far points."""
    return vectors[:-2].reshape(-1, len(SAMPLES), vectors.shape[1])


def _noise(
    case: _Case,
    value: float,
    gradients: _Gradients,
    rng: np.random.Generator,
    traced: Precision | None,
    traced_claim: Precision | None,
) -> Noise:
    """Measure the value's noise; look at the gradients' again if it turns out to be a staircase."""
    guess = gradients.claim.vector if gradients.autodiff is None else gradients.autodiff
    noise, precision = value_noise(case.value, case.point, value, guess, traced)
    of_gradients = gradients.noise
    if precision is Precision.HALF and traced is None:
        of_gradients = np.maximum(of_gradients, _gradients(case, rng, [HALF_STEP]).noise)
    return Noise(noise, of_gradients, max(precision, traced_claim or Precision.DOUBLE))


def _nothing_to_check(point: Point, value: float) -> GradientReport:
    evidence = phrase("fn is {value} at these parameters", value=value)
    leaves = [
        LeafReport(name, shape, Verdict.INCONCLUSIVE, evidence=evidence)
        for name, shape in zip(point.names, point.shapes, strict=True)
    ]
    return GradientReport(tuple(leaves), value, float("nan"))


def _diagnose(
    case: _Case,
    claim: Claim,
    evidence: list[LeafEvidence],
    leaves: list[LeafReport],
    scale: tuple[float, float],
) -> tuple[list[LeafReport], tuple[str, ...]]:
    """Give every failing leaf its cause; return notes on the causes, too."""
    point, failures = case.point, []
    for l, (leaf, found) in enumerate(zip(leaves, evidence, strict=True)):
        if leaf.verdict is not Verdict.FAIL or (leaf.cause and l not in claim.misfits):
            continue
        true = true_gradient(found, l, case.value, point, *scale)
        if true is None:
            continue
        claimed = claim.misfits.get(l, point.leaf(claim.vector, l))
        near = nearness(claimed, true, found.tolerance.max())
        param = point.leaf(point.vector, l)
        failures.append(Failure(l, leaf.name, claimed, true, param, near))
    why = explain(failures, claim.vector, point, case.value, case.context)
    causes = [why.causes.get(l, leaf.cause) for l, leaf in enumerate(leaves)]
    leaves = [replace(leaf, cause=cause) for leaf, cause in zip(leaves, causes, strict=True)]
    return leaves, why.notes


def _misplaced(claim: Claim) -> list[LeafReport]:
    """Report what grads has and params has not."""
    extra = [
        LeafReport(name, (), Verdict.FAIL, phrase("grads has this leaf, but params does not"))
        for name in claim.extra
    ]
    if claim.container:
        extra.append(LeafReport("(structure)", (), Verdict.FAIL, claim.container))
    return extra


def _notes(gradients: _Gradients, noise: Noise) -> list[str]:
    notes: list[str] = []
    if gradients.autodiff is None:
        notes.append(
            phrase(
                "jax.grad cannot differentiate fn ({obstacle}), so finite differences and the "
                "Taylor remainder decide",
                obstacle=gradients.obstacle,
            )
        )
    if noise.precision is not Precision.DOUBLE:
        notes.append(_PRECISION_NOTES[noise.precision])
    return notes


def _value_fault(gradients: _Gradients, value: float, noise: Noise) -> str:
    """Say how the value that came with the gradient differs from that of fn; "" if it does not."""
    if gradients.claimed_value is None:
        return ""
    claimed = float(gradients.claimed_value)
    if abs(claimed - value) <= 1e3 * noise.value + _VALUE_RTOL[noise.precision] * abs(value):
        return ""
    came, returned = apart(claimed, value)
    return phrase(
        "{came} came with the gradient, but fn returns {returned}", came=came, returned=returned
    )
