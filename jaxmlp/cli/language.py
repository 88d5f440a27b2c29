"""The language in which a command says what it found."""

import os
from typing import Annotated

from jaxmlp.cli.arguments import OUTPUT, option
from jaxmlp.messages import LANGUAGES, check_language, language_of_locale

Language = Annotated[
    str | None,
    option(
        OUTPUT,
        f"Of what is found: {' or '.join(LANGUAGES)}; default: the locale's.",
        "--language",
        default=False,
    ),
]


def chosen_language(said: str | None) -> str:
    """Return the language that was said, or the locale's.

    Raises:
        ValueError: if it is not known.
    """
    if said is None:
        return language_of_locale(os.environ)
    check_language(said)
    return said
