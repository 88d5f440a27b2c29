"""Rules about the data: scales, conditioning, and whether the loss suits the targets."""

import jax
import numpy as np

from jaxmlp.diagnostics.examine import Examination
from jaxmlp.diagnostics.finding import Finding, FindingKind, Severity
from jaxmlp.formatting import format_number

# Initializations count on inputs of mean square 1. At 10 times that size pre-activations are 10
# times too large, the curvature along the first layer's weights 100 times, and the largest stable
# learning rate 100 times smaller than what suits the other layers.
_LARGE = 10.0
# At 1/100 the first layer's gradient is 1/100 of what it should be, and the features speak less
# loudly than a bias of ordinary size. (Sparse features of 0 and 1 have a small mean square too, so
# less than this is no alarm.)
_SMALL = 0.01
# Gradient descent needs about v_max / v steps for a direction of variance v: with 1e4, one that
# an ordinary run (100 epochs of 100 batches) does not even reduce by a factor of e.
_ILL_CONDITIONED = 1e4
# Up to this many different whole numbers are taken for classes rather than amounts.
_FEW = 20


def unscaled_inputs(exam: Examination) -> list[Finding]:
    """Features far from mean square 1, or with an offset far larger than their spread."""
    if 0 in exam.frozen:  # they are as the layer has learnt to expect
        return []
    x = exam.x.astype(np.float64)
    rms = np.sqrt(np.mean(x**2, axis=0))
    mean, spread = x.mean(axis=0), x.std(axis=0)
    largest, overall = int(np.argmax(rms)), float(np.sqrt(np.mean(x**2)))
    offset = float(np.linalg.norm(mean)) / max(float(np.linalg.norm(spread)), 1e-30)
    if rms[largest] > _LARGE:
        n_large = int((rms > _LARGE).sum())
        evidence = (
            f"{n_large} of {len(rms)} features are larger than {format_number(_LARGE)} (root mean "
            f"square); feature {largest} has {format_number(rms[largest], 3)}."
        )
    elif overall < _SMALL:
        evidence = (
            f"The features' root mean square is {format_number(overall, 2)}; initializations "
            "expect 1."
        )
    elif offset > _LARGE and np.any(spread > 0):
        evidence = (
            f"The features' means are {format_number(offset, 3)} times larger than their spread."
        )
    else:
        return []
    remedy = "Standardize the features: jaxmlp.data's Standardizer.fit(x_train).transform(x)."
    return [Finding(FindingKind.UNSCALED_INPUTS, 0, Severity.WARNING, evidence, remedy)]


def unscaled_targets(exam: Examination) -> list[Finding]:
    """Regression targets far from the size of a fresh network's outputs."""
    if exam.loss.task != "regression" or _class_labels(exam.targets):
        return []
    linked = jax.jit(exam.loss.link)(np.full((1, 1), 2, np.float32))
    if float(np.asarray(linked)[0, 0]) != 2:  # a loss with a link (Poisson's exp) has its own scale
        return []
    rms = float(np.sqrt(np.mean(exam.targets**2)))
    if _SMALL < rms < _LARGE or rms == 0:
        return []
    return [
        Finding(
            FindingKind.UNSCALED_TARGETS, exam.config.n_layers - 1, Severity.WARNING,
            f"The targets' root mean square is {format_number(rms, 3)}; a fresh network's outputs "
            "are about 1, and gradients grow with the difference.",
            "Standardize the targets, and transform predictions back.",
        )
    ]  # fmt: skip


def ill_conditioning(exam: Examination) -> list[Finding]:
    """Inputs or activations whose telling directions have too little variance."""
    found = []
    for l, measured in enumerate(exam.conditioning):
        if measured.condition_number > _ILL_CONDITIONED and l not in exam.frozen:
            what = "The inputs" if l == 0 else f"Layer {l}'s inputs"
            remedy = (
                "Drop or combine features that nearly repeat each other, whiten the inputs (PCA), "
                "or use an adaptive rule such as Adam."
                if l == 0
                else "Use batch normalization or better-scaled weights below this layer, or an "
                "adaptive rule such as Adam."
            )
            found.append(
                Finding(
                    FindingKind.ILL_CONDITIONING, l, Severity.WARNING,
                    f"{what} need directions whose variance is {1 / measured.condition_number:.0e} "
                    "of the largest to tell the targets apart (effective condition number "
                    f"{measured.condition_number:.1e}): gradient descent takes about that many "
                    "steps to learn them.",
                    remedy,
                )
            )  # fmt: skip
    return found[:1]  # what the inputs lack, the layers above inherit


def loss_mismatch(exam: Examination) -> list[Finding]:
    """A regression loss on class labels, or a classification loss on something else."""
    name, targets = exam.loss.name, exam.targets
    n_out, values = targets.shape[1], np.unique(targets)
    binary = set(values.tolist()) <= {0.0, 1.0} and len(values) == 2
    one_hot = n_out > 1 and binary and bool(np.all(targets.sum(axis=1) == 1))
    evidence = remedy = ""
    if exam.loss.task == "regression" and name != "poisson" and _class_labels(targets):
        evidence = (
            f"The targets are the whole numbers 0 to {int(values[-1])}, which look like class "
            f"labels, but {name} treats them as amounts."
        )
        remedy = (
            "Use sigmoid_binary_cross_entropy."
            if n_out == 1 and len(values) == 2
            else "For classes use softmax_cross_entropy, one output a class; for counts, poisson."
        )
    elif name == "sigmoid_binary_cross_entropy" and one_hot and n_out > 2:
        evidence = (
            f"Every example has exactly one of {n_out} labels, but {name} treats them as "
            f"{n_out} independent questions."
        )
        remedy = "Use softmax_cross_entropy, which knows that classes exclude each other."
    elif name == "sigmoid_binary_cross_entropy" and len(values) > _FEW:
        evidence = (
            f"The targets take {len(values)} different values between "
            f"{format_number(values[0], 3)} and {format_number(values[-1], 3)}, but {name} takes "
            "them for probabilities of a yes."
        )
        remedy = "For amounts use squared_error."
    if not evidence:
        return []
    return [Finding(FindingKind.LOSS_MISMATCH, None, Severity.WARNING, evidence, remedy)]


def _class_labels(targets: np.ndarray) -> bool:
    """Whether targets are 0, 1, ..., k-1, each of them taken, or one-hot rows."""
    values = np.unique(targets)
    counting = np.array_equal(values, np.arange(len(values)))
    if targets.shape[1] > 1:
        return counting and len(values) == 2 and bool(np.all(targets.sum(axis=1) == 1))
    return counting and 2 <= len(values) <= _FEW
