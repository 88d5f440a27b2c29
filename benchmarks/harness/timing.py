"""Timing by turns: A B C A B C ..., so that a machine's moods meet all contenders alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Work = Callable[[], Any]


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
    works: Mapping[str, Work],
    rounds: int,
    least_seconds: float = 0.0,
    after: Callable[[str, Any], None] = lambda name, result: None,
) -> dict[str, Timing]:
    """Call all of them once, then take turns.

    Args:
        works: functions without arguments by name; what they return is waited for.
        rounds: how often each takes its turn.
        least_seconds: a turn repeats a short call for about so long, and takes the mean.
        after: given the name and the (last) result of each turn, off the clock.

    Returns:
        The timing of each.

    Example:
        >>> found = interleave({"a": lambda: sum(range(10)), "b": lambda: None}, rounds=3)
        >>> found["a"].rounds, found["a"].median > 0
        (3, True)
    """
    first, repeats = {}, {}
    for name, work in works.items():
        first[name], _, result = _measure(work, 1)
        after(name, result)
        repeats[name] = _repeats(work, least_seconds)
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            clock, processor, result = _measure(work, repeats[name])
            samples[name].append((clock, processor))
            after(name, result)
    return {name: summary(first[name], samples[name]) for name in works}


def summary(first: float, samples: list[tuple[float, float]]) -> Timing:
    """Reduce (clock, processor) samples to medians and quartiles."""
    clock = sorted(sample[0] for sample in samples)
    low, _, high = statistics.quantiles(clock, n=4) if len(clock) > 2 else (clock[0], 0, clock[-1])
    processor = statistics.median(sample[1] for sample in samples)
    return Timing(first, statistics.median(clock), low, high, processor, len(clock))


def _measure(work: Work, repeats: int) -> tuple[float, float, Any]:
    """Seconds a call on the clock, and of processor time; and the last result."""
    clock, processor = time.perf_counter(), _processor_seconds()
    for _ in range(repeats):
        result = jax.block_until_ready(work())
    clock, processor = time.perf_counter() - clock, _processor_seconds() - processor
    return clock / repeats, processor / repeats, result


def _processor_seconds() -> float:
    """Of all threads of this process, and of the processes it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _repeats(work: Work, least_seconds: float) -> int:
    if least_seconds <= 0:
        return 1
    return max(1, round(least_seconds / max(_measure(work, 1)[0], 1e-7)))
