"""Workload "per-example": gradients of every example, against one plain gradient and vmap(grad)."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from benchmarks.harness.effort import Effort
from benchmarks.harness.environment import allowed_difference
from benchmarks.harness.problems import images
from benchmarks.harness.results import Row
from benchmarks.harness.timing import interleave
from jaxmlp.types import Params

LOSS = "softmax_cross_entropy"
BATCH = 256
CASE = "784-512-512-10, batch 256"
PLAIN, NORMS, CLIPPED = "plain gradient", "per-example norms", "per-example clipped gradient"
VMAP, VMAP_CLIPPED = "norms by vmap(grad)", "clipped gradient by vmap(grad)"


def measure_per_example(effort: Effort) -> Iterator[Row]:
    """Time each function on one batch; its temporary memory is the compiler's own account."""
    problem, case = images(effort.quick), effort.named(CASE)
    x, y = jnp.asarray(problem.x[:BATCH]), jnp.asarray(problem.y[:BATCH])
    config = jaxmlp.MLPConfig(problem.layer_sizes)
    params = jaxmlp.init(config, jax.random.key(0))
    limit = float(np.median(jaxmlp.per_example_grad_norms(config, LOSS)(params, x, y)))
    programs = {
        name: jax.jit(function).lower(params, x, y).compile()
        for name, function in functions(config, limit).items()
        if effort.wants(name)
    }
    works = {name: partial(program, params, x, y) for name, program in programs.items()}
    errors = _errors({name: work() for name, work in works.items()})
    timings = interleave(works, effort.rounds, 0.0 if effort.quick else 0.2)
    for name, timing in timings.items():
        void = (
            "" if errors.get(name, 0.0) < allowed_difference() else f"differs by {errors[name]:.0e}"
        )
        details = {"relative difference to vmap(grad)": errors.get(name, 0.0)}
        yield Row(
            "per-example", case, name, "one batch", "s", timing.median, timing.low, timing.high,
            timing.processor, timing.rounds, void, details,
        )  # fmt: skip
        memory = programs[name].memory_analysis()
        if memory is not None:
            bytes_ = float(memory.temp_size_in_bytes)
            yield Row("per-example", case, name, "temporary memory", "bytes", bytes_, void=void)


def functions(config: jaxmlp.MLPConfig, limit: float) -> dict[str, Callable[..., Any]]:
    """Return what is timed, each a function of (params, x, y)."""
    J = jaxmlp.objective(config, LOSS)
    gradient = jaxmlp.value_and_grad(config, LOSS)
    clipped = jaxmlp.clipped_grad_sum(config, LOSS)
    each = jax.vmap(jax.grad(lambda params, x, y: J(params, x[None], y[None])), (None, 0, 0))

    def norms_by_vmap(params: Params, x: Any, y: Any) -> Any:
        return jax.vmap(_norm)(each(params, x, y))

    def clipped_by_vmap(params: Params, x: Any, y: Any) -> Any:
        grads = each(params, x, y)
        factor = jnp.minimum(1.0, limit / jax.vmap(_norm)(grads))
        return jax.tree.map(lambda leaf: jnp.tensordot(factor, leaf, 1), grads)

    return {
        PLAIN: lambda params, x, y: gradient(params, x, y)[1],
        NORMS: jaxmlp.per_example_grad_norms(config, LOSS),
        CLIPPED: lambda params, x, y: clipped(params, x, y, max_norm=limit)[0],
        VMAP: norms_by_vmap,
        VMAP_CLIPPED: clipped_by_vmap,
    }


def _norm(tree: Any) -> Any:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def _errors(results: dict[str, Any]) -> dict[str, float]:
    """Relative differences of ours to what vmap(grad) returns, where both ran."""
    errors = {}
    for ours, theirs in ((NORMS, VMAP), (CLIPPED, VMAP_CLIPPED)):
        if ours in results and theirs in results:
            a, b = (
                np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(results[name])])
                for name in (ours, theirs)
            )
            errors[ours] = float(np.linalg.norm(a - b) / np.linalg.norm(b))
    return errors
