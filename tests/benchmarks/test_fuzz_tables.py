"""Odd tables are prepared, or refused in one sentence; a sample of the many."""

import json

import pytest

from benchmarks import fuzz_tables


@pytest.mark.slow
def test_a_sample():
    rows, faults = fuzz_tables.run(40, seed=7)
    assert faults == []
    assert sum(row["prepared"] for row in rows) >= 10
    assert sum(row["prepared"] + row["refused"] for row in rows) == 40


def test_a_fault_is_counted(tmp_path, monkeypatch):
    def fails(path):
        raise TypeError("of another kind")

    monkeypatch.setattr(fuzz_tables, "read_table", fails)
    path = tmp_path / "a.csv"
    path.write_text("a,y\n1,x\n")
    with pytest.raises(TypeError):
        fuzz_tables.examine(path)
    rows, faults = fuzz_tables.run(2, seed=0)
    assert [fault["error"] for fault in faults] == ["TypeError: of another kind"] * 2
    assert sum(row["fault"] for row in rows) == 2
    json.dumps(rows)
