"""Mutation score: bugs injected into a backward pass, and which checks find them.

Compared: `check_gradients`; `jax.test_util.check_grads` as users call it, in float32 and float64;
`numpy.allclose` of the claimed gradient with jax.grad (its defaults) and with central differences
(h = 1e-5 in float64, h = 1e-3 in float32). A bug counts as found when the check fails; an
"inconclusive" or a pass is a miss. The same checks run on right gradients, to count false alarms.

Run: python -m benchmarks.verification_mutations [--only classifier] [--networks 40]
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.verification_backward import Architecture, Backward, architectures
from benchmarks.verification_false_alarms import draw_problem
from benchmarks.verification_mutants import MUTANTS, Mutant, differs
from jaxmlp.network import objective, value_and_grad
from jaxmlp.verification import GradientReport, Verdict, check_gradients

RESULTS = Path(__file__).parent / "results" / "verification_mutations.json"
Check = Callable[[Any, Any, Any, float], bool]
"""(value_and_grad, fn, params, step) -> whether the gradient passes."""


def passes_check_grads(value_and_grad_fn: Any, fn: Any, params: Any, step: float) -> bool:
    """jax.test_util.check_grads of fn with the claimed gradient as its derivative."""

    @jax.custom_vjp
    def claimed(params: Any) -> Any:
        return fn(params)

    def backward(grads: Any, cotangent: Any) -> Any:
        return (jax.tree.map(lambda g: cotangent * g, grads),)

    claimed.defvjp(value_and_grad_fn, backward)
    try:
        check_grads(claimed, (params,), order=1, modes=["rev"])
    except Exception:  # an AssertionError, or JAX's own complaint about the structure
        return False
    return True


def passes_allclose(value_and_grad_fn: Any, fn: Any, params: Any, step: float) -> bool:
    """numpy.allclose with jax.grad."""
    return _allclose(value_and_grad_fn(params)[1], jax.grad(fn)(params))


def passes_differences(value_and_grad_fn: Any, fn: Any, params: Any, step: float) -> bool:
    """numpy.allclose (rtol 1e-3, atol 1e-5) with central differences of 20 entries of each leaf."""
    leaves, treedef = jax.tree.flatten(params)
    fn, rng = jax.jit(fn), np.random.default_rng(0)
    try:
        claimed = treedef.flatten_up_to(value_and_grad_fn(params)[1])
    except ValueError:
        return False
    for l, (leaf, grad) in enumerate(zip(leaves, claimed, strict=True)):
        if grad.shape != leaf.shape:
            return False
        for entry in rng.choice(leaf.size, min(20, leaf.size), replace=False):
            index = np.unravel_index(entry, leaf.shape)
            up, down = (
                fn(treedef.unflatten([*leaves[:l], leaf.at[index].add(h), *leaves[l + 1 :]]))
                for h in (step, -step)
            )
            if not np.allclose(grad[index], (up - down) / (2 * step), rtol=1e-3, atol=1e-5):
                return False
    return True


def _allclose(claimed: Any, right: Any) -> bool:
    if jax.tree.structure(claimed) != jax.tree.structure(right):
        return False
    pairs = zip(jax.tree.leaves(claimed), jax.tree.leaves(right), strict=True)
    return all(g.shape == r.shape and np.allclose(g, r) for g, r in pairs)


PEERS: dict[str, Check] = {
    "jax.test_util.check_grads": passes_check_grads,
    "allclose with jax.grad": passes_allclose,
    "allclose with differences": passes_differences,
}


def check_mutant(mutant: Mutant, case: Architecture) -> GradientReport:
    """Run our check on one bug."""
    return check_gradients(
        mutant.backward(case), objective(case.config, case.loss), case.params, case.x, case.y,
        kwargs=case.options, config=case.config,
    )  # fmt: skip


def check_by_peers(value_and_grad_fn: Any, case: Architecture, single: bool) -> dict[str, bool]:
    """Run the other checks, in float32 or in float64: name -> passed."""
    dtype = jnp.float32 if single else jnp.float64
    config = case.config.replace(dtype=str(np.dtype(dtype)), compute_dtype=None)
    cast = jax.tree.map(
        lambda a: (
            jnp.asarray(a, dtype) if jnp.issubdtype(jnp.asarray(a).dtype, jnp.floating) else a
        ),
        (case.params, case.x, case.y, case.options),
    )
    params, x, y, options = cast
    options = {k: float(v) if k in ("l2", "dropout_rate") else v for k, v in options.items()}
    if isinstance(value_and_grad_fn, Backward):
        value_and_grad_fn = Backward(config, case.loss, value_and_grad_fn.wrong)
    else:
        value_and_grad_fn = value_and_grad(config, case.loss)
    fn = objective(config, case.loss)
    step = 1e-3 if single else 1e-5
    with jax.enable_x64(not single):
        return {
            name: check(
                jax.jit(lambda p: value_and_grad_fn(p, x, y, **options)),
                lambda p: fn(p, x, y, **options),
                params,
                step,
            )
            for name, check in PEERS.items()
        }


def study_mutant(mutant: Mutant, case: Architecture, peers: bool) -> dict[str, Any]:
    """Run every check on one bug."""
    assert differs(mutant, case), f"{mutant.name} is equivalent to the right code"
    report = check_mutant(mutant, case)
    causes = [leaf.cause for leaf in report.failures]
    row = {
        "architecture": case.name,
        "bug": mutant.name,
        "verdict": str(report.verdict),
        "found": report.verdict is Verdict.FAIL,
        "named": any(mutant.names_cause(cause) for cause in causes),
        "words": causes[0] if causes else "",
    }
    if peers:
        for single in (True, False):
            dtype = "float32" if single else "float64"
            passed = check_by_peers(mutant.backward(case), case, single)
            row |= {f"{name}, {dtype}": not ok for name, ok in passed.items()}
    return row


def study_right(seed: int) -> dict[str, bool]:
    """Run every check on one random network whose gradient is right: name -> false alarm."""
    _, problem = draw_problem(seed)
    config = problem.config.replace(dtype="float64", compute_dtype=None)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), problem.params)
    case = Architecture(
        "random", config, problem.loss, params, problem.x, problem.y, problem.options
    )
    right = value_and_grad(config, problem.loss)
    row = {}
    for single in (True, False):
        dtype = "float32" if single else "float64"
        passed = check_by_peers(right, case, single)
        row |= {f"{name}, {dtype}": not ok for name, ok in passed.items()}
    report = check_gradients(
        right, objective(config, problem.loss), params, problem.x, problem.y, kwargs=problem.options
    )
    return row | {"check_gradients": report.verdict is Verdict.FAIL}


def summary(bugs: list[dict[str, Any]], right: list[dict[str, bool]]) -> list[dict[str, Any]]:
    """Make the rows of the table."""
    peers = [f"{name}, {dtype}" for name in PEERS for dtype in ("float32", "float64")]
    found = {"check_gradients": sum(row["found"] for row in bugs)}
    found |= {name: sum(row[name] for row in bugs) for name in peers}
    return [
        {
            "check": name,
            "bugs found": f"{n} of {len(bugs)} ({n / len(bugs):.1%})",
            "false alarms": f"{sum(row[name] for row in right)} of {len(right)}",
        }
        for name, n in found.items()
    ]


def run(only: str | None, networks: int, peers: bool, log: Callable[[str], Any]) -> dict[str, Any]:
    """Run the study."""
    start, bugs = time.perf_counter(), []
    with jax.enable_x64(True):
        for case in architectures().values():
            for mutant in MUTANTS[case.name] if only in (None, case.name) else []:
                bugs.append(study_mutant(mutant, case, peers))
                if not (bugs[-1]["found"] and bugs[-1]["named"]):
                    log(f"{case.name}: {mutant.name}: {bugs[-1]['verdict']}: {bugs[-1]['words']}")
        right = [study_right(seed) for seed in range(networks)] if peers else []
    table = summary(bugs, right) if peers else []
    log(markdown_table(table) if peers else "")
    return {
        "bugs": len(bugs),
        "found": sum(row["found"] for row in bugs),
        "named": sum(row["named"] for row in bugs),
        "missed": [f"{row['architecture']}: {row['bug']}" for row in bugs if not row["found"]],
        "not_named": [f"{row['architecture']}: {row['bug']}" for row in bugs if not row["named"]],
        "table": table,
        "rows": bugs,
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=list(MUTANTS))
    parser.add_argument("--no-peers", action="store_true", help="leave the other checks out")
    parser.add_argument("--networks", type=int, default=40, help="right networks, for false alarms")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    log = partial(print, flush=True)
    result = run(options.only, options.networks, not options.no_peers, log)
    write_json(options.out, {"environment": environment(), **result})
    print(json.dumps({k: v for k, v in result.items() if k not in ("rows", "table")}, indent=2))


if __name__ == "__main__":
    main()
