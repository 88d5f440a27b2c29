"""What the doctor says: kinds of disease, how bad, by what evidence, and what cures it."""

import enum
from dataclasses import dataclass, replace

from jaxmlp.messages import check_language, in_language, phrase


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


_TITLES = {
    FindingKind.NON_FINITE: phrase("non finite"),
    FindingKind.SYMMETRIC_WEIGHTS: phrase("symmetric weights"),
    FindingKind.LOSS_MISMATCH: phrase("loss mismatch"),
    FindingKind.VANISHING_GRADIENT: phrase("vanishing gradient"),
    FindingKind.EXPLODING_GRADIENT: phrase("exploding gradient"),
    FindingKind.DEAD_UNITS: phrase("dead units"),
    FindingKind.SATURATED_UNITS: phrase("saturated units"),
    FindingKind.UNSCALED_INPUTS: phrase("unscaled inputs"),
    FindingKind.UNSCALED_TARGETS: phrase("unscaled targets"),
    FindingKind.ILL_CONDITIONING: phrase("ill conditioning"),
    FindingKind.LEARNING_RATE_TOO_LARGE: phrase("learning rate too large"),
    FindingKind.LEARNING_RATE_TOO_SMALL: phrase("learning rate too small"),
    FindingKind.OVERFITTING: phrase("overfitting"),
}
_SEVERITIES = {
    Severity.INFO: phrase("info"),
    Severity.WARNING: phrase("warning"),
    Severity.CRITICAL: phrase("critical"),
}


@dataclass(frozen=True)
class Finding:
    """One disease.

    Attributes:
        kind: which.
        layer: counted from 0; None if it concerns the data or the whole network.
        severity: how bad.
        evidence: the numbers, in a sentence.
        remedy: what to do, in a sentence.
        language: in which it is said, "en" or "vi".
    """

    kind: FindingKind
    layer: int | None
    severity: Severity
    evidence: str
    remedy: str
    language: str = "en"

    @property
    def title(self) -> str:
        """How severe it is, the kind, and the layer."""
        named = {"severity": _SEVERITIES[self.severity], "kind": _TITLES[self.kind]}
        words = (
            phrase("{severity}: {kind}", **named)
            if self.layer is None
            else phrase("{severity}: {kind}, layer {layer}", **named, layer=self.layer)
        )
        return in_language(words, self.language)

    def in_language(self, language: str) -> "Finding":
        """Say the same in a language, "en" or "vi".

        >>> found = Finding(FindingKind.OVERFITTING, None, Severity.WARNING, "", "")
        >>> found.in_language("vi").title
        'cảnh báo: quá khớp (overfitting)'
        """
        check_language(language)
        evidence, remedy = (in_language(text, language) for text in (self.evidence, self.remedy))
        return replace(self, evidence=evidence, remedy=remedy, language=language)

    def __str__(self) -> str:
        """Format in three lines.

        >>> print(Finding(FindingKind.DEAD_UNITS, 0, Severity.WARNING, "All are 0.", "Use He."))
        WARNING dead_units, layer 0
          All are 0.
          Remedy: Use He.
        """
        where = "" if self.layer is None else f", layer {self.layer}"
        head = f"{self.severity.name} {self.kind.value}{where}"
        if self.language != "en":
            head = self.title
        remedy = in_language(phrase("Remedy: {remedy}", remedy=self.remedy), self.language)
        return f"{head}\n  {self.evidence}\n  {remedy}"
