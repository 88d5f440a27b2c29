"""The Vietnamese catalogue: `python -m tests.catalogue` extracts the messages and compiles it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).parent.parent / "jaxmlp"
PO, MO = (PACKAGE / f"locale/vi/LC_MESSAGES/jaxmlp.{end}" for end in ("po", "mo"))
_KEYWORDS = {"phrase": None, "marked": None, "counted": (1, 2)}
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)  # the same messages make the same file
_HEAD = rb"""# What jaxmlp says, in Vietnamese; the terms are those of docs/course/vi.
msgid ""
msgstr ""
"Language: vi\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: nplurals=1; plural=0;\n"

"""


def extracted() -> Catalog:
    """Return what the code says, not translated."""
    found = Catalog()
    for path, _, words, _, _ in extract_from_dir(
        PACKAGE, [("**.py", "python")], keywords=_KEYWORDS
    ):
        if path != "messages.py":  # its own examples
            found.add(words, locations=[(path, 0)])
    return found


def committed() -> Catalog:
    """Return what is translated."""
    with PO.open("rb") as file:
        return read_po(file, locale="vi")


def compiled() -> Catalog:
    """Return what gettext reads at run time."""
    with MO.open("rb") as file:
        return read_mo(file)


def entries(catalogue: Catalog) -> dict[str | tuple[str, ...], str | tuple[str, ...]]:
    """Return the translations by their English, singular and plural as pairs."""
    return {_frozen(entry.id): _frozen(entry.string) for entry in catalogue if entry.id}


def _frozen(words: Any) -> Any:
    return tuple(words) if isinstance(words, list | tuple) else words


def _update() -> None:
    catalogue = committed()
    catalogue.update(extracted(), no_fuzzy_matching=True)
    with PO.open("wb") as file:
        file.write(_HEAD)
        write_po(file, catalogue, 100, omit_header=True, ignore_obsolete=True, include_lineno=False)
    said = committed()
    said.creation_date = said.revision_date = _UNDATED
    with MO.open("wb") as file:
        write_mo(file, said)
    missing = [words for words, said in entries(committed()).items() if not said or said == ("",)]
    print(*missing, f"{len(missing)} of {len(catalogue)} messages are not translated", sep="\n")


if __name__ == "__main__":
    _update()
