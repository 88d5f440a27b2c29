"""Rules about training: the learning rate, judged by short trials, and overfitting."""

import math

import numpy as np

from jaxmlp.diagnostics.curvature import curvature
from jaxmlp.diagnostics.examine import Examination
from jaxmlp.diagnostics.finding import Finding, FindingKind, Severity
from jaxmlp.diagnostics.probe import LayerReadings
from jaxmlp.formatting import format_number
from jaxmlp.messages import joined, phrase
from jaxmlp.training import FitResult

# Differences of losses count from a tenth of the chance level on, that is a tenth of all there is
# to be learnt. (The trials share their batches, so that noise is far below that.)
_MATTERS = 0.1
# The usual update/weight ratio is 1e-3; at a tenth of that, 1e4 steps in one direction are needed
# to change the weights by their own size. It is an alarm only if a rate 100 times larger, or more,
# works best, by a factor of ten at least.
_SLOW = 1e-4
_LAGS = 0.1
_MUCH_LARGER = 100.0
# Above this the weights are replaced rather than adjusted.
_JUMPY = 0.1
_RISING_EPOCHS = 3
# Prechelt's generalization loss (1998): training is over once validation is 5% above its best...
_GENERALIZATION_LOSS = 0.05
# ...unless that is within one standard error of it (Breiman et al., 1984); and a network only
# overfits what it has learnt: training and validation differ by more than chance, 3 of them, or 2
# where the run's own past, on the same rows, says so too.
_RISE_SIGMAS, _GAP_SIGMAS, _GAP_SIGMAS_SINCE_BEST = 1.0, 3.0, 2.0


def learning_rate_too_large(exam: Examination) -> list[Finding]:
    """The loss rises, or a tenth or hundredth of the rate gets farther."""
    evidence = _trial_too_large(exam) or _history_rises(exam) or _weights_jump(exam)
    if not evidence:
        return []
    targets = exam.targets.argmax(axis=1) if exam.labels else exam.targets
    data = exam.x, targets.astype(np.int32 if exam.labels else exam.x.dtype)
    bend = curvature(exam.config, exam.params, data, exam.loss, steps=10)
    if math.isfinite(bend.largest_stable_rate):
        stable = phrase(
            "(The Hessian's largest eigenvalue here is {largest}: plain gradient descent is stable "
            "below {rate}.)",
            largest=format_number(bend.largest, 3),
            rate=format_number(bend.largest_stable_rate, 2),
        )
        evidence = joined(" ", (evidence, stable))
    return [
        Finding(
            FindingKind.LEARNING_RATE_TOO_LARGE, None, Severity.CRITICAL, evidence,
            phrase(
                "Divide the learning rate by 10 until the loss falls steadily; clip the gradient's "
                "global norm; start with a warm-up."
            ),
        )
    ]  # fmt: skip


def learning_rate_too_small(exam: Examination) -> list[Finding]:
    """A much larger rate gets much farther, and the weights hardly move."""
    trial = exam.trial
    if trial is None:
        return []
    best = max(trial.progress, key=lambda scale: trial.progress[scale])
    far, here = trial.progress[best], trial.progress[1.0]
    ratio = float(np.median(trial.update_ratio))
    works_better = best >= _MUCH_LARGER and far > _MATTERS * exam.chance and here < _LAGS * far
    if not (works_better and ratio < _SLOW):
        return []
    return [
        Finding(
            FindingKind.LEARNING_RATE_TOO_SMALL, None, Severity.WARNING,
            phrase(
                "In a trial of {n_steps} steps the {loss} fell by {here}, but by {far} with "
                "{factor} times the rate. A step changes the weights by {ratio:.0e} of their size "
                "(median over the layers); 1e-3 is usual.", n_steps=trial.steps, loss=exam.measure,
                here=exam.shown(here, 2), far=exam.shown(far, 2), factor=format_number(best),
                ratio=ratio,
            ),
            phrase("Multiply the learning rate by 10 until the loss falls quickly but steadily."),
        )
    ]  # fmt: skip


def overfitting(exam: Examination) -> list[Finding]:
    """Validation loss well above its best, or above chance, and far from the training loss."""
    gap = exam.gap
    if gap is None:
        return []
    above_chance = gap.validation - exam.chance  # a constant prediction is always to be had
    rises = [(above_chance, gap.standard_error, _GAP_SIGMAS, -1)]
    if gap.rise is not None and exam.result is not None:
        lasting = min(gap.rise, _lasting_rise(exam.result))
        best_epoch = exam.result.best_epoch
        rises.append((lasting, gap.rise_error, _GAP_SIGMAS_SINCE_BEST, best_epoch))
    rise, error, gap_sigmas, best_epoch = max(rises)
    risen = rise > max(_GENERALIZATION_LOSS * exam.chance, _RISE_SIGMAS * error)
    learnt = gap.validation - gap.train > gap_sigmas * gap.standard_error
    if not (risen and learnt):
        return []
    losses = {
        "loss": exam.measure,
        "validation": exam.shown(gap.validation),
        "rise": exam.shown(rise, 2),
        "train": exam.shown(gap.train),
    }
    evidence = (
        phrase(
            "The validation {loss} is {validation}, {rise} above what it was after epoch {epoch}, "
            "while that of the training data is {train}.",
            epoch=best_epoch,
            **losses,
        )
        if best_epoch >= 0
        else phrase(
            "The validation {loss} is {validation}, {rise} above what a constant prediction "
            "reaches, while that of the training data is {train}.",
            **losses,
        )
    )
    remedy = phrase(
        "Stop early (EarlyStopping keeps the best epoch), add an L2 penalty or dropout, use a "
        "smaller network, or get more examples."
    )
    return [Finding(FindingKind.OVERFITTING, None, Severity.WARNING, evidence, remedy)]


def _lasting_rise(result: FitResult) -> float:
    """By how much even the best of the last epochs is above the best; one bad epoch is no trend."""
    losses = result.history["validation_loss"]
    return float(np.min(losses[-_RISING_EPOCHS:]) - np.min(losses))


def _trial_too_large(exam: Examination) -> str:
    trial = exam.trial
    if trial is None:
        return ""
    progress, least = trial.progress, _MATTERS * exam.chance
    slower = max((0.1, 0.01), key=lambda scale: progress[scale])
    losses = {scale: exam.shown(trial.untrained - gain) for scale, gain in progress.items()}
    if not math.isfinite(progress[1.0]):
        return phrase(
            "In a trial of {n_steps} steps the {loss} became infinite or NaN.",
            n_steps=trial.steps,
            loss=exam.measure,
        )
    if progress[1.0] < -least or progress[slower] - progress[1.0] > least:
        return phrase(
            "In a trial of {n_steps} steps the {loss} came from {before} to {after}, but to "
            "{slower} with {factor} times the rate.",
            n_steps=trial.steps,
            loss=exam.measure,
            before=losses[0.0],
            after=losses[1.0],
            slower=losses[slower],
            factor=format_number(slower),
        )
    return ""


def _history_rises(exam: Examination) -> str:
    if exam.result is None or exam.result.history.n_epochs <= _RISING_EPOCHS:
        return ""
    losses = exam.result.history["train_loss"] - exam.exact
    last = losses[-_RISING_EPOCHS - 1 :]
    if not (np.all(np.diff(last) > 0) and losses[-1] > losses.min() + _MATTERS * exam.chance):
        return ""
    return phrase(
        "The training {loss} rose in each of the last {n_epochs} epochs, to {last} from {best} at "
        "its best.",
        loss=exam.measure,
        n_epochs=_RISING_EPOCHS,
        last=exam.shown(losses[-1]),
        best=exam.shown(losses.min()),
    )


def _weights_jump(exam: Examination) -> str:
    """Only for a run that was probed and cannot be tried."""
    probed = None if exam.result is None else exam.result.probed
    if exam.trial is not None or not isinstance(probed, LayerReadings):
        return ""
    ratios = np.median(probed.update_ratio, axis=0)
    if not ratios.max() > _JUMPY:
        return ""
    return phrase(
        "A step changed layer {layer}'s weights by {ratio:.0%} of their size (median over the "
        "run); 0.1% is usual.",
        layer=int(ratios.argmax()),
        ratio=ratios.max(),
    )
