"""Predictions as they are written: CSV or JSON lines, to a file or the terminal; Parquet."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxmlp.data.tables.reading import OPENERS, PARQUET_SUFFIXES, import_pyarrow
from jaxmlp.files import atomic_writer
from jaxmlp.formatting import format_exactly

_DELIMITERS = {".tsv": "\t", ".tab": "\t", "": ",", ".csv": ",", ".txt": ","}
_JSON_SUFFIXES = (".jsonl", ".ndjson")


class Predictions(NamedTuple):
    """Predictions for rows of the data.

    Attributes:
        rows: their numbers in the data, from 0.
        columns: (heading, values) of each; texts or numbers, (rows,).
    """

    rows: np.ndarray
    columns: list[tuple[str, np.ndarray]]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.rows)


def check_name(out: Path) -> None:
    """Refuse a file in a form that is not written.

    >>> check_name(Path("p.xlsx"))
    Traceback (most recent call last):
    ValueError: p.xlsx cannot be written; give a .csv, .tsv, .jsonl or .parquet file (or .csv.gz).
    """
    known = (*_DELIMITERS, *_JSON_SUFFIXES)
    if out.suffix.lower() not in PARQUET_SUFFIXES and _stem(out).suffix.lower() not in known:
        raise ValueError(
            f"{out} cannot be written; give a .csv, .tsv, .jsonl or .parquet file (or .csv.gz)."
        )


def write_file(parts: Iterator[Predictions], out: Path) -> int:
    """Write predictions as the file's name says; return how many they are."""
    with atomic_writer(out) as file:
        if out.suffix.lower() in PARQUET_SUFFIXES:
            return _write_parquet(parts, file)
        pack = OPENERS.get(out.suffix.lower())
        stream = pack(file, "wb") if pack else file
        n_rows = 0
        for part in parts:
            stream.write(_text(part, _stem(out).suffix.lower(), headed=not n_rows).encode())
            n_rows += part.n_rows
        if pack:
            stream.close()
    return n_rows


def write_to_terminal(parts: Iterator[Predictions], as_json: bool = False) -> None:
    """Write predictions to the standard output: as CSV, or as one JSON object a line."""
    try:
        for number, part in enumerate(parts):
            sys.stdout.write(_text(part, ".jsonl" if as_json else ".csv", headed=not number))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stem(out: Path) -> Path:
    return out.with_suffix("") if out.suffix.lower() in OPENERS else out


def _text(part: Predictions, suffix: str, headed: bool) -> str:
    if suffix in _JSON_SUFFIXES:
        return _json_lines(part)
    return _csv(part, _DELIMITERS[suffix], headed)


def _json_lines(part: Predictions) -> str:
    """Format a part as one JSON object a row; JSON has no NaN, so it becomes null."""
    headings = [heading for heading, _ in part.columns]
    columns = [[_json_value(value) for value in values] for _, values in part.columns]
    rows = (
        {"row": number, **dict(zip(headings, row, strict=True))}
        for number, row in zip(part.rows.tolist(), zip(*columns, strict=True), strict=True)
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _json_value(value: Any) -> Any:
    if isinstance(value, np.floating):
        return float(format_exactly(value)) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _csv(part: Predictions, delimiter: str, headed: bool) -> str:
    """Format a part; the first one has the heading above it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if headed:
        writer.writerow(["row", *(heading for heading, _ in part.columns)])
    columns = [
        [format_exactly(value) for value in values] if values.dtype.kind == "f" else values
        for _, values in part.columns
    ]
    writer.writerows(zip(part.rows.tolist(), *columns, strict=True))
    return text.getvalue()


def _write_parquet(parts: Iterator[Predictions], file: BinaryIO) -> int:
    pa, pq = import_pyarrow()
    n_rows, writer = 0, None
    for part in parts:
        columns = [("row", part.rows), *part.columns]
        table = pa.Table.from_arrays(
            [pa.array(values) for _, values in columns], [heading for heading, _ in columns]
        )
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
        n_rows += part.n_rows
    if writer is not None:
        writer.close()
    return n_rows
