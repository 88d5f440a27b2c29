"""Pictures as bytes: a head of JSON, and behind it the arrays that it lists."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_ALIGNMENT = 8  # bytes; a page reads an array of float32 only from a multiple of 4


def pack_picture(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack a picture: the length of the head, the head, the arrays.

    Args:
        head: JSON-ready; "arrays" is added: [dtype, shape, offset behind the head] by name.
        arrays: of float32, int8 or uint8.

    Returns:
        The bytes, little-endian.

    Example:
        >>> packed = pack_picture({"step": 3}, {"a": np.array([1.5], np.float32)})
        >>> json.loads(packed[4:-8])
        {'step': 3, 'arrays': {'a': ['float32', [1], 0]}}
    """
    listed, parts, offset = {}, [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        listed[name] = [array.dtype.name, list(array.shape), offset]
        padded = content + bytes(-len(content) % _ALIGNMENT)
        parts.append(padded)
        offset += len(padded)
    text = json.dumps({**head, "arrays": listed}, ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % _ALIGNMENT)
    return b"".join([struct.pack("<I", len(text)), text, *parts])
