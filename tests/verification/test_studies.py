"""Seeded samples of the two studies under benchmarks/, and their committed results."""

import json
import random
from pathlib import Path

import pytest

from benchmarks.verification_backward import Backward, architectures
from benchmarks.verification_false_alarms import check_seed
from benchmarks.verification_mutants import MUTANTS
from benchmarks.verification_mutations import check_mutant
from jaxmlp import objective
from jaxmlp.verification import Verdict, check_gradients

ROOT = Path(__file__).parent.parent.parent
SAMPLE = [
    (name, mutant)
    for name, mutants in sorted(MUTANTS.items())
    for mutant in random.Random(name).sample(mutants, 3)
]


@pytest.mark.parametrize(("name", "mutant"), SAMPLE, ids=[f"{n}: {m.name}" for n, m in SAMPLE])
@pytest.mark.slow
def test_planted_bugs_are_found(name, mutant, x64):
    report = check_mutant(mutant, architectures()[name])
    assert report.verdict is Verdict.FAIL, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_the_right_gradient_passes(name, x64):
    case = architectures()[name]
    report = check_gradients(
        Backward(case.config, case.loss, {}), objective(case.config, case.loss), case.params,
        case.x, case.y, kwargs=case.options, config=case.config,
    )  # fmt: skip
    assert report.passed, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 141, 592, 653])
def test_right_networks_raise_no_alarm(seed):
    _, _, report, _ = check_seed(seed)
    assert report.verdict is not Verdict.FAIL, str(report)


def test_there_are_enough_bugs_and_none_twice():
    assert len(MUTANTS) == 3
    for mutants in MUTANTS.values():
        assert len({mutant.name for mutant in mutants}) == len(mutants)
    assert sum(map(len, MUTANTS.values())) >= 60


@pytest.mark.parametrize("name", ["verification_mutations", "verification_false_alarms"])
def test_the_committed_results_are_what_is_promised(name):
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"run python -m benchmarks.{name} first")
    result = json.loads(path.read_text())
    if name == "verification_mutations":
        assert result["bugs"] >= 60
        assert result["found"] >= 0.95 * result["bugs"]
        assert result["named"] >= 0.8 * result["bugs"]
        assert result["named_without_config"] >= 0.8 * result["bugs"]
        assert result["named_in_pairs"] >= 0.8 * result["in_pairs"] > 0
    else:
        assert result["false_alarms"] == []
        assert max(result["inconclusive_share"][dtype] for dtype in ("float32", "float64")) <= 0.02
