"""What a model does on a test set: outputs, scores, confusions, and what it relies on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmlp.models import Model, class_probabilities, infer
from jaxmlp.report.importance import Importance, permutation_importance
from jaxmlp.report.scores import (
    Score,
    area_under_curve,
    classification_scores,
    confusion_counts,
    regression_scores,
)


class Outcome(NamedTuple):
    """What a test showed.

    Attributes:
        target: name of what is predicted.
        y: class indices, or numbers in the target's units, (rows,).
        outputs: probabilities, (rows, classes), or predictions in the target's units, (rows,).
        scores: by name.
        counts: confusion matrix, (classes, classes); None for numbers.
        importance: of the columns, the most important first; empty where it was not asked for.
        measure: what importance is measured in, in words.
    """

    target: str
    y: np.ndarray
    outputs: np.ndarray
    scores: dict[str, Score]
    counts: Int[np.ndarray, "classes classes"] | None = None
    importance: Sequence[Importance] = ()
    measure: str = ""


def measure_outcome(
    model: Model,
    x: Float[np.ndarray, "rows n_in"],
    y: np.ndarray,
    *,
    target: str = "class",
    groups: Sequence[tuple[str, Sequence[int]]] = (),
) -> Outcome:
    """Test a model.

    Args:
        model: the model.
        x: test inputs as the network takes them.
        y: class indices, or numbers in the target's units, (rows,).
        target: name of what is predicted.
        groups: (name, its inputs) of each column whose importance is wanted.

    Returns:
        The outcome.
    """
    outputs = _outputs(model, x)
    judge: Callable[[np.ndarray, np.ndarray], float] = _minus_rmse
    counts, measure = None, "RMSE"
    if model.class_names is None:
        scores = regression_scores(y, outputs)
    else:
        scores = classification_scores(y, outputs)
        counts = confusion_counts(y, outputs.argmax(axis=1), outputs.shape[1])
        judge, measure = (_auc, "AUC") if "auc" in scores else (_accuracy, "accuracy")
    found: Sequence[Importance] = ()
    if groups:
        found = permutation_importance(lambda x, y: judge(_outputs(model, x), y), x, y, groups)
    change = "rise of the RMSE" if measure == "RMSE" else f"loss of {measure}"
    return Outcome(target, y, outputs, scores, counts, found, change)


def _outputs(model: Model, x: np.ndarray) -> np.ndarray:
    outputs = infer(model, x)
    if model.class_names is None:
        return outputs[:, 0].astype(np.float64)
    return class_probabilities(outputs)


def _minus_rmse(predicted: np.ndarray, y: np.ndarray) -> float:
    return -float(np.sqrt(np.mean((predicted - y) ** 2)))


def _accuracy(p: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(p.argmax(axis=1) == y))


def _auc(p: np.ndarray, y: np.ndarray) -> float:
    return area_under_curve(y, p[:, 1])
