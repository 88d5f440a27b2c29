"""Lists of columns, as an option holds them: a,b or "b, c",d."""

import csv
import io
import shlex
from collections.abc import Collection, Iterable


def named_columns(text: str, known: Collection[str] = ()) -> list[str]:
    """Read a list of columns; the name of one that is known may hold commas as it stands.

    >>> named_columns("a, b"), named_columns('"b, c",d'), named_columns("b, c", ["a", "b, c"])
    (['a', 'b'], ['b, c', 'd'], ['b, c'])
    >>> named_columns("b, c,d", ["d", "b, c"])
    ['b, c', 'd']
    """
    if text.strip() in known:
        return [text.strip()]
    cells = [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True), [])]
    whole = {",".join(map(str.strip, name.split(","))): name for name in known}
    names = []
    while cells:
        joined = {n: ",".join(cells[:n]) for n in range(len(cells), 0, -1)}  # longest first
        n = next((n for n, name in joined.items() if name in whole), 1)
        names.append(whole.get(joined[n], cells[0]))
        cells = cells[n:]
    return [name for name in names if name]


def list_option(option: str, columns: Iterable[str]) -> str:
    """Write an option that names columns as a shell takes it.

    >>> print(list_option("--drop", ["a", "b, c"]))
    --drop 'a,"b, c"'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(list(columns))
    return f"{option} {shlex.quote(text.getvalue())}"
