"""The catalogue: whole, known to the code, compiled, and with the same placeholders."""

import copy
import pickle
import string

import pytest

from jaxmlp.messages import (
    Message,
    counted,
    in_language,
    joined,
    language_of_locale,
    phrase,
    sentence_of,
)
from tests.catalogue import committed, compiled, entries, extracted
from tests.languages import numbers

SAID = entries(committed())


def fields(words):
    parts = string.Formatter().parse(words)
    return {(name, spec, how) for _, name, spec, how in parts if name is not None}


def test_the_catalogue_holds_what_the_code_says_and_nothing_else():
    assert set(SAID) == set(entries(extracted()))


def test_everything_is_translated():
    assert all(said if isinstance(said, str) else all(said) for said in SAID.values())
    assert not any(entry.fuzzy for entry in committed() if entry.id)


def test_what_gettext_reads_is_what_is_written():
    assert entries(compiled()) == SAID


@pytest.mark.parametrize("words", list(SAID), ids=str)
def test_both_languages_take_the_same_values(words):
    english = [words] if isinstance(words, str) else list(words)
    vietnamese = SAID[words] if isinstance(SAID[words], tuple) else (SAID[words],)
    known = set().union(*map(fields, english))
    assert all(fields(said) == known for said in vietnamese)


def test_a_message_is_its_english_and_remembers_the_rest():
    said = phrase("FORWARD")
    assert said == "FORWARD"
    for kept in (copy.deepcopy(said), pickle.loads(pickle.dumps(said))):
        assert isinstance(kept, Message)
        assert in_language(kept, "vi") == in_language(said, "vi") != said
    assert in_language(in_language(said, "vi"), "en") == said


def test_messages_within_messages_are_said_in_the_same_language():
    inner = phrase("BACKWARD")
    outer = joined("; ", [inner, "", "W1"])
    assert outer == "BACKWARD; W1"
    assert in_language(outer, "vi") == f"{in_language(inner, 'vi')}; W1"


def test_english_has_plural_forms():
    one, many = "{n} apple", "{n} apples"  # not in the catalogue: said in English
    assert [counted(one, many, n=n) for n in (0, 1, 2)] == ["0 apples", "1 apple", "2 apples"]


def test_an_error_is_said_in_a_language():
    assert sentence_of(ValueError(phrase("FORWARD")), "vi") == "LƯỢT XUÔI"
    assert sentence_of(ValueError("as it is"), "vi") == "as it is"
    assert sentence_of(ValueError(), "vi") == ""


@pytest.mark.parametrize(
    ("environment", "language"),
    [({"LANG": "vi_VN.UTF-8"}, "vi"), ({"LANG": "vi"}, "vi"), ({"LANG": "C.UTF-8"}, "en"),
     ({"LC_ALL": "en_GB", "LANG": "vi_VN"}, "en"), ({"LC_MESSAGES": "vi_VN", "LANG": "C"}, "vi"),
     ({"LC_ALL": "", "LANG": "vi_VN"}, "vi"), ({"LANG": "vim"}, "en"), ({}, "en")],
)  # fmt: skip
def test_the_locale_chooses_the_language(environment, language):
    assert language_of_locale(environment) == language


@pytest.mark.parametrize("words", list(SAID), ids=str)
def test_every_message_holds_the_same_numbers_in_both_languages(words):
    one, many = (words, "") if isinstance(words, str) else words
    values = {"n": 7} | {name: 7 for name, _, _ in fields(one)}
    said = counted(one, many, **values) if many else phrase(one, **values)
    assert numbers(in_language(said, "vi")) == numbers(said)
