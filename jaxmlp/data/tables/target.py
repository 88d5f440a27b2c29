"""What is to be predicted: classes, amounts or counts; inferred and said."""

import re
import shlex
from typing import NamedTuple

import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.data.tables.dates import DATE_ORDERS, iso_date
from jaxmlp.data.tables.inference import NUMBERING, infer_column
from jaxmlp.data.tables.schema import TASKS, Column
from jaxmlp.data.tables.values import (
    MISSING_WORDS,
    Series,
    Words,
    parse_numbers,
    shorten,
    to_levels,
    to_numbers,
    to_words,
)
from jaxmlp.formatting import format_number

_MAX_WHOLE_CLASSES = 10  # different whole numbers that may still be classes
_FEW_CLASSES = 3  # so many in order are rather classes than a scale
_FEW_AMOUNTS = 21  # grades from 0 to 20; more different whole numbers may be counts
_BOUND = re.compile(r"[<>≤≥]=?\s*[\d.,]+")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?(\s*[ap]\.?m\.?)?", re.IGNORECASE)
_MIN_CLASS_ROWS = 3  # one for each of training, validation and test
_LIMIT = 1e30  # of an amount, and 1 over that of its range
_COUNT_START, _COUNT_LIMIT = 10, 100_000  # counts begin near 0 and are not astronomical


class Target(NamedTuple):
    """The target of a table.

    Attributes:
        name: of the column.
        kind: "classes", "counts" or "amounts".
        y: class indices, int32, or numbers, float64, of the rows that are kept, (n,).
        rows: indices of these rows in the table, (n,).
        class_names: sorted; None for numbers.
        reason: what was seen, and what was left out, in words.
    """

    name: str
    kind: str
    y: np.ndarray
    rows: np.ndarray
    class_names: tuple[str, ...] | None
    reason: str

    @property
    def task(self) -> str:
        """The task: classification or regression."""
        return "classification" if self.class_names is not None else "regression"


def read_target(column: Series, task: str | None = None, *, decimal: str = ".") -> Target:
    """Read a target column, and say what it is.

    Text, truths and up to 10 different whole numbers are classes; other numbers are amounts, or
    counts if they are whole, of more than 21 different values and begin near 0. Rows without a
    target are left out, and so are classes of fewer than 3 rows, which cannot be in training,
    validation and test. Among words only an empty cell is no target: "None" and "-" are names of
    classes; among numbers they are none.

    Args:
        column: a pandas Series, named.
        task: "classification" or "regression" where it is known.
        decimal: sign of the table's numbers, for those that could be read in two ways.

    Returns:
        The target.

    Raises:
        ValueError: if there is nothing to learn: no values, one class, one number, or as many
            classes as rows.

    Example:
        >>> import pandas as pd
        >>> target = read_target(pd.Series(["no", "yes", "no", "yes", "no", "yes", ""], name="y"))
        >>> target.class_names, target.y.tolist(), target.reason
        (('no', 'yes'), [0, 1, 0, 1, 0, 1], '2 classes; 1 row without a target is left out')
    """
    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)
    seen = infer_column(column, decimal=decimal)
    numeric = seen.kind == "number" or seen.reason == NUMBERING
    if task is None:
        task = "regression" if numeric and not _few_whole(column, seen) else "classification"
    if task == "regression":
        return _numbers(column, seen.style if numeric and seen.style else ".", seen.unit)
    return _classes(column)


def _few_whole(column: Series, seen: Column) -> bool:
    numbers = to_numbers(column, seen.style or ".", seen.unit)
    filled = numbers[~np.isnan(numbers)]
    distinct = np.unique(filled)
    few = len(distinct) <= min(_MAX_WHOLE_CLASSES, max(2, len(filled) // 10))
    if not few or not np.all(distinct == np.round(distinct)):
        return False
    # classes of few rows would be left out; on a scale they count like the others
    scale = len(distinct) > _FEW_CLASSES and set(np.diff(distinct)) == {1.0}
    return not scale or bool(min(np.bincount(np.searchsorted(distinct, filled))) >= _MIN_CLASS_ROWS)


def _numbers(column: Series, style: str, unit: str) -> Target:
    name, numbers = str(column.name), to_numbers(column, style, unit)
    rows = np.flatnonzero(~np.isnan(numbers))
    y = numbers[rows]
    if not len(y):
        raise ValueError(f"the target {name!r} holds no numbers; is it --task classification?")
    low, high = format_number(y.min(), 6), format_number(y.max(), 6)
    if y.min() == y.max():
        raise ValueError(
            f"the target {name!r} is always {format_number(y[0], 6)}; there is nothing to predict."
        )
    if np.abs(y).max() > _LIMIT or np.ptp(y) < 1 / _LIMIT:
        raise ValueError(
            f"the target {name!r} reaches from {low} to {high}, which 32-bit numbers cannot "
            "predict; give it in another unit."
        )
    counts = bool(
        np.all(y == np.round(y)) and 0 <= y.min() <= _COUNT_START and y.max() <= _COUNT_LIMIT
    )
    n_distinct = len(np.unique(y))
    kind = "counts" if counts and n_distinct > _FEW_AMOUNTS else "amounts"
    said = f"{kind} from {low} to {high}{f', in {unit}' if unit else ''}" + _left_out(
        len(numbers) - len(y)
    )
    odd = to_words(column[np.isnan(numbers)]).levels
    said += f"; {shorten(odd[0])!r} is no number" if odd else ""
    if n_distinct <= _FEW_AMOUNTS and np.all(y == np.round(y)):
        said += f"; {n_distinct} whole numbers: if they are classes, add --task classification"
    return Target(name, kind, y, rows, None, said)


def _classes(column: Series) -> Target:
    name, words = str(column.name), class_words(column)
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.levels))
    _refuse_classes(name, words, counts)
    kept = [k for k in range(len(words.levels)) if counts[k] >= _MIN_CLASS_ROWS]
    names = _sorted_names([words.levels[k] for k in kept])
    place = {words.levels[k]: k for k in kept}
    index = np.full(len(words.levels) + 1, -1, np.int32)
    for new, level in enumerate(names):
        index[place[level]] = new
    y = index[words.codes]
    rows = np.flatnonzero(y >= 0)
    said = f"{len(names)} classes" + _left_out(int((words.codes < 0).sum()))
    rare = [words.levels[k] for k in range(len(words.levels)) if k not in set(kept)]
    if rare:
        more = f" and {len(rare) - 1} more" if len(rare) > 1 else ""
        said += f"; class {shorten(rare[0])}{more} left out, with fewer than {_MIN_CLASS_ROWS} rows"
    said += "".join(f"; {hint}" for hint in _hints(names))
    return Target(name, "classes", y[rows], rows, names, said)


def _hints(names: tuple[str, ...]) -> list[str]:
    """Say what may be meant otherwise than as classes, and how to say so."""
    hints = [
        f"{name!r} is a class: if it means nothing, add --missing {shlex.quote(name)}"
        for name in names
        if name.lower() in MISSING_WORDS
    ]
    written: dict[str, str] = {}
    for name in names:
        other = written.setdefault(name.casefold(), name)
        if other != name:
            hints.append(f"{other!r} and {name!r} differ in case only: write them alike")
            break
    numbers = parse_numbers(names, ".")
    many = len(names) > _FEW_CLASSES and np.isfinite(numbers).all()
    if many and np.all(np.diff(numbers) == 1):
        hints.append("numbers in order: if they are a scale, add --task regression")
    return [*hints, *_number_hints(names)]


def _number_hints(names: tuple[str, ...]) -> list[str]:
    """Say which words are almost numbers."""
    bound = next((name for name in names if _BOUND.fullmatch(name)), None)
    if bound is not None:
        return [f"{shorten(bound)!r} is a bound: to predict amounts, write it as a number"]
    if all(map(_CLOCK.fullmatch, names)):
        return [f"{shorten(names[0])!r} is a time of day: to predict amounts, write it in hours"]
    if any(all(iso_date(name, order) for name in names) for order in DATE_ORDERS):
        return [f"{shorten(names[0])!r} is a date: to predict amounts, write it in days"]
    return []


def class_words(column: Series) -> Words:
    """Read the classes; what means missing elsewhere is a class, unless the others are numbers.

    Args:
        column: a pandas Series.

    Example:
        >>> import pandas as pd
        >>> class_words(pd.Series(["NA", "EU", ""])).levels
        ('NA', 'EU')
        >>> class_words(pd.Series(["0", "1", "NA"])).levels
        ('0', '1')
    """
    words = to_levels(column, frozenset([""]))
    numbers = parse_numbers(words.levels, ".")
    others = {word.lower() for word, n in zip(words.levels, numbers, strict=True) if np.isnan(n)}
    if (~np.isnan(numbers)).sum() >= 2 and others <= MISSING_WORDS:
        return to_levels(column)
    return words


def _refuse_classes(name: str, words: Words, counts: np.ndarray) -> None:
    if not len(counts):
        raise ValueError(f"the target {name!r} is empty in every row.")
    if len(counts) == 1:
        raise ValueError(
            f"the target {name!r} is always {shorten(words.levels[0])!r}; a classifier needs two "
            "classes."
        )
    if (counts >= _MIN_CLASS_ROWS).sum() < 2:
        hints = "".join(f" ({hint})" for hint in _number_hints(words.levels))
        raise ValueError(
            f"the target {name!r} has {len(counts)} different values in {counts.sum()} rows; at "
            f"least two of them must be in {_MIN_CLASS_ROWS} rows or more{hints}."
        )


def _sorted_names(levels: list[str]) -> tuple[str, ...]:
    """In the order of numbers if all are numbers, else of letters."""
    try:
        return tuple(sorted(levels, key=float))
    except ValueError:
        return tuple(sorted(levels))


def _left_out(n: int) -> str:
    if not n:
        return ""
    return f"; {n:,} row{'s' * (n > 1)} without a target {'are' if n > 1 else 'is'} left out"
