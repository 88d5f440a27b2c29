"""The bodies of requests: JSON, CSV and uploaded files, as rows."""

import json
import tempfile
from pathlib import Path
from typing import Any

from jaxmlp.data.tables import ReadingOptions, is_table_file, read_table
from jaxmlp.serving.answers import Answerer, Row


class UnreadableError(ValueError):
    """A body that is no rows; the sentence says why.

    Attributes:
        status: of the answer.
    """

    def __init__(self, sentence: str, status: int = 400) -> None:
        """Keep the status."""
        super().__init__(sentence)
        self.status = status


def rows_of_json(body: bytes, most_rows: int) -> list[Row]:
    """Read {"rows": [...]}, or a list; a row is an object of cells, or a list of them.

    Args:
        body: of the request.
        most_rows: that it may have.

    Raises:
        UnreadableError: if that is not what it holds.

    Example:
        >>> rows_of_json(b'{"rows": [{"age": 31, "town": null}, {"age": 5}]}', 10)
        [{'age': 31, 'town': None}, {'age': 5}]
    """
    try:
        content = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(
            f"the body is no JSON: {str(error) or type(error).__name__}"
        ) from error
    rows = content.get("rows") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not rows:
        raise UnreadableError('the body holds no rows; send {"rows": [...]}, with at least one.')
    if len(rows) > most_rows:
        raise UnreadableError(
            f"the body holds {len(rows):,} rows; send {most_rows:,} at most.", 413
        )
    for k, row in enumerate(rows):
        cells = row.values() if isinstance(row, dict) else row
        if not isinstance(row, dict | list) or not row:
            raise UnreadableError(f"row {k} is {row!r:.40}; give an object or a list of cells.")
        odd = next((cell for cell in cells if isinstance(cell, dict | list)), None)
        if odd is not None:
            raise UnreadableError(f"row {k} holds {odd!r:.40}; a cell is text, a number or null.")
    return rows


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON; write null for what is missing")


def rows_of_file(name: str, content: bytes, answerer: Answerer, most_rows: int) -> list[Row]:
    """Read a table's file, as `jaxmlp predict` does.

    Args:
        name: of the file, whose end says what it is.
        content: of it.
        answerer: whose model was trained on files that are read in some way.
        most_rows: that it may have.

    Raises:
        UnreadableError: if it cannot be read.
    """
    suffixes = "".join(Path(name).suffixes[-2:]) if is_table_file(name) else ""
    if not suffixes:
        raise UnreadableError(
            f"{name!r:.60} is no table that can be read: send .csv or .parquet.", 415
        )
    options = ReadingOptions(**answerer.model.extra.get("reading", {}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{suffixes}"
        path.write_bytes(content)
        try:
            table = read_table(path, numbers=not answerer.is_table, options=options)
        except (ValueError, OSError, ImportError) as error:
            said = str(error).replace(str(path), "the file")
            raise UnreadableError(said) from error
    if len(table) > most_rows:
        raise UnreadableError(
            f"the file holds {len(table):,} rows; send {most_rows:,} at most.", 413
        )
    if not answerer.is_table and answerer.columns is None:
        return [list(row) for row in table.to_numpy().tolist()]
    rows: list[Row] = table.to_dict(orient="records")
    return rows
