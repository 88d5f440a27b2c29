"""Turns, the floor, the void rule, result files and targets."""

import json
import multiprocessing
import os
import time
from functools import partial

import numpy as np
import pytest

from benchmarks.harness import Results, Row, markdown_table, read_results
from benchmarks.harness import fit as fit_module
from benchmarks.harness.contenders import gathered
from benchmarks.harness.effort import Effort
from benchmarks.harness.equality import MOST_SEEDS, Losses, compare
from benchmarks.harness.floor import Floor, measure_floor
from benchmarks.harness.peers import final_loss, initial_weights
from benchmarks.harness.peers.problem import Problem
from benchmarks.harness.quiet import Watch, complaint
from benchmarks.harness.tables import quantity, sheets
from benchmarks.harness.targets import judge, targets
from benchmarks.harness.timing import Sample, interleave, summary


def test_contenders_take_turns():
    calls = []
    works = {name: lambda name=name: calls.append(name) for name in "abc"}
    found = interleave(works, rounds=2)
    assert "".join(calls) == "abc" + "abcabc"
    assert all(timing.rounds == 2 and timing.median >= 0 for timing in found.values())


def test_short_calls_are_repeated():
    calls = []
    interleave({"a": lambda: calls.append(1)}, rounds=1, least_seconds=1e-3)
    assert len(calls) > 10


class Counter:
    """Work that counts its calls."""

    def __init__(self, fails_at=None):
        self.calls, self.fails_at = 0, fails_at

    def __call__(self):
        self.calls += 1
        if self.calls == self.fails_at:
            raise ValueError("out of luck")

    def count(self):
        return self.calls, os.getpid()

    def crash(self):
        os._exit(3)


def test_contenders_have_processes_of_their_own():
    builds = {name: partial(Counter, 4 if name == "b" else None) for name in "ab"}
    with gathered("fit", builds, Effort()) as contenders:
        found = interleave(contenders, rounds=2)
        counts = {name: contender.ask("count") for name, contender in contenders.items()}
        assert [found["a"].rounds, counts["a"][0], counts["b"][0]] == [2, 3, 3]
        assert len({os.getpid(), *(process for _, process in counts.values())}) == 3
        with pytest.raises(RuntimeError, match="a contender failed: ValueError: out of luck"):
            contenders["b"].measure(1)
        with pytest.raises(RuntimeError, match="process ended with exit code 3"):
            contenders["a"].ask("crash")
    assert multiprocessing.active_children() == []


def test_a_quick_run_stays_in_this_process():
    with gathered("fit", {"a": Counter}, Effort(quick=True)) as contenders:
        assert contenders["a"].ask("count") == (0, os.getpid())


def test_own_work_is_none_of_others():
    watch, end = Watch(), time.process_time() + 0.3
    while time.process_time() < end:
        pass
    assert 0 <= watch.others() < 1  # how much exactly is up to the machine


def test_a_machine_that_was_not_quiet_is_named():
    assert complaint({"fit": 0.01, "sweep": 0.0}) == ""
    found = complaint({"fit": 0.01, "sweep": 0.25, "cold": 0.5})
    assert "during sweep (25%), cold (50%)." in found


def test_a_summary_is_of_medians_and_quartiles():
    samples = [(1.0, 2.0), (2.0, 4.0), (3.0, 6.0), (100.0, 8.0), (4.0, 1.0)]
    timing = summary(9.0, [Sample(*sample) for sample in samples])
    assert (timing.median, timing.processor, timing.first) == (3.0, 4.0, 9.0)
    assert timing.low < timing.median < timing.high < 100
    assert timing.compile == 6.0


def test_the_floor_is_plausible():
    floor = measure_floor(quick=True, repeats=2)
    assert "jax" in floor.products
    assert "jax" in floor.memory
    for rates in floor:
        assert all(1e8 < rate < 1e16 for rate in rates.values())


def test_the_floor_of_a_step_by_hand():
    floor = Floor({"a": 1e9, "b": 1e6}, {"a": 1e8}, {"a": 1.0})
    flops = 2 * 10 * (3 * (3 * 4 + 4 * 2) - 3 * 4)  # forward, dW, and dX but for the first layer
    n_bytes = 7 * 4 * (4 * 4 + 5 * 2)
    assert floor.seconds((3, 4, 2), 10) == pytest.approx(flops / 1e9 + n_bytes / 1e8)
    assert floor.best(Floor({"b": 2e9}, {"a": 1e7}, {})).products == {"a": 1e9, "b": 2e9}


def noisy(mean, seed):
    rng = np.random.default_rng(seed)
    values = mean * (1 + 0.05 * rng.normal(size=MOST_SEEDS))
    return Losses(lambda s: float(values[s]))


@pytest.mark.parametrize("seed", range(5))
def test_equal_losses_count_however_they_scatter(seed):
    assert compare(noisy(0.02, seed), noisy(0.02, seed + 100)).void == ""


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_other_losses_are_void(factor):
    found = compare(noisy(0.02 * factor, 1), noisy(0.02, 2))
    assert not found.equal
    assert "final loss" in found.void


def test_few_seeds_suffice_where_nothing_scatters():
    found = compare(Losses(lambda s: 1.03), Losses(lambda s: 1.0))
    assert (found.seeds, found.equal) == (5, False)


def test_seeds_are_added_where_scatter_hides_the_answer():
    values = [1.2, 0.9, 1.2, 1.0, 1.0] + [1.0, 0.98] * 20
    found = compare(Losses(lambda s: values[s]), Losses(lambda s: 1.0))
    assert found.seeds > 5
    assert found.equal


def test_a_peer_that_does_other_work_is_void(monkeypatch):
    """A contender that trains less is faster, and does not count."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    problem = Problem(x, (x[:, 0] > 0).astype(np.int32), (3, 8, 2), 16, 20, 1e-2)
    real, few = fit_module.make("numpy, by hand"), problem._replace(epochs=5)
    fakes = {"jaxmlp": real, "honest": real, "hasty": lambda problem: real(few)}
    monkeypatch.setattr(fit_module, "make", fakes.__getitem__)
    rows = list(fit_module.time_fits("case", problem, list(fakes), Effort(quick=True, rounds=2)))
    void = {row.contender: row.void for row in rows if row.metric == "whole fit"}
    assert void["jaxmlp"] == void["honest"] == ""
    assert "final loss" in void["hasty"]
    own = next(row for row in rows if row.contender == "jaxmlp")
    fit = real(problem)
    expected = np.mean([final_loss(problem, fit(seed)) for seed in range(5)])
    assert own.details["final loss"] == pytest.approx(expected)
    assert final_loss(problem, initial_weights(problem, 0)) > 2 * expected


def make_results():
    one = Row("fit", "digits, 64-128-10, batch 128", "jaxmlp", "whole fit", "s", 0.1, 0.09, 0.2)
    rows = [
        one,
        Row(one.workload, one.case, "scikit-learn", "whole fit", "s", 0.6, processor=1.2),
        Row(one.workload, one.case, "PyTorch, eager", "whole fit", "s", 0.3, void="final loss 2 x"),
        Row("per-example", "784-512-512-10, batch 256", "plain gradient", "one batch", "s", 1.0),
        Row("per-example", "784-512-512-10, batch 256", "per-example norms", "one batch", "s", 0.5),
    ]
    return Results({"device": "cpu: cpu", "versions": {}}, rows)


def test_a_result_file_is_read_as_it_was_written(tmp_path):
    results, path = make_results(), tmp_path / "new" / "result.json"
    results.targets = judge(results)
    results.write(path)
    found = read_results(path)
    assert found == results
    content = json.loads(path.read_text())
    assert sorted(content) == ["environment", "rows", "schema", "targets"]
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a benchmark's result"),
        ('{"schema": 99, "rows": []}', "schema 99"),
        ('{"schema": 1, "rows": [{"workload": "fit"}]}', "row 0 lacks or adds case"),
        ('{"schema": 1, "rows": [3]}', "row 0"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content, message):
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_targets_are_judged_by_the_rows():
    found = {one["work"]: one for one in judge(make_results())}
    warm = found["fit digits, warm: scikit-learn / jaxmlp"]
    assert warm["measured"] == pytest.approx(6)
    assert (warm["target"], warm["reached"]) == (">= 5x", True)
    void = found["fit digits, warm: PyTorch eager / jaxmlp"]
    assert (void["measured"], void["reached"]) == (None, None)
    assert "final loss" in void["remark"]
    norms = found["per-example norms / one plain gradient, time"]
    assert (norms["measured"], norms["target"], norms["reached"]) == (0.5, "<= 0.65x", True)
    assert len(found) == len(targets()) >= 16
    assert found["64 members: best on one device / all devices"]["remark"].startswith(
        "not measured"
    )


def test_tables_name_units_and_void_rows():
    sheet = sheets(make_results().rows)[0]
    assert sheet.heading == ("", "whole fit", "processor", "x jaxmlp", "void")
    assert sheet.rows[0] == ("jaxmlp", "100 ms", "", "1.00", "")
    assert sheet.rows[1] == ("scikit-learn", "600 ms", "1.2 s", "6.00", "")
    assert sheet.void == {2}
    assert quantity(0.0, "s") == "0 ns"


def test_tables_are_markdown():
    rows = [{"library": "a", "seconds": 0.12345}, {"library": "b", "seconds": 2.0}]
    assert markdown_table(rows).splitlines() == [
        "| library | seconds |",
        "| --- | --- |",
        "| a | 0.123 |",
        "| b | 2 |",
    ]
