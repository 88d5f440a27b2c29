"""What makes a score too good to be true: columns that give the target away, rows seen before."""

import shlex
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from jaxmlp.data.tables.column_lists import list_option
from jaxmlp.data.tables.encoders import NumberEncoder
from jaxmlp.data.tables.preprocessor import TablePreprocessor
from jaxmlp.data.tables.row_split import RowSplit
from jaxmlp.data.tables.schema import Column
from jaxmlp.data.tables.target import Target
from jaxmlp.data.tables.values import DataFrame, import_pandas, to_numbers
from jaxmlp.formatting import format_number, format_share


class Doubt(NamedTuple):
    """Something about the data that may mislead: what was seen, and what to do."""

    title: str
    evidence: str
    remedy: str


_SAMPLE_ROWS, _MIN_HALF = 4000, 20
_LEAK = {"classification": 0.97, "regression": 0.9}  # balanced accuracy; R2
_EXACT = 0.9999  # R2 of a linear sum
_MAJORITY = 0.8
_SENTINEL_ROWS, _SENTINEL_SHARE, _SENTINEL_OTHERS = 5, 0.002, 10
_USUAL_SENTINELS = (-9, -99, -999, -9999, -99999, -200)  # where nothing else is negative
_USUAL_GAP = 0.05


def leak_search(
    preprocessor: TablePreprocessor,
    frame: DataFrame,
    target: Target,
    y: np.ndarray,
    *,
    seed: int = 0,
) -> Callable[[], list[Doubt]]:
    """Prepare the search for columns that alone, or added up, predict the target almost perfectly.

    A small tree on each column by itself, and one linear model on all numbers, are trained on half
    of a sample and tested on the other half.

    Args:
        preprocessor: fitted on these rows.
        frame: pandas DataFrame of training rows; the sample's are kept.
        target: what y is.
        y: targets of the rows, (rows,).
        seed: of the sample.

    Returns:
        What returns a doubt for each find; it imports scikit-learn.
    """
    rows = np.random.default_rng(seed).permutation(len(y))[:_SAMPLE_ROWS]
    return partial(_leaks_in, preprocessor, frame.iloc[rows], target, y[rows])


def _leaks_in(
    preprocessor: TablePreprocessor, frame: DataFrame, target: Target, y: np.ndarray
) -> list[Doubt]:
    half = len(y) // 2
    if half < _MIN_HALF:
        return []
    said = []
    for encoder in preprocessor.encoders:
        if encoder.kind == "features":  # of what is to be recognised: they may tell all
            continue
        score = _alone(encoder.encode(frame[encoder.name]), y, half, target.task)
        if score >= _LEAK[target.task]:
            measure = "R2" if target.task == "regression" else "balanced accuracy"
            said.append(
                Doubt(
                    "leaking column",
                    f"{encoder.name} alone predicts {target.name} ({measure} {score:.2f}).",
                    f"If it is not known when you predict, leave it out: "
                    f"{list_option('--drop', [encoder.name])}",
                )
            )
    if target.task == "regression":
        said += _exact_sum(preprocessor, frame, y, half, target.name)
    return said


def _alone(block: np.ndarray, y: np.ndarray, half: int, task: str) -> float:
    """Score of a tree of 32 leaves: R2, or the balanced accuracy, 0 for a guess and 1 at best."""
    from sklearn.metrics import recall_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    leaf = max(2, half // 200)
    make = DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier
    weight = {} if task == "regression" else {"class_weight": "balanced"}
    tree = make(max_leaf_nodes=32, min_samples_leaf=leaf, random_state=0, **weight)
    tree.fit(block[:half], y[:half])
    if task == "regression":
        return float(tree.score(block[half:], y[half:])) if np.ptp(y[half:]) else 0.0
    known = np.isin(y[half:], y[:half])
    if len(np.unique(y[half:][known])) < 2:
        return 0.0
    true, said = y[half:][known], tree.predict(block[half:][known])
    return float(recall_score(true, said, labels=np.unique(true), average="macro"))


def _exact_sum(
    preprocessor: TablePreprocessor, frame: DataFrame, y: np.ndarray, half: int, name: str
) -> list[Doubt]:
    """Find columns of numbers whose weighted sum is the target."""
    from sklearn.linear_model import LinearRegression

    numbers = [encoder for encoder in preprocessor.encoders if isinstance(encoder, NumberEncoder)]
    if len(numbers) < 2:
        return []
    x = np.stack([to_numbers(frame[e.name], e.style, e.unit) for e in numbers], axis=1)
    x = np.where(np.isnan(x), [e.center for e in numbers], x)
    z = x / np.maximum(x[:half].std(axis=0), 1e-12)
    model = LinearRegression().fit(z[:half], y[:half])
    if not np.ptp(y[half:]) or model.score(z[half:], y[half:]) < _EXACT:
        return []
    parts = [e.name for e, c in zip(numbers, model.coef_, strict=True) if abs(c) > 0.01 * y.std()]
    if len(parts) < 2:
        return []
    return [
        Doubt(
            "leaking columns",
            f"{' and '.join(parts)} add up to {name}.",
            f"If they are not known when you predict, leave them out: "
            f"{list_option('--drop', parts)}",
        )
    ]


def repeated_rows(frame: DataFrame, parts: RowSplit) -> list[Doubt]:
    """Find test rows that are also training or validation rows, target included.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"a": [1, 1, 2], "y": [0, 0, 1]})
    >>> repeated_rows(frame, RowSplit(np.array([0]), np.array([2]), np.array([1]), ""))[0].evidence
    '1 of 1 test rows are among those it learns from, too.'
    """
    hashes = import_pandas().util.hash_pandas_object(frame.astype(str), index=False).to_numpy()
    seen = np.concatenate([hashes[parts.train], hashes[parts.validation]])
    repeated = int(np.isin(hashes[parts.test], seen).sum())
    if not repeated:
        return []
    return [
        Doubt(
            "repeated rows",
            f"{repeated:,} of {len(parts.test):,} test rows are among those it learns from, too.",
            "Drop the repetitions; or, if rows belong together, split by what they share: --group",
        )
    ]


def sentinels(
    columns: dict[str, Column], frame: DataFrame, target: Target | None = None
) -> list[Doubt]:
    """Find numbers far outside of all others that occur often: they may mean a missing cell.

    Args:
        columns: name -> column.
        frame: pandas DataFrame of the rows.
        target: whose numbers are looked at, too.

    Returns:
        A doubt for each number that is found.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"a": [-200] * 5 + list(range(30))})
    >>> sentinels({"a": Column("a", "number", ".")}, frame)[0].evidence
    '-200 is far from all other numbers of a, but 5 rows have it.'
    """
    numbers = {
        column.name: to_numbers(frame[column.name], column.style or ".", column.unit)
        for column in columns.values()
        if column.kind == "number"
    }
    if target is not None and target.class_names is None:
        numbers[target.name] = target.y
    found: dict[float, list[tuple[str, int]]] = {}
    for name, column in numbers.items():
        for value, count in _far_and_often(*_counts(column)):
            found.setdefault(value, []).append((name, count))
    said = []
    for value, places in found.items():
        (name, count), shown = places[0], format_number(value, 6, thousands=False)
        more = f" (and of {len(places) - 1} more columns)" if len(places) > 1 else ""
        said.append(
            Doubt(
                "missing or not",
                f"{shown} is far from all other numbers of {name}{more}, but {count:,} rows "
                "have it.",
                f"If it means a missing cell, say so: --missing {shown}",
            )
        )
    return said


def _counts(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    return values, counts


def _far_and_often(values: np.ndarray, counts: np.ndarray) -> list[tuple[float, int]]:
    """The smallest and the largest value, if each is as far from the others as they are wide."""
    if len(values) <= _SENTINEL_OTHERS:
        return []
    found = []
    for end, near, far in ((0, 1, -1), (-1, -2, 0)):
        gap, width = abs(values[end] - values[near]), abs(values[near] - values[far])
        often = counts[end] >= max(_SENTINEL_ROWS, _SENTINEL_SHARE * counts.sum())
        odd = values[end] < 0 <= values[1] and values[end] in _USUAL_SENTINELS
        if often and (gap > width or (end == 0 and odd and gap > _USUAL_GAP * width)):
            found.append((float(values[end]), int(counts[end])))
    return found


def imbalance(target: Target) -> list[Doubt]:
    """Say so if most rows are of one class."""
    if target.class_names is None:
        return []
    counts = np.bincount(target.y, minlength=len(target.class_names))
    share = counts.max() / counts.sum()
    if share < _MAJORITY:
        return []
    name = target.class_names[int(counts.argmax())]
    return [
        Doubt(
            "imbalance",
            f"{format_share(share)} of the rows are {name!r}: who always says so is right as "
            "often.",
            "Look at the balanced accuracy and the AUC.",
        )
    ]


def time_order(columns: dict[str, Column], parts: RowSplit) -> list[Doubt]:
    """Say so if the rows have dates but were split at random."""
    dates = [column.name for column in columns.values() if column.kind == "date"]
    if not dates or not parts.reason.startswith("at random"):
        return []
    return [
        Doubt(
            "time order",
            f"{dates[0]} is a date, but the rows are split at random.",
            f"To see how well the future is predicted, split by it: --time {shlex.quote(dates[0])}",
        )
    ]
