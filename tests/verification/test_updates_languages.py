"""What check_update_rule says, in both languages, with the same numbers."""

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxmlp
from jaxmlp.verification import check_update_rule
from tests.languages import check_both, is_vietnamese, numbers, said_in, templates

W = jnp.ones(3)


def scaled(factor, state=()):
    return (lambda params: state), lambda g, s, p: (jax.tree.map(lambda x: factor * x, g), s)


def reports():
    right = scaled(-0.1)
    yield check_update_rule(right, optax.sgd(0.1), W)
    yield check_update_rule(scaled(0.1), optax.sgd(0.1), W)
    yield check_update_rule(scaled(-0.3), right, W)
    yield check_update_rule(jaxmlp.adam(jnp.float32(0.1)), optax.adam(0.1), W)
    yield check_update_rule(scaled(-0.1, {"a": jnp.ones(5)}), scaled(-0.1, {"b": W}), W)
    yield check_update_rule((right[0], lambda g, s, p: (-0.1 * g**3, s)), right, W)
    yield check_update_rule((right[0], lambda g, s, p: ([g], s)), right, W)
    yield check_update_rule((right[0], lambda g, s, p: (g[:2], s)), right, W)


def test_every_sentence_is_said_in_both_languages():
    seen = set()
    for report in reports():
        for text in filter(None, (report.cause, *report.notes)):
            check_both(text)
            seen |= templates(text)
        vietnamese = report.in_language("vi")
        assert is_vietnamese(str(vietnamese))
        assert numbers(str(vietnamese)) == numbers(str(report))
        assert vietnamese.in_language("en") == report
    heads = {words for words in said_in("verification/updates") if words.startswith("update rule")}
    assert said_in("verification/updates") - seen == {*heads, "note: {note}"}


def test_the_check_speaks_the_language_that_is_asked_for():
    report = check_update_rule(scaled(0.1), optax.sgd(0.1), W, language="vi")
    assert str(report) == (
        "quy tắc cập nhật: SAI ở bước 1: updates: gấp -1 lần quy tắc đối chiếu: sai dấu"
    )
    with pytest.raises(ValueError, match="unknown language 'fr'"):
        check_update_rule(scaled(0.1), optax.sgd(0.1), W, language="fr")
