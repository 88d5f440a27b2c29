"""What the library promises, and whether a run shows it: target, measured, reached."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import inference, members, per_example, sweep
from benchmarks.harness.cold import CACHED
from benchmarks.harness.peers import OWN
from benchmarks.harness.problems import CASES
from benchmarks.harness.results import Results, Row

DIGITS, IMAGES = CASES["digits"].name, CASES["images"].name
SKLEARN, TORCH, FLAX = "scikit-learn", "PyTorch, eager", "flax + optax, compiled scan"
COLD = "import to result"
Key = tuple[str, str, str, str]  # workload, case, contender, metric


@dataclass(frozen=True)
class Target:
    """One promise about the quotient of two figures.

    Attributes:
        work: in words.
        above: the figure above the line; the targets say which way is good.
        below: the figure below it.
        bound: what the quotient must be.
        at_least: whether larger is better.
    """

    work: str
    above: Key
    below: Key
    bound: float
    at_least: bool = True

    def judge(self, results: Results) -> dict[str, Any]:
        """Return target, measured and reached; the last two are None without (valid) rows."""
        sign = ">=" if self.at_least else "<="
        row: dict[str, Any] = {
            "work": self.work, "target": f"{sign} {self.bound:g}x", "measured": None,
            "reached": None, "remark": "",
        }  # fmt: skip
        found = [results.find(*key) for key in (self.above, self.below)]
        missing = [key for key, one in zip((self.above, self.below), found, strict=True) if not one]
        void = [f"{one.contender}: {one.void}" for one in found if one is not None and one.void]
        if missing or void:
            remark = void[0] if void else f"not measured: {missing[0][2]}"
            return row | {"remark": remark}
        above, below = (one.value for one in found if one is not None)
        ratio = above / below
        reached = ratio >= self.bound if self.at_least else ratio <= self.bound
        return row | {"measured": ratio, "reached": bool(reached)}


def _over(metric_key: Callable[[str], Key], theirs: str, ours: str = OWN) -> tuple[Key, Key]:
    return metric_key(theirs), metric_key(ours)


def _fit(name: str) -> Key:
    return "fit", DIGITS, name, "whole fit"


def _cold(name: str) -> Key:
    return "cold", DIGITS, name, COLD


def _sweep(metric: str) -> Callable[[str], Key]:
    case = sweep.problem_and_grid(quick=False)[0]
    return lambda name: ("sweep", case, name, metric)


def _members(name: str) -> Key:
    return "members", f"{members.COUNT} x {members.CASE}", name, members.METRIC


def _example(metric: str) -> Callable[[str], Key]:
    return lambda name: ("per-example", per_example.CASE, name, metric)


def _inference(network: str, n: int) -> Callable[[str], Key]:
    rows = "1 row" if n == 1 else f"{n:,} rows"
    return lambda name: ("inference", f"{network}, {rows}", name, "probabilities")


def targets() -> list[Target]:
    """Return all of them, in the order of the table."""
    time, memory = _example("one batch"), _example("temporary memory")
    norms, plain, vmap = per_example.NORMS, per_example.PLAIN, per_example.VMAP
    step = "one step"
    found = [
        Target("fit digits, warm: scikit-learn / jaxmlp", *_over(_fit, SKLEARN), 5),
        Target("fit digits, warm: PyTorch eager / jaxmlp", *_over(_fit, TORCH), 5),
        Target("fit digits, warm: flax + optax scan / jaxmlp", *_over(_fit, FLAX), 1.15),
        Target("fit digits, cold, first time: scikit-learn / jaxmlp", *_over(_cold, SKLEARN), 1),
        Target(
            "fit digits, cold, compilation cache: scikit-learn / jaxmlp",
            *_over(_cold, SKLEARN, OWN + CACHED), 1.5,
        ),
        Target(
            "784-512-512-10, batch 256: a step / the floor",
            ("fit", IMAGES, OWN, step), ("fit", IMAGES, "floor", step), 1.15, at_least=False,
        ),
        Target(
            "sweep 16 x 5 folds, warm: GridSearchCV / jaxmlp",
            *_over(_sweep(sweep.WARM), SKLEARN), 5,
        ),
        Target(
            "sweep 16 x 5 folds, cold: GridSearchCV / jaxmlp",
            *_over(_sweep(sweep.COLD), SKLEARN), 2.5,
        ),
        Target(
            "64 members, batch 32: one after another / sweep",
            *_over(_members, members.ALONE, members.TOGETHER), 2.5,
        ),
        Target(
            "per-example norms / one plain gradient, time", *_over(time, norms, plain), 0.65,
            at_least=False,
        ),
        Target("vmap(grad) / per-example norms, time", *_over(time, vmap, norms), 50),
        Target(
            "vmap(grad) / per-example norms, temporary memory", *_over(memory, vmap, norms), 100
        ),
        Target(
            "per-example clipped gradient / plain gradient, time",
            *_over(time, per_example.CLIPPED, plain), 1.15, at_least=False,
        ),
        Target(
            "64 members: best on one device / all devices",
            *_over(_members, members.ONE_DEVICE, members.TOGETHER), 1.5,
        ),
    ]  # fmt: skip
    for network in ("64-128-10", "784-512-512-10"):
        one, many = _inference(network, 1), _inference(network, inference.MANY)
        work = f"predict, {network}: scikit-learn / jaxmlp"
        found.append(Target(f"1 row, {work}", *_over(one, SKLEARN), 5))
        found.append(Target(f"1e5 rows, {work}", *_over(many, SKLEARN), 1.2))
    return found


def judge(results: Results) -> list[dict[str, Any]]:
    """Judge all targets by the rows of a run."""
    return [target.judge(results) for target in targets()]


def anything_measured(rows: list[Row]) -> bool:
    """Whether there is a row that any target needs."""
    keys = {key for target in targets() for key in (target.above, target.below)}
    return any((row.workload, row.case, row.contender, row.metric) in keys for row in rows)
