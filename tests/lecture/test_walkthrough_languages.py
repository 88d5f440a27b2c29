"""explain_backward in Vietnamese: the same lines, formulas and numbers."""

import jax
import jax.numpy as jnp
import pytest

import jaxmlp
from tests.languages import is_vietnamese, numbers


def walk(sizes, rows, l2, language):
    config = jaxmlp.MLPConfig(sizes, "tanh")
    params = jaxmlp.init(config, jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (rows, sizes[0]))
    y = jnp.zeros((rows, sizes[-1]))
    return jaxmlp.explain_backward(
        config, params, x, y, "squared_error", l2=l2, show=False, language=language
    ).text


@pytest.mark.parametrize(
    ("sizes", "rows", "l2"),
    [((2, 2, 1), 1, 0.0), ((2, 3, 2), 3, 0.1), ((2, 1), 2, 0.0), ((3, 1), 1, 0.0),
     ((30, 2, 1, 1), 1, 0.0)],
)  # fmt: skip
def test_both_languages_hold_the_same_numbers(sizes, rows, l2):
    english, vietnamese = (walk(sizes, rows, l2, language) for language in ("en", "vi"))
    assert is_vietnamese(vietnamese)
    assert not is_vietnamese(english)
    pairs = list(zip(english.splitlines(), vietnamese.splitlines(), strict=True))
    assert all(numbers(one) == numbers(other) for one, other in pairs)
    assert not any(
        word in vietnamese
        for word in ("rows", "columns", "FORWARD", "BACKWARD", "slide has", "fits", "norm 1")
    )


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match=r"unknown language 'de'\. Known: en, vi\."):
        walk((2, 1), 1, 0.0, "de")
