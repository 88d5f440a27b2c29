"""What the columns of a table mean: inferred, corrected by the user, kept in a file."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp.checks import unknown_name

KINDS = ("number", "category", "boolean", "date", "text", "features", "drop")
TASKS = ("classification", "regression")


class Column(NamedTuple):
    """One column: what it is, and why that was thought.

    Attributes:
        name: of the column.
        kind: one of `KINDS`. A text becomes a few numbers; features are those that a backbone makes
            of a text, or of the file that a path names.
        style: decimal sign of a number, "." or ","; order of a date, "ymd", "dmy" or "mdy".
        reason: what was seen in the data, for people.
        unit: of a number, such as "km", "%" or "$"; "" for none.
    """

    name: str
    kind: str
    style: str = ""
    reason: str = ""
    unit: str = ""


_FIELDS = tuple(field for field in Column._fields if field != "name")


class Schema(NamedTuple):
    """The columns of a table, and which of them is to be predicted.

    Attributes:
        columns: name -> column, the target left out.
        target: name of the target, or None.
        task: "classification" or "regression", or None to infer it.
    """

    columns: Mapping[str, Column] = {}
    target: str | None = None
    task: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values.

        >>> Schema({"a": Column("a", "number", ".")}, "y").to_dict()["columns"]
        {'a': {'kind': 'number', 'style': '.'}}
        """
        columns = {
            column.name: {
                field: value
                for field, value in column._asdict().items()
                if value and field in _FIELDS
            }
            for column in self.columns.values()
        }
        return {"target": self.target, "task": self.task, "columns": columns}

    @classmethod
    def from_dict(cls, fields: Any) -> "Schema":
        """Read `to_dict`'s result, or what a user wrote: a column may be its kind alone.

        Raises:
            ValueError: for an unknown field or kind, with what is known.

        >>> Schema.from_dict({"columns": {"a": "category"}}).columns["a"].kind
        'category'
        """
        if not isinstance(fields, Mapping):
            raise ValueError("a schema is a table of names: target, task, columns.")
        for name in fields:
            if name not in cls._fields:
                raise unknown_name("field of a schema", name, cls._fields)
        columns = fields.get("columns") or {}
        if not isinstance(columns, Mapping):
            raise ValueError('columns of a schema is a table such as {"age": "number"}.')
        target, task = fields.get("target"), fields.get("task")
        if task is not None and task not in TASKS:
            raise unknown_name("task", task, TASKS)
        if target is not None and not isinstance(target, str):
            raise ValueError(f"target of a schema is {target!r}; give the name of a column.")
        read = {str(name): _read_column(str(name), value) for name, value in columns.items()}
        return cls(read, target, task)


def _read_column(name: str, value: object) -> Column:
    fields = {"kind": value} if isinstance(value, str) else value
    if not isinstance(fields, Mapping) or not all(isinstance(v, str) for v in fields.values()):
        raise ValueError(f"column {name!r} of the schema is {value!r}; give its kind.")
    for field in fields:
        if field not in _FIELDS:
            raise unknown_name(f"field of column {name!r}", field, _FIELDS)
    kind = fields.get("kind")
    if kind not in KINDS:
        raise unknown_name(f"kind of column {name!r}", kind, KINDS)
    style = fields.get("style", "")
    known = {"number": ("", ".", ","), "date": ("", "ymd", "dmy", "mdy")}.get(kind)
    if known is not None and style not in known:
        raise unknown_name(f"style of column {name!r}", style, [s for s in known if s])
    return Column(name, kind, style, fields.get("reason", ""), fields.get("unit", ""))


def read_schema(path: Path) -> Schema:
    """Read a schema from a JSON or TOML file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no schema; the message says what is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no schema file {path}.")
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        form = "TOML" if path.suffix.lower() == ".toml" else "JSON"
        raise ValueError(f"{path} is not valid {form}: {error}.") from error
    try:
        return Schema.from_dict(fields)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def with_kinds(schema: Schema, column_kinds: Mapping[str, str]) -> Schema:
    """Return a schema in which these columns have these kinds.

    Args:
        schema: to start from.
        column_kinds: name of a column -> its kind.

    >>> with_kinds(Schema(), {"a": "drop"}).columns["a"].kind
    'drop'
    """
    chosen = {name: Column(name, kind, reason="as you said") for name, kind in column_kinds.items()}
    return schema._replace(columns={**schema.columns, **chosen})
