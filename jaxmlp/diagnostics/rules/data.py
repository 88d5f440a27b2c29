"""Rules about the data: scales, conditioning, and whether the loss suits the targets."""

import jax
import numpy as np

from jaxmlp.diagnostics.examine import Examination
from jaxmlp.diagnostics.finding import Finding, FindingKind, Severity
from jaxmlp.formatting import format_number
from jaxmlp.messages import phrase

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
        evidence = phrase(
            "{n} of {n_features} features are larger than {limit} (root mean square); feature "
            "{largest} has {size}.",
            n=n_large,
            n_features=len(rms),
            limit=format_number(_LARGE),
            largest=largest,
            size=format_number(rms[largest], 3),
        )
    elif overall < _SMALL:
        evidence = phrase(
            "The features' root mean square is {size}; initializations expect 1.",
            size=format_number(overall, 2),
        )
    elif offset > _LARGE and np.any(spread > 0):
        evidence = phrase(
            "The features' means are {offset} times larger than their spread.",
            offset=format_number(offset, 3),
        )
    else:
        return []
    remedy = phrase(
        "Standardize the features: jaxmlp.data's Standardizer.fit(x_train).transform(x)."
    )
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
            phrase(
                "The targets' root mean square is {size}; a fresh network's outputs are about 1, "
                "and gradients grow with the difference.", size=format_number(rms, 3),
            ),
            phrase("Standardize the targets, and transform predictions back."),
        )
    ]  # fmt: skip


def ill_conditioning(exam: Examination) -> list[Finding]:
    """Inputs or activations whose telling directions have too little variance."""
    found = []
    for l, measured in enumerate(exam.conditioning):
        if measured.condition_number > _ILL_CONDITIONED and l not in exam.frozen:
            found.append(
                Finding(
                    FindingKind.ILL_CONDITIONING, l, Severity.WARNING,
                    _needed_directions(l, measured.condition_number), _better_inputs(l),
                )
            )  # fmt: skip
    return found[:1]  # what the inputs lack, the layers above inherit


def _needed_directions(layer: int, number: float) -> str:
    if layer == 0:
        return phrase(
            "The inputs need directions whose variance is {share:.0e} of the largest to tell the "
            "targets apart (effective condition number {number:.1e}): gradient descent takes about "
            "that many steps to learn them.",
            share=1 / number,
            number=number,
        )
    return phrase(
        "Layer {layer}'s inputs need directions whose variance is {share:.0e} of the largest to "
        "tell the targets apart (effective condition number {number:.1e}): gradient descent takes "
        "about that many steps to learn them.",
        layer=layer,
        share=1 / number,
        number=number,
    )


def _better_inputs(layer: int) -> str:
    if layer == 0:
        return phrase(
            "Drop or combine features that nearly repeat each other, whiten the inputs (PCA), or "
            "use an adaptive rule such as Adam."
        )
    return phrase(
        "Use batch normalization or better-scaled weights below this layer, or an adaptive rule "
        "such as Adam."
    )


def loss_mismatch(exam: Examination) -> list[Finding]:
    """A regression loss on class labels, or a classification loss on something else."""
    name, targets = exam.loss.name, exam.targets
    n_out, values = targets.shape[1], np.unique(targets)
    binary = set(values.tolist()) <= {0.0, 1.0} and len(values) == 2
    one_hot = n_out > 1 and binary and bool(np.all(targets.sum(axis=1) == 1))
    evidence = remedy = ""
    if exam.loss.task == "regression" and name != "poisson" and _class_labels(targets):
        evidence = phrase(
            "The targets are the whole numbers 0 to {last}, which look like class labels, but "
            "{loss} treats them as amounts.",
            last=int(values[-1]),
            loss=name,
        )
        remedy = (
            phrase("Use sigmoid_binary_cross_entropy.")
            if n_out == 1 and len(values) == 2
            else phrase(
                "For classes use softmax_cross_entropy, one output a class; for counts, poisson."
            )
        )
    elif name == "sigmoid_binary_cross_entropy" and one_hot and n_out > 2:
        evidence = phrase(
            "Every example has exactly one of {n} labels, but {loss} treats them as {n} "
            "independent questions.",
            n=n_out,
            loss=name,
        )
        remedy = phrase("Use softmax_cross_entropy, which knows that classes exclude each other.")
    elif name == "sigmoid_binary_cross_entropy" and len(values) > _FEW:
        evidence = phrase(
            "The targets take {n} different values between {least} and {most}, but {loss} takes "
            "them for probabilities of a yes.",
            n=len(values),
            least=format_number(values[0], 3),
            most=format_number(values[-1], 3),
            loss=name,
        )
        remedy = phrase("For amounts use squared_error.")
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
