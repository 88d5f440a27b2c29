"""Packages that not every installation has."""

from importlib import import_module
from typing import Any


def import_optional(module: str, why: str, install: str) -> Any:
    """Import a package that not every installation has, or say how to get it.

    Raises:
        ImportError: if it is not there, with the command that installs it.

    >>> import_optional("no_such", "this needs no_such", "no_such")
    Traceback (most recent call last):
    ...
    ImportError: this needs no_such, which is not installed. Install it with: pip install 'no_such'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{why}, which is not installed. Install it with: pip install '{install}'"
        ) from error
