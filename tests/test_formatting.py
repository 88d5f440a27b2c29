"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmlp.formatting import format_number, format_share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (52_345.6, "52,346"),
        (1.09e5, "109,000"),
        (1_234_567.8, "1,234,568"),
        (-847.4064, "-847.4"),
        (9999.96, "10,000"),
        (0.87661, "0.8766"),
        (0.5, "0.5"),
        (0.0, "0"),
        (-0.0, "0"),
        (12, "12"),
        (0.00012, "0.00012"),
        (2.3e-5, "2.3e-05"),
        (6.02e23, "6.02e+23"),
        (math.inf, "inf"),
    ],
)
def test_a_number(value, text):
    assert format_number(value) == text


def test_for_programs_and_for_columns():
    assert format_number(1_234_567.8, 6, thousands=False) == "1234568"
    assert [format_number(v, zeros=True) for v in (0.106, 12.0, 54_790.0)] == [
        "0.1060", "12.00", "54,790"
    ]  # fmt: skip
    assert format_share(0.98765) == "98.8%"


@given(st.floats(1e-300, 1e300), st.integers(2, 8), st.booleans(), st.booleans())
def test_the_digits_are_right(value, digits, thousands, zeros):
    text = format_number(value, digits, thousands=thousands, zeros=zeros)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))
    assert "e" not in text or value < 1e-4 or value >= 1e15
    assert not text.endswith(".")
