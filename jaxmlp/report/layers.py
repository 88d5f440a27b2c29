"""Layers as people count them."""

import re


def count_from_one(text: str) -> str:
    """Count layers from 1, as the lecture does, in a text that counts them from 0, as Python does.

    >>> count_from_one("Layer 0 has tanh units; the gradient at layer 3 is small.")
    'Layer 1 has tanh units; the gradient at layer 4 is small.'
    >>> count_from_one("Cả 16 đơn vị của tầng 0 có cùng trọng số.")
    'Cả 16 đơn vị của tầng 1 có cùng trọng số.'
    """
    return re.sub(r"\b([Ll]ayer|[Tt]ầng) (\d+)", lambda m: f"{m[1]} {int(m[2]) + 1}", text)
