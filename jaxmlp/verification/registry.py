"""The library's own gradients to check: activation x loss x init x depth x dtype.

`jaxmlp verify` runs the list. Every case is a small network with seeded data that includes exact
zeros; precision is that of the case's dtype, and of float64 unless it is named.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.config import DTYPES, MLPConfig
from jaxmlp.initializers import INITIALIZERS
from jaxmlp.losses import LOSSES, get_loss
from jaxmlp.network import init, objective, value_and_grad
from jaxmlp.types import Params, PyTree
from jaxmlp.verification.gradients import check_gradients
from jaxmlp.verification.report import GradientReport

_BATCH, _N_IN, _WIDTH, _N_OUT = 6, 5, 4, 3
_DEPTHS = range(1, 7)
_BUNDLE = {"float64": 12, "float32": 6, "bfloat16": 6}  # cases checked as one; see _check_bundle


class Case(NamedTuple):
    """One entry of the registry's product.

    Attributes:
        activation: of the hidden layers.
        loss: by name.
        init: weight initializer, by name.
        depth: number of weight matrices.
        dtype: of parameters and computation.
    """

    activation: str
    loss: str
    init: str
    depth: int
    dtype: str


class Problem(NamedTuple):
    """A gradient of the library with a point at which to check it.

    Attributes:
        config: the network.
        loss: by name.
        params: its parameters.
        x: features, (batch, n_in).
        y: targets.
        options: keyword arguments of the objective.
    """

    config: MLPConfig
    loss: str
    params: Params
    x: np.ndarray
    y: np.ndarray
    options: dict[str, Any]


def default_cases() -> list[Case]:
    """All activations x losses at depth 2, each activation at depths 1 to 6, and each dtype once.

    Initializers take turns.
    """
    inits = sorted(INITIALIZERS)
    chosen: dict[tuple[str, str, int, str], None] = {}
    for activation in ACTIVATIONS:
        chosen |= {(activation, loss, 2, "float64"): None for loss in LOSSES}
    for a, activation in enumerate(ACTIVATIONS):
        losses = list(LOSSES)
        chosen |= {
            (activation, losses[(a + depth) % len(losses)], depth, "float64"): None
            for depth in _DEPTHS
            if depth != 2
        }
        chosen |= {
            (activation, losses[(a + d) % len(losses)], 2, dtype): None
            for d, dtype in enumerate(DTYPES)
            if dtype != "float64"
        }
    return [
        Case(activation, loss, inits[i % len(inits)], depth, dtype)
        for i, (activation, loss, depth, dtype) in enumerate(chosen)
    ]


def all_cases() -> list[Case]:
    """The whole product activation x loss x init x depth x dtype."""
    return [
        Case(activation, loss, initializer, depth, dtype)
        for activation in ACTIVATIONS
        for loss in LOSSES
        for initializer in INITIALIZERS
        for depth in _DEPTHS
        for dtype in DTYPES
    ]


def _make_problem(case: Case, seed: int = 0) -> Problem:
    """Build the network of a case, with data; call it under `jax.enable_x64(True)`."""
    sizes = (_N_IN, *[_WIDTH] * (case.depth - 1), _N_OUT)
    config = MLPConfig(sizes, case.activation, case.init, bias_init=0.1, dtype=case.dtype)
    return Problem(
        config,
        case.loss,
        init(config, jax.random.key(seed)),
        *draw_data(case.loss, _BATCH, _N_IN, _N_OUT, seed),
        {"l2": 0.01},
    )


def draw_data(
    loss: str, batch: int, n_in: int, n_out: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw features in [-3, 3], some of them exactly 0, and targets that suit the loss."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3.0, 3.0, (batch, n_in)) * (rng.random((batch, n_in)) > 0.1)
    if loss == "softmax_cross_entropy":
        return x, rng.integers(0, n_out, batch)
    if loss == "sigmoid_binary_cross_entropy":
        return x, rng.integers(0, 2, (batch, n_out)).astype(np.float64)
    if loss == "poisson":
        return x, rng.poisson(2.0, (batch, n_out)).astype(np.float64)
    return x, rng.normal(size=(batch, n_out))


def check_problem(problem: Problem, seed: int = 0) -> GradientReport:
    """Check the hand-written gradient of one problem."""
    config, loss = problem.config, get_loss(problem.loss)
    return check_gradients(
        value_and_grad(config, loss),
        objective(config, loss),
        problem.params,
        problem.x,
        problem.y,
        kwargs=problem.options,
        config=config,
        seed=seed,
    )


class Part(NamedTuple):
    """One of several gradients that are checked as one.

    Attributes:
        params: where to check it.
        claim: params -> (value, gradient).
        fn: params -> value.
        alone: checks it by itself, with all that helps to name a cause.
    """

    params: PyTree
    claim: Callable[[PyTree], tuple[Any, PyTree]]
    fn: Callable[[PyTree], Any]
    alone: Callable[[], GradientReport]


def check_together(parts: Sequence[Part], seed: int = 0) -> list[GradientReport]:
    """Check several gradients as one: that of the sum of their functions.

    One program for all compiles much faster than one for each. A part that does not pass is
    checked again by itself, which names the cause.

    Args:
        parts: each with parameters of its own.
        seed: of the probes.

    Returns:
        A report for each.
    """

    def claim(params: tuple[PyTree, ...]) -> tuple[Any, Any]:
        pairs = [part.claim(p) for part, p in zip(parts, params, strict=True)]
        return sum(value for value, _ in pairs), tuple(grads for _, grads in pairs)

    def total(params: tuple[PyTree, ...]) -> Any:
        return sum(part.fn(p) for part, p in zip(parts, params, strict=True))

    together = check_gradients(claim, total, tuple(part.params for part in parts), seed=seed)
    reports = []
    for i, part in enumerate(parts):
        leaves = tuple(
            replace(leaf, name=leaf.name.replace(f"params[{i}]", "layers"))
            for leaf in together.leaves
            if leaf.name.startswith(f"params[{i}]")
        )
        report = replace(together, leaves=leaves)
        reports.append(report if report.passed else part.alone())
    return reports


def _check_bundle(bundle: Sequence[Case], seed: int = 0) -> list[GradientReport]:
    """Check several cases as one."""
    with jax.enable_x64(True):
        return check_together([_as_part(_make_problem(case, seed), seed) for case in bundle], seed)


def _as_part(problem: Problem, seed: int) -> Part:
    data = {"x": problem.x, "y": problem.y, **problem.options}
    claim, J = (make(problem.config, problem.loss) for make in (value_and_grad, objective))
    alone = partial(check_problem, problem, seed)
    return Part(problem.params, partial(claim, **data), partial(J, **data), alone)


def check_cases(
    cases: Iterable[Case], seed: int = 0, threads: int | None = None
) -> Iterator[tuple[Case, GradientReport]]:
    """Check cases in bundles of one dtype, several bundles at once, and yield them as they end.

    Args:
        cases: of the registry.
        seed: of parameters and data.
        threads: how many bundles at once; by default as many as there are cores, at most 8.

    Yields:
        Each case with its report; cases of one dtype in their order.
    """
    by_dtype: dict[str, list[Case]] = {}
    for case in cases:
        by_dtype.setdefault(case.dtype, []).append(case)
    bundles = [
        same[i : i + _BUNDLE[dtype]]
        for dtype, same in by_dtype.items()
        for i in range(0, len(same), _BUNDLE[dtype])
    ]
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        for bundle, reports in zip(
            bundles, pool.map(lambda bundle: _check_bundle(bundle, seed), bundles), strict=True
        ):
            yield from zip(bundle, reports, strict=True)
