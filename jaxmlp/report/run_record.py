"""What a finished run has to show; apart from its drawing, which imports matplotlib."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmlp.data.tables.pitfalls import Doubt
from jaxmlp.diagnostics.finding import Finding
from jaxmlp.models import Model
from jaxmlp.report.outcome import Outcome
from jaxmlp.training import FitResult


@dataclass(frozen=True)
class RunRecord:
    """All that a finished run has to show and to keep.

    Attributes:
        title: of the page.
        model: what was learnt, with its metrics.
        result: of `fit`, with or without diagnostics.
        train: training data as the network takes them, (x, y).
        outcome: of the test.
        findings: of `diagnose`.
        settings: options and versions, JSON-ready.
        doubts: about the data.
    """

    title: str
    model: Model
    result: FitResult
    train: tuple[np.ndarray, np.ndarray]
    outcome: Outcome
    findings: Sequence[Finding]
    settings: Mapping[str, object]
    doubts: Sequence[Doubt] = ()
