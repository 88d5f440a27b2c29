"""This library's `fit`, and `cross_validate`."""

import os
from collections.abc import Sequence
from contextlib import suppress

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp

from .problem import Fit, Problem, Weights, initial_weights


def by_hand(problem: Problem, gradient: str = "manual", compute_dtype: str | None = None) -> Fit:
    """`jaxmlp.fit`, every gradient by hand."""
    config = jaxmlp.MLPConfig(problem.layer_sizes, compute_dtype=compute_dtype)
    optimizer = jaxmlp.adam(problem.learning_rate)
    data = jnp.asarray(problem.x), jnp.asarray(problem.y)  # where the other JAX peers have them

    def fit(seed: int) -> Weights:
        params = tuple(
            jaxmlp.Layer(W=jnp.asarray(W), b=jnp.asarray(b))
            for W, b in initial_weights(problem, seed)
        )
        result = jaxmlp.fit(
            config,
            params,
            data,
            loss=problem.loss,
            optimizer=optimizer,
            epochs=problem.epochs,
            batch_size=problem.batch_size,
            key=jax.random.key(seed + 1000),
            gradient=gradient,
        )
        return [(np.asarray(layer.W), np.asarray(layer.b)) for layer in result.params]

    return fit


def by_autodiff(problem: Problem) -> Fit:
    """`jaxmlp.fit` with jax.grad in the place of our backward pass."""
    return by_hand(problem, gradient="autodiff")


def in_bfloat16(problem: Problem) -> Fit:
    """`jaxmlp.fit` with products in bfloat16, parameters and their moments in float32."""
    return by_hand(problem, compute_dtype="bfloat16")


def use_all_cores() -> None:
    """One host device per core, as `python -m benchmarks` sets it; before the first array only."""
    with suppress(RuntimeError):  # the backend has started: what it has is used
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)


def cross_validation(
    problem: Problem, rates: Sequence[float], penalties: Sequence[float], folds: int
) -> float:
    """Cross-validate a grid of learning rates and penalties; return the mean accuracy."""
    result = jaxmlp.cross_validate(
        jaxmlp.MLPConfig(problem.layer_sizes, weight_init="xavier_uniform"),
        (problem.x, problem.y),
        loss=problem.loss,
        optimizer=jaxmlp.adam,
        grid={"learning_rate": list(rates), "l2": list(penalties)},
        folds=folds,
        epochs=problem.epochs,
        batch_size=problem.batch_size,
        key=jax.random.key(0),
    )
    return float(result.table["validation_accuracy"].mean())
