"""What the doctor says: kinds of disease, how bad, by what evidence, and what cures it."""

import enum
from dataclasses import dataclass


class FindingKind(enum.StrEnum):
    """The diseases that `diagnose` knows; the lecture's are in chapter VI."""

    NON_FINITE = "non_finite"
    SYMMETRIC_WEIGHTS = "symmetric_weights"
    LOSS_MISMATCH = "loss_mismatch"
    VANISHING_GRADIENT = "vanishing_gradient"
    EXPLODING_GRADIENT = "exploding_gradient"
    DEAD_UNITS = "dead_units"
    SATURATED_UNITS = "saturated_units"
    UNSCALED_INPUTS = "unscaled_inputs"
    UNSCALED_TARGETS = "unscaled_targets"
    ILL_CONDITIONING = "ill_conditioning"
    LEARNING_RATE_TOO_LARGE = "learning_rate_too_large"
    LEARNING_RATE_TOO_SMALL = "learning_rate_too_small"
    OVERFITTING = "overfitting"


class Severity(enum.IntEnum):
    """INFO is worth knowing, WARNING costs speed or accuracy, CRITICAL keeps it from learning."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True)
class Finding:
    """One disease.

    Attributes:
        kind: which.
        layer: counted from 0; None if it concerns the data or the whole network.
        severity: how bad.
        evidence: the numbers, in a sentence.
        remedy: what to do, in a sentence.
    """

    kind: FindingKind
    layer: int | None
    severity: Severity
    evidence: str
    remedy: str

    def __str__(self) -> str:
        """Format in three lines.

        >>> print(Finding(FindingKind.DEAD_UNITS, 0, Severity.WARNING, "All are 0.", "Use He."))
        WARNING dead_units, layer 0
          All are 0.
          Remedy: Use He.
        """
        where = "" if self.layer is None else f", layer {self.layer}"
        return (
            f"{self.severity.name} {self.kind.value}{where}\n  {self.evidence}\n"
            f"  Remedy: {self.remedy}"
        )
