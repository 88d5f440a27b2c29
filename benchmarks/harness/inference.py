"""Workload "inference": class probabilities of one row, and of 100,000."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from benchmarks.harness.contenders import gathered
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
    network, n = "-".join(map(str, sizes)), 5_000 if effort.quick else MANY
    builds = {name: partial(Predictor, name, sizes, n) for name in _names(effort)}
    with gathered("inference", builds, effort) as contenders:
        errors = {name: contender.ask("error") for name, contender in contenders.items()}
        least = 0.0 if effort.quick else 0.05
        for name, timing in interleave(contenders, max(effort.rounds, 3), least).items():
            yield _row(f"{network}, 1 row", name, timing, 1, errors[name])
        for contender in contenders.values():
            contender.ask("take_all")
        for name, timing in interleave(contenders, effort.rounds).items():
            yield _row(f"{network}, {n:,} rows", name, timing, n, errors[name])


class Predictor:
    """A library's probabilities, of one row or of all; all contenders have the same weights."""

    def __init__(self, name: str, sizes: tuple[int, ...], n: int) -> None:
        """Import the library, make weights and rows."""
        rng = np.random.default_rng(0)
        self.all = rng.uniform(size=(n, sizes[0])).astype(np.float32)
        self.weights = initial_weights(
            Problem(self.all[:1], np.zeros(1, np.int32), sizes, batch_size=1, epochs=1), seed=0
        )
        self.predict = MAKE[name](sizes, self.weights)
        self.rows = self.all[:1]

    def __call__(self) -> np.ndarray:
        """Compute the probabilities."""
        return self.predict(self.rows)

    def take_all(self) -> None:
        """From now on, compute those of all rows."""
        self.rows = self.all

    def error(self) -> float:
        """By how much a probability differs at most from the one computed in float64."""
        some = self.all[:100]
        return float(np.abs(self.predict(some) - _in_float64(self.weights, some)).max())


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


def _names(effort: Effort) -> list[str]:
    """Who takes part: PyTorch takes a while to import."""
    found = [OWN]
    if available("scikit-learn"):
        found.append(SKLEARN)
    if available("PyTorch, eager") and not effort.quick:
        found.append(TORCH)
    return [name for name in found if effort.wants(name)]


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


def _torch(sizes: tuple[int, ...], weights: Weights) -> Predict:
    """PyTorch's eager forward pass."""
    from benchmarks.harness.peers import torch_mlp

    return torch_mlp.predictor(weights)


MAKE = {OWN: _own, SKLEARN: _sklearn, TORCH: _torch}


def _in_float64(weights: Weights, x: np.ndarray) -> Any:
    """The probabilities, in numpy."""
    h = x.astype(np.float64)
    for W, b in weights[:-1]:
        h = np.maximum(h @ W + b, 0)
    z = h @ weights[-1][0] + weights[-1][1]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
