"""How one thing is said in two languages."""

import re

from jaxmlp.messages import Message, in_language
from tests.catalogue import committed

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?%?")
_ONLY_VIETNAMESE = re.compile("[ăâđêôơưạ-ỹà-ýĂÂĐÊÔƠƯÀ-Ý]")


def numbers(text: str) -> list[str]:
    """Return the numbers of a text, in whatever order a language says them."""
    return sorted(_NUMBER.findall(text))


def is_vietnamese(text: str) -> bool:
    """Whether a letter is in it that English does not have."""
    return bool(_ONLY_VIETNAMESE.search(text))


def check_both(text: str) -> None:
    """Assert that a message is said in Vietnamese, too, with the same numbers."""
    vietnamese = in_language(text, "vi")
    assert is_vietnamese(vietnamese), text
    assert numbers(vietnamese) == numbers(text), (text, vietnamese)


def templates(text: str) -> set[str]:
    """Return the English templates that a message was made of."""
    if not isinstance(text, Message):
        return set()
    return {text.template}.union(*map(templates, filter(_is_message, text.values.values())))


def said_in(folder: str) -> set[str]:
    """Return the English templates in the modules of a folder, or in one module."""
    return {
        entry.id if isinstance(entry.id, str) else entry.id[0]
        for entry in committed()
        if any(path.startswith(folder) for path, _ in entry.locations)
    }


def _is_message(value: object) -> bool:
    return isinstance(value, Message)
