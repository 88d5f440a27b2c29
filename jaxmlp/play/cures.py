"""The doctor's findings about a network of the page, each with the settings that cure it."""

from typing import Any

from jaxmlp.diagnostics import diagnose
from jaxmlp.diagnostics.finding import Finding, FindingKind
from jaxmlp.formatting import count_from_one
from jaxmlp.messages import LANGUAGES, in_language
from jaxmlp.play.learner import Learner, suitable_loss
from jaxmlp.play.settings import DataSettings, Layer

_TRIAL_STEPS = 100
_Cure = dict[str, Any]


def examine_learner(learner: Learner, data: DataSettings) -> list[dict[str, Any]]:
    """Ask the doctor, and say what to press.

    Args:
        learner: the network; it stays as it is.
        data: the settings of its data.

    Returns:
        JSON-ready findings, the worst first; "evidence" and "remedy" by language; "cure" is {"key",
        "network", "data"}, the settings to change by name, or None where no setting helps.

    Example:
        >>> from jaxmlp.play.examples import make_examples
        >>> from jaxmlp.play.settings import NetworkSettings
        >>> ill = NetworkSettings(initializer="zeros")
        >>> found = examine_learner(Learner(ill, make_examples(DataSettings())), DataSettings())
        >>> found[0]["kind"], found[0]["cure"]["network"]
        ('symmetric_weights', {'initializer': 'auto'})
    """
    train, test = learner.examples.train, learner.examples.test
    findings = diagnose(
        learner.config, learner.params, (train.x, train.y), loss=learner.loss,
        optimizer=learner.optimizer, state=learner.state, validation_data=(test.x, test.y),
        batch_size=learner.batch_size, l2=learner.settings.l2, trial_steps=_TRIAL_STEPS,
    )  # fmt: skip
    return [
        {
            "kind": finding.kind.value,
            "layer": finding.layer,
            "severity": finding.severity.name.lower(),
            "evidence": _in_all_languages(finding.evidence),
            "remedy": _in_all_languages(finding.remedy),
            "cure": _cure(finding, learner, data),
        }
        for finding in findings
    ]


def _in_all_languages(text: str) -> dict[str, str]:
    """Say it as the page counts layers, from 1."""
    return {language: count_from_one(in_language(text, language)) for language in LANGUAGES}


def _cure(finding: Finding, learner: Learner, data: DataSettings) -> _Cure | None:
    settings, kind = learner.settings, finding.kind
    rate = settings.numbers["learning_rate"]
    if kind in (FindingKind.NON_FINITE, FindingKind.LEARNING_RATE_TOO_LARGE):
        return _network("cure_rate_down", numbers={**settings.numbers, "learning_rate": rate / 10})
    if kind is FindingKind.LEARNING_RATE_TOO_SMALL:
        larger = min(10 * rate, 100.0)
        return _network("cure_rate_up", numbers={**settings.numbers, "learning_rate": larger})
    if kind is FindingKind.OVERFITTING:
        return _network("cure_l2", l2=min(max(10 * settings.l2, 0.01), 10.0))
    if kind is FindingKind.LOSS_MISMATCH:
        return _network("cure_loss", loss=suitable_loss("", learner.examples))
    if kind is FindingKind.DEAD_UNITS and finding.layer is not None:
        layers = list(settings.layers)
        layers[finding.layer] = Layer(layers[finding.layer].units, "leaky_relu")
        return _network("cure_leaky", layers=[list(layer) for layer in layers])
    if kind in (FindingKind.UNSCALED_INPUTS, FindingKind.ILL_CONDITIONING):
        scaled = data.standardize or data.name in ("digits", "table")
        if not scaled:
            return {"key": "cure_standardize", "network": {}, "data": {"standardize": True}}
        return None if settings.batch_norm else _network("cure_batch_norm", batch_norm=True)
    if kind is FindingKind.UNSCALED_TARGETS:
        return None
    if settings.initializer != "auto":
        return _network("cure_initializer", initializer="auto")
    return None if settings.batch_norm else _network("cure_batch_norm", batch_norm=True)


def _network(key: str, **changes: Any) -> _Cure:
    return {"key": key, "network": changes, "data": {}}
