"""Models of the hub of Hugging Face, or of folders: imported quietly, missing ones named."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxmlp.backbones.source import Source
from jaxmlp.backbones.torch_modules import drawn_from
from jaxmlp.optional import import_optional


def import_transformers() -> Any:
    """Import transformers, or say how to get it."""
    return import_optional("transformers", "this backbone needs transformers", "jaxmlp[text]")


def load_module(source: Source, kind: Any, config: Any) -> Any:
    """Load a model, or draw its weights.

    Args:
        source: where from.
        kind: a class of transformers.
        config: of the model.
    """
    if source.weights != "random":
        return kind.from_pretrained(source.model)
    with drawn_from(source.seed):
        return getattr(kind, "from_config", kind)(config)  # AutoModel is called by the former


@contextmanager
def fetched(source: Source, library: Any) -> Iterator[None]:
    """Load quietly; say in one sentence what is missing if a model is neither here nor to be had.

    Args:
        source: where from.
        library: transformers, whose bars and advice are kept out of the terminal.
    """
    logging = library.utils.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
        reason = str(error).strip().splitlines()[0][:200]
        raise FileNotFoundError(
            f"{source.spelled} is neither a folder nor a model that could be fetched{offline}: "
            f"{reason} Give a folder with config.json, weights and tokenizer, or go online once."
        ) from error
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()


def license_of(folder: str) -> str:
    """Read the license from the card of a model, README.md; "not stated" where it says none."""
    card = Path(folder) / "README.md"
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines()[:40]:
            key, _, value = line.partition(":")
            if key.strip() == "license" and value.strip():
                return value.strip()
    return "not stated"
