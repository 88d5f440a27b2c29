"""Sentences for people: English as they are written, in other languages by a catalogue of gettext.

A message is a `str`, its English, that remembers what it was made of: it is said in another
language whenever somebody reads it, as one whole sentence with the same numbers.
"""

import gettext
from collections.abc import Iterable, Mapping
from pathlib import Path

LANGUAGES = ("en", "vi")
_DOMAIN = "jaxmlp"
_CATALOGUES = Path(__file__).parent / "locale"
_OF_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set decides


class Message(str):
    """A sentence that can be said in another language; `phrase` makes it.

    Attributes:
        template: the English, with {names} where values stand; the catalogue's key.
        many: the template for another number than one, or "".
        values: what stands for the names; messages among them are said in the same language.
    """

    template: str
    many: str
    values: Mapping[str, object]

    def in_language(self, language: str) -> "Message":
        """Say it in a language."""
        return _say(language, self.template, self.many, self.values)


def phrase(template: str, /, **values: object) -> Message:
    """Make a sentence of a template and its values.

    Args:
        template: in English, written out where it is called, so that it is found for translation.
        values: by the names in the template.

    Returns:
        The sentence in English.

    Example:
        >>> said = phrase("{n} examples", n=3)
        >>> said
        '3 examples'
    """
    return _say("en", template, "", values)


def counted(one: str, many: str, /, n: int, **values: object) -> Message:
    """Make a sentence about one thing, or about many.

    Args:
        one: template for n = 1.
        many: template for other numbers.
        n: which of them; {n} in the templates.
        values: by the names in the templates.

    Returns:
        The sentence in English.

    Example:
        >>> counted("{n} row is left", "{n} rows are left", n=2)
        '2 rows are left'
    """
    return _say("en", one, many, {"n": n, **values})


def marked(words: str) -> str:
    """Mark a template for translation where it stands without its values; `phrase` takes it."""
    return words


def joined(separator: str, sentences: Iterable[str]) -> Message:
    """Put whole sentences, or the entries of a list, one after another; empty ones are left out.

    >>> joined(" ", [phrase("One."), "", phrase("Another.")])
    'One. Another.'
    """
    parts = {f"part_{k}": part for k, part in enumerate(filter(None, sentences))}
    return _say("en", separator.join(f"{{{name}}}" for name in parts), "", parts)


def in_language(text: str, language: str) -> str:
    """Say a text in a language; one that is no message stays as it is.

    Example:
        >>> in_language(phrase("BACKWARD"), "vi")
        'LƯỢT NGƯỢC'
    """
    return text.in_language(language) if isinstance(text, Message) else text


def sentence_of(error: BaseException, language: str) -> str:
    """Return what an error says, in a language."""
    said = error.args[0] if error.args else ""
    return said.in_language(language) if isinstance(said, Message) else str(error)


def check_language(language: str) -> None:
    """Refuse a language that nothing is said in.

    >>> check_language("de")
    Traceback (most recent call last):
        ...
    ValueError: unknown language 'de'. Known: en, vi.
    """
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r:.60}. Known: {', '.join(LANGUAGES)}.")


def language_of_locale(environment: Mapping[str, str]) -> str:
    """Return the language that the environment's locale asks for; English unless it is known.

    >>> language_of_locale({"LANG": "vi_VN.UTF-8"}), language_of_locale({"LC_ALL": "C"})
    ('vi', 'en')
    """
    locale = next((environment[name] for name in _OF_LOCALE if environment.get(name)), "")
    language = locale.replace(".", "_").partition("_")[0].lower()
    return language if language in LANGUAGES else "en"


def _say(language: str, template: str, many: str, values: Mapping[str, object]) -> Message:
    catalogue = _catalogue(language)
    words = template
    if template and many:
        words = catalogue.ngettext(template, many, int(str(values["n"])))
    elif template:  # the entry without a name is the catalogue's head
        words = catalogue.gettext(template)
    said = {
        name: value.in_language(language) if isinstance(value, Message) else value
        for name, value in values.items()
    }
    sentence = Message(words.format(**said))
    sentence.template, sentence.many, sentence.values = template, many, values
    return sentence


def _catalogue(language: str) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation(_DOMAIN, _CATALOGUES, [language])  # keeps what it has read
