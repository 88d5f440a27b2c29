"""From the rows of requests to answers, many requests at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from jaxmlp.blocks import block_size
from jaxmlp.data import TablePreprocessor
from jaxmlp.losses import get_loss
from jaxmlp.models import Model, class_probabilities, infer, prepare
from jaxmlp.networks import mlp_of
from jaxmlp.optional import import_optional

Row: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""Cells by the names of their columns, or in the order of training."""

MOST_ROWS = 1024  # computed at a time
_MOST_NOTES = 5
_SPARE_CELLS = 1_000_000  # of columns that the model does not know


class Answer(NamedTuple):
    """What the model says of a request's rows.

    Attributes:
        predictions: one JSON-ready object a row.
        notes: what may be a mistake in the rows: unknown levels, foreign units.
    """

    predictions: list[dict[str, Any]]
    notes: list[str]


class Answerer:
    """Answers rows with a model; what can be compiled before the first request is.

    Args:
        model: the model.
    """

    def __init__(self, model: Model) -> None:
        """Look at what the model takes and says."""
        self.model = model
        self.is_table = isinstance(model.preprocessing, TablePreprocessor)
        self.is_classifier = get_loss(model.loss).task == "classification"
        n_out = mlp_of(model.config).layer_sizes[-1]
        n_classes = max(n_out, 2)
        self.class_names = tuple(model.class_names or map(str, range(n_classes)))
        names = model.feature_names
        if isinstance(model.preprocessing, TablePreprocessor):
            names = model.preprocessing.column_names
        self.columns = None if names is None else tuple(names)
        self.n_features = len(self.columns or ()) or model.config.layer_sizes[0]

    def warm_up(self, most_rows: int = MOST_ROWS) -> None:
        """Compile for every number of rows that is computed at a time."""
        size, dtype = 1, np.float64 if self.model.config.dtype == "float64" else np.float32
        n_in = self.model.config.layer_sizes[0]
        with self._precision():
            while size <= most_rows:
                infer(self.model, np.zeros((block_size(size), n_in), dtype))
                size *= 2

    def outputs(self, data: Any, notify: Callable[[str], None]) -> np.ndarray:
        """Compute the network's outputs, (rows, n_out), of raw data.

        Args:
            data: as `prepare` takes it.
            notify: told what may be a mistake in it.
        """
        with self._precision(), np.errstate(over="ignore"):  # what is infinite is refused later
            x = prepare(self.model, data, what="the request", notify=notify)
            return infer(self.model, x, block_rows=MOST_ROWS)

    def answer(self, requests: Sequence[Sequence[Row]]) -> list[Answer | Exception]:
        """Answer requests together; where that fails, each alone, so that one harms no other.

        Args:
            requests: rows of each.

        Returns:
            An answer for each, or what is wrong with it.
        """
        try:
            return list(self._together(requests))
        except (ValueError, TypeError) as error:
            if len(requests) == 1:
                return [error]
            return [self.answer([request])[0] for request in requests]

    def _together(self, requests: Sequence[Sequence[Row]]) -> list[Answer]:
        rows = [row for request in requests for row in request]
        notes: list[str] = []
        outputs = self.outputs(self._as_data(rows), notes.append)
        if len(requests) > 1 and notes:
            raise ValueError("whose rows these notes are of, answers alone tell")
        said = self.said(outputs)
        answers, start = [], 0
        for request in requests:
            own = said[start : start + len(request)]
            answers.append(Answer(own, notes[:_MOST_NOTES]))
            start += len(request)
        return answers

    def _precision(self) -> Any:
        return jax.enable_x64(True) if self.model.config.dtype == "float64" else nullcontext()

    def _as_data(self, rows: list[Row]) -> Any:
        """Put rows into the form that `prepare` takes."""
        if isinstance(rows[0], Mapping):
            if any(not isinstance(row, Mapping) for row in rows):
                raise ValueError("some rows are objects and some lists; give all in one form.")
            return self._frame(rows)
        for k, row in enumerate(rows):
            if isinstance(row, Mapping) or len(row) != self.n_features:
                have = "names" if isinstance(row, Mapping) else f"{len(row)} cells"
                raise ValueError(f"row {k} has {have}; the model takes {self.n_features} cells.")
        if self.is_table:
            return self._frame([dict(zip(self.columns or (), row, strict=True)) for row in rows])
        return np.array([[_number(cell, k) for cell in row] for k, row in enumerate(rows)])

    def _frame(self, rows: Sequence[Any]) -> Any:
        pandas = import_optional("pandas", "tables need pandas", "jaxmlp[sklearn]")
        names = list(dict.fromkeys(chain.from_iterable(rows)))
        if self.columns is None and len(names) != self.n_features:
            raise ValueError(
                f"the rows name {len(names):,} cells; the model takes {self.n_features}."
            )
        kept = kept_names(names, self.columns, len(rows))
        return pandas.DataFrame.from_records(rows, columns=kept).astype(object)

    def said(self, outputs: np.ndarray) -> list[dict[str, Any]]:
        """Say outputs, (rows, n_out), in labels and probabilities, or in numbers."""
        if not np.isfinite(outputs).all():
            raise ValueError(
                "the answer is no finite number; a cell is larger than any in training."
            )
        if not self.is_classifier:
            values = outputs.astype(float).tolist()
            return [{"value": row[0] if len(row) == 1 else row} for row in values]
        shares = class_probabilities(outputs)
        if not np.allclose(shares.sum(axis=1), 1, atol=1e-3):  # several questions at once
            return [{"probabilities": self._named(row)} for row in shares]
        likeliest = shares.argmax(axis=1).tolist()
        return [
            {"label": self.class_names[k], "probabilities": self._named(row)}
            for k, row in zip(likeliest, shares, strict=True)
        ]

    def _named(self, shares: np.ndarray) -> dict[str, float]:
        return dict(zip(self.class_names, shares.astype(float).tolist(), strict=True))


def _number(cell: Any, row: int) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError(f"row {row} holds {cell!r:.40}, which is no number.")
    return float(cell)


def kept_names(names: Iterable[str], known: tuple[str, ...] | None, n_rows: int) -> list[str]:
    """Choose the columns of a table that are looked at: those known, and some to tell of.

    A table that has another name in every row would else outgrow the memory.

    >>> kept_names(["a", "id", "b"], ("a", "b"), 2_000_000)
    ['a', 'b']
    """
    wanted, spare, kept = set(known or ()), _SPARE_CELLS // n_rows, list[str]()
    for name in names:
        spare -= name not in wanted
        if name in wanted or spare >= 0 or known is None:
            kept.append(name)
    return kept
