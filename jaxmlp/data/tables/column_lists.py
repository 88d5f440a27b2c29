"""Lists of columns, as an option holds them: a,b or "b, c",d."""

import csv
import io
import shlex
from collections.abc import Collection, Iterable


def named_columns(text: str, known: Collection[str] = ()) -> list[str]:
    """Read a list of columns; the name of one that is known may hold commas as it stands.

    >>> named_columns("a, b"), named_columns('"b, c",d'), named_columns("b, c", ["a", "b, c"])
    (['a', 'b'], ['b, c', 'd'], ['b, c'])
    """
    if text.strip() in known:
        return [text.strip()]
    cells = next(csv.reader([text], skipinitialspace=True), [])
    return [cell.strip() for cell in cells if cell.strip()]


def list_option(option: str, columns: Iterable[str]) -> str:
    """Write an option that names columns as a shell takes it.

    >>> print(list_option("--drop", ["a", "b, c"]))
    --drop 'a,"b, c"'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(list(columns))
    return f"{option} {shlex.quote(text.getvalue())}"
