"""What a backbone is loaded from, and what a library makes of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxmlp.backbones.differentiable import DifferentiableModel
from jaxmlp.checks import unknown_name


class Source(NamedTuple):
    """Where a backbone is from: all that loads it again.

    Attributes:
        provider: the library, before the colon of its name.
        model: behind it.
        weights: "pretrained", "random", or the path of a file.
        pooling: of texts, or None.
        device: of PyTorch.
        seed: of random weights.
    """

    provider: str
    model: str
    weights: str = "pretrained"
    pooling: str | None = None
    device: str = "cpu"
    seed: int = 0

    @property
    def spelled(self) -> str:
        """The name as it was given."""
        return f"{self.provider}:{self.model}"


class Extractor(NamedTuple):
    """What a library makes of a source.

    Attributes:
        kind: "image", "text", "sound" or "array".
        extract: items -> (items, features).
        name: of what it computes, by content.
        n_features: how wide its rows are.
        license: of the weights, as far as they say.
        model: what a gradient can go through, or None.
    """

    kind: str
    extract: Callable[[list[Any]], Any]
    name: str
    n_features: int
    license: str = ""
    model: DifferentiableModel | None = None


def refuse_pooling(source: Source) -> None:
    """Raise where pooling was asked of something else than texts.

    >>> refuse_pooling(Source("timm", "resnet18", pooling="cls"))
    Traceback (most recent call last):
    ValueError: timm:resnet18 pools by itself; leave pooling='cls' out.
    """
    if source.pooling is not None:
        raise ValueError(f"{source.spelled} pools by itself; leave pooling={source.pooling!r} out.")


def refuse_weights(source: Source) -> None:
    """Raise where other weights were asked of a model that brings its own."""
    if source.weights != "pretrained":
        raise ValueError(
            f"{source.spelled} brings its own weights; leave weights={source.weights!r} out, or "
            "give a folder in place of the model's name."
        )


def choose(kind: str, given: str | None, default: str, known: tuple[str, ...]) -> str:
    """Return what was given, one of those known, or the default.

    >>> choose("pooling", None, "mean", ("mean", "cls"))
    'mean'
    """
    if given is not None and given not in known:
        raise unknown_name(kind, given, known)
    return given or default
