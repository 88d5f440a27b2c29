"""Timing by turns: A B C A B C ..., so that a machine's moods meet all contenders alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax

Work = Callable[[], Any]


class Sample(NamedTuple):
    """Seconds of one call: on the clock, and of the processor, all threads together."""

    clock: float
    processor: float


class Timed(Protocol):
    """What measures itself."""

    def measure(self, repeats: int) -> Sample:
        """Do the work so often; return the time of one call."""


class Timing(NamedTuple):
    """Seconds of one call.

    Attributes:
        first: the very first call: compilation and warming up.
        median: of the rounds, on the clock.
        low: their lower quartile.
        high: their upper quartile.
        processor: median of the processor time, all threads together.
        rounds: number of rounds.
    """

    first: float
    median: float
    low: float
    high: float
    processor: float
    rounds: int

    @property
    def compile(self) -> float:
        """What the first call took beyond a later one: compilation and warming up."""
        return max(self.first - self.median, 0.0)


def interleave(
    works: Mapping[str, Work | Timed],
    rounds: int,
    least_seconds: float = 0.0,
    after: Callable[[str], None] = lambda name: None,
) -> dict[str, Timing]:
    """Call all of them once, then take turns.

    Args:
        works: functions without arguments by name, what they return is waited for; or objects that
            measure themselves.
        rounds: how often each takes its turn.
        least_seconds: a turn repeats a short call for about so long, and takes the mean.
        after: given the name after each turn, off the clock.

    Returns:
        The timing of each.

    Example:
        >>> found = interleave({"a": lambda: sum(range(10)), "b": lambda: None}, rounds=3)
        >>> found["a"].rounds, found["a"].median > 0
        (3, True)
    """
    take = {name: getattr(work, "measure", partial(measure, work)) for name, work in works.items()}
    first, repeats = {}, {}
    for name, turn in take.items():
        first[name] = turn(1).clock
        after(name)
        repeats[name] = _repeats(turn, least_seconds)
    samples: dict[str, list[Sample]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, turn in take.items():
            samples[name].append(turn(repeats[name]))
            after(name)
    return {name: summary(first[name], samples[name]) for name in works}


def summary(first: float, samples: Sequence[Sample]) -> Timing:
    """Reduce samples to medians and quartiles."""
    clock = sorted(sample.clock for sample in samples)
    low, _, high = statistics.quantiles(clock, n=4) if len(clock) > 2 else (clock[0], 0, clock[-1])
    processor = statistics.median(sample.processor for sample in samples)
    return Timing(first, statistics.median(clock), low, high, processor, len(clock))


def measure(work: Work, repeats: int) -> Sample:
    """Call a work so often, and return the time of one call."""
    clock, processor = time.perf_counter(), _processor_seconds()
    for _ in range(repeats):
        jax.block_until_ready(work())
    clock, processor = time.perf_counter() - clock, _processor_seconds() - processor
    return Sample(clock / repeats, processor / repeats)


def _processor_seconds() -> float:
    """Of all threads of this process, and of the processes it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _repeats(turn: Callable[[int], Sample], least_seconds: float) -> int:
    if least_seconds <= 0:
        return 1
    return max(1, round(least_seconds / max(turn(1).clock, 1e-7)))
