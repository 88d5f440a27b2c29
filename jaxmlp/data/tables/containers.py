"""Tables in other files than text and Parquet: workbooks, archives, JSON lines, Feather."""

import csv
import json
import shutil
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from jaxmlp.data.tables.values import DataFrame, import_pandas, shorten
from jaxmlp.optional import import_optional

WORKBOOK_SUFFIXES, ZIP_SUFFIX = (".xlsx", ".xlsm"), ".zip"
JSON_SUFFIXES, FEATHER_SUFFIXES = (".jsonl", ".ndjson"), (".feather", ".arrow")
_SHOWN = 5  # names, in a message


def write_sheet(path: Path, sheet: str, out: Path, lines: int | None = None) -> tuple[str, ...]:
    """Write a sheet of a workbook as CSV, each cell as it means.

    Args:
        path: the workbook.
        sheet: its name; "" takes the only one, or the one of the most cells.
        out: the file to write.
        lines: how many of each sheet are read; None reads all.

    Returns:
        Notes: which sheets were not read.

    Raises:
        ImportError: if openpyxl is not installed.
        ValueError: if it is no workbook, or has no such sheet, or an empty one.
    """
    import_optional("openpyxl", "workbooks need openpyxl", "jaxmlp[excel]")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and the like
            sheets = import_pandas().read_excel(
                path, sheet_name=None, header=None, dtype=object, keep_default_na=False,
                na_filter=False, engine="openpyxl", nrows=lines,
            )  # fmt: skip
    except Exception as error:  # a damaged workbook fails in many ways
        raise ValueError(f"{path} is no workbook (.xlsx), or a damaged one.") from error
    filled = {str(name): frame for name, frame in sheets.items() if frame.size}
    if sheet and sheet not in map(str, sheets):
        raise ValueError(f"{path} has no sheet {sheet!r}; it has {_listed(list(sheets))}.")
    if not filled or (sheet and sheet not in filled):
        raise ValueError(f"{path} is empty{f' on the sheet {sheet!r}' if sheet else ''}.")
    chosen = sheet or max(filled, key=lambda name: filled[name].size)
    with out.open("w", encoding="utf-8", newline="", errors="replace") as file:
        writer = csv.writer(file)
        rows = ([_cell(v) for v in row] for row in filled[chosen].itertuples(index=False))
        writer.writerows(row for row in rows if len(row) == 1 or any(row))
    others = [name for name in filled if name != chosen]
    if sheet or not others:
        return ()
    return (
        f"The sheet {chosen!r} of {path} is read, the largest; there are {_listed(others)} too. "
        "If you mean one of these, say --sheet NAME",
    )


def _cell(value: Any) -> str:
    """A cell as text; of a date at midnight the date."""
    text = str(value)
    if hasattr(value, "hour") and hasattr(value, "year"):
        return text.removesuffix(" 00:00:00")
    return text.removesuffix(".0") if isinstance(value, float) else text


def extract_table(path: Path, folder: Path, is_table: Any) -> Path:
    """Unpack the only table of an archive; return the file.

    Raises:
        ValueError: if it is no archive, or there is no table or several in it, or a password.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                entry
                for entry in archive.namelist()
                if is_table(entry) and not entry.startswith("__MACOSX/")
            ]
            if len(names) != 1:
                held = "several tables" if names else "no table"
                listed = _listed(names or archive.namelist()) or "nothing"
                raise ValueError(
                    f"{path} holds {held} ({listed}); unpack it and give "
                    f"{'one of them' if names else 'a .csv file'}."
                )
            out = folder / Path(names[0]).name
            with archive.open(names[0]) as packed, out.open("wb") as file:
                shutil.copyfileobj(packed, file)
            return out
    except (zipfile.BadZipFile, RuntimeError, zlib.error, EOFError) as error:
        why = "locked by a password" if "password" in str(error) else "no .zip file, or damaged"
        raise ValueError(f"{path} is {why}.") from error


def read_json_lines(path: Path, file: IO[str]) -> DataFrame:
    """Read one JSON object a line.

    Raises:
        ValueError: if a line is none, or holds values within values.
    """
    records = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} of {path} is no JSON: {_reason(error)}.") from error
        if not isinstance(record, dict):
            raise ValueError(f'line {number} of {path} is no object such as {{"a": 1}}.')
        for name, value in record.items():
            if isinstance(value, dict | list):
                raise ValueError(
                    f"line {number} of {path} holds values within {shorten(name)!r}; write each "
                    "as a column of its own."
                )
        records.append({_plain(name): _plain(value) for name, value in record.items()})
    if not any(records):
        raise ValueError(f"{path} is empty.")
    return import_pandas().DataFrame.from_records(records)


def _plain(value: Any) -> Any:
    """A value that a table holds: text that can be written, and no number beyond all bounds."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return float(value) if abs(value) < 10**308 else None
    return value


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") if isinstance(error, ValueError) else "it is too deep"


def read_feather(path: Path) -> DataFrame:
    """Read a file of Arrow's own form.

    Raises:
        ImportError: if pyarrow is not installed.
        ValueError: if it is none.
    """
    feather = import_optional("pyarrow.feather", "Feather files need pyarrow", "jaxmlp[parquet]")
    pa = import_optional("pyarrow", "Feather files need pyarrow", "jaxmlp[parquet]")
    try:
        frame: DataFrame = feather.read_table(path).to_pandas()
        return frame
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} is no Feather file, or a damaged one.") from error


def _listed(names: list[Any]) -> str:
    shown = ", ".join(shorten(str(name), 30) for name in names[:_SHOWN])
    return shown + ", ..." * (len(names) > _SHOWN)
