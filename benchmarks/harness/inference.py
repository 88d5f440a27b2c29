"""Workload "inference": class probabilities of one row, and of 100,000."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from benchmarks.harness.effort import Effort
from benchmarks.harness.environment import allowed_difference, product_precision
from benchmarks.harness.peers import Weights, available, initial_weights
from benchmarks.harness.peers.problem import Problem
from benchmarks.harness.problems import DIGITS, IMAGES
from benchmarks.harness.results import Row
from benchmarks.harness.timing import Timing, interleave
from jaxmlp.blocks import BLOCK_ROWS, map_blocks

MANY = 100_000
OWN, SKLEARN, TORCH = "jaxmlp", "scikit-learn", "PyTorch"
Predict = Callable[[np.ndarray], np.ndarray]


def measure_inference(effort: Effort) -> Iterator[Row]:
    """Time both, for a small and a large network; all contenders have the same weights."""
    for sizes in (DIGITS,) if effort.quick else (DIGITS, IMAGES):
        yield from _measure_network(sizes, effort)


def _measure_network(sizes: tuple[int, ...], effort: Effort) -> Iterator[Row]:
    rng, network = np.random.default_rng(0), "-".join(map(str, sizes))
    many = rng.uniform(size=(5_000 if effort.quick else MANY, sizes[0])).astype(np.float32)
    weights = initial_weights(
        Problem(many[:1], np.zeros(1, np.int32), sizes, batch_size=1, epochs=1), seed=0
    )
    predictors = _predictors(sizes, weights, effort)
    expected = _in_float64(weights, many[:100])
    errors = {
        name: float(np.abs(predict(many[:100]) - expected).max())
        for name, predict in predictors.items()
    }
    works = {name: partial(predict, many[:1]) for name, predict in predictors.items()}
    least = 0.0 if effort.quick else 0.05
    for name, timing in interleave(works, max(effort.rounds, 3), least).items():
        yield _row(f"{network}, 1 row", name, timing, 1, errors[name])
    works = {name: partial(predict, many) for name, predict in predictors.items()}
    for name, timing in interleave(works, effort.rounds).items():
        yield _row(f"{network}, {len(many):,} rows", name, timing, len(many), errors[name])


def _row(case: str, name: str, timing: Timing, n: int, error: float) -> Row:
    void = "" if error < allowed_difference() else f"probabilities differ by {error:.0e}"
    details = {
        "largest difference of a probability": error,
        "products of float32": product_precision(),
        "rows/s": n / timing.median,
        "asynchronous dispatch": bool(jax.config.read("jax_cpu_enable_async_dispatch")),
    }
    return Row(
        "inference", case, name, "probabilities", "s", timing.median, timing.low, timing.high,
        timing.processor, timing.rounds, void, details,
    )  # fmt: skip


def _predictors(sizes: tuple[int, ...], weights: Weights, effort: Effort) -> dict[str, Predict]:
    """Functions from numpy rows to numpy probabilities, as each library offers them."""
    found: dict[str, Predict] = {OWN: _own(sizes, weights)}
    if available("scikit-learn"):
        found[SKLEARN] = _sklearn(sizes, weights)
    if available("PyTorch, eager") and not effort.quick:
        from benchmarks.harness.peers import torch_mlp

        found[TORCH] = torch_mlp.predictor(weights)
    return {name: predict for name, predict in found.items() if effort.wants(name)}


def _own(sizes: tuple[int, ...], weights: Weights) -> Predict:
    """`predict` under jit; many rows in blocks of one shape, the last one padded."""
    config = jaxmlp.MLPConfig(sizes)
    params = tuple(jaxmlp.Layer(W=jnp.asarray(W), b=jnp.asarray(b)) for W, b in weights)
    jitted = jax.jit(lambda params, x: jax.nn.softmax(jaxmlp.predict(config, params, x)))

    def predict(x: np.ndarray) -> np.ndarray:
        return map_blocks(partial(jitted, params), x, size=min(len(x), BLOCK_ROWS))

    return predict


def _sklearn(sizes: tuple[int, ...], weights: Weights) -> Predict:
    """`predict_proba` of a classifier that is given our weights."""
    from benchmarks.harness.peers.sklearn_mlp import with_weights

    return with_weights(sizes, weights).predict_proba


def _in_float64(weights: Weights, x: np.ndarray) -> Any:
    """The probabilities, in numpy."""
    h = x.astype(np.float64)
    for W, b in weights[:-1]:
        h = np.maximum(h @ W + b, 0)
    z = h @ weights[-1][0] + weights[-1][1]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
