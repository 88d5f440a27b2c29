"""Backbones by name, "library:model", and of functions with parameters."""

from collections.abc import Callable

from jaxmlp.backbones.image_models import load_timm, load_torchvision
from jaxmlp.backbones.packaged import load_package
from jaxmlp.backbones.source import Extractor, Source
from jaxmlp.backbones.text_models import load_sentence_transformers, load_transformers
from jaxmlp.checks import unknown_name

_PROVIDERS: dict[str, Callable[[Source], Extractor]] = {
    "torchvision": load_torchvision,
    "timm": load_timm,
    "transformers": load_transformers,
    "sentence-transformers": load_sentence_transformers,
    "package": load_package,
}


def load_source(source: Source) -> Extractor:
    """Have a library load a model.

    Args:
        source: where from.

    Raises:
        ValueError: for a library that is not known.
    """
    if source.provider not in _PROVIDERS:
        raise unknown_name("library of backbones", source.provider, _PROVIDERS)
    return _PROVIDERS[source.provider](source)


def parse_name(name: str) -> tuple[str, str]:
    """Return library and model of a name.

    >>> parse_name("timm:resnet18")
    ('timm', 'resnet18')
    """
    library, colon, model = name.partition(":")
    if not colon or not model:
        raise ValueError(
            f"a backbone is called {name!r}; write LIBRARY:MODEL, such as torchvision:resnet50, "
            "transformers:bert-base-uncased or package:resemblyzer."
        )
    return library, model
