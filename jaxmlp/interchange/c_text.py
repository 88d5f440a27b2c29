"""Numbers, tables and texts as C writes them."""

import math
import re
from collections.abc import Callable, Sequence

import numpy as np


def c_float(value: float) -> str:
    """A float literal that reads back to the same float32: 9 digits are enough.

    >>> c_float(1.0), c_float(1e-20), c_float(0.1)
    ('1.0f', '9.99999968e-21f', '0.100000001f')
    """
    text = f"{np.float32(value):.9g}"
    return (text if re.search(r"[.e]", text) else text + ".0") + "f"


def c_double(value: float) -> str:
    """A double literal that reads back to the same float64; NAN of NaN.

    >>> c_double(0.1), c_double(2), c_double(1e300), c_double(math.nan)
    ('0.1', '2.0', '1e+300', 'NAN')
    """
    return "NAN" if math.isnan(value) else repr(float(value))


_WRITTEN: dict[str, Callable[[float], str]] = {
    "float": c_float, "double": c_double, "short": lambda value: f"{value:d}",
    "int": lambda value: f"{value:d}",
}  # fmt: skip


def c_table(name: str, values: np.ndarray, kind: str = "float") -> str:
    """A constant array of floats, doubles or short integers."""
    texts = [_WRITTEN[kind](value) for value in np.ravel(values)]
    lines = [", ".join(texts[k : k + 6]) for k in range(0, len(texts), 6)]
    body = ",\n    ".join(lines)
    return f"static const {kind} {name}[{len(texts)}] = {{\n    {body}\n}};\n"


def c_string(text: str) -> str:
    """A C literal of UTF-8; octal escapes end after three digits, and no ?? makes a trigraph.

    >>> print(c_string('né "?"'))
    "n\\303\\251 \\"\\?\\""
    """
    plain = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}
    return (
        '"'
        + "".join(
            plain.get(byte, chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
            for byte in text.encode()
        )
        + '"'
    )


def in_comment(text: str) -> str:
    """A text that ends no comment, begins none, and stays on its line.

    >>> in_comment("a */ b??/\\n")
    'a *_ b?_/'
    """
    return " ".join(text.split()).replace("*/", "*_").replace("/*", "_*").replace("??", "?_")


_RESERVED = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|"
    "union|unsigned|void|volatile|while|NAN|INFINITY|"
    "and|bool|catch|class|delete|explicit|export|false|friend|mutable|namespace|new|not|operator|"
    "or|private|protected|public|template|this|throw|true|try|using|virtual|xor"  # of C++
)


def identifiers(names: Sequence[str]) -> list[str]:
    """Names of fields in C, each once.

    >>> identifiers(["age", "hours-per-week", "class", "Größe", "1st", "hours per week"])
    ['age', 'hours_per_week', 'class_', 'Gr__e', 'c1st', 'hours_per_week_']
    """
    taken: list[str] = []
    for name in names:
        field = re.sub(r"[^a-zA-Z0-9_]", "_", name)
        field = field if re.match(r"[a-zA-Z]", field) else f"c{field}"
        while field in taken or _RESERVED.fullmatch(field):
            field += "_"
        taken.append(field)
    return taken
