"""The README is one page, its Python runs, its links lead somewhere; the site names everything."""

import doctest
import re
from importlib import import_module
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
ELSEWHERE = ("jaxmlp.transfer", "jaxmlp.estimators.callbacks")  # other names; for scikit-learn
NAMES = (Path(__file__).parent / "public_names.txt").read_text().split()


def test_the_readme_s_examples_run():
    with np.printoptions():  # the README sets its own
        failures, tried = doctest.testfile(
            str(README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
        )
    assert tried >= 7
    assert failures == 0


def test_the_readme_is_one_page():
    assert len(README.read_text().splitlines()) <= 150


def test_the_two_commands_are_there():
    text = README.read_text()
    assert re.search(r'^python -m pip install "\.\[cli\]" .*jaxmlp train$', text, re.M)
    assert re.search(r'^python -m pip install -e "\.\[test\]" .*pytest -n logical', text, re.M)


def test_every_example_is_listed():
    listed = (DOCS / "examples.md").read_text()
    for example in sorted((ROOT / "examples").glob("[0-9]*.py")):
        assert example.name in listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_leads_to_a_file(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http", "mailto")):
            assert (page.parent / target).exists(), target


def test_every_page_is_in_a_table_of_contents():
    text = (DOCS / "index.md").read_text()
    entries = set(re.findall(r"^([\w/*]+)$", text, re.M))
    for page in DOCS.rglob("*.md"):
        name = str(page.relative_to(DOCS).with_suffix(""))
        assert name == "index" or name in entries or f"{Path(name).parent}/*" in entries, name


def test_every_public_name_is_in_the_reference():
    reference = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    whole = re.findall(r"automodule:: (\S+)", reference)
    single = set(re.findall(r"auto(?:function|class|data):: (\S+)", reference))
    for name in NAMES:
        module, _, last = name.rpartition(".")
        value = getattr(import_module(module), last)
        if module in ELSEWHERE or not isinstance(value, type | FunctionType):
            continue  # a registry, or a name for a type
        # A shorthand at the top is documented where it lives.
        at_home = module == "jaxmlp" and value.__module__.rpartition(".")[0] in whole
        assert module in whole or at_home or last in single or name in single, name
