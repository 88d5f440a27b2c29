"""What a check found: a verdict for every leaf, with the evidence in numbers and in words."""

import enum
from dataclasses import asdict, dataclass, replace
from typing import Any

from jaxmlp.messages import check_language, in_language, joined, phrase


class Verdict(enum.StrEnum):
    """What the evidence says about a gradient.

    >>> Verdict.PASS
    <Verdict.PASS: 'pass'>
    """

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


_VERDICTS = {
    Verdict.PASS: phrase("PASS"),
    Verdict.FAIL: phrase("FAIL"),
    Verdict.INCONCLUSIVE: phrase("INCONCLUSIVE"),
}
_MARKS = {
    Verdict.PASS: phrase("pass"),
    Verdict.FAIL: phrase("FAIL"),
    Verdict.INCONCLUSIVE: "????",
}


@dataclass(frozen=True)
class LeafReport:
    """The verdict on the gradient of one leaf.

    Attributes:
        name: its path, such as "layers[0].W".
        shape: of the parameter.
        verdict: pass, fail or inconclusive.
        cause: what is wrong, in words; empty if nothing is.
        evidence: what the verdict rests on, in words.
        autodiff_error: largest difference to jax.grad, as a share of the leaf's largest entry;
            None where jax.grad had nothing to say.
        difference_error: the same for finite differences, over the probes that resolve anything.
        taylor_order: smallest order of the Taylor remainder along random directions; 2 is right,
            inf is a remainder at rounding level, None was not measured.
        n_probes: finite differences taken.
        n_set_aside: of these, how many met a kink.
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    cause: str = ""
    evidence: str = ""
    autodiff_error: float | None = None
    difference_error: float | None = None
    taylor_order: float | None = None
    n_probes: int = 0
    n_set_aside: int = 0

    def __str__(self) -> str:
        """One or two lines."""
        return self.lines("en")

    def lines(self, language: str) -> str:
        """One or two lines, the mark in a language."""
        mark = in_language(_MARKS[self.verdict], language)
        head = f"{mark:4}  {self.name} {self.shape}".replace(",)", ")")
        said = [words for words in (self.cause, self.evidence) if words]
        return f"{head}: " + "\n      ".join(said)

    def in_language(self, language: str) -> "LeafReport":
        """Say the same in a language, "en" or "vi"."""
        cause, evidence = (in_language(text, language) for text in (self.cause, self.evidence))
        return replace(self, cause=cause, evidence=evidence)


@dataclass(frozen=True)
class GradientReport:
    """The verdict on a gradient, leaf by leaf.

    Attributes:
        leaves: one report a leaf of the parameters (and one for each leaf too many).
        value: of the function.
        noise: its rounding noise, measured, absolute.
        value_fault: what is wrong with the value that came with the gradient, in words; empty if
            nothing is, or none came.
        notes: what else was noticed.
        language: in which it is said, "en" or "vi".
    """

    leaves: tuple[LeafReport, ...]
    value: float
    noise: float
    value_fault: str = ""
    notes: tuple[str, ...] = ()
    language: str = "en"

    @property
    def passed(self) -> bool:
        """Whether every leaf passes, and the value that came with the gradient is right."""
        return self.verdict is Verdict.PASS

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of any leaf; a wrong value is a failure of its own."""
        verdicts = {leaf.verdict for leaf in self.leaves} | {self.value_verdict}
        for worst in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            if worst in verdicts:
                return worst
        return Verdict.PASS

    @property
    def value_verdict(self) -> Verdict:
        """The verdict on the value that came with the gradient."""
        return Verdict.FAIL if self.value_fault else Verdict.PASS

    @property
    def failures(self) -> tuple[LeafReport, ...]:
        """The leaves that fail."""
        return tuple(leaf for leaf in self.leaves if leaf.verdict is Verdict.FAIL)

    def __str__(self) -> str:
        """A summary line, then a wrong value, the leaves, worst first, and the notes."""
        order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
        leaves = sorted(self.leaves, key=lambda leaf: order.index(leaf.verdict))
        lines = [
            self._summary(),
            phrase("FAIL  the value: {fault}", fault=self.value_fault) if self.value_fault else "",
            *(leaf.lines(self.language) for leaf in leaves),
            *(phrase("note: {note}", note=note) for note in self.notes),
        ]
        return in_language(joined("\n", lines), self.language)

    def _summary(self) -> str:
        n = {v: sum(leaf.verdict is v for leaf in self.leaves) for v in Verdict}
        counts = (
            phrase("{n} pass", n=n[Verdict.PASS]) if n[Verdict.PASS] else "",
            phrase("{n} fail", n=n[Verdict.FAIL]) if n[Verdict.FAIL] else "",
            phrase("{n} inconclusive", n=n[Verdict.INCONCLUSIVE])
            if n[Verdict.INCONCLUSIVE]
            else "",
        )
        return phrase(
            "gradient check: {verdict} ({counts} of {n_leaves} leaves; f = {value:.6g}, rounding "
            "noise {noise:.0e})",
            verdict=_VERDICTS[self.verdict],
            counts=joined(", ", counts),
            n_leaves=len(self.leaves),
            value=self.value,
            noise=self.noise,
        )

    def in_language(self, language: str) -> "GradientReport":
        """Say the same in a language, "en" or "vi"."""
        check_language(language)
        return replace(
            self,
            leaves=tuple(leaf.in_language(language) for leaf in self.leaves),
            value_fault=in_language(self.value_fault, language),
            notes=tuple(in_language(note, language) for note in self.notes),
            language=language,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "passed": self.passed,
            "verdict": str(self.verdict),
            "value": _jsonable(self.value),
            "noise": _jsonable(self.noise),
            "value_fault": self.value_fault,
            "notes": list(self.notes),
            "leaves": [
                {key: _jsonable(value) for key, value in asdict(leaf).items()}
                for leaf in self.leaves
            ],
        }


def _jsonable(value: Any) -> Any:
    """Spell out what JSON has no number for."""
    if isinstance(value, float):
        return float(value) if abs(value) < float("inf") else str(float(value))
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Verdict) else value
