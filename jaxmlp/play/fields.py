"""What the page says, field by field: each is read by type and range, or refused."""

from collections.abc import Collection, Mapping
from typing import Any

from jaxmlp.checks import unknown_name
from jaxmlp.messages import phrase

_MOST_TEXT = 200  # characters of a name


class Fields:
    """An object of a message, whose fields are read by type and range."""

    def __init__(self, what: str, fields: object, known: Collection[str]) -> None:
        """Check that it is an object without unknown fields."""
        if not isinstance(fields, Mapping):
            raise ValueError(
                phrase("{what} is {value}; send an object.", what=what, value=shorten(fields))
            )
        for name in fields:
            if name not in known:
                raise unknown_name(phrase("field of {what}", what=what), name[:_MOST_TEXT], known)
        self.fields = fields

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Read a finite number."""
        value = self.fields.get(name, default)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not (good and low <= value <= high):
            raise ValueError(
                phrase(
                    "{name} is {value}; give a number from {low:g} to {high:g}.",
                    name=name,
                    value=shorten(value),
                    low=low,
                    high=high,
                )
            )
        return float(value)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Read a whole number."""
        value = self.fields.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(
                phrase(
                    "{name} is {value}; give a whole number from {low} to {high}.",
                    name=name,
                    value=shorten(value),
                    low=low,
                    high=high,
                )
            )
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Read true or false."""
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise ValueError(
                phrase("{name} is {value}; give true or false.", name=name, value=shorten(value))
            )
        return value

    def choice(self, name: str, default: str, known: Collection[str]) -> str:
        """Read one of some names."""
        value = self.text(name, default)
        if value not in known:
            raise unknown_name(name, value, known)
        return value

    def text(self, name: str, default: str = "") -> str:
        """Read a short text."""
        return read_text(name, self.fields.get(name, default))

    def items(self, name: str, default: Any, *, most: int, least: int = 0) -> list[Any]:
        """Read a list of some length."""
        value = self.fields.get(name, default)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(
                phrase(
                    "{name} is {value}; give a list of {least} to {most} entries.",
                    name=name,
                    value=shorten(value),
                    least=least,
                    most=most,
                )
            )
        return value

    def texts(self, name: str, default: Collection[str], *, most: int) -> tuple[str, ...]:
        """Read a list of short texts, each of which is there once."""
        items = self.items(name, list(default), most=most)
        return tuple(
            dict.fromkeys(
                read_text(phrase("an entry of {name}", name=name), item) for item in items
            )
        )


def shorten(value: object) -> str:
    """Write a value in a sentence, whatever it is."""
    return f"{value!r:.60}"


def read_text(name: str, value: object) -> str:
    """Read a short text of one line."""
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not value.isprintable():
        raise ValueError(
            phrase(
                "{name} is {value}; give a text of {most} characters at most.",
                name=name,
                value=shorten(value),
                most=_MOST_TEXT,
            )
        )
    return value
