"""What a run recorded, as arrays and as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmlp.formatting import format_number


class History(Mapping[str, "Float[np.ndarray, ' epochs']"]):
    """One array a column, one entry an epoch, in order; `print(history)` is a table.

    Columns: "epoch" (from 1), "train_loss" (mean over the epoch's batches, taken while the
    parameters move, without the penalty), "train_accuracy" or "train_rmse" and "train_r2", the
    same with "validation_" (after the epoch) if there were validation data, and "seconds".

    Args:
        columns: name -> (epochs,).

    Example:
        >>> history = History({"epoch": np.array([1, 2]), "train_loss": np.array([0.5, 0.25])})
        >>> history["train_loss"].tolist(), len(history.rows())
        ([0.5, 0.25], 2)
        >>> print(history)
        epoch  train_loss
            1     0.5
            2     0.25
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """Hold the columns."""
        self._columns = {name: np.asarray(column) for name, column in columns.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a column."""
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the columns."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Count the columns."""
        return len(self._columns)

    @property
    def n_epochs(self) -> int:
        """Number of epochs recorded."""
        return len(self._columns["epoch"])

    def rows(self) -> list[dict[str, float]]:
        """Return one dictionary an epoch."""
        return [
            {name: column[i].item() for name, column in self._columns.items()}
            for i in range(self.n_epochs)
        ]

    def extended(self, columns: Mapping[str, Any]) -> "History":
        """Return a history with further epochs below."""
        return History(
            {name: np.concatenate([old, columns[name]]) for name, old in self._columns.items()}
        )

    def __str__(self) -> str:
        """Format as a table."""
        widths = {name: max(len(name), 7) for name in self}
        lines = ["  ".join(name.rjust(width) for name, width in widths.items())]
        for row in self.rows():
            cells = (format_number(row[name]).rjust(width) for name, width in widths.items())
            lines.append("  ".join(cells))
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Say how much there is."""
        return f"History({self.n_epochs} epochs: {', '.join(self)})"
