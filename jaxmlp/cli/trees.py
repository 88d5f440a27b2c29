"""`jaxmlp train --trees`: boosted trees on the same rows, to see whether the network pays."""

import time
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from jaxmlp.cli.prepared_table import PreparedTable
from jaxmlp.formatting import format_number, format_share
from jaxmlp.report.outcome import Outcome
from jaxmlp.report.scores import SCORE_NAMES, Score, classification_scores, regression_scores

_LOWER_IS_BETTER = ("log loss", "rmse", "mae")
_MOST_LEVELS = 255  # of a category, for these trees


class _Trees(NamedTuple):
    """What boosted trees reached on the test part.

    Attributes:
        scores: by name, as those of the network.
        seconds: to fit and ask them.
    """

    scores: dict[str, Score]
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """Return JSON-ready values."""
        metrics = {name: score.value for name, score in self.scores.items()}
        return {"metrics": metrics, "seconds": self.seconds}


def fit_trees(data: PreparedTable, seed: int) -> _Trees:
    """Fit scikit-learn's boosted trees with early stopping on the rows of a run.

    They get the training and the validation rows, and choose from these themselves when to stop;
    columns of levels are told to be categories.

    Args:
        data: the table of the run.
        seed: of their own split.
    """
    # Here, for scikit-learn takes half a second of every other start.
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    begin, numbers = time.perf_counter(), data.train.class_names is None
    levels = [column for column, n in data.preprocessing.level_columns if n <= _MOST_LEVELS]
    kind = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    model = kind(early_stopping=True, random_state=seed, categorical_features=levels or None)
    x = np.concatenate([data.train.x, data.validation.x])
    y = np.concatenate([data.train.y, data.validation.y])
    model.fit(x, y)
    if not numbers:
        scores = classification_scores(data.test.y, model.predict_proba(data.test.x))
    else:
        parts = [np.asarray(y, np.float64) for y in (data.test.y, model.predict(data.test.x))]
        transform = data.target_transform
        if transform is not None:
            parts = [transform.inverse_transform(part[:, None])[:, 0] for part in parts]
        scores = regression_scores(*parts)
    return _Trees(scores, time.perf_counter() - begin)


def show_trees(console: Console, outcome: Outcome, trees: _Trees) -> None:
    """Print the scores of the network beside those of the trees; the better one stands out."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("score", "network", "trees"):
        table.add_column(heading, justify="left" if heading == "score" else "right")
    for name, score in outcome.scores.items():
        if name not in trees.scores:
            continue
        ours, theirs = score.value, trees.scores[name].value
        better = (ours < theirs) == (name in _LOWER_IS_BETTER)
        write = format_share if name.endswith("accuracy") else format_number
        cells = [write(value) for value in (ours, theirs)]
        if ours != theirs:
            cells[0 if better else 1] = f"[bold]{cells[0 if better else 1]}[/bold]"
        table.add_row(SCORE_NAMES.get(name, name), *cells)
    seconds = format_number(trees.seconds, 2)
    console.print(f"\nbeside boosted trees (scikit-learn's, on the same rows, {seconds} s)")
    console.print(table)
