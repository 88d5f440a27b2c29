"""Odd tables, thousands of them: each is prepared, or refused in one sentence.

Files are written with all that people and programs do to tables: encodings, delimiters, quotes,
byte order marks, blank and ragged lines, odd names, mixed kinds, units, dates, huge and tiny
numbers, words for nothing, long cells; as text, archives, JSON lines and workbooks, some damaged. A
file counts as a fault if it ends in another error than ours, if a number of its matrix is not
finite, or if the preprocessing says something else after it went through JSON.

    python -m benchmarks.fuzz_tables [--files 3000] [--seed 0]
"""

import argparse
import csv
import io
import json
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import read_table

RESULTS = Path(__file__).parent / "results" / "fuzz_tables.json"
_OURS = (ValueError, FileNotFoundError, ImportError)
_LONGEST = 900  # characters of a sentence
_MISSING = ("", "NA", "?", "null", "-", "NaN", "n/a", "None", "inf", "-inf", "<NA>", ".")
_WORDS = ("tea", "köln", "Ünder", "good", "bad", "東京", "naïve", "x,y", "a;b", 'q"q', "l\nl", "😀")
_NAMES = (
    "a",
    "a",
    "b",
    "",
    " ",
    "id",
    "Date",
    "1",
    "ü",
    'q"u',
    "x;y",
    "#n",
    "y.1",
    "n\nn",
    "a" * 300,
)
_UNITS = ("km", "kg", "g", "%", "kmpl", "CC", "°C", "m²")

Rng = np.random.Generator
Cell = Callable[[Rng], str]


def _pick(rng: Rng, options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def _text(rng: Rng) -> str:
    return " ".join(_pick(rng, _WORDS) for _ in range(int(rng.integers(1, 9))))


def _odd_letters(rng: Rng) -> str:
    letters = rng.choice([9, 32, 34, 35, 39, 44, 48, 65, 92, 127, 160, 0x200B, 0xFEFF, 0x1F600], 5)
    return "".join(map(chr, letters.tolist()))


CELLS: dict[str, Cell] = {
    "numbers": lambda rng: f"{rng.normal():.4g}",
    "whole": lambda rng: str(rng.integers(-5, 60)),
    "huge": lambda rng: f"{rng.normal()}e{rng.integers(-330, 330)}",
    "endless": lambda rng: "9" * int(rng.integers(1, 500)),
    "comma": lambda rng: f"{rng.normal():.2f}".replace(".", ","),
    "thousands": lambda rng: f"{rng.integers(0, 10**7):,}",
    "money": lambda rng: f"{_pick(rng, '$€£')}{rng.integers(1, 99)}{_pick(rng, ['', 'k', 'M'])}",
    "codes": lambda rng: f"{rng.integers(0, 3000):05}",
    "dates": lambda rng: (
        f"{rng.integers(1990, 2030)}-{rng.integers(1, 14):02}-{rng.integers(1, 32):02}"
    ),
    "days": lambda rng: f"{rng.integers(1, 32)}/{rng.integers(1, 13)}/{rng.integers(0, 2100)}",
    "clock": lambda rng: f"{rng.integers(0, 25)}:{rng.integers(0, 60):02}",
    "truths": lambda rng: _pick(rng, ["yes", "No", "TRUE", "f", "0", "1.0"]),
    "levels": lambda rng: _pick(rng, _WORDS),
    "texts": _text,
    "missing": lambda rng: _pick(rng, _MISSING),
    "letters": _odd_letters,
    "long": lambda rng: "long cell " * int(_pick(rng, [3, 30, 300, 3000])),
    "items": lambda rng: f"item {rng.integers(10**6)}",
} | {unit: lambda rng, unit=unit: f"{rng.integers(1, 999) / 10} {unit}" for unit in _UNITS}


def make_columns(rng: Rng) -> tuple[list[str], list[list[str]]]:
    """Return names and cells of a table; the last column is "y"."""
    n_rows = int(_pick(rng, [0, 1, 2, 5, 20, 60, 120]))
    names, columns = [], []
    for _ in range(int(rng.integers(1, 7))):
        kinds = [_pick(rng, list(CELLS)) for _ in range(int(_pick(rng, [1, 1, 1, 2, 3])))]
        if _pick(rng, [0, 0, 0, 1]):
            kinds.append("missing")
        names.append(str(_pick(rng, _NAMES)))
        cells = [CELLS[_pick(rng, kinds)](rng) for _ in range(n_rows)]
        columns.append(cells[:1] * n_rows if rng.random() < 0.08 else cells)
    names.append("y")
    kind = _pick(rng, ["levels", "numbers", "truths", "whole", "kg", "missing", "texts", "codes"])
    columns.append([CELLS[kind](rng) for _ in range(n_rows)])
    return names, columns


def _as_text(rng: Rng, names: list[str], columns: list[list[str]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=_pick(rng, ",,,;\t| :"), lineterminator=_pick(rng, ["\n", "\r\n"]),
        quotechar=_pick(rng, "\"\"'"),
        quoting=_pick(rng, [csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    )  # fmt: skip
    if rng.random() < 0.9:
        writer.writerow(names)
    for row in zip(*columns, strict=True):
        cells = list(row)
        if rng.random() < 0.01:
            cells = cells[: int(rng.integers(len(cells) + 1))]
        if rng.random() < 0.003:
            cells.append("more")
        writer.writerow(cells)
        if rng.random() < 0.02:
            out.write("\n")
    above = _pick(rng, [""] * 6 + ["# made by X\n", "Report\n\n", "\n\n", "sep=,\n", "%\n# a,b\n"])
    encoding = _pick(rng, ["utf-8"] * 5 + ["utf-8-sig", "utf-16", "cp1252", "latin-1", "utf-32"])
    return (above + out.getvalue()).encode(encoding, "replace")


def _as_json(rng: Rng, names: list[str], columns: list[list[str]]) -> bytes:
    def value(cell: str) -> Any:
        if rng.random() < 0.003:
            return _pick(rng, [None, True, 10**400, float("nan"), [1], {"a": 1}, "\ud800"])
        try:
            return float(cell) if rng.random() < 0.9 else cell
        except ValueError:
            return cell

    rows = (
        {n: value(c) for n, c in zip(names, r, strict=True)} for r in zip(*columns, strict=True)
    )
    return "\n".join(map(json.dumps, rows)).encode()


def _as_workbook(rng: Rng, names: list[str], columns: list[list[str]]) -> bytes:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    frame = pd.DataFrame(dict(enumerate(columns))).map(
        lambda cell: ILLEGAL_CHARACTERS_RE.sub("", cell)[:30_000].lstrip("=")
    )
    if rng.random() < 0.5:
        frame = frame.apply(
            lambda c: n if (n := pd.to_numeric(c, errors="coerce")).notna().all() else c
        )
    frame.columns = names
    out = io.BytesIO()
    with pd.ExcelWriter(out) as book:
        for sheet in ["one", "two"][: int(_pick(rng, [1, 1, 2]))]:
            frame.to_excel(book, sheet_name=sheet, index=False, startrow=int(_pick(rng, [0, 0, 2])))
    return out.getvalue()


def make_file(seed: int, number: int, folder: Path) -> Path:
    """Write the odd table of this number."""
    rng = np.random.default_rng([seed, number])
    names, columns = make_columns(rng)
    form = _pick(rng, ["csv"] * 12 + ["tsv", "zip", "jsonl", "jsonl", "xlsx", "csv.gz"])
    if form == "jsonl":
        content = _as_json(rng, names, columns)
    elif form == "xlsx":
        content = _as_workbook(rng, names, columns)
    else:
        content = _as_text(rng, names, columns)
    if form == "csv.gz":
        import gzip

        content = gzip.compress(content, mtime=0)
    if form == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for member in ["t.csv", "u.csv"][: int(_pick(rng, [1, 1, 1, 2]))]:
                archive.writestr(member, content)
        content = packed.getvalue()
    damage = _pick(rng, ["none"] * 12 + ["cut", "bytes"])
    place = int(rng.integers(len(content) + 1))
    if damage == "cut":
        content = content[:place]
    elif damage == "bytes":
        content = content[:place] + rng.bytes(4) + content[place:]
    path = folder / f"t.{form}"
    path.write_bytes(content)
    return path


def examine(path: Path) -> str:
    """Prepare a table; return "prepared" or "refused".

    Raises:
        AssertionError: if something is not as it should be.
    """
    outcomes = {_examine(path, prepare) for prepare in (_features_alone, _for_training)}
    return "prepared" if "prepared" in outcomes else "refused"


def _examine(path: Path, prepare: Callable[[Path], None]) -> str:
    try:
        prepare(path)
    except _OURS as error:
        if type(error) not in _OURS:
            raise  # a library's own, such as a UnicodeDecodeError
        said = str(error)
        assert said.endswith((".", "'")), f"no sentence: {said[-200:]}"
        assert len(said) < _LONGEST, f"{len(said)} characters: {said[:200]}"
        assert "\n" not in said, f"several lines: {said[:200]!r}"
        return "refused"
    return "prepared"


def _features_alone(path: Path) -> None:
    frame = read_table(path)
    fitted = TablePreprocessor.fit(frame, max_one_hot=20)
    x = fitted.transform(frame)
    assert np.isfinite(x).all(), "the matrix is not finite"
    again = TablePreprocessor.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted, "the preprocessing is another one after JSON"
    np.testing.assert_array_equal(again.transform(frame), x)
    again.remarks(frame)


def _for_training(path: Path) -> None:
    prepared = load_table(str(path), TableOptions("y"), 0)
    for part in (prepared.train, prepared.validation, prepared.test):
        assert np.isfinite(part.x).all(), "the matrix is not finite"
        assert np.isfinite(part.y).all(), "the target is not finite"
    json.dumps(prepared.schema.to_dict(), allow_nan=False)


def run(files: int, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Examine so many files; return the outcomes of each form, and the faults."""
    outcomes: Counter[tuple[str, str]] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(files):
            path = make_file(seed, number, Path(folder))
            try:
                outcome = examine(path)
            except Exception as error:
                outcome = "fault"
                faults.append({"number": number, "error": f"{type(error).__name__}: {error}"[:500]})
            outcomes[path.name.removeprefix("t."), outcome] += 1
            path.unlink()
    forms = sorted({form for form, _ in outcomes})
    kinds = ("prepared", "refused", "fault")
    return [
        {"form": form} | {kind: outcomes[form, kind] for kind in kinds} for form in forms
    ], faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    begin = time.perf_counter()
    rows, faults = run(options.files, options.seed)
    summary = {
        "files": options.files,
        "seed": options.seed,
        "outcomes": rows,
        "faults": faults,
        "seconds": round(time.perf_counter() - begin, 1),
    }
    write_json(options.out, {"environment": environment(), **summary})
    print(markdown_table(rows))
    print(f"\n{len(faults)} faults in {options.files} files; {summary['seconds']} s")
    for fault in faults:
        print(f"{fault['number']}: {fault['error']}")


if __name__ == "__main__":
    main()
