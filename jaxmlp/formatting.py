"""Numbers as people read them: one way for the terminal, the page, pictures and CSV files."""

import re

import numpy as np

_SMALL = 1e-4
_LARGE = 1e15  # from here on digits are not worth counting


def format_number(
    value: float, digits: int = 4, *, thousands: bool = True, zeros: bool = False
) -> str:
    """Write a number with so many digits, but never fewer than it has before the point.

    Args:
        value: the number.
        digits: that count.
        thousands: whether commas separate them; a program that reads the text wants none.
        zeros: whether zeros at the end stay, as in a column of numbers.

    Returns:
        The text; with an exponent below 0.0001 and from 1e15 on.

    Example:
        >>> [format_number(value) for value in (52345.6, 0.87661, 12.0, 2.3e-05)]
        ['52,346', '0.8766', '12', '2.3e-05']
    """
    value = float(value) + 0.0  # no -0
    comma, sharp = "," * thousands, "#" * zeros
    text = f"{value:{sharp}{comma}.{digits}g}"
    if "e" in text and 1 <= abs(value) < _LARGE:
        text = f"{value:{comma}.0f}"
    return text.removesuffix(".")


def format_exactly(value: float | np.floating) -> str:
    """Write a number with the digits that float32 holds, for a program that reads it again.

    Returns:
        The shortest text that reads as the same float32; with an exponent as in `format_number`.

    Example:
        >>> [format_exactly(value) for value in (1_234_568.0, 0.1, 1.0, 2.3e-05)]
        ['1234568', '0.1', '1', '2.3e-05']
    """
    value = np.float32(value)
    if value == 0 or _SMALL <= abs(value) < _LARGE:
        return np.format_float_positional(value + np.float32(0), trim="-")
    return np.format_float_scientific(value, trim="-") if np.isfinite(value) else str(value)


def format_share(value: float, decimals: int = 1) -> str:
    """Write a share in percent.

    >>> format_share(0.98765)
    '98.8%'
    """
    return f"{value:.{decimals}%}"


def count_from_one(text: str) -> str:
    """Count layers from 1, as the lecture does, in a text that counts them from 0, as Python does.

    >>> count_from_one("Layer 0 has tanh units; the gradient at layer 3 is small.")
    'Layer 1 has tanh units; the gradient at layer 4 is small.'
    >>> count_from_one("Cả 16 đơn vị của tầng 0 có cùng trọng số.")
    'Cả 16 đơn vị của tầng 1 có cùng trọng số.'
    """
    return re.sub(r"\b([Ll]ayer|[Tt]ầng) (\d+)", lambda m: f"{m[1]} {int(m[2]) + 1}", text)
