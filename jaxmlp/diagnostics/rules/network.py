"""Rules about the network itself: gradient flow, symmetry, dead and saturated units, NaN.

Thresholds come from an argument, given beside each, not from a fit to examples.
"""

import math

from jaxmlp.diagnostics.examine import Examination
from jaxmlp.diagnostics.finding import Finding, FindingKind, Severity
from jaxmlp.diagnostics.flatness import slopes
from jaxmlp.formatting import format_number
from jaxmlp.messages import joined, phrase
from jaxmlp.training import FitResult

# A layer learns at a good pace if a step changes its weights by about 1e-3 of their size. If the
# top layer does, a layer that gets 1e-3 of its gradient moves by 1e-6: it would need a million
# steps to become another, and its updates come near the last digit of float32 (6e-8).
_VANISHING = 1e-3
# Where no rate gets the loss below 95% of chance level, a twentieth is too little already.
_WEAK, _STUCK = 0.05, 0.95
# In the other direction 100 times the gradient moves a layer by 1e-1 a step, which is no small
# step any more. Mean-field theory has 1 for the right initialization, at any depth.
_EXPLODING = 100.0
# Units with equal columns of W differ by rounding, 1e-7 at first; random ones by 1. Half way.
_SYMMETRIC = 1e-3
# Half of the units is the most that symmetric random weights kill: with all examples alike, the
# sign of a unit is one toss of a coin. Three standard deviations of that toss are allowed.
_DEAD, _DEAD_SIGMAS = 0.5, 3.1
# More often flat than not: the typical unit passes nothing on for the typical example.
_SATURATED = 0.5


def non_finite(exam: Examination) -> list[Finding]:
    """NaN or infinity in data, parameters, one pass over the sample, or the run."""
    result, found = exam.result, []
    if exam.non_finite is not None:
        layer, tensor = exam.non_finite
        evidence = phrase(
            "Layer {layer}: {tensor} hold(s) NaN or infinity.", layer=layer, tensor=tensor
        )
        if layer < 0:
            evidence = phrase("The targets hold NaN or infinity.")
        remedy = (
            phrase("Fill in or drop rows with missing values; check for divisions by 0.")
            if tensor in ("inputs", "targets")
            else phrase(
                "Start from new parameters, with He or Xavier initialization and a smaller "
                "learning rate; scale the inputs; clip the gradient's global norm."
            )
        )
        where = layer if layer >= 0 else None
        found.append(Finding(FindingKind.NON_FINITE, where, Severity.CRITICAL, evidence, remedy))
    elif result is not None and int(result.carry.stopped_at) >= 0:
        found.append(_diverged(result))
    return found


def _diverged(result: FitResult) -> Finding:
    """A run whose loss was not finite in the end, and where that began, if it was observed."""
    ended = phrase(
        "The run ended at step {step}: its loss was not finite.",
        step=int(result.carry.stopped_at),
    )
    origin = getattr(result.diagnostics, "non_finite", None)
    if origin is None:
        remedy = phrase(
            "Lower the learning rate or clip the gradient's global norm; train with "
            "diagnostics=jaxmlp.Diagnostics() to learn the layer and tensor."
        )
        return Finding(FindingKind.NON_FINITE, None, Severity.CRITICAL, ended, remedy)
    began = phrase(
        "The first NaN or infinity was in {tensor} (step {step}).",
        tensor=origin.tensor,
        step=origin.step,
    )
    remedy = phrase("Lower the learning rate or clip the gradient's global norm.")
    evidence = joined(" ", (ended, began))
    return Finding(FindingKind.NON_FINITE, origin.layer, Severity.CRITICAL, evidence, remedy)


def symmetric_weights(exam: Examination) -> list[Finding]:
    """Hidden layers whose units are copies of each other, and will stay so."""
    assert exam.flow is not None
    found = []
    for l, n_out in enumerate(exam.config.layer_sizes[1:-1]):
        spread, drift = exam.flow.weight_spread[l], exam.flow.gradient_spread[l]
        if n_out > 1 and max(spread, drift) < _SYMMETRIC and l not in exam.frozen:
            found.append(
                Finding(
                    FindingKind.SYMMETRIC_WEIGHTS, l, Severity.CRITICAL,
                    phrase(
                        "All {n} units of layer {layer} have the same weights (they differ by "
                        "{spread:.0e} of their size) and the same gradient, so they stay alike for "
                        "ever: the layer computes one number.", n=n_out, layer=l, spread=spread,
                    ),
                    phrase(
                        "Draw the weights at random: {init} initialization; only biases may start "
                        "equal.", init=_right_init(exam, l),
                    ),
                )
            )  # fmt: skip
    return found


def gradient_flow(exam: Examination) -> list[Finding]:
    """Gradients that shrink or grow on their way down."""
    assert exam.flow is not None
    trains = [l for l in range(exam.config.n_layers) if l not in exam.frozen]
    signal, top = exam.flow.signal, max(trains, default=0)
    if len(trains) < 2 or signal[top] <= 0:
        return []
    # That nothing comes back through dead units, or through equal ones, is their own finding.
    blocked = bool(symmetric_weights(exam)) or any(a.dead.all() for a in exam.activity)
    ratio = signal / signal[top]
    weakest, strongest = (find(trains, key=lambda l: ratio[l]) for find in (min, max))
    found = []
    stuck = _stuck_at_chance(exam) if ratio[weakest] < _WEAK else ""
    if (ratio[weakest] < _VANISHING or stuck) and not blocked:
        arrives = phrase(
            "The gradient that reaches layer {layer} is {ratio:.0e} of that at layer {top}: it "
            "vanishes on the way.",
            layer=weakest,
            ratio=ratio[weakest],
            top=top,
        )
        found.append(
            Finding(
                FindingKind.VANISHING_GRADIENT, weakest, Severity.CRITICAL,
                joined(" ", (arrives, _weights(exam, _culprit(exam, weakest)), stuck)),
                _against_vanishing(exam, weakest),
            )
        )  # fmt: skip
    if ratio[strongest] > _EXPLODING:
        arrives = phrase(
            "The gradient that reaches layer {layer} is {ratio} times that at layer {top}: it "
            "explodes on the way.",
            layer=strongest,
            ratio=format_number(ratio[strongest], 1),
            top=top,
        )
        loss = phrase(
            "The {loss} is {value} where chance level is {chance}.",
            loss=exam.measure,
            value=exam.shown(exam.loss_value),
            chance=exam.shown(exam.chance),
        )
        found.append(
            Finding(
                FindingKind.EXPLODING_GRADIENT, strongest, Severity.CRITICAL,
                joined(" ", (arrives, _weights(exam, _culprit(exam, strongest)), loss)),
                phrase(
                    "Use {init} initialization or batch normalization, and clip the gradient's "
                    "global norm.", init=_right_init(exam, strongest),
                ),
            )
        )  # fmt: skip
    return found


def _stuck_at_chance(exam: Examination) -> str:
    """Say that no rate of the trial got the loss below chance level; "" if one did."""
    trial = exam.trial
    if trial is None or trial.untrained - max(trial.progress.values()) < _STUCK * exam.chance:
        return ""
    scales = [scale for scale in trial.progress if scale > 0]
    return phrase(
        "Trials of {n_steps} steps at {least} to {most} times the learning rate left the {loss} at "
        "chance level.",
        n_steps=trial.steps,
        least=format_number(min(scales)),
        most=format_number(max(scales)),
        loss=exam.measure,
    )


def dead_units(exam: Examination) -> list[Finding]:
    """Layers with more dead units than symmetric random weights can have."""
    found = []
    for l, activity in enumerate(exam.activity):
        n_units, n_dead = len(activity.dead), int(activity.dead.sum())
        limit = min(_DEAD * n_units + _DEAD_SIGMAS * math.sqrt(n_units) / 2, n_units - 0.5)
        everything = n_dead == n_units
        if l in exam.frozen and not everything:
            continue  # as it was trained
        if n_dead > limit or (n_dead and n_dead >= 0.1 * n_units):
            severity = Severity.WARNING if n_dead > limit else Severity.INFO
            found.append(
                Finding(
                    FindingKind.DEAD_UNITS, l, Severity.CRITICAL if everything else severity,
                    phrase(
                        "{n} of {n_units} units of layer {layer} are off for every example: no "
                        "gradient reaches their weights again.", n=n_dead, n_units=n_units, layer=l,
                    ),
                    phrase(
                        "Use {init} initialization with biases at 0, a smaller learning rate, or "
                        "an activation that is never flat, such as leaky_relu.",
                        init=_right_init(exam, l),
                    ),
                )
            )  # fmt: skip
    return found


def saturated_units(exam: Examination) -> list[Finding]:
    """Layers of sigmoid or tanh units that are stuck at an end."""
    found = []
    for l, activity in enumerate(exam.activity):
        share = activity.saturated_fraction
        saturates = slopes(exam.config.activations[l]).saturates and l not in exam.frozen
        if saturates and share > _SATURATED:
            stuck = phrase(
                "The {activation} units of layer {layer} are at an end of their range for "
                "{share:.0%} of the examples, where their slope is below 5% of the steepest.",
                activation=exam.config.activations[l].name,
                layer=l,
                share=share,
            )
            found.append(
                Finding(
                    FindingKind.SATURATED_UNITS, l, Severity.WARNING,
                    joined(" ", (stuck, _weights(exam, l))),
                    phrase(
                        "Use {init} initialization, scale the inputs to variance 1, or use batch "
                        "normalization.", init=_right_init(exam, l),
                    ),
                )
            )  # fmt: skip
    return found


def _right_init(exam: Examination, layer: int) -> str:
    initializer = exam.config.activations[layer].initializer
    return {"he_normal": "He", "lecun_normal": "LeCun"}.get(initializer, "Xavier")


def _right_rms(exam: Examination, layer: int) -> float:
    n_in, n_out = exam.config.layer_sizes[layer : layer + 2]
    variance = {
        "he_normal": 2 / n_in,
        "lecun_normal": 1 / n_in,
        "xavier_normal": 2 / (n_in + n_out),
    }
    return math.sqrt(variance[exam.config.activations[layer].initializer])


def _weights(exam: Examination, layer: int) -> str:
    """The size of a hidden layer's weights beside what the right initialization would give."""
    assert exam.flow is not None
    return phrase(
        "Layer {layer} has {activation} units and weights of standard deviation {deviation}; "
        "{init} initialization has {right}.",
        layer=layer,
        activation=exam.config.activations[layer].name,
        deviation=format_number(exam.flow.weight_rms[layer], 2),
        init=_right_init(exam, layer),
        right=format_number(_right_rms(exam, layer), 2),
    )


def _culprit(exam: Examination, layer: int) -> int:
    """Of the hidden layers that a gradient passes on its way to `layer`, the farthest from right.

    The output layer's weights are passed too, but are no hidden layer's.
    """
    assert exam.flow is not None
    top = max(l for l in range(exam.config.n_layers) if l not in exam.frozen)
    passed = range(min(layer + 1, top - 1), top)
    rms = exam.flow.weight_rms
    return max(passed, key=lambda l: abs(math.log(float(rms[l]) / _right_rms(exam, l) + 1e-30)))


def _against_vanishing(exam: Examination, layer: int) -> str:
    """A sigmoid's slope is at most 1/4: each layer costs a factor of 4 even with good weights."""
    init = _right_init(exam, layer)
    if "sigmoid" in {phi.name for phi in exam.config.activations[:-1]}:
        return phrase(
            "Use {init} initialization, relu or tanh instead of sigmoid, batch normalization, or "
            "fewer layers.",
            init=init,
        )
    return phrase("Use {init} initialization, batch normalization, or fewer layers.", init=init)
