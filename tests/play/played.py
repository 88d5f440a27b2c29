"""What the tests of the page share."""

import json
import struct

import numpy as np


def unpack_picture(packed: bytes):
    """Read what `pack_picture` packed."""
    (length,) = struct.unpack_from("<I", packed)
    head = json.loads(packed[4 : 4 + length])
    arrays = {
        name: np.frombuffer(packed, dtype, int(np.prod(shape)), 4 + length + offset).reshape(shape)
        for name, (dtype, shape, offset) in head["arrays"].items()
    }
    return head, arrays
