"""What is public: a committed list, and underscores for everything that only its module uses.

A name is public if the `__init__` of a package defines or re-exports it (`import x as x`), or the
`__all__` of a module lists it. After a change that is meant, write the list anew:

    python -m tests.test_public_names
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import jaxmlp

ROOT = Path(__file__).parents[1]
LISTED = Path(__file__).with_name("public_names.txt")
PLACES = sorted({name.rpartition(".")[0] for name in LISTED.read_text().split()})
FILES = [path.relative_to(ROOT / "jaxmlp") for path in (ROOT / "jaxmlp").rglob("*.py")]
PARTS = sorted({path.parts[0].removesuffix(".py") for path in FILES})


@cache  # not read before a test asks, for each worker collects all tests
def modules(folder: str) -> dict[str, ast.Module]:
    """The syntax tree of every module in a folder, by its full name."""
    trees = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        trees[name.removesuffix(".__init__")] = ast.parse(path.read_text())
    return trees


def exported(module: str) -> Iterator[str]:
    """The names in `__all__`, those imported as themselves, and what a package's file defines."""
    house = modules("jaxmlp")
    tree = house[module]
    if any(name.startswith(f"{module}.") for name in house):
        yield from defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.name == alias.asname)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            yield from ast.literal_eval(node.value)


def public_names() -> list[str]:
    """Every public name with its module, sorted."""
    found = {f"{module}.{name}" for module in modules("jaxmlp") for name in exported(module)}
    return sorted(found)


def defined(tree: ast.Module) -> Iterator[str]:
    """Names of functions, classes and values of a module that have no underscore in front."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = (part for target in targets for part in ast.walk(target))
            names = [part.id for part in found if isinstance(part, ast.Name)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_"))


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Pairs of a module and a name that is imported from it, or read as its attribute."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.module or "", alias.name
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield aliases.get(node.value.id, ""), node.attr


@cache
def private_names_without_underscore() -> dict[str, list[str]]:
    """By part of the house: what no other module imports and no list calls public."""
    house = modules("jaxmlp")
    users = house | modules("benchmarks") | modules("examples")
    used = defaultdict(set)
    for user, tree in users.items():
        for module, name in imported(tree):
            if module != user:
                used[module].add(name)
    found = defaultdict(list)
    for module, tree in house.items():
        hidden = set(defined(tree)) - used[module] - set(exported(module))
        part = [*module.split("."), "__init__"][1]
        found[part] += sorted(f"{module}.{name}" for name in hidden)
    return found


def test_the_public_names_are_those_of_the_list():
    assert public_names() == LISTED.read_text().split()


@pytest.mark.parametrize("part", PLACES)
def test_every_public_name_is_there(part):
    module = import_module(part)
    for name in LISTED.read_text().split():
        if name.rpartition(".")[0] == part:
            assert hasattr(module, name.rpartition(".")[2]), name


def test_the_top_tells_what_it_has():
    assert set(dir(jaxmlp)) >= set(exported("jaxmlp"))


@pytest.mark.parametrize("part", PARTS)
def test_what_only_its_module_uses_has_an_underscore(part):
    assert private_names_without_underscore()[part] == []


if __name__ == "__main__":
    LISTED.write_text("\n".join(public_names()) + "\n")
