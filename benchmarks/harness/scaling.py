"""Workload "scaling": how the time of a step grows with width, batch and members."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.harness.effort import Effort
from benchmarks.harness.fit import time_fits
from benchmarks.harness.floor import measure_floor
from benchmarks.harness.members import METRIC, time_members
from benchmarks.harness.peers import OWN, available
from benchmarks.harness.problems import digits
from benchmarks.harness.results import Row

PEERS = (OWN, "flax + optax, compiled scan", "scikit-learn", "PyTorch, eager")
WIDTHS, BATCHES, MEMBERS = (16, 64, 256, 1024, 4096), (8, 32, 128, 512), (1, 4, 16, 64, 256)
STEPS = 120  # about as many a point


def measure_scaling(effort: Effort) -> Iterator[Row]:
    """Rows have the swept size in their details, under "size"."""
    names = [name for name in PEERS if available(name) and effort.wants(name)]
    if effort.quick:
        names = [name for name in names if name in (OWN, "scikit-learn")]
    yield from _shapes("width", WIDTHS[:2] if effort.quick else WIDTHS, names, effort)
    yield from _shapes("batch", BATCHES[2:] if effort.quick else BATCHES, names, effort)
    for count in MEMBERS[1:2] if effort.quick else MEMBERS:
        for row in time_members(count, replace(effort, rounds=effort.rounds_of(3))):
            yield _scaled(row, f"members, {METRIC}", count)


def _shapes(what: str, sizes: tuple[int, ...], names: list[str], effort: Effort) -> Iterator[Row]:
    """Time a step as the width of the hidden layer, or the batch, grows."""
    floor = measure_floor(effort.quick)
    for size in sizes:
        width, batch = (size, 128) if what == "width" else (128, size)
        steps_per_epoch = -(-1437 // batch)
        epochs = 1 if effort.quick else max(1, STEPS // steps_per_epoch)
        problem = digits(batch, epochs, (64, width, 10))
        case = f"{what}, 64-{width if what == 'batch' else 'n'}-10, one step"
        few = replace(effort, rounds=effort.rounds_of(3))
        for row in time_fits(case, problem, names, few, workload="scaling", judged=False):
            if row.metric == "one step":
                yield _scaled(row, case, size)
        seconds = floor.seconds(problem.layer_sizes, batch)
        yield Row("scaling", case, "floor", "one step", "s", seconds, details={"size": size})


def _scaled(row: Row, case: str, size: int) -> Row:
    return replace(row, workload="scaling", case=case, details={**row.details, "size": size})
