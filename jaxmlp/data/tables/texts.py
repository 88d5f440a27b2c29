"""Encoder of texts: which groups of letters they hold, drawn together into a few numbers."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from jaxmlp.data.tables.encoders import Features, PresenceEncoder, Record
from jaxmlp.data.tables.inference import say_something
from jaxmlp.data.tables.schema import Column
from jaxmlp.data.tables.values import Series, shorten, to_words
from jaxmlp.optional import import_optional

_N_NUMBERS = 16  # of a text
_MAX_TERMS = 2000  # groups of letters that are counted
_MAX_TEXTS = 20_000  # different ones that are looked at
_DIGITS = 5  # of what is kept: a file stays small, and what it holds is what was fitted
LETTERS = 2000
"""Letters of a text that are looked at."""
TEXT_BOUND = 3.0
"""Where smooth clipping of a text's numbers saturates."""


@dataclass(frozen=True)
class TextEncoder(Record):
    """A text: the weights of its groups of 2 to 4 letters (tf-idf), projected to 16 numbers.

    z = (w V - center), V the first right singular vectors of the training texts' weights, scaled to
    deviation 1; then z / sqrt(1 + (z/3)^2). Groups that training never saw count nothing; an empty
    cell is 0 everywhere, and marked. Groups of letters read short texts, names, codes and slips of
    the pen a little better than words do.

    Reference: Deerwester et al., 1990, Indexing by latent semantic analysis.
    """

    kind: ClassVar[str] = "text"
    name: str
    terms: tuple[str, ...]
    idf: tuple[float, ...]
    components: tuple[float, ...]  # (terms, numbers), row by row
    centers: tuple[float, ...]

    @classmethod
    def fit(cls, column: Column, series: Series) -> Self | PresenceEncoder:
        """Find the groups of letters that tell the training texts apart.

        Of identifiers, a single text, or texts without letters, only whether there is one is kept.
        """
        codes, levels = to_words(series)
        if len(levels) == (codes >= 0).sum() and not say_something(levels):
            return PresenceEncoder(column.name)  # identifiers
        texts = _shortened(levels)
        places = np.unique(np.linspace(0, len(texts) - 1, _MAX_TEXTS).astype(int))
        texts = [texts[k] for k in places] if len(texts) > 1 else []
        counter = _vectorizer(max_features=_MAX_TERMS)
        try:
            weights = counter.fit_transform(texts)
        except ValueError:  # no letters at all
            return PresenceEncoder(column.name)
        width = min(_N_NUMBERS, weights.shape[1] - 1, len(texts) - 1)
        if width < 1:
            return PresenceEncoder(column.name)
        svd = _sklearn("decomposition").TruncatedSVD(width, random_state=0)
        with np.errstate(divide="ignore", invalid="ignore"):  # texts that do not differ
            z = svd.fit_transform(weights)
        scale = z.std(axis=0)
        scale = np.where(scale > 1e-6, scale, 1.0)
        terms = tuple(map(str, counter.get_feature_names_out()))
        return cls(
            column.name,
            terms,
            _rounded(counter.idf_),
            _rounded((svd.components_ / scale[:, None]).T.ravel()),
            _rounded(z.mean(axis=0) / scale),
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The numbers, and whether there is no text."""
        numbers = (f"{self.name} text {k}" for k in range(1, len(self.centers) + 1))
        return (*numbers, f"{self.name} missing")

    @cached_property
    def _counter(self) -> Any:
        counter = _vectorizer(vocabulary=list(self.terms))
        counter.idf_ = np.asarray(self.idf)
        return counter

    @cached_property
    def _projection(self) -> np.ndarray:
        return np.reshape(np.asarray(self.components), (len(self.terms), len(self.centers)))

    def encode(self, column: Series) -> Features:
        """Count, weigh, project; each different text once."""
        codes, texts = to_words(column)
        table = np.zeros((len(texts) + 1, len(self.centers) + 1))
        table[-1, -1] = 1.0  # no text
        if texts:
            weights = self._counter.transform(_shortened(texts))
            z = weights @ self._projection - np.asarray(self.centers)
            table[:-1, :-1] = z / np.hypot(1.0, z / TEXT_BOUND)
        return np.take(table, codes, axis=0)

    def remarks(self, column: Series) -> list[str]:
        """Texts that hold nothing that training knew."""
        texts = to_words(column).levels
        if not texts:
            return []
        known = self._counter.transform(_shortened(texts)).getnnz(axis=1) > 0
        odd = [text for text, found in zip(texts, known, strict=True) if not found]
        if not odd:
            return []
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        return [f"{self.name}: {shorten(odd[0])!r}{more} like no text in training"]


def _vectorizer(**settings: Any) -> Any:
    return _sklearn("feature_extraction.text").TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float64, **settings
    )


def _sklearn(module: str) -> Any:
    return import_optional(f"sklearn.{module}", "texts need scikit-learn", "jaxmlp[sklearn]")


def _shortened(texts: tuple[str, ...]) -> list[str]:
    return [text[:LETTERS] for text in texts]


def _rounded(numbers: np.ndarray) -> tuple[float, ...]:
    return tuple(np.round(numbers, _DIGITS).tolist())
