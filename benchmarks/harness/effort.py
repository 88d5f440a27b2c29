"""How much trouble a run takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What all workloads share.

    Attributes:
        quick: tiny sizes, to see that everything works; the figures say nothing.
        rounds: turns of each contender.
        only: contenders to run, None for all that are installed.
    """

    quick: bool = False
    rounds: int = 7
    only: frozenset[str] | None = None

    def named(self, case: str) -> str:
        """Mark a case that is not of the size its name says."""
        return f"{case} (tiny)" if self.quick else case

    def wants(self, contender: str) -> bool:
        """Whether to run a contender."""
        return self.only is None or contender in self.only

    def rounds_of(self, most: int) -> int:
        """Number of turns for work of which more than `most` would take too long."""
        return min(self.rounds, most)
