"""The bodies of requests: JSON, CSV and uploaded files, as rows; nothing may outgrow the limits."""

import codecs
import io
import json
import lzma
import tempfile
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from jaxmlp.data.tables import ReadingOptions
from jaxmlp.data.tables.containers import JSON_SUFFIXES, WORKBOOK_SUFFIXES
from jaxmlp.data.tables.reading import (
    OPENERS,
    PARQUET_SUFFIXES,
    TEXT_SUFFIXES,
    read_table_blocks,
)
from jaxmlp.serving.answers import Answerer, Row, kept_names
from jaxmlp.serving.limits import Limits

_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES, *WORKBOOK_SUFFIXES)
SPARE = 4096  # cells of a row that the model does not know
_LARGEST = 10**300  # floats end soon behind it
_LINES_ABOVE = 100  # of a sheet's table
_UNPACKED = 4  # times the largest body: what an archive or a workbook may become


class UnreadableError(ValueError):
    """A body that is no rows; the sentence says why.

    Attributes:
        status: of the answer.
    """

    def __init__(self, sentence: str, status: int = 400) -> None:
        """Keep the status."""
        super().__init__(sentence)
        self.status = status


def rows_of_json(body: bytes, most_rows: int, most_cells: int = SPARE) -> list[Row]:
    """Read {"rows": [...]}, or a list; a row is an object of cells, or a list of them.

    Args:
        body: of the request.
        most_rows: that it may have.
        most_cells: of a row.

    Raises:
        UnreadableError: if that is not what it holds.

    Example:
        >>> rows_of_json(b'{"rows": [{"age": 31, "town": null}, {"age": 5}]}', 10)
        [{'age': 31, 'town': None}, {'age': 5}]
    """
    content = _parsed(body, "the body")
    rows = content.get("rows") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not rows:
        raise UnreadableError('the body holds no rows; send {"rows": [...]}, with at least one.')
    if len(rows) > most_rows:
        raise UnreadableError(
            f"the body holds {len(rows):,} rows; send {most_rows:,} at most.", 413
        )
    for k, row in enumerate(rows):
        _check_row(row, k, most_cells)
    return rows


def _parsed(text: bytes, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{what} is no JSON: {str(error) or type(error).__name__}") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON; write null for what is missing")


def _check_row(row: Any, k: int, most_cells: int) -> None:
    if not isinstance(row, dict | list) or not row:
        raise UnreadableError(f"row {k} is {row!r:.40}; give an object or a list of cells.")
    if len(row) > most_cells:
        raise UnreadableError(f"row {k} has {len(row):,} cells; send {most_cells:,} at most.", 413)
    cells = list(row.values()) if isinstance(row, dict) else row
    kinds = set(map(type, cells))
    if kinds & {dict, list}:
        odd = next(cell for cell in cells if isinstance(cell, dict | list))
        raise UnreadableError(f"row {k} holds {odd!r:.40}; a cell is text, a number or null.")
    if int in kinds and any(type(cell) is int and abs(cell) >= _LARGEST for cell in cells):
        raise UnreadableError(f"row {k} holds a number of more than 300 digits; write it as text.")
    if isinstance(row, dict) or str in kinds:
        texts = [cell for cell in cells if isinstance(cell, str)]
        try:
            "".join((*row, *texts) if isinstance(row, dict) else texts).encode()
        except UnicodeEncodeError as error:  # half of a character, escaped
            raise UnreadableError(f"row {k} holds text that is no Unicode.") from error


def rows_of_file(name: str, content: bytes, answerer: Answerer, limits: Limits) -> list[Row]:
    """Read a table's file, as `jaxmlp predict` does.

    Args:
        name: of the file, whose end says what it is.
        content: of it.
        answerer: whose model was trained on files that are read in some way.
        limits: of rows, and of what packed files become.

    Raises:
        UnreadableError: if it cannot be read.
    """
    suffix, content = _unpacked(name.lower(), content, limits)
    most_cells = answerer.n_features + SPARE
    if suffix in JSON_SUFFIXES:
        return _rows_of_lines(content, limits.rows, most_cells)
    if suffix in TEXT_SUFFIXES:
        _check_width(content, most_cells)
    options = ReadingOptions(**answerer.model.extra.get("reading", {}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{suffix}"
        path.write_bytes(content)
        blocks: Any = read_table_blocks(
            path, limits.rows + 1, numbers=not answerer.is_table, options=options,
            sheet_lines=limits.rows + _LINES_ABOVE,
        )  # fmt: skip
        try:
            with closing(blocks):
                table = next(blocks)
        except (ValueError, OSError, ImportError) as error:
            said = str(error).replace(str(path), "the file")
            raise UnreadableError(said) from error
    if len(table) > limits.rows:
        raise UnreadableError(
            f"the file holds more than {limits.rows:,} rows; send {limits.rows:,} at most.", 413
        )
    if not answerer.is_table and answerer.columns is None:
        return [list(row) for row in table.to_numpy().tolist()]
    kept = kept_names(table.columns, answerer.columns, len(table))
    rows: list[Row] = table[kept].to_dict(orient="records")
    return rows


def _unpacked(name: str, content: bytes, limits: Limits) -> tuple[str, bytes]:
    """The end of a file's name and its content, neither of them compressed."""
    most = _UNPACKED * limits.bytes
    packing = next((end for end in OPENERS if name.endswith(end)), "")
    bare = name.removesuffix(packing)
    suffix = next((end for end in _SUFFIXES if bare.endswith(end)), "")
    if not suffix or (packing and suffix in (*PARQUET_SUFFIXES, *WORKBOOK_SUFFIXES)):
        raise UnreadableError(
            f"{name!r:.60} is no table that can be read: send .csv, .xlsx, .jsonl or .parquet.", 415
        )
    try:
        if packing:
            with OPENERS[packing](io.BytesIO(content)) as file:
                content = file.read(most + 1)
            size = len(content)
        elif suffix in WORKBOOK_SUFFIXES:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        else:
            size = 0
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UnreadableError("the file is damaged, or not what its name says.") from error
    if size > most:
        raise UnreadableError(f"unpacked, the file is larger than {most / 2**20:.3g} MiB.", 413)
    return suffix, content


def _rows_of_lines(content: bytes, most_rows: int, most_cells: int) -> list[Row]:
    rows = list[Row]()
    for number, line in enumerate(io.BytesIO(content.removeprefix(codecs.BOM_UTF8)), 1):
        if not line.strip():
            continue
        row = _parsed(line, f"line {number} of the file")
        if not isinstance(row, dict):
            raise UnreadableError(f'line {number} of the file is no object such as {{"a": 1}}.')
        if len(rows) == most_rows:
            raise UnreadableError(
                f"the file holds more than {most_rows:,} rows; send {most_rows:,} at most.", 413
            )
        _check_row(row, len(rows), most_cells)
        rows.append(row)
    if not rows:
        raise UnreadableError("the file is empty.")
    return rows


def _check_width(content: bytes, most_cells: int) -> None:
    """Refuse lines of very many cells: telling their names apart takes the square of the number."""
    ends = np.flatnonzero(np.frombuffer(content + b"\n", np.uint8) == ord("\n"))
    begins = np.append(0, ends[:-1] + 1)
    for k in np.flatnonzero(ends - begins > most_cells):
        line = content[begins[k] : ends[k]]
        widest = max(line.count(mark) for mark in b",;\t| ")
        if widest > most_cells:
            raise UnreadableError(
                f"the file has a line of {widest:,} cells; send {most_cells:,} at most.", 413
            )
