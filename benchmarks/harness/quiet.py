"""Whether the machine did other work meanwhile: then times are too long, and quotients unsafe."""

import os
import time

import psutil

ALLOWED = 0.05  # of all processors, used by others


class Watch:
    """Looks from its making on at how much of the processors others use."""

    def __init__(self) -> None:
        """Begin."""
        self.clock, self.busy, self.own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def others(self) -> float:
        """Return the share of all processors that other programs have used.

        Of this program's processes only those count as its own that have ended.
        """
        passed = (time.perf_counter() - self.clock) * (psutil.cpu_count() or 1)
        foreign = (_busy_seconds() - self.busy) - (_own_seconds() - self.own)
        return min(1.0, max(0.0, foreign / passed))


def complaint(shares: dict[str, float]) -> str:
    """Say in a sentence which workloads others disturbed; "" if none."""
    disturbed = [f"{name} ({share:.0%})" for name, share in shares.items() if share > ALLOWED]
    if not disturbed:
        return ""
    return (
        "The machine was not quiet: other programs used its processors during "
        f"{', '.join(disturbed)}. Stop them and measure again; these times are too long."
    )


def _busy_seconds() -> float:
    """Of all processors, by everybody, hypervisors included."""
    times = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice")  # guests are counted as user time already
    return sum(seconds for name, seconds in times.items() if name not in idle)


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
