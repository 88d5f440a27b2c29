"""Mutation score: bugs injected into a backward pass, and which checks find them.

Compared: `check_gradients`; `jax.test_util.check_grads` as users call it, in float32 and float64;
`numpy.allclose` of the claimed gradient with jax.grad (its defaults) and with central differences
(h = 1e-5 in float64, h = 1e-3 in float32). A bug counts as found when the check fails; an
"inconclusive" or a pass is a miss. The same checks run on right gradients, to count false alarms.
How often the cause is named is counted with the network's config, without it, and for the two
architectures without batch normalization as plain functions of (W, b) pairs, without it.

Run: python -m benchmarks.verification_mutations [--only classifier] [--networks 40]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
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
from benchmarks.verification_plain import check_plain_mutant
from jaxmlp.network import objective, value_and_grad
from jaxmlp.once import quick_compilation
from jaxmlp.verification import GradientReport, Verdict, check_gradients

RESULTS = Path(__file__).parent / "results" / "verification_mutations.json"
PEERS = ("jax.test_util.check_grads", "allclose with jax.grad", "allclose with differences")
N_DIFFERENCES = 20  # entries of each leaf


class Peers:
    """The other checks of one network's gradient, in one precision.

    What does not depend on the claim (jax.grad, the differences) is computed once.
    """

    def __init__(self, case: Architecture, single: bool) -> None:
        """Cast the network and its data, and compute what claims are compared with."""
        self.single, self.dtype = single, "float32" if single else "float64"
        self.config = case.config.replace(dtype=self.dtype, compute_dtype=None)
        self.loss = case.loss
        with jax.enable_x64(not single):
            cast = jax.tree.map(self._cast, (case.params, case.x, case.y, case.options))
            self.params, self.x, self.y, options = cast
            rates = {k: float(options[k]) for k in ("l2", "dropout_rate") if k in options}
            self.options = options | rates
            self.fn = self._compiled(objective(self.config, case.loss))
            self.autodiff = self._compiled(jax.grad(objective(self.config, case.loss)))(self.params)
            self.differences = list(self._central_differences(1e-3 if single else 1e-5))

    def _cast(self, a: Any) -> Any:
        return (
            jnp.asarray(a, self.dtype) if jnp.issubdtype(jnp.asarray(a).dtype, jnp.floating) else a
        )

    def _compiled(self, fn: Any) -> Any:
        """Return a compiled function of the parameters alone."""
        call = lambda p: fn(p, self.x, self.y, **self.options)  # noqa: E731
        return jax.jit(call, compiler_options=quick_compilation())

    def _central_differences(self, step: float) -> Iterator[tuple[int, tuple[int, ...], float]]:
        """Yield leaf, index and slope of some entries of each leaf."""
        leaves, treedef = jax.tree.flatten(jax.tree.map(np.asarray, self.params))
        rng = np.random.default_rng(0)
        for l, leaf in enumerate(leaves):
            for entry in rng.choice(leaf.size, min(N_DIFFERENCES, leaf.size), replace=False):
                index, values = np.unravel_index(entry, leaf.shape), []
                for h in (step, -step):
                    moved = leaf.copy()
                    moved[index] += h
                    values.append(
                        self.fn(treedef.unflatten([*leaves[:l], moved, *leaves[l + 1 :]]))
                    )
                yield l, index, float((values[0] - values[1]) / (2 * step))

    def passes(self, backward: Callable[[Any], Any]) -> dict[str, bool]:
        """Run all checks on the gradient that `backward(config)` makes: name -> passed."""
        with jax.enable_x64(not self.single):
            claim = self._compiled(backward(self.config))
            grads = claim(self.params)[1]
            found = (
                self._check_grads(claim),
                self._allclose(grads),
                self._close_to_differences(grads),
            )
        return {f"{name}, {self.dtype}": ok for name, ok in zip(PEERS, found, strict=True)}

    def _check_grads(self, claim: Any) -> bool:
        """jax.test_util.check_grads of fn with the claimed gradient as its derivative."""

        @jax.custom_vjp
        def claimed(params: Any) -> Any:
            return self.fn(params)

        def backward(grads: Any, cotangent: Any) -> Any:
            return (jax.tree.map(lambda g: cotangent * g, grads),)

        claimed.defvjp(claim, backward)
        try:
            check_grads(claimed, (self.params,), order=1, modes=["rev"])
        except Exception:  # an AssertionError, or JAX's own complaint about the structure
            return False
        return True

    def _allclose(self, grads: Any) -> bool:
        """numpy.allclose with jax.grad."""
        if jax.tree.structure(grads) != jax.tree.structure(self.autodiff):
            return False
        pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(self.autodiff), strict=True)
        return all(g.shape == r.shape and np.allclose(g, r) for g, r in pairs)

    def _close_to_differences(self, grads: Any) -> bool:
        """numpy.allclose (rtol 1e-3, atol 1e-5) with central differences."""
        try:
            claimed = jax.tree.structure(self.params).flatten_up_to(grads)
        except ValueError:
            return False
        claimed = list(map(np.asarray, claimed))
        shapes = [leaf.shape for leaf in jax.tree.leaves(self.params)]
        return [g.shape for g in claimed] == shapes and all(
            np.allclose(claimed[l][index], slope, rtol=1e-3, atol=1e-5)
            for l, index, slope in self.differences
        )


def check_mutant(mutant: Mutant, case: Architecture, with_config: bool = True) -> GradientReport:
    """Run our check on one bug; with the network's config, it can try slips of a backward pass."""
    return check_gradients(
        mutant.backward(case), objective(case.config, case.loss), case.params, case.x, case.y,
        kwargs=case.options, config=case.config if with_config else None,
    )  # fmt: skip


def study_mutant(mutant: Mutant, case: Architecture, peers: list[Peers]) -> dict[str, Any]:
    """Run every check on one bug."""
    assert differs(mutant, case), f"{mutant.name} is equivalent to the right code"
    report = check_mutant(mutant, case)
    causes = [leaf.cause for leaf in report.failures]
    alone = check_mutant(mutant, case, with_config=False)
    in_pairs = check_plain_mutant(mutant, case)
    row = {
        "architecture": case.name,
        "bug": mutant.name,
        "verdict": str(report.verdict),
        "found": report.verdict is Verdict.FAIL,
        "named": any(mutant.names_cause(cause) for cause in causes),
        "named_without_config": any(mutant.names_cause(leaf.cause) for leaf in alone.failures),
        "named_in_pairs": in_pairs
        and any(mutant.names_cause(leaf.cause) for leaf in in_pairs.failures),
        "words": causes[0] if causes else "",
    }
    for peer in peers:
        passed = peer.passes(lambda c: Backward(c, case.loss, {mutant.step: mutant.function}))
        row |= {name: not ok for name, ok in passed.items()}
    return row


def study_right(seed: int) -> dict[str, bool]:
    """Run every check on one random network whose gradient is right: name -> false alarm."""
    _, problem = draw_problem(seed)
    config = problem.config.replace(dtype="float64", compute_dtype=None)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), problem.params)
    case = Architecture(
        "random", config, problem.loss, params, problem.x, problem.y, problem.options
    )
    row = {}
    for single in (True, False):
        passed = Peers(case, single).passes(lambda c: value_and_grad(c, problem.loss))
        row |= {name: not ok for name, ok in passed.items()}
    report = check_gradients(
        value_and_grad(config, problem.loss), objective(config, problem.loss), params,
        problem.x, problem.y, kwargs=problem.options,
    )  # fmt: skip
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
            if only not in (None, case.name):
                continue
            others = [Peers(case, single) for single in (True, False)] if peers else []
            for mutant in MUTANTS[case.name]:
                bugs.append(study_mutant(mutant, case, others))
                if not (bugs[-1]["found"] and bugs[-1]["named"]):
                    log(f"{case.name}: {mutant.name}: {bugs[-1]['verdict']}: {bugs[-1]['words']}")
        right = [study_right(seed) for seed in range(networks)] if peers else []
    table = summary(bugs, right) if peers else []
    log(markdown_table(table) if peers else "")
    return {
        "bugs": len(bugs),
        "found": sum(row["found"] for row in bugs),
        "named": sum(row["named"] for row in bugs),
        "named_without_config": sum(row["named_without_config"] for row in bugs),
        "in_pairs": sum(row["named_in_pairs"] is not None for row in bugs),
        "named_in_pairs": sum(bool(row["named_in_pairs"]) for row in bugs),
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
