"""Rules about training: the learning rate, judged by short trials, and overfitting."""

import math

import numpy as np

from jaxmlp.diagnostics.curvature import curvature
from jaxmlp.diagnostics.examine import Examination
from jaxmlp.diagnostics.findings import Finding, FindingKind, Severity
from jaxmlp.diagnostics.monitor import LayerReadings

# Differences of losses count from a tenth of the chance level on, that is a tenth of all there is
# to be learnt; the noise of a trial's last batches is below that.
MATTERS = 0.1
# A rate is too large if a tenth of it gets twice as far.
FARTHER = 2.0
# The usual update/weight ratio is 1e-3; at a tenth of that, 1e4 steps in one direction are needed
# to change the weights by their own size. It is an alarm only where a hundred times the rate works
# better, by ten times at least.
SLOW = 1e-4
LAGS = 0.1
# Above this the weights are replaced rather than adjusted.
JUMPY = 0.1
RISING_EPOCHS = 3
# Prechelt's generalization loss: training is over once validation is 5% above its best...
GENERALIZATION_LOSS = 0.05
# ...provided that this is more than chance: 3 standard errors.
SIGMAS = 3.0


def learning_rate_too_large(exam: Examination) -> list[Finding]:
    """A tenth of the rate gets farther, or the loss rises."""
    evidence = _trial_too_large(exam) or _history_rises(exam) or _weights_jump(exam)
    if not evidence:
        return []
    targets = exam.targets.argmax(axis=1) if exam.labels else exam.targets
    data = exam.x, targets.astype(np.int32 if exam.labels else exam.x.dtype)
    bend = curvature(exam.config, exam.params, data, exam.loss, steps=10)
    if math.isfinite(bend.largest_stable_rate):
        evidence += (
            f" (The Hessian's largest eigenvalue here is {bend.largest:.3g}: plain gradient "
            f"descent is stable below {bend.largest_stable_rate:.2g}.)"
        )
    return [
        Finding(
            FindingKind.LEARNING_RATE_TOO_LARGE, None, Severity.CRITICAL, evidence,
            "Divide the learning rate by 10 until the loss falls steadily; clip the gradient's "
            "global norm; start with a warm-up.",
        )
    ]  # fmt: skip


def learning_rate_too_small(exam: Examination) -> list[Finding]:
    """A hundred times the rate gets much farther, and the weights hardly move."""
    trial = exam.trial
    if trial is None:
        return []
    progress = {scale: exam.loss_value - final for scale, final in trial.final.items()}
    far = progress[100.0]
    fastest = float(np.max(trial.update_ratio))
    if not (
        far > MATTERS * exam.chance
        and far >= progress[10.0]
        and progress[1.0] < LAGS * far
        and fastest < SLOW
    ):
        return []
    return [
        Finding(
            FindingKind.LEARNING_RATE_TOO_SMALL, None, Severity.WARNING,
            f"In a trial of {trial.steps} steps the loss fell by {progress[1.0]:.2g}, but by "
            f"{far:.2g} with 100 times the rate. A step changes no layer's weights by more than "
            f"{fastest:.0e} of their size; 1e-3 is usual.",
            "Multiply the learning rate by 10 until the loss falls quickly but steadily.",
        )
    ]  # fmt: skip


def overfitting(exam: Examination) -> list[Finding]:
    """Validation loss well above its best, or above chance, while training goes on improving."""
    gap, result = exam.gap, exam.result
    if gap is None:
        return []
    significant = gap.validation - gap.train > SIGMAS * gap.standard_error
    best = exam.chance  # a constant prediction is always to be had
    if result is not None and "validation_loss" in result.history:
        best = min(best, float(np.min(result.history["validation_loss"])))
    rise = gap.validation - best
    risen = rise > max(GENERALIZATION_LOSS * best, SIGMAS * gap.standard_error)
    if not (significant and risen and rise > GENERALIZATION_LOSS * exam.chance):
        return []
    return [
        Finding(
            FindingKind.OVERFITTING, None, Severity.WARNING,
            f"The validation loss is {gap.validation:.3g}, {rise:.2g} above the best it has been "
            f"(or that a constant reaches), while the training loss is {gap.train:.3g}.",
            "Stop early (EarlyStopping keeps the best epoch), add an L2 penalty or dropout, use a "
            "smaller network, or get more examples.",
        )
    ]  # fmt: skip


def _trial_too_large(exam: Examination) -> str:
    trial = exam.trial
    if trial is None:
        return ""
    full, tenth = trial.final[1.0], trial.final[0.1]
    if not math.isfinite(full):
        return f"In a trial of {trial.steps} steps the loss became infinite or NaN."
    progress, slower = exam.loss_value - full, exam.loss_value - tenth
    least = MATTERS * exam.chance
    if progress < -least:
        return (
            f"In a trial of {trial.steps} steps the loss rose from {exam.loss_value:.3g} to "
            f"{full:.3g}; with a tenth of the rate it came to {tenth:.3g}."
        )
    if slower > FARTHER * progress and slower - progress > least:
        return (
            f"In a trial of {trial.steps} steps the loss came from {exam.loss_value:.3g} to "
            f"{full:.3g}, but to {tenth:.3g} with a tenth of the rate."
        )
    return ""


def _history_rises(exam: Examination) -> str:
    if exam.result is None or exam.result.history.n_epochs <= RISING_EPOCHS:
        return ""
    losses = exam.result.history["train_loss"]
    last = losses[-RISING_EPOCHS - 1 :]
    if not (np.all(np.diff(last) > 0) and losses[-1] > losses.min() + MATTERS * exam.chance):
        return ""
    return (
        f"The training loss rose in each of the last {RISING_EPOCHS} epochs, to {losses[-1]:.3g} "
        f"from {losses.min():.3g} at its best."
    )


def _weights_jump(exam: Examination) -> str:
    """Only for a run that was monitored and cannot be tried."""
    monitored = None if exam.result is None else exam.result.monitored
    if exam.trial is not None or not isinstance(monitored, LayerReadings):
        return ""
    ratios = np.median(monitored.update_ratio, axis=0)
    if not ratios.max() > JUMPY:
        return ""
    return (
        f"A step changed layer {int(ratios.argmax())}'s weights by {ratios.max():.0%} of their "
        "size (median over the run); 0.1% is usual."
    )
