"""How DuckDB reads a text file as `read_table` does: in the dialect found, cells as they mean."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmlp.data.tables.dialect import Dialect, ReadingOptions
from jaxmlp.data.tables.inference import infer_columns
from jaxmlp.data.tables.reading import open_text, read_table_blocks, whole_dialect

_SHORT_LINES = ", null_padding = true, parallel = false"  # slower, so only where it is needed


@contextmanager
def duckdb_readers(source: str, options: ReadingOptions, beside: Path) -> Iterator[list[str]]:
    """Write the calls of read_csv to try, one after the other.

    Numbers become numbers there. What is something else, or a number in another form, stays text:
    DuckDB would make 7 of 007, and 1.5 of 1.500 beside decimal commas.

    Args:
        source: a file, or a pattern with * of files that are written alike.
        options: of the user.
        beside: a path, behind which a copy in UTF-8 is written where the file is in another
            encoding; it is removed at the end.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or spaces stand between its cells.
    """
    path = Path(source)
    if not path.is_file():
        path = next(iter(sorted(path.parent.glob(path.name))), path)
    first = next(read_table_blocks(path, options=options))
    dialect = whole_dialect(path, options)
    if dialect.delimiter == "whitespace":
        raise ValueError(f"spaces stand between the cells of {source}; write it with commas first.")
    text = [column.name for column in infer_columns(first).values() if column.style != "."]
    copy = beside.with_name(f".{beside.name}.utf-8")
    try:
        if not dialect.encoding.startswith("utf-8") or dialect.encoding.endswith("replace"):
            with open_text(path, dialect) as file, copy.open("w", encoding="utf-8") as out:
                shutil.copyfileobj(file, out, io.DEFAULT_BUFFER_SIZE << 6)
            source = str(copy)
        call = f"read_csv({sql_text(source)}, {_arguments(dialect, text)}"
        yield [f"{call})", f"{call}{_SHORT_LINES})"]
    finally:
        copy.unlink(missing_ok=True)


def _arguments(dialect: Dialect, text: list[str]) -> str:
    types = ", ".join(f"{sql_text(name)}: 'VARCHAR'" for name in text)
    headed = dialect.headed and not dialect.named_above
    said = {
        "delim": sql_text(dialect.delimiter),
        "quote": sql_text(dialect.quote),
        "escape": sql_text(dialect.escape or dialect.quote),
        "header": str(headed).lower(),
        "skip": str(dialect.skip),
        "names": f"[{', '.join(map(sql_text, dialect.names))}]",
        "types": f"{{{types}}}",
        "sample_size": "-1",  # all cells are looked at: a word far down would not be a number
    }
    return ", ".join(f"{name} = {value}" for name, value in said.items() if value != "{}")


def sql_text(text: object) -> str:
    """Write a text as one of SQL.

    >>> sql_text("O'Brien")
    "'O''Brien'"
    """
    return "'" + str(text).replace("'", "''") + "'"
