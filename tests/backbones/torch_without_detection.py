"""Let torchvision be imported beside a build of PyTorch that its compiled operators do not fit.

These operators are those of detection (boxes), which no classifier uses; torchvision only wants
their names to exist.
"""

import importlib
import re
from importlib.util import find_spec

import pytest

pytest.importorskip("torch", reason="needs PyTorch")
from torch import library as operators

_NAMES = operators.Library("torchvision", "FRAGMENT")
_MOST = 20  # names


def prepare_torchvision():
    """Give torchvision the names that it asks for, if it is installed."""
    if find_spec("torchvision") is None:
        return
    for _ in range(_MOST):
        try:
            importlib.import_module("torchvision")
            return
        except RuntimeError as error:
            name = re.fullmatch(r"operator torchvision::(\w+) does not exist", str(error))
            if name is None:
                raise
            _NAMES.define(f"{name[1]}() -> ()")
    raise AssertionError("torchvision asks for ever more operators")
