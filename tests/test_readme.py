"""The README's Python is run, and its commands exist."""

import doctest
import re
from pathlib import Path

import numpy as np

README = Path(__file__).parent.parent / "README.md"


def test_the_examples_run():
    with np.printoptions():  # the README sets its own
        failures, tried = doctest.testfile(
            str(README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
        )
    assert tried >= 7
    assert failures == 0


def test_the_two_commands_are_there():
    text = README.read_text()
    assert re.search(r'^python -m pip install "\.\[cli\]" .*jaxmlp train$', text, re.M)
    assert re.search(r'^python -m pip install -e "\.\[test\]" .*pytest -n logical', text, re.M)


def test_every_example_is_listed():
    for example in sorted((README.parent / "examples").glob("[0-9]*.py")):
        assert example.name in README.read_text()
