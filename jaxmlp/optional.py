"""Packages that not every installation has."""

from importlib import import_module
from typing import Any


def import_optional(module: str, why: str, install: str) -> Any:
    """Import a package that not every installation has, or say how to get it.

    Raises:
        ImportError: if it is not there, with the command that installs it; or, if it is there and
            cannot be imported, with the reason.

    >>> import_optional("no_such", "this needs no_such", "no_such")
    Traceback (most recent call last):
    ...
    ImportError: this needs no_such, which is not installed. Install it with: pip install 'no_such'
    """
    try:
        return import_module(module)
    except (ImportError, RuntimeError) as error:  # the latter of parts that do not fit together
        missing = isinstance(error, ModuleNotFoundError) and error.name in _parents(module)
        if not missing:
            reason = str(error).strip().splitlines()[0]
            raise ImportError(f"{why}, which cannot be imported: {reason}") from error
        raise ImportError(
            f"{why}, which is not installed. Install it with: pip install '{install}'"
        ) from error


def _parents(module: str) -> list[str]:
    """A module's name, and those of the packages around it.

    >>> _parents("a.b")
    ['a', 'a.b']
    """
    names = module.split(".")
    return [".".join(names[: k + 1]) for k in range(len(names))]
