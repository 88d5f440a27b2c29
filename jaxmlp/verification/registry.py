"""The library's own gradients to check: activation x loss x init x depth x dtype.

`jaxmlp verify` runs the list. Every case is a small network with seeded data that includes exact
zeros; precision is that of the case's dtype, and of float64 unless it is named.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.config import DTYPES, MLPConfig
from jaxmlp.initializers import INITIALIZERS
from jaxmlp.losses import LOSSES, get_loss
from jaxmlp.network import init, objective, value_and_grad
from jaxmlp.types import Params
from jaxmlp.verification.gradients import check_gradients
from jaxmlp.verification.report import GradientReport

BATCH, N_IN, WIDTH, N_OUT = 6, 5, 4, 3
DEPTHS = range(1, 7)


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
    x: Any
    y: Any
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
            for depth in DEPTHS
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
        for depth in DEPTHS
        for dtype in DTYPES
    ]


def make_problem(case: Case, seed: int = 0) -> Problem:
    """Build the network of a case, with data; call it under `jax.enable_x64(True)`."""
    sizes = (N_IN, *[WIDTH] * (case.depth - 1), N_OUT)
    config = MLPConfig(sizes, case.activation, case.init, bias_init=0.1, dtype=case.dtype)
    return Problem(
        config,
        case.loss,
        jax.jit(init)(config, jax.random.key(seed)),
        *draw_data(case.loss, BATCH, N_IN, N_OUT, seed),
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


def check_cases(cases: list[Case], seed: int = 0) -> Iterator[tuple[Case, GradientReport]]:
    """Check cases one after another; ends early when the caller stops iterating."""
    for case in cases:
        with jax.enable_x64(True):
            problem = make_problem(case, seed)
            report = check_problem(problem, seed)
        yield case, report
